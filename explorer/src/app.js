// The explorer as a whole: what follows from the state, and who shows it.
import { html } from "htm/preact";
import { useEffect, useErrorBoundary, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Card } from "./card.js";
import { Curves } from "./curves.js";
import { count } from "./formats.js";
import { copy, save, toCsv, toJson } from "./exporting.js";
import { ColumnOptions, conditionSaid, Conditions, Levels, nameOf, Outcomes } from "./filters.js";
import { Foot, Help, Meaning } from "./help.js";
import { DataMap, extent, outward } from "./map.js";
import { Search } from "./search.js";
import { brushed, filtered, inOrder, order, orderOfTexts, rowsOf } from "./select.js";
import { MOST_RUNS } from "./state.js";
import { Table } from "./table.js";
import { categoryColor } from "./theme.js";
import { plainNumber, within } from "./where.js";

/** Follows the page's colour scheme: changes when the colours on canvases must be drawn anew. */
function useTheme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const [theme, setTheme] = useState(dark.matches);
  useEffect(() => {
    const follow = () => setTheme(dark.matches);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, []);
  return theme ? "dark" : "light";
}

const RESTS = 80; // ms; shorter than it takes to look from the map to the table

/** A value; while it is dragged, the one that it had when it last rested. */
function useRested(value, isDragged) {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const later = setTimeout(() => setRested(value), isDragged ? RESTS : 0);
    return () => clearTimeout(later);
  }, [value, isDragged]);
  return isDragged ? rested : value;
}

/** The maps to draw: one per run shown, or one alone where neither axis depends on the run. */
function panelsOf(data, state) {
  const names = state.runs.length ? state.runs : [undefined];
  const panels = names.map((run) => ({ run: run ?? null, x: data.column(state.x, run), y: data.column(state.y, run) })).filter(({ x, y }) => x && y);
  const same = panels.every(({ x, y }) => x === panels[0].x && y === panels[0].y);
  return same ? panels.slice(0, 1).map((panel) => ({ ...panel, run: null })) : panels;
}

/** What the axes span, the same in every map; one measure of two runs has the same span on both axes. */
function domainsOf(panels) {
  const [x, y] = [panels.map((panel) => panel.x), panels.map((panel) => panel.y)];
  const both = x[0] !== y[0] && x[0]?.name === y[0]?.name;
  return both ? { x: extent([...x, ...y]), y: extent([...x, ...y]) } : { x: extent(x), y: extent(y) };
}

/** The columns of the table: id, texts, category, what the axes and the sorting show, and the first measures. */
function tableColumns(data, state) {
  const named = (column) => ({ key: data.key(column), heading: column.heading, column });
  const texts = data.mainTexts;
  const shown = [{ key: "id", heading: "id", column: null }];
  if (texts.length) shown.push({ key: data.key(texts[0]), heading: texts.map(({ heading }) => heading).join(" / "), texts });
  if (data.category) shown.push(named(data.category));
  const chosen = state.columns?.map((key) => data.column(key, state.runs[0])) ?? defaultColumns(data, state);
  const sorted = state.sort && state.sort.key !== "id" ? [data.column(state.sort.key, state.runs[0])] : [];
  for (const column of new Set(chosen.includes(sorted[0]) ? chosen : [...sorted, ...chosen])) if (column && column !== data.category && !texts.includes(column)) shown.push(named(column));
  return shown;
}

function defaultColumns(data, state) {
  const items = data.items.filter((column) => (data.runs.length ? column.isNumber : column.kind !== "text") && column.varies).slice(0, data.runs.length ? 1 : 8);
  const ofRuns = ["correct_last", "loss_change", state.x, state.y].flatMap((key) => state.runs.map((run) => data.column(key, run)));
  const [change, gold] = ["change", "gold"].map((name) => data.items.find((column) => column.name === name));
  return [change, ...ofRuns, gold, ...items].filter(Boolean);
}

/** What the table is sorted by, and in which direction. */
function sortSaid(data, { sort, runs }) {
  const column = sort.key === "id" ? null : data.column(sort.key, runs[0]);
  return `sorted by ${column ? nameOf(data, column) : "id"} ${sort.descending ? "↓" : "↑"}`;
}

/** What the controls say, for paper. */
function printed(data, state) {
  const narrowed = [state.category?.join(", "), state.split?.join(", "), ...state.where.map((condition) => conditionSaid(data, condition)), state.q && `search: ${state.q}`, state.select && "selection on the map"];
  return narrowed.filter(Boolean).join("; ");
}

const cleared = { category: null, split: null, where: [], q: "", select: null };

/** The explorer, or in one sentence why there is none. */
export function Explorer(props) {
  const [problem] = useErrorBoundary((error) => console.error(error));
  return problem ? html`<${Failure} problem=${problem} />` : html`<${App} ...${props} />`;
}

export function Failure({ problem }) {
  return html`<p class="absent" role="alert">The explorer stopped: ${problem.message}. The rest of the page does not depend on it.</p>`;
}

function App({ data, store, root }) {
  const [, update] = useReducer((tick) => tick + 1, 0);
  const [hovered, setHovered] = useState(-1);
  const [help, setHelp] = useState(false);
  const [said, setSaid] = useState("");
  const theme = useTheme();
  const top = useRef(null);
  const { state } = store;
  const set = (change, options) => store.set(change, options);
  useEffect(() => {
    store.listeners.add(update);
    return () => store.listeners.delete(update);
  }, []);

  const search = useMemo(() => new Search(data), []);
  const found = useMemo(() => search.rows(state.q), [state.q]);
  const shown = useMemo(() => filtered(data, state, found), [state.category, state.split, state.where, found]);
  const panels = useMemo(() => panelsOf(data, state), [state.x, state.y, state.runs]);
  const domains = useMemo(() => domainsOf(panels), [panels]);
  const brushOn = state.select && (panels.find(({ run }) => run === state.select.run) ?? panels[0]);
  const inBrush = (mask) => (state.select && brushOn ? brushed(mask, brushOn.x.numbers, brushOn.y.numbers, state.select) : mask);
  const selected = useMemo(() => inBrush(shown), [shown, state.select, panels]);
  const columns = useMemo(() => tableColumns(data, state), [state.x, state.y, state.runs, state.columns, state.sort]);
  const sorted = useMemo(() => {
    if (!state.sort) return null;
    if (state.sort.key === "id") return orderOfTexts(data.ids, state.sort.descending);
    return order(data.column(state.sort.key, state.runs[0]), state.sort.descending);
  }, [state.sort, state.runs[0]]);
  // A table of new rows takes most of what the page can do in a frame: the map follows a moving pointer alone.
  const rested = useRested(selected, store.passing);
  const rows = useMemo(() => (sorted ? inOrder(sorted, rested) : rowsOf(rested)), [sorted, rested]);
  const runs = useMemo(() => data.runs.filter((run) => state.runs.includes(run.name)), [state.runs]);
  const isAll = rows.length === data.n;
  useEffect(() => setSaid(""), [rested]);

  const open = (row) => {
    setHovered(-1);
    set({ open: row }, { quietly: state.open !== null });
  };
  const step = (by) => {
    const at = state.open === null ? -1 : rows.indexOf(state.open);
    const next = Math.min(Math.max(at + by, 0), rows.length - 1);
    if (rows.length) open(rows[next]);
  };
  const sortBy = (key) => {
    const column = key === "id" ? null : data.column(key, state.runs[0]);
    const descending = state.sort?.key === key ? !state.sort.descending : Boolean(column && column.kind !== "text");
    set({ sort: { key, descending } });
  };
  const brush = (panel) => (box, dragging) => set({ select: box ? { ...box, run: panels.length > 1 ? panel.run : null } : null }, { passing: dragging });
  const keep = () => {
    const { x0, x1, y0, y1 } = state.select;
    set({ where: [...state.where, ...within(brushOn.x, x0, x1), ...within(brushOn.y, y0, y1)], select: null });
  };
  const copyIds = async () => {
    const done = await copy(document, Array.from(rows, (row) => data.ids[row]).join("\n"));
    setSaid(done ? `${count(rows.length)} ids copied.` : "The browser did not allow copying.");
  };
  const keys = (event) => {
    const { target, key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || help) return;
    if (key === "Escape") {
      if (state.open !== null) set({ open: null });
      else if (state.select) set({ select: null });
      return;
    }
    if (/^(INPUT|SELECT|TEXTAREA)$/u.test(target.tagName)) return;
    const go = (selector) => top.current.querySelector(selector)?.focus();
    const actions = { "/": () => go(".x-search"), j: () => step(1), k: () => step(-1), m: () => go(".x-frame"), t: () => go(".x-table"), "+": () => top.current.querySelector(".x-add")?.click(), c: copyIds, "?": () => setHelp(true) };
    if (!actions[key]) return;
    event.preventDefault();
    actions[key]();
  };

  const status = useStatus(data, selected);
  const table = useMemo(
    () => html`<${Table} data=${data} columns=${columns} rows=${rows} sort=${state.sort} open=${state.open} onSort=${sortBy} onOpen=${open} onHover=${setHovered} />`,
    [columns, rows, state.sort, state.open, theme],
  );
  const card = useMemo(
    () => state.open === null ? null : html`<${Card} data=${data} row=${state.open} runs=${runs} position=${rows.indexOf(state.open)} total=${rows.length} theme=${theme} root=${root} onStep=${step} onClose=${() => set({ open: null })} />`,
    [state.open, runs, rows, theme],
  );
  const curves = useMemo(
    () => runs.some((run) => run.curves.length) ? html`<${Curves} data=${data} runs=${runs} selected=${selected} theme=${theme} root=${root} />` : null,
    [runs, selected, theme],
  );
  // What a moving selection does not change is not built anew at every move.
  const still = useMemo(
    () => ({
      runs: data.runs.length > 1 ? html`<${Runs} data=${data} state=${state} onChange=${set} />` : null,
      conditions: html`<${Conditions} data=${data} state=${state} onChange=${set} />`,
      axes: panels.length ? html`<${Axes} data=${data} state=${state} onChange=${set} />` : null,
      picker: html`<${Picker} data=${data} columns=${columns} onChange=${set} />`,
      foot: html`<${Foot} data=${data} />`,
    }),
    [state.runs, state.where, state.x, state.y, columns],
  );
  const base = (without) => filtered(data, { ...state, where: state.where.filter(({ column }) => !without.includes(column)) }, found);

  return html`<div class="x" ref=${top} tabindex="-1" onKeyDown=${keys}>
    <div class="x-bar">
      <${SearchField} value=${state.q} onChange=${(q) => set({ q }, { quietly: true })} />
      ${data.category && data.categories.length ? html`<${Levels} label="Categories" column=${data.category} color=${(code) => categoryColor(data, code)} chosen=${state.category} selected=${selected} onChange=${(category) => set({ category })} />` : null}
      ${data.split ? html`<${Levels} label="Splits" column=${data.split} chosen=${state.split} selected=${selected} onChange=${(split) => set({ split })} />` : null}
      ${still.runs} ${still.conditions}
      <button type="button" class="x-keys" onClick=${() => setHelp(true)} aria-label="Keys and help" title="Keys and help (?)">?</button>
    </div>
    <div class="x-status">
      <p role="status">${status}</p>
      ${isAll ? null : html`<button type="button" onClick=${() => set(cleared)}>Show all</button>`}
      ${state.sort ? html`<span class="x-chip x-condition">${sortSaid(data, state)} <button type="button" aria-label="Do not sort" onClick=${() => set({ sort: null })}>×</button></span>` : null}
      <p class="x-printed">${printed(data, state)}</p>
      <span class="x-export" role="group" aria-label="The selection as a file">
        <button type="button" disabled=${!rows.length} title="The selection with every column of the items and of the runs shown" onClick=${() => save(document, "selection.csv", "text/csv;charset=utf-8", toCsv(data, rows, runs))}>CSV</button>
        <button type="button" disabled=${!rows.length} onClick=${() => save(document, "selection.json", "application/json", toJson(data, rows))}>JSON of ids</button>
        <button type="button" disabled=${!rows.length} onClick=${copyIds}>Copy ids</button>
        <span class="quiet small" role="status">${said}</span>
      </span>
      ${still.picker}
    </div>
    <div class=${`x-grid${curves ? "" : " x-plain"}${state.open === null ? "" : " x-opened"}`}>
      <div class="x-left">
        ${still.axes}
        <div class="x-maps" style=${`--across:${Math.min(panels.length, 2)}`}>
          ${panels.map(
            (panel) => html`<${DataMap}
              key=${panel.run ?? ""}
              data=${data}
              x=${panel.x}
              y=${panel.y}
              title=${panel.run === null ? null : data.shortName(panel.run)}
              domains=${domains}
              shown=${shown}
              selected=${selected}
              brush=${panel === brushOn ? state.select : null}
              hovered=${hovered}
              open=${state.open ?? -1}
              theme=${theme}
              root=${root}
              onBrush=${brush(panel)}
              onHover=${setHovered}
              onOpen=${open}
            />`,
          )}
        </div>
        ${panels.length ? html`<${BrushFields} data=${data} panel=${brushOn ?? panels[0]} select=${state.select} domains=${domains} onBrush=${brush(brushOn ?? panels[0])} onKeep=${keep} />` : null}
        ${runs.length > 1 ? html`<${Outcomes} data=${data} state=${state} runs=${runs} base=${base} within=${inBrush} onChange=${set} />` : null}
        ${curves}
      </div>
      <div class="x-right">${table} ${card}</div>
    </div>
    ${still.foot}
    <${Help} open=${help} onClose=${() => setHelp(false)} />
  </div>`;
}

/** How many of the selected examples are of which split. */
function splitsSaid({ split }, selected) {
  if (!split) return ".";
  const sums = split.tally(selected);
  const parts = split.levels.map((name, code) => ({ name, n: sums[code] })).filter(({ n }) => n);
  return parts.length ? `: ${parts.map(({ name, n }) => `${count(n)} ${name}`).join(", ")}.` : ".";
}

/** The selection in a sentence, once it has been still for a moment. */
function useStatus(data, selected) {
  const [sentence, setSentence] = useState("");
  useEffect(() => {
    const say = () => {
      const total = rowsOf(selected).length;
      setSentence((total === data.n ? `All ${count(total)} examples` : `${count(total)} of ${count(data.n)} examples selected`) + splitsSaid(data, selected));
    };
    const later = setTimeout(say, 120);
    return () => clearTimeout(later);
  }, [selected]);
  return sentence;
}

function SearchField({ value, onChange }) {
  const later = useRef(null);
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const type = (event) => {
    const typed = event.currentTarget.value;
    setText(typed);
    clearTimeout(later.current);
    later.current = setTimeout(() => onChange(typed), 150);
  };
  return html`<input class="x-search" type="search" aria-label="Search in texts and ids" placeholder="Search in texts and ids" value=${text} onInput=${type} />`;
}

/** Which runs are shown beside each other. */
function Runs({ data, state, onChange }) {
  const toggle = (name) => {
    const next = state.runs.includes(name) ? state.runs.filter((other) => other !== name) : [...state.runs, name].slice(-MOST_RUNS);
    if (next.length) onChange({ runs: data.runs.map((run) => run.name).filter((other) => next.includes(other)), select: null });
  };
  return html`<div class="x-chips" role="group" aria-label="Runs shown">
    ${data.runs.map(({ name, short, end }) => {
      const rest = name === short ? "" : name.startsWith(short) ? name.slice(short.length) : `: ${name}`;
      return html`<button type="button" class="x-chip x-run" title=${name} aria-pressed=${state.runs.includes(name)} onClick=${() => toggle(name)}><b>${short}</b><span>${rest}</span>${end ? html`<small class="quiet">to ${end}</small>` : null}</button>`;
    })}
  </div>`;
}

function Axes({ data, state, onChange }) {
  const choice = (axis, label) => html`<label>${label}
    <select value=${state[axis]} onChange=${(event) => onChange({ [axis]: event.currentTarget.value, select: null })}>
      <${ColumnOptions} data=${data} keep=${(column) => column.kind !== "text"} bare />
    </select>
  </label>`;
  const said = (axis) => {
    const column = data.column(state[axis], state.runs[0]);
    return data.key(column) === state[axis] ? nameOf(data, column) : column.heading;
  };
  return html`<div class="x-axes">${choice("y", "↑ ")} ${choice("x", "→ ")} <${Meaning} of=${["y", "x"].map((axis) => data.column(state[axis], state.runs[0]))} /></div><p class="x-printed">↑ ${said("y")}, → ${said("x")}</p>`;
}

/** The selection's ends as numbers. */
function BrushFields({ data, panel, select, domains, onBrush, onKeep }) {
  const field = (name, label) => html`<input
    aria-label=${label}
    value=${select ? Number(select[name].toPrecision(7)) : ""}
    size="6"
    inputmode="decimal"
    onChange=${(event) => {
      const value = plainNumber(event.currentTarget.value);
      const [[x0, x1], [y0, y1]] = [outward(domains.x), outward(domains.y)];
      const box = select ?? { x0, x1, y0, y1 };
      if (value !== null) onBrush({ ...box, [name]: value }, false);
    }}
  />`;
  const named = (column) => (panel.x.name === panel.y.name ? nameOf(data, column) : column.heading);
  const range = (axis, column) => html`<span>${named(column)} ${field(`${axis}0`, `${named(column)} from`)} to ${field(`${axis}1`, `${named(column)} to`)}</span>`;
  return html`<div class=${`x-brushed${select ? "" : " x-hint"}`} role="group" aria-label="Selection on the map">
    ${range("x", panel.x)} ${range("y", panel.y)}
    ${select
      ? html`<button type="button" onClick=${onKeep}>Keep as condition</button><button type="button" onClick=${() => onBrush(null, false)}>Clear</button>`
      : html`<span class="quiet small">Drag on the map to select.</span>`}
  </div>`;
}

/** Which columns the table has. */
function Picker({ data, columns, onChange }) {
  const fixed = new Set([data.category, ...data.mainTexts]);
  const shown = columns.map(({ column }) => column).filter((column) => column && !fixed.has(column));
  const menu = useRef(null);
  useEffect(() => {
    const close = (event) => {
      const outside = event.type === "pointerdown" ? !menu.current.contains(event.target) : event.key === "Escape";
      if (outside && menu.current.open) {
        menu.current.open = false;
        event.stopPropagation();
      }
    };
    document.addEventListener("pointerdown", close);
    menu.current.addEventListener("keydown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  const toggle = (column) => {
    const next = shown.includes(column) ? shown.filter((other) => other !== column) : [...shown, column];
    onChange({ columns: next.length ? next.map((kept) => data.key(kept)) : null });
  };
  const group = (label, own) => {
    const free = own.filter((column) => !fixed.has(column));
    return free.length
      ? html`<fieldset>
          <legend>${label}</legend>
          ${free.map((column) => html`<label><input type="checkbox" checked=${shown.includes(column)} onChange=${() => toggle(column)} /> ${column.heading}</label>`)}
        </fieldset>`
      : null;
  };
  return html`<details class="x-picker" ref=${menu}>
    <summary>Columns</summary>
    <div>${group("items", data.items)} ${data.runs.map((run) => group(run.name, data.ofRun.get(run.name)))}</div>
  </details>`;
}
