// The keys, and what the columns mean.
import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";

const KEYS = [
  ["/", "search"],
  ["j or k", "next or previous example"],
  ["Escape", "close the example; then clear the selection on the map"],
  ["m", "go to the map: arrow keys move a selection, with Shift they change its size"],
  ["t", "go to the table: ↑ ↓, Page up, Page down, Home and End open examples"],
  ["↑", "from the first row of the table: to its headings, ← → between them, Enter or Space sorts, ↓ back to the rows"],
  ["+", "add a condition"],
  ["c", "copy the ids of the selection"],
  ["?", "these keys"],
];

export function Help({ open, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`<dialog class="x-help" ref=${dialog} aria-labelledby="x-help" onClose=${onClose} onClick=${(event) => event.target === dialog.current && onClose()}>
    <h3 id="x-help">Keys</h3>
    <p class="small quiet">They work while the explorer has the focus: click into it, or reach it with Tab.</p>
    <dl>${KEYS.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
    <h3>Search</h3>
    <p class="small">Every word must be in the id or a text, in any order. <kbd>"two words"</kbd> as they stand, <kbd>-word</kbd> without it.</p>
    <h3>Address</h3>
    <p class="small">The address of the page holds what is shown: copy it to come back to it, or go back and forward.</p>
    <button type="button" onClick=${onClose}>Close</button>
  </dialog>`;
}

/** What is drawn, in words, for every way of reading: of columns and curves, each once, and what else there is to know. */
export function Meaning({ of, children }) {
  return html`<details class="x-meaning small">
    <summary>What these mean</summary>
    <${Said} columns=${of} />
    ${children}
  </details>`;
}

function Said({ columns }) {
  const said = new Map(columns.filter((column) => column?.sentence).map((column) => [column.heading, column]));
  return html`<dl>${[...said].map(([heading, { sentence, unit }]) => html`<dt>${heading}${unit ? html` <span class="quiet">${unit}</span>` : null}</dt><dd>${sentence}</dd>`)}</dl>`;
}

/** What every column is, and the licences of what the explorer is made of. */
export function Foot({ data }) {
  return html`<div class="x-foot">
    ${data.index.notes?.length ? html`<ul class="plainlist small">${data.index.notes.map((note) => html`<li>${note}</li>`)}</ul>` : null}
    <details>
      <summary>What the columns mean</summary>
      <${Said} columns=${data.columns} />
      <p class="small quiet">Values in this explorer are rounded to about three digits; the tables beside this page have all.</p>
    </details>
    <details><summary>Licences of the explorer's parts</summary><pre>${LICENCES}</pre></details>
  </div>`;
}
