// What the reader has chosen, and its form in the address: #x=…&y=…&category=…&where=…&q=…&sort=…&select=…&open=ID.
import { parse as parseCondition } from "./where.js";

export const MOST_RUNS = 4;

/** What a page shows before anything was chosen. */
export function initial(data) {
  const [first, second = first] = data.numberKeys;
  return {
    x: data.index.x ?? first ?? null,
    y: data.index.y ?? second ?? null,
    runs: data.runs.slice(0, 2).map((run) => run.name),
    category: null,
    split: null,
    where: [],
    q: "",
    sort: null,
    select: null,
    open: null,
    columns: null,
  };
}

/** Whether a fragment is a state of the explorer, and no other part of the page. */
export const holdsState = (fragment) => fragment.includes("=");

const plain = (value) => String(Number(value.toPrecision(7)));
const interval = (from, to) => `${plain(from)}..${plain(to)}`;

/** A text in the address: spaces as +, and only what would end it escaped. */
function escaped(text) {
  return text.replace(/[%&+#\s"<>`]/gu, (character) => (character === " " ? "+" : encodeURIComponent(character)));
}

function unescaped(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** A condition as it stands in the address. */
export function conditionText(data, { column, operator, value }) {
  return `${data.key(column)} ${operator} ${value}`;
}

/** The state as a fragment without its #; empty where nothing was chosen. */
export function toFragment(data, state) {
  const first = initial(data);
  const parts = [];
  const add = (name, value) => parts.push(`${name}=${escaped(value)}`);
  if (state.x !== first.x) add("x", state.x);
  if (state.y !== first.y) add("y", state.y);
  if (state.runs.join("\n") !== first.runs.join("\n")) for (const run of state.runs) add("run", run);
  for (const name of state.category ?? []) add("category", name);
  for (const name of state.split ?? []) add("split", name);
  for (const condition of state.where) add("where", conditionText(data, condition));
  if (state.q) add("q", state.q);
  if (state.sort) add("sort", state.sort.key + (state.sort.descending ? " descending" : ""));
  for (const key of state.columns ?? []) add("column", key);
  if (state.select) {
    const { x0, x1, y0, y1, run } = state.select;
    add("select", `${interval(x0, x1)},${interval(y0, y1)}${run ? ` of ${run}` : ""}`);
  }
  if (state.open !== null) add("open", data.ids[state.open]);
  return parts.join("&");
}

function selection(text) {
  const number = "([-\\d.e+]+?)";
  const match = new RegExp(`^${number}\\.\\.${number},${number}\\.\\.${number}(?: of (.+))?$`, "u").exec(text);
  if (!match) return null;
  const [x0, x1, y0, y1] = match.slice(1, 5).map(Number);
  return [x0, x1, y0, y1].some(Number.isNaN) ? null : { x0, x1, y0, y1, run: match[5] ?? null };
}

/** The state of a fragment; what the page does not have is left out. */
export function fromFragment(data, fragment) {
  const state = initial(data);
  const given = { run: [], category: [], split: [], where: [], column: [] };
  for (const part of fragment.replace(/^#/u, "").split("&")) {
    const at = part.indexOf("=");
    if (at < 0) continue;
    const [name, value] = [part.slice(0, at), unescaped(part.slice(at + 1))];
    if (name in given) given[name].push(value);
    else given[name] = value;
  }
  const known = given.run.filter((name) => data.runs.some((run) => run.name === name)).slice(0, MOST_RUNS);
  if (known.length) state.runs = known;
  const columnOf = (key) => data.column(key, state.runs[0]);
  for (const axis of ["x", "y"]) if (given[axis] && columnOf(given[axis])) state[axis] = given[axis];
  const categories = given.category.filter((name) => data.categories.some((category) => category.name === name));
  if (categories.length) state.category = categories;
  const splits = given.split.filter((name) => data.split?.levels.includes(name));
  if (splits.length) state.split = splits;
  state.where = given.where.map((text) => parseCondition(text, columnOf)).filter(Boolean);
  state.q = given.q ?? "";
  const descending = given.sort?.endsWith(" descending");
  const key = descending ? given.sort.slice(0, -" descending".length) : given.sort;
  if (key && (key === "id" || columnOf(key))) state.sort = { key, descending: Boolean(descending) };
  const columns = given.column.filter((name) => columnOf(name));
  if (columns.length) state.columns = columns;
  state.select = given.select ? selection(given.select) : null;
  const row = given.open === undefined ? -1 : data.row(given.open);
  state.open = row < 0 ? null : row;
  return state;
}

/** Holds the state, tells who listens, and keeps the address in step. */
export class Store {
  constructor(data, window) {
    this.data = data;
    this.window = window;
    this.listeners = new Set();
    this.passing = false;
    this.state = fromFragment(data, window.location.hash);
    window.addEventListener("popstate", () => this.follow());
  }

  /** Takes the state of the address; a link to another part of the page is none. */
  follow() {
    const { hash } = this.window.location;
    if (hash !== "" && !holdsState(hash)) return;
    this.state = fromFragment(this.data, hash);
    this.passing = false;
    this.tell();
  }

  /** Changes the state. While something is typed the address changes without a new entry of history; while something is dragged (passing), not at all. */
  set(change, { quietly = false, passing = false } = {}) {
    this.passing = passing;
    this.state = { ...this.state, ...change };
    this.tell();
    if (!passing) this.remember(quietly);
  }

  remember(quietly) {
    clearTimeout(this.later);
    const fragment = toFragment(this.data, this.state);
    const { hash, pathname, search } = this.window.location;
    if (fragment === hash.slice(1) || (fragment === "" && hash !== "" && !holdsState(hash))) return;
    const address = fragment ? `#${fragment}` : pathname + search;
    if (quietly) {
      // Browsers allow few changes of the address per second.
      this.later = setTimeout(() => this.window.history.replaceState(null, "", address), 250);
      return;
    }
    this.window.history.pushState(null, "", address);
  }

  tell() {
    for (const listener of this.listeners) listener();
  }
}
