// The page's data: an index in JSON, and arrays as base64 of deflated bytes that are decoded when first needed.
import { unzlibSync } from "fflate";
import { count, number } from "./formats.js";
import { shortNames } from "./names.js";

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array, f16: Uint16Array, f32: Float32Array };
const MISSING = { u8: 255, u16: 65535, u32: 4294967295, i32: -2147483648 };

const INVISIBLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

/** The value of every 16-bit float, by its bits. */
const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
});

/** The value of every stored code of an array: halves by their bits, shares by their scale; null where it holds values. */
export function tableOf({ dtype, scale }) {
  if (dtype === "f16") return HALF;
  if (!scale) return null;
  const missing = MISSING[dtype];
  return Float32Array.from({ length: missing + 1 }, (_, code) => (code === missing ? NaN : code / scale));
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Reads the arrays of a document; each block is decoded once. */
export class Blocks {
  constructor(document) {
    this.document = document;
    this.decoded = new Map();
  }

  bytes(block) {
    const element = this.document.querySelector(`script[data-block="${block}"]`);
    if (!element) throw new Error(`the page has no data block "${block}": it is cut short or was edited`);
    return unzlibSync(fromBase64(element.textContent.trim()));
  }

  /** The array of a block as stored: 16-bit floats by their bits, text as a list of strings. */
  raw({ block, dtype }) {
    if (!this.decoded.has(block)) {
      const bytes = this.bytes(block);
      let values;
      if (dtype === "text") values = JSON.parse(new TextDecoder().decode(bytes));
      else {
        const Kind = ARRAYS[dtype];
        const whole = bytes.byteOffset % Kind.BYTES_PER_ELEMENT ? bytes.slice() : bytes;
        values = new Kind(whole.buffer, whole.byteOffset, whole.byteLength / Kind.BYTES_PER_ELEMENT);
      }
      this.decoded.set(block, values);
    }
    return this.decoded.get(block);
  }

  /** The array of a block, or the part of it between two places, as numbers, NaN where missing. */
  numbers(spec, from, to) {
    const raw = this.raw(spec).subarray(from, to);
    if (spec.dtype === "f32") return raw;
    const table = tableOf(spec);
    if (table) return Float32Array.from(raw, (code) => table[code]);
    const missing = MISSING[spec.dtype];
    const Kind = spec.dtype === "u32" || spec.dtype === "i32" ? Float64Array : Float32Array;
    return Kind.from(raw, (value) => (value === missing ? NaN : value));
  }
}

/** One quantity of every example: of the items, or of one run. */
export class Column {
  constructor(spec, run, blocks) {
    Object.assign(this, spec, { run, blocks });
  }

  get isNumber() {
    return this.kind === "number" || this.kind === "integer";
  }

  /** Values as numbers, NaN where missing: levels and flags by their code. */
  get numbers() {
    this.cachedNumbers ??= this.blocks.numbers(this);
    return this.cachedNumbers;
  }

  /** Whether examples differ in it. */
  get varies() {
    return this.numbers.some((value) => !Object.is(value, this.numbers[0]));
  }

  get texts() {
    return this.blocks.raw(this);
  }

  /** Codes of levels, 255 without one. */
  get codes() {
    this.cachedCodes ??= Uint8Array.from(this.numbers, (code) => (Number.isNaN(code) ? 255 : code));
    return this.cachedCodes;
  }

  /** How many of the examples, or of those of a mask, have each level's code. */
  tally(mask = null) {
    if (!mask && this.cachedTally) return this.cachedTally;
    const sums = new Uint32Array(256);
    for (let i = 0; i < this.codes.length; i++) if (!mask || mask[i]) sums[this.codes[i]]++;
    if (!mask) this.cachedTally = sums;
    return sums;
  }

  /** What a reader sees of example i; an empty string where it is missing. */
  shown(i) {
    return this.kind === "text" ? (this.texts[i] ?? "") : this.format(this.numbers[i]);
  }

  /** A value of the column in words. */
  format(value) {
    if (Number.isNaN(value)) return "";
    if (this.kind === "flag") return value ? "yes" : "no";
    if (this.kind === "category") return this.levels[value] ?? "";
    return number(value, this.kind === "integer" ? 0 : (this.digits ?? 3));
  }
}

/** Everything the page holds: columns by key, runs, categories. */
export class Dataset {
  constructor(index, blocks) {
    this.index = index;
    this.blocks = blocks;
    this.n = index.n;
    this.labelNames = index.label_names ?? [];
    this.runs = index.runs ?? [];
    shortNames(this.runs.map((run) => run.name)).forEach((short, r) => Object.assign(this.runs[r], { short }));
    const ends = this.runs.map(({ steps, step_unit }) => `${step_unit} ${count(steps.at(-1))}`);
    this.runs.forEach((run, r) => Object.assign(run, { end: new Set(ends).size > 1 ? ends[r] : "" }));
    this.categories = index.categories ?? [];
    this.items = (index.items ?? []).map((spec) => new Column(spec, null, blocks));
    if (index.gold && !this.items.some((column) => column.name === "gold")) this.items.push(this.goldColumn(index.gold));
    this.ofRun = new Map(
      this.runs.map((run) => [run.name, run.columns.map((spec) => new Column(spec, run.name, blocks))]),
    );
    this.byKey = new Map();
    for (const column of this.columns) this.byKey.set(this.key(column), column);
    this.category = this.items.find((column) => column.name === index.category) ?? null;
    this.split = this.items.find((column) => column.name === "split" && column.kind === "category" && column.varies) ?? null;
    this.textColumns = this.items.filter((column) => column.kind === "text");
  }

  goldColumn(spec) {
    const said = { name: "gold", heading: "gold", unit: "", sentence: "The gold label.", kind: "category", levels: this.labelNames };
    return new Column({ ...said, ...spec }, null, this.blocks);
  }

  /** The texts that a row of the table shows: at most two, those that are longest on the whole. */
  get mainTexts() {
    this.cachedTexts ??= (() => {
      const length = (column) => column.texts.slice(0, 200).reduce((sum, text) => sum + (text ?? "").length, 0);
      const [first, second] = this.textColumns.map((column) => ({ column, length: length(column) })).sort((a, b) => b.length - a.length);
      const kept = new Set([first?.column, second && second.length > 0.2 * first.length ? second.column : null]);
      return this.textColumns.filter((column) => kept.has(column));
    })();
    return this.cachedTexts;
  }

  get columns() {
    return [...this.items, ...[...this.ofRun.values()].flat()];
  }

  get ids() {
    return this.blocks.raw(this.index.ids);
  }

  /** The id of a row as a reader sees it: what is invisible or turns the direction of text is written out. */
  shownId(row) {
    return this.ids[row].replace(INVISIBLE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }

  /** The row of an example, by its id; -1 where there is none. */
  row(id) {
    this.rows ??= new Map(this.ids.map((name, i) => [name, i]));
    return this.rows.get(id) ?? -1;
  }

  /** Keys of the columns that hold numbers. */
  get numberKeys() {
    return this.columns.filter((column) => column.isNumber).map((column) => this.key(column));
  }

  /** A run's name for where there is little room; nothing where there is one run alone. */
  shortName(name) {
    return this.runs.length > 1 && name !== null ? this.runs.find((run) => run.name === name).short : null;
  }

  /** How the address and conditions name a column. */
  key(column) {
    return column.run !== null && this.runs.length > 1 ? `${column.name} of ${column.run}` : column.name;
  }

  /** The column of a key; a bare name is the items' column, or that of the given run. */
  column(key, run = this.runs[0]?.name) {
    const known = this.byKey.get(key);
    return known ?? this.ofRun.get(run)?.find((column) => column.name === key) ?? null;
  }

  /** Category code of every example, 255 without one. */
  get codes() {
    this.cachedCodes ??= this.category?.codes ?? new Uint8Array(this.n).fill(255);
    return this.cachedCodes;
  }
}
