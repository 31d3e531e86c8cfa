// The table of the selected examples: any number of rows, of which only the visible ones exist.
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count } from "./formats.js";
import { categoryColor } from "./theme.js";
import { scrollTo, windowOf } from "./window.js";

const SPARE = 4;
const PRINTED = 200; // rows on paper

/** Whether the page is being printed: then all rows for paper exist, and not those in view. */
function usePrinting() {
  const [isPrinting, setPrinting] = useState(false);
  useEffect(() => {
    const begin = () => setPrinting(true);
    const end = () => setPrinting(false);
    window.addEventListener("beforeprint", begin);
    window.addEventListener("afterprint", end);
    return () => {
      window.removeEventListener("beforeprint", begin);
      window.removeEventListener("afterprint", end);
    };
  }, []);
  return isPrinting;
}

function Head({ data, columns, sort, pin, onSort }) {
  return html`<div role="row" class="x-row x-head" aria-rowindex="1">
    ${columns.map(({ key, column, heading, texts }, index) => {
      const sorted = sort?.key === key ? (sort.descending ? "descending" : "ascending") : "none";
      const run = column ? data.shortName(column.run) : null;
      return html`<div
        role="columnheader"
        key=${key}
        aria-sort=${sorted}
        aria-colindex=${index + 1}
        class=${(column?.isNumber ? "x-number" : texts ? "x-texts" : "") + pin(index)}
        title=${column?.sentence ?? ""}
      >
        <button type="button" tabindex="-1" onClick=${() => onSort(key)}>
          <span>${heading}</span>${run ? html`<small>${run}</small>` : null}
          <i aria-hidden="true">${sorted === "none" ? "" : sorted === "descending" ? "▼" : "▲"}</i>
        </button>
      </div>`;
    })}
  </div>`;
}

function cell(data, { column, texts }, row) {
  if (texts) return texts.map((text) => html`<div>${text.shown(row)}</div>`);
  if (!column) return data.shownId(row);
  if (column === data.category) return html`<span class="x-dot" style=${`--c:${categoryColor(data, data.codes[row])}`}></span>${column.shown(row)}`;
  return column.shown(row) || html`<span class="quiet">–</span>`;
}

/** Between headings by arrow keys; down, back to the rows. */
function headKeys(event, view) {
  const heads = [...view.querySelectorAll(".x-head button")];
  const at = heads.indexOf(event.target);
  const targets = { ArrowLeft: heads[at - 1], ArrowRight: heads[at + 1], Home: heads[0], End: heads.at(-1), ArrowDown: view, ArrowUp: null };
  if (!(event.key in targets)) return;
  event.preventDefault();
  event.stopPropagation();
  targets[event.key]?.focus();
}

const GAP = 13;

/** Widths of the columns in CSS pixels; texts take what is left of the table. */
function widthsOf(data, columns) {
  const longest = Math.max(...Array.from(data.ids.slice(0, 500), (id) => id.length), 2);
  return columns.map(({ column, texts }) => {
    if (texts) return 260;
    if (!column) return Math.min(Math.max(7.6 * longest + 6, 64), 150);
    const word = 7.4 * Math.max(...column.heading.split(/\s/u).map((part) => part.length));
    if (column.isNumber || column.kind === "flag") return Math.min(Math.max(84, word, 3.1 * column.heading.length), 130);
    return column.kind === "text" ? 190 : 104;
  });
}

/** Columns are {key, heading, column, texts}; rows are in their order. */
export function Table({ data, columns, rows, sort, open, onSort, onOpen, onHover }) {
  const view = useRef(null);
  const isPrinting = usePrinting();
  const [scroll, setScroll] = useState({ top: 0, height: 400, width: 0 });
  const widths = widthsOf(data, columns).map((width, index) => width + GAP + (index ? 0 : 11));
  // The id stays in view as the table is scrolled sideways, and the texts where that leaves room for the rest.
  const pinned = columns[1]?.texts && widths[0] + widths[1] < 0.62 * scroll.width ? 2 : 1;
  const pin = (index) => (index < pinned ? " x-pinned" : "");
  const two = columns.some(({ texts }) => texts?.length > 1);
  const rowHeight = two ? 44 : 30;
  const headHeight = 46;
  const viewHeight = scroll.height - headHeight;
  const inView = windowOf(rows.length, rowHeight, scroll.top, viewHeight);
  const { height, first, top, visible } = isPrinting ? { height: 0, first: 0, top: 0, visible: PRINTED - SPARE } : inView;
  const position = open === null ? -1 : rows.indexOf(open);

  useLayoutEffect(() => {
    const measure = () => setScroll((old) => ({ ...old, height: view.current.clientHeight, width: view.current.clientWidth }));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(view.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    view.current.scrollTop = 0;
  }, [sort, rows]);
  useLayoutEffect(() => {
    const target = view.current;
    const wanted = position < 0 ? null : scrollTo(position, rows.length, rowHeight, target.scrollTop, target.clientHeight - headHeight);
    if (wanted !== null) target.scrollTop = wanted;
  }, [open]);

  const go = (to) => {
    if (rows.length) onOpen(rows[Math.min(Math.max(to, 0), rows.length - 1)]);
  };
  const keys = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target !== view.current) {
      headKeys(event, view.current);
      return;
    }
    const page = Math.max(visible - 1, 1);
    const from = position < 0 ? first - 1 : position;
    const steps = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: rows.length - 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "ArrowUp" && position < 1) view.current.querySelector(".x-head button").focus();
    else go(steps[event.key]);
  };

  const last = Math.min(first + visible + SPARE, rows.length);
  const drawn = [];
  for (let at = first; at < last; at++) drawn.push(at);
  return html`<div
    class=${`x-table${two ? " x-two" : ""}`}
    ref=${view}
    role="grid"
    tabindex="0"
    aria-label="Selected examples"
    aria-rowcount=${rows.length + 1}
    aria-colcount=${columns.length}
    aria-activedescendant=${position >= first && position < last ? `x-row-${open}` : undefined}
    onScroll=${() => setScroll((old) => ({ ...old, top: view.current.scrollTop, height: view.current.clientHeight }))}
    onKeyDown=${keys}
    style=${`--columns:${columns.map(({ texts }, index) => (texts ? `minmax(${widths[index]}px, 1fr)` : `${widths[index]}px`)).join(" ")};--printed:${widths.map((width) => `minmax(0, ${width}fr)`).join(" ")};--width:${widths.reduce((sum, width) => sum + width, 0)}px;--second:${widths[0]}px`}
  >
    <div role="rowgroup" class="x-headgroup"><${Head} data=${data} columns=${columns} sort=${sort} pin=${pin} onSort=${onSort} /></div>
    <div role="rowgroup" class="x-body" style=${`height:${height}px`}>
      ${drawn.map((at) => {
        const row = rows[at];
        return html`<div
          role="row"
          key=${row}
          id=${`x-row-${row}`}
          class="x-row"
          aria-rowindex=${at + 2}
          aria-selected=${row === open}
          style=${`transform:translateY(${top + (at - first) * rowHeight}px)`}
          onClick=${() => onOpen(row)}
          onPointerEnter=${() => onHover(row)}
          onPointerLeave=${() => onHover(-1)}
        >
          ${columns.map(
            (shown, index) => html`<div
              role="gridcell"
              aria-colindex=${index + 1}
              class=${(shown.column?.isNumber ? "x-number" : shown.texts ? "x-texts" : shown.column ? "" : "x-id") + pin(index)}
            >
              ${cell(data, shown, row)}
            </div>`,
          )}
        </div>`;
      })}
    </div>
    ${rows.length > PRINTED ? html`<p class="x-printed">Printed are the first ${count(PRINTED)} of ${count(rows.length)} rows; CSV saves all.</p>` : null}
    ${rows.length ? null : html`<p class="x-none">No example meets all of these.</p>`}
  </div>`;
}
