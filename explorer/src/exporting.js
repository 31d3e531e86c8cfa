// The selection as files and in the clipboard.

const quoted = (text) => (/[",\n\r]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A value as a file has it: full stored precision, a plain minus sign, nothing where missing. */
function plain(column, row) {
  if (!column.isNumber) return column.shown(row);
  const value = column.numbers[row];
  return Number.isNaN(value) ? "" : String(column.dtype === "f16" ? Number(value.toPrecision(4)) : value);
}

/** The rows as CSV: id and every column of items and of the given runs. */
export function toCsv(data, rows, runs) {
  const columns = [...data.items, ...runs.flatMap((run) => data.ofRun.get(run.name))];
  const lines = [["id", ...columns.map((column) => data.key(column))].map(quoted).join(",")];
  for (const row of rows) lines.push([data.ids[row], ...columns.map((column) => plain(column, row))].map((text) => quoted(String(text))).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** The ids of the rows as a JSON list. */
export const toJson = (data, rows) => `${JSON.stringify(Array.from(rows, (row) => data.ids[row]), null, 0)}\n`;

/** Saves a text as a file of the reader's. */
export function save(document, name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Copies a text; also where the browser gives a file no clipboard. */
export async function copy(document, text) {
  try {
    await document.defaultView.navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
