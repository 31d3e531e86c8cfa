// Which examples are shown and selected, and in which order the table has them.
import { apply } from "./where.js";

/** Mask of the examples that pass the filters, from the state and the rows that the search found (null: no search). */
export function filtered(data, state, found) {
  const mask = new Uint8Array(data.n).fill(1);
  if (found) {
    mask.fill(0);
    for (const i of found) mask[i] = 1;
  }
  for (const [chosen, column] of [[state.category, data.category], [state.split, data.split]]) {
    if (!chosen || !column) continue;
    const wanted = new Uint8Array(256);
    for (const name of chosen) wanted[column.levels.indexOf(name)] = 1;
    const codes = column.codes;
    for (let i = 0; i < mask.length; i++) mask[i] &= wanted[codes[i]];
  }
  for (const condition of state.where) apply(condition, mask);
  return mask;
}

/** Mask of the shown examples inside a box of two columns' values. */
export function brushed(shown, x, y, { x0, x1, y0, y1 }) {
  const mask = new Uint8Array(shown.length);
  for (let i = 0; i < mask.length; i++)
    if (shown[i] && x[i] >= x0 && x[i] <= x1 && y[i] >= y0 && y[i] <= y1) mask[i] = 1;
  return mask;
}

/** The rows of a mask. */
export function rowsOf(mask) {
  const rows = new Uint32Array(mask.length);
  let count = 0;
  for (let i = 0; i < mask.length; i++) if (mask[i]) rows[count++] = i;
  return rows.subarray(0, count);
}

/** The rows of a mask in the given order. */
export function inOrder(order, mask) {
  const rows = new Uint32Array(mask.length);
  let count = 0;
  for (const i of order) if (mask[i]) rows[count++] = i;
  return rows.subarray(0, count);
}

/** All rows in the order of values; what is missing comes last, ties keep the order of the file. */
export function order(column, descending) {
  return column.kind === "text" ? orderOfTexts(column.texts, descending) : orderOfNumbers(column.numbers, descending);
}

export function orderOfTexts(texts, descending) {
  const keys = texts.map((text) => (text ?? "").toLowerCase());
  const sign = descending ? -1 : 1;
  const compare = (a, b) => (keys[a] < keys[b] ? -sign : keys[a] > keys[b] ? sign : a - b);
  return Uint32Array.from(keys.keys()).sort(compare);
}

/** By one number per row that holds its rank key (32 bits) and the row (21 bits): sorted without a comparator. */
export function orderOfNumbers(values, descending) {
  const n = values.length;
  if (values instanceof Float64Array) return orderOfLong(values, descending);
  if (n > 2 ** 21) throw new Error(`cannot sort ${n} rows: the explorer takes at most ${2 ** 21}`);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const packed = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let key = 2 ** 32 - 1;
    if (!Number.isNaN(values[i])) {
      float[0] = values[i] === 0 ? 0 : values[i];
      key = bits[0] & 0x80000000 ? ~bits[0] >>> 0 : (bits[0] | 0x80000000) >>> 0;
      if (descending) key = 2 ** 32 - 2 - key;
    }
    packed[i] = key * 2 ** 21 + i;
  }
  packed.sort();
  return Uint32Array.from(packed, (value) => value % 2 ** 21);
}

/** Of whole numbers that 32-bit floats cannot tell apart. */
function orderOfLong(values, descending) {
  const sign = descending ? -1 : 1;
  const compare = (a, b) => {
    if (Number.isNaN(values[a]) || Number.isNaN(values[b])) return Number.isNaN(values[a]) - Number.isNaN(values[b]) || a - b;
    return sign * (values[a] - values[b]) || a - b;
  };
  return Uint32Array.from(values.keys()).sort(compare);
}

/** The share of examples with a value below that of row i, ties counted half; NaN without a value. */
export function percentile(values, i) {
  const value = values[i];
  if (Number.isNaN(value)) return NaN;
  let below = 0;
  let tied = 0;
  let known = 0;
  for (let j = 0; j < values.length; j++) {
    const other = values[j];
    if (other < value) below++;
    else if (other === value) tied++;
    if (other === other) known++;
  }
  return (below + tied / 2) / known;
}

/** Fewest values whose mean has an interval: below, Student's t is of no use for skewed losses. */
export const FEWEST = 10;

/** The 97.5 % quantile of Student's t, to 0.2 % from nine degrees of freedom on (Cornish and Fisher's expansion). */
export function studentQuantile(freedom) {
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
}

/**
 * Mean of rows of a (T, N) array per step, through a table of values where it holds their bits, and half of its 95 % interval over
 * rows taken as independent: t · s / √n. What is not finite is left out; NaN where nothing is left, or too little for an interval.
 */
export function means(stored, table, n, steps, rows) {
  const [values, margins] = [new Float64Array(steps), new Float64Array(steps)];
  for (let t = 0; t < steps; t++) {
    let sum = 0;
    let squares = 0;
    let count = 0;
    for (let r = 0; r < rows.length; r++) {
      const value = table ? table[stored[t * n + rows[r]]] : stored[t * n + rows[r]];
      if (value - value === 0) {
        sum += value;
        squares += value * value;
        count++;
      }
    }
    values[t] = count ? sum / count : NaN;
    const variance = Math.max(squares - sum * values[t], 0) / (count - 1);
    margins[t] = count < FEWEST ? NaN : studentQuantile(count - 1) * Math.sqrt(variance / count);
  }
  return { values, margins };
}
