// What narrows the examples: categories, conditions, and the answers of two runs against each other.
import { html } from "htm/preact";
import { useMemo, useState } from "preact/hooks";
import { count, percent } from "./formats.js";
import { rowsOf } from "./select.js";
import { conditionText } from "./state.js";
import { operatorsOf, valueOf } from "./where.js";

/** One toggle per level of a column that examples have, with how many of its examples are selected, and which share. */
export function Levels({ label, column, color, chosen, selected, onChange }) {
  const all = column.tally();
  const own = useMemo(() => column.tally(selected), [selected]);
  const present = column.levels.filter((_, code) => all[code]);
  const toggle = (name) => {
    const next = chosen?.includes(name) ? chosen.filter((other) => other !== name) : [...(chosen ?? []), name];
    onChange(next.length && next.length < present.length ? next : null);
  };
  const counted = (code) => (own[code] === all[code] ? count(all[code]) : `${count(own[code])} of ${count(all[code])}, ${percent(own[code] / all[code])}`);
  return html`<div class="x-chips" role="group" aria-label=${label}>
    ${present.map((name) => {
      const code = column.levels.indexOf(name);
      return html`<button type="button" key=${name} class="x-chip" style=${color && `--c:${color(code)}`} aria-pressed=${chosen?.includes(name) ?? false} onClick=${() => toggle(name)}>
        ${color ? html`<i class="x-dot"></i>` : null}${name} <span class="quiet">${counted(code)}</span>
      </button>`;
    })}
  </div>`;
}

/** Options for a choice among columns, grouped by what they belong to. */
export function ColumnOptions({ data, keep, bare = false }) {
  const group = (label, columns, name, of = null) => {
    const kept = columns.filter(keep);
    return kept.length
      ? html`<optgroup label=${label}>
          ${kept.map((column) => html`<option value=${name(column)}>${column.heading}${of ? ` of ${of}` : ""}${column.unit ? ` (${column.unit})` : ""}</option>`)}
        </optgroup>`
      : null;
  };
  const shared = [...new Map([...data.ofRun.values()].flat().map((column) => [column.name, column])).values()];
  return html`${group("items", data.items, (column) => data.key(column))}
  ${bare && data.runs.length > 1 ? group("each run shown", shared, (column) => column.name) : null}
  ${data.runs.map((run) => group(run.name, data.ofRun.get(run.name), (column) => data.key(column), data.shortName(run.name)))}`;
}

/** A column with its run, where there are several. */
export const nameOf = (data, column) => column.heading + (data.shortName(column.run) ? ` of ${data.shortName(column.run)}` : "");

/** A condition as a reader sees it. */
export const conditionSaid = (data, { column, operator, value }) => `${nameOf(data, column)} ${operator === "in" ? "from" : operator} ${value.replace("..", " to ")}`;

/** Conditions that hold, and a form for one more. */
export function Conditions({ data, state, onChange }) {
  const [adding, setAdding] = useState(false);
  const without = (index) => onChange({ where: state.where.filter((_, other) => other !== index) });
  return html`<div class="x-conditions" role="group" aria-label="Conditions">
    ${state.where.map((condition, index) => {
      const said = conditionSaid(data, condition);
      return html`<span class="x-chip x-condition" key=${conditionText(data, condition)}>${said}
        <button type="button" aria-label=${`Remove the condition ${said}`} onClick=${() => without(index)}>×</button></span>`;
    })}
    ${adding
      ? html`<${Adding} data=${data} onAdd=${(condition) => { setAdding(false); onChange({ where: [...state.where, condition] }); }} onCancel=${() => setAdding(false)} />`
      : html`<button type="button" class="x-chip x-add" onClick=${() => setAdding(true)}>+ condition</button>`}
  </div>`;
}

function Adding({ data, onAdd, onCancel }) {
  const first = data.columns.find((column) => column.kind === "flag") ?? data.columns.find((column) => column.isNumber) ?? data.columns[0];
  const [key, setKey] = useState(data.key(first));
  const column = data.column(key);
  const operators = operatorsOf(column);
  const [operator, setOperator] = useState(operators[0]);
  const [value, setValue] = useState("");
  const levels = column.kind === "flag" ? ["yes", "no"] : column.kind === "category" ? column.levels : null;
  const text = levels ? (levels.includes(value) ? value : levels[0]) : value;
  const means = valueOf(column, operator, text) !== null;
  const choose = (chosen) => {
    setKey(chosen);
    setOperator(operatorsOf(data.column(chosen))[0]);
  };
  const submit = (event) => {
    event.preventDefault();
    if (means) onAdd({ column, operator, value: text });
  };
  return html`<form class="x-adding" onSubmit=${submit} onKeyDown=${(event) => event.key === "Escape" && (event.stopPropagation(), onCancel())}>
    <select aria-label="Column" value=${key} ref=${(element) => element && !element.dataset.seen && (element.dataset.seen = "1", element.focus())} onChange=${(event) => choose(event.currentTarget.value)}>
      <${ColumnOptions} data=${data} keep=${() => true} />
    </select>
    <select aria-label="Comparison" value=${operator} onChange=${(event) => setOperator(event.currentTarget.value)}>
      ${operators.map((name) => html`<option value=${name}>${name === "in" ? "from … to" : name}</option>`)}
    </select>
    ${levels
      ? html`<select aria-label="Value" value=${text} onChange=${(event) => setValue(event.currentTarget.value)}>${levels.map((level) => html`<option>${level}</option>`)}</select>`
      : html`<input aria-label="Value" value=${value} size="9" placeholder=${operator === "in" ? "0.2..0.6" : operator === "contains" ? "words" : "number"} aria-invalid=${value !== "" && !means} onInput=${(event) => setValue(event.currentTarget.value)} />`}
    <button type="submit" disabled=${!means}>Add</button>
    <button type="button" onClick=${onCancel}>Cancel</button>
  </form>`;
}

/** How two runs agree on a yes-or-no measure: four counts, each of which selects its examples. */
export function Outcomes({ data, state, runs, base, within, onChange }) {
  const [first, second] = runs;
  const flags = data.ofRun.get(first.name).filter((column) => column.kind === "flag" && data.column(`${column.name} of ${second.name}`));
  const [name, setName] = useState((flags.find((column) => column.name === "correct_last") ?? flags[0])?.name);
  const columns = runs.slice(0, 2).map((run) => data.ofRun.get(run.name).find((column) => column.name === name));
  const others = state.where.filter(({ column }) => !columns.includes(column));
  const met = useMemo(() => (name ? base(columns) : null), [state.category, state.split, state.where, state.q, name, first.name, second.name]);
  const counts = useMemo(() => {
    const sums = { yesyes: 0, yesno: 0, noyes: 0, nono: 0 };
    if (!name) return sums;
    const [a, b] = columns.map((column) => column.numbers);
    for (const i of rowsOf(within(met))) if (a[i] === a[i] && b[i] === b[i]) sums[(a[i] ? "yes" : "no") + (b[i] ? "yes" : "no")]++;
    return sums;
  }, [met, state.select, state.x, state.y]);
  if (!name) return null;
  const chosen = columns.map((column) => state.where.find((condition) => condition.column === column && condition.operator === "=")?.value);
  const pick = (a, b) => {
    const same = chosen[0] === a && chosen[1] === b;
    const added = [a, b].map((value, index) => ({ column: columns[index], operator: "=", value }));
    onChange({ where: same ? others : [...others, ...added] });
  };
  const answer = (run, said) => html`${run.short}: ${said}${run.end ? html`<small>at ${run.end}</small>` : null}`;
  const cell = (a, b) => html`<td>
    <button type="button" aria-pressed=${chosen[0] === a && chosen[1] === b} onClick=${() => pick(a, b)} aria-label=${`${columns[0].heading}: ${a} in ${first.short}, ${b} in ${second.short}: ${counts[a + b]} examples`}>${count(counts[a + b])}</button>
  </td>`;
  return html`<div class="x-outcomes">
    <p class="x-printed">Where the runs differ: ${columns[0].heading}</p>
    <label>${"Where the runs differ: "}<select value=${name} onChange=${(event) => setName(event.currentTarget.value)}>${flags.map((column) => html`<option value=${column.name}>${column.heading}</option>`)}</select></label>
    <table>
      <thead>
        <tr><td></td><th scope="col">${answer(second, "yes")}</th><th scope="col">${answer(second, "no")}</th></tr>
      </thead>
      <tbody>
        <tr><th scope="row">${answer(first, "yes")}</th>${cell("yes", "yes")}${cell("yes", "no")}</tr>
        <tr><th scope="row">${answer(first, "no")}</th>${cell("no", "yes")}${cell("no", "no")}</tr>
      </tbody>
    </table>
  </div>`;
}
