// Conditions on columns, as the address and the reader write them: "correct_last of LoRA = no".

const ALIASES = { "!=": "≠", "<=": "≤", ">=": "≥" };

/** The operators that make sense for a column. */
export function operatorsOf(column) {
  if (column.kind === "text") return ["contains"];
  if (column.kind === "flag" || column.kind === "category") return ["=", "≠"];
  return ["≥", "≤", ">", "<", "=", "≠", "in"];
}

/** A condition from its text: {column, operator, value}; null where it is none. */
export function parse(text, columnOf) {
  const pattern = /\s(=|≠|!=|≤|<=|≥|>=|<|>|in|contains)\s/gu;
  for (const match of text.matchAll(pattern)) {
    const column = columnOf(text.slice(0, match.index).trim());
    const operator = ALIASES[match[1]] ?? match[1];
    if (!column || !operatorsOf(column).includes(operator)) continue;
    const value = text.slice(match.index + match[0].length).trim();
    if (valueOf(column, operator, value) !== null) return { column, operator, value };
  }
  return null;
}

/** A plain number, whatever minus sign it has; null where the text is none. */
export function plainNumber(text) {
  const value = Number(text.replace("−", "-"));
  return text.trim() === "" || Number.isNaN(value) ? null : value;
}

/** What a value's text means for a column; null where it means nothing. */
export function valueOf(column, operator, text) {
  if (column.kind === "text") return text === "" ? null : text.toLowerCase();
  if (column.kind === "flag") return { yes: 1, no: 0 }[text] ?? null;
  if (column.kind === "category") {
    const code = column.levels.indexOf(text);
    return code < 0 ? null : code;
  }
  if (operator !== "in") return plainNumber(text);
  const ends = text.split("..").map(plainNumber);
  return ends.length === 2 && !ends.includes(null) ? ends : null;
}

/** Conditions for values between two ends: whole numbers and levels by those that lie within. */
export function within(column, from, to) {
  const short = (value) => String(Number(value.toPrecision(7)));
  if (column.kind === "number") return [{ column, operator: "in", value: `${short(from)}..${short(to)}` }];
  const [low, high] = [Math.ceil(from), Math.floor(to)];
  if (column.kind === "integer") return [{ column, operator: "in", value: `${low}..${high}` }];
  const levels = column.kind === "flag" ? ["no", "yes"] : column.levels;
  const kept = levels.filter((_, code) => code >= low && code <= high);
  if (kept.length === 1) return [{ column, operator: "=", value: kept[0] }];
  return levels.filter((level) => !kept.includes(level)).map((value) => ({ column, operator: "≠", value }));
}

/** Half of a column's last shown digit: what is equal to the eye is equal. */
function tolerance(column) {
  return column.kind === "number" ? 0.5 * 10 ** -(column.digits ?? 3) : 0;
}

/** Sets mask[i] to 0 where the condition does not hold; an example without a value never meets a condition. */
export function apply({ column, operator, value }, mask) {
  const wanted = valueOf(column, operator, value);
  if (column.kind === "text") {
    const texts = column.texts;
    for (let i = 0; i < mask.length; i++) if (mask[i] && !(texts[i] ?? "").toLowerCase().includes(wanted)) mask[i] = 0;
    return;
  }
  const numbers = column.numbers;
  const holds = test(operator, wanted, tolerance(column));
  for (let i = 0; i < mask.length; i++) if (mask[i] && !holds(numbers[i])) mask[i] = 0;
}

function test(operator, wanted, slack) {
  switch (operator) {
    case "=":
      return (value) => Math.abs(value - wanted) <= slack;
    case "≠":
      return (value) => Math.abs(value - wanted) > slack;
    case "<":
      return (value) => value < wanted;
    case "≤":
      return (value) => value <= wanted;
    case ">":
      return (value) => value > wanted;
    case "≥":
      return (value) => value >= wanted;
    default:
      return (value) => value >= wanted[0] && value <= wanted[1];
  }
}
