// What has no screen. Expected values are derived by hand in the comments or by a slow, obvious way.
import assert from "node:assert/strict";
import test from "node:test";
import { percent } from "../src/formats.js";
import { shortNames } from "../src/names.js";
import { crowds, layOut, places, ticks } from "../src/scatter.js";
import { means, orderOfNumbers, percentile, studentQuantile } from "../src/select.js";
import { fromFragment, initial, toFragment } from "../src/state.js";
import { scrollTo, windowOf } from "../src/window.js";
import { apply, parse, within } from "../src/where.js";

const column = (name, kind, numbers, more = {}) => ({ name, kind, numbers: Float32Array.from(numbers), run: null, ...more });

/** Stands for a page of two runs, A and B of C. */
function dataset() {
  const items = [column("entropy", "number", [0.1, 0.5, 0.9, NaN], { digits: 3 })];
  items.push({ name: "premise", kind: "text", run: null, texts: ["A dog = a pet", "cat", null, "Dog & cat"] });
  const ofRun = new Map(["A", "B of C"].map((run) => [run, [column("right", "flag", [1, 0, 1, NaN], { run }), column("confidence", "number", [0.2, 0.4, 0.6, 0.8], { run })]]));
  const data = {
    index: { x: "confidence", y: "entropy" },
    runs: [{ name: "A" }, { name: "B of C" }],
    categories: [{ name: "clean" }, { name: "contested" }],
    numberKeys: ["entropy"],
    ids: ["a", "b#&=+ %", "c", "d"],
    row: (id) => data.ids.indexOf(id),
    key: ({ name, run }) => (run === null ? name : `${name} of ${run}`),
    column: (key, run = "A") => [...items, ...[...ofRun.values()].flat()].find((own) => data.key(own) === key) ?? ofRun.get(run).find((own) => own.name === key) ?? null,
  };
  return data;
}

function kept(data, text, n = 4) {
  const condition = parse(text, (key) => data.column(key));
  assert.notEqual(condition, null, text);
  const mask = new Uint8Array(n).fill(1);
  apply(condition, mask);
  return Array.from(mask.keys()).filter((i) => mask[i]);
}

test("a condition keeps the examples that meet it, and none without a value", () => {
  const data = dataset();
  assert.deepEqual(kept(data, "right of A = yes"), [0, 2]);
  assert.deepEqual(kept(data, "right of B of C = no"), [1]);
  assert.deepEqual(kept(data, "right of A ≠ yes"), [1]); // example d has no value: it is not "not right"
  assert.deepEqual(kept(data, "entropy >= 0.5"), [1, 2]);
  assert.deepEqual(kept(data, "entropy in 0.05..0.55"), [0, 1]);
  assert.deepEqual(kept(data, "premise contains DOG"), [0, 3]);
  assert.deepEqual(kept(data, "premise contains dog = a"), [0]); // a text may hold what looks like an operator
});

test("0.1 is equal to a stored 0.1 that 32 bits hold inexactly", () => {
  assert.deepEqual(kept(dataset(), "entropy = 0.1"), [0]);
});

test("what is no condition is none", () => {
  const columnOf = (key) => dataset().column(key);
  for (const text of ["entropy", "entropy > much", "right of A > 1", "right of A = maybe", "unknown = 1", "entropy in 1"]) assert.equal(parse(text, columnOf), null, text);
});

test("a selection on the map becomes conditions that hold for the same examples", () => {
  const said = (own, from, to) => within(own, from, to).map(({ operator, value }) => `${operator} ${value}`);
  assert.deepEqual(said({ kind: "number" }, 0.123456, 2), ["in 0.123456..2"]); // exactly: a rounded end would leave examples out
  assert.deepEqual(said({ kind: "integer" }, 0.5, 2.5), ["in 1..2"]);
  assert.deepEqual(said({ kind: "flag" }, 0.5, 1.5), ["= yes"]);
  assert.deepEqual(said({ kind: "flag" }, -0.5, 1.5), []);
  assert.deepEqual(said({ kind: "category", levels: ["a", "b", "c"] }, 0.5, 2.5), ["≠ a"]);
});

test("numbers are sorted as a slow sort does, missing ones last in both directions, ties by row", () => {
  const values = Float32Array.from([3, NaN, -0.5, 0, -0, 1e-30, -1e30, 3, Infinity, -Infinity, NaN, 0.1]);
  for (const descending of [false, true]) {
    const rows = [...values.keys()].sort((a, b) => {
      if (Number.isNaN(values[a]) || Number.isNaN(values[b])) return Number.isNaN(values[a]) - Number.isNaN(values[b]) || a - b;
      return (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0) * (descending ? -1 : 1) || a - b;
    });
    assert.deepEqual([...orderOfNumbers(values, descending)], rows);
    assert.deepEqual([...orderOfNumbers(Float64Array.from(values), descending)], rows);
  }
});

test("the percentile counts ties half and leaves out what is missing", () => {
  const values = [1, 2, 2, NaN, 5];
  assert.equal(percentile(values, 0), 0.5 / 4);
  assert.equal(percentile(values, 1), (1 + 2 / 2) / 4);
  assert.equal(percentile(values, 4), 3.5 / 4);
  assert.ok(Number.isNaN(percentile(values, 3)));
});

test("means leave out what is not finite, and are NaN where nothing is left", () => {
  // Two steps of three examples; the table doubles a code.
  const table = Float32Array.from([0, 2, NaN, Infinity]);
  assert.deepEqual([...means(Uint16Array.from([0, 1, 2, 1, 3, 2]), table, 3, 2, [0, 1, 2]).values], [1, 2]);
  assert.deepEqual([...means(Float32Array.from([1, 2, 3, 4, NaN, 6]), null, 3, 2, [1]).values], [2, NaN]);
});

test("a mean of ten has an interval by Student's t, a mean of nine has none", () => {
  // 1 to 10: s² = 82.5 / 9, t of 9 degrees of freedom 2.2622 (SciPy), so 2.2622 · √(82.5 / 9 / 10) = 2.1659.
  const rows = [...Array(10).keys()];
  const { values, margins } = means(Float32Array.from(rows, (row) => row + 1), null, 10, 1, rows);
  assert.equal(values[0], 5.5);
  assert.ok(Math.abs(margins[0] - 2.1659) < 0.005);
  assert.ok(Number.isNaN(means(Float32Array.from(rows), null, 10, 1, rows.slice(1)).margins[0]));
  for (const [freedom, exact] of [[9, 2.26216], [29, 2.04523], [1000, 1.96234]]) assert.ok(Math.abs(studentQuantile(freedom) / exact - 1) < 0.0025);
});

test("a share says none and all only where it is so", () => {
  assert.deepEqual([0, 0.001, 0.005, 0.5, 0.994, 0.999, 1].map(percent), ["0%", "<1%", "1%", "50%", "99%", ">99%", "100%"]);
});

test("the state survives the address, whatever the names hold", () => {
  const data = dataset();
  const state = {
    ...initial(data),
    x: "confidence of B of C",
    runs: ["B of C"],
    category: ["contested"],
    where: ["right of B of C = no", "premise contains dog = a"].map((text) => parse(text, (key) => data.column(key))),
    q: "50 % & more + #1",
    sort: { key: "confidence of B of C", descending: true },
    columns: ["entropy"],
    select: { x0: -0.5, x1: 0.25, y0: 1e-7, y1: 2, run: "B of C" },
    open: 1,
  };
  const fragment = toFragment(data, state);
  assert.match(fragment, /^x=confidence\+of\+B\+of\+C&run=B\+of\+C&category=contested&where=right\+of\+B\+of\+C\+=\+no&/u);
  assert.deepEqual(fromFragment(data, `#${fragment}`), state);
  assert.equal(toFragment(data, initial(data)), "");
});

test("an address that names what the page does not have shows the page", () => {
  const data = dataset();
  assert.deepEqual(fromFragment(data, "#x=nothing&run=Z&category=none&where=a+=+b&sort=z&select=1..2&open=zz&column=q&%=1"), initial(data));
});

test("the table draws the rows in view, also where the list is taller than browsers draw", () => {
  assert.deepEqual(windowOf(1000, 30, 305, 300), { height: 30000, first: 10, top: 300, visible: 10 });
  const end = windowOf(1_000_000, 30, 12_000_000 - 300, 300);
  assert.equal(end.first, 999_990); // scrolled to the end, the last ten rows are in view
  assert.equal(windowOf(3, 30, 0, 300).first, 0);
});

test("a row is scrolled to only where it is out of view", () => {
  assert.equal(scrollTo(12, 1000, 30, 300, 300), null);
  assert.equal(scrollTo(500, 1000, 30, 300, 300), 495 * 30);
  assert.equal(scrollTo(2, 1000, 30, 300, 300), 0);
});

test("runs have short names that tell them apart", () => {
  assert.deepEqual(shortNames(["full", "LoRA r4"]), ["full", "LoRA r4"]);
  assert.deepEqual(shortNames(["full fine-tuning, 1e-4, size 4000", "LoRA r4, 1e-3, size 20000"]), ["full fine-tuning", "LoRA r4"]);
  assert.deepEqual(shortNames(["LoRA r4, 1e-3, size 20000", "LoRA r4, 1e-4, size 20000"]), ["A", "B"]);
});

test("points lie where their values are, upwards on the vertical axis, and nowhere without one", () => {
  // 100 pixels with 10 on either side: 0 lies at 10, 1 at 90, and from above at 90 and 10.
  assert.deepEqual([...places([0, 0.5, 1, NaN], [0, 1], 100, 10, false)], [10, 50, 90, -1]);
  assert.deepEqual([...places([0, 0.25, 1], [0, 1], 100, 10, true)], [90, 70, 10]);
});

test("points at one place are laid out around it, and only where most would be hidden", () => {
  const [px, py] = [new Int16Array(100).fill(50), new Int16Array(100).fill(40)];
  px[0] = -1;
  assert.equal(crowds(px, py, 100), 99);
  assert.equal(crowds(Int16Array.from([1, 2, 3, 3]), Int16Array.from([1, 1, 1, 1]), 100), null);
  layOut(px, py, 100, 100, 2);
  assert.equal(px[0], -1);
  assert.deepEqual([px[1], py[1]], [50, 40]);
  assert.ok(new Set(px.subarray(1).map((left, i) => 100 * left + py[i + 1])).size > 30);
  assert.ok(px.subarray(1).every((left, i) => Math.hypot(left - 50, py[i + 1] - 40) <= 2 * Math.sqrt(99) + 1));
});

test("ticks are round numbers", () => {
  assert.deepEqual(ticks([0, 1], 5).values.map((value) => value.toFixed(1)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  assert.deepEqual(ticks([-3, 12], 3).values, [0, 5, 10]);
});
