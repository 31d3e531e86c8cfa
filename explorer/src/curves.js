// Loss, gold probability and KL of the selection over training, against all examples, by category and run.
import { html } from "htm/preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart, rangeOf } from "./chart.js";
import { tableOf } from "./data.js";
import { means, rowsOf } from "./select.js";
import { categoryColor } from "./theme.js";

/** Groups of rows by category, in the categories' order; one group of all where there are none. */
function groups(data, rows) {
  if (!data.categories.length) return [{ name: "all", color: "var(--ink)", rows }];
  const codes = data.codes;
  return data.categories
    .map(({ name }, code) => ({ name, color: categoryColor(data, code), rows: rows.filter((i) => codes[i] === code) }))
    .filter(({ rows: own }) => own.length);
}

const meansOf = (data, run, curve, rows) => means(data.blocks.raw(curve), tableOf(curve), data.n, run.steps.length, rows);

/** Means of all examples by category, computed once per curve. */
function allMeans(data, run, curve) {
  curve.all ??= groups(data, Uint32Array.from({ length: data.n }, (_, i) => i)).map((group) => ({
    ...group,
    values: meansOf(data, run, curve, group.rows),
  }));
  return curve.all;
}

function panel(data, run, curve, selected, isAll) {
  const all = allMeans(data, run, curve);
  if (isAll) return all.map(({ name, color, values }) => ({ name, color, values }));
  const own = groups(data, selected).map(({ name, color, rows }) => ({ name, color, values: meansOf(data, run, curve, rows) }));
  const behind = all.map(({ name, color, values }) => ({ name, color, values, width: 1, dash: [3, 3], quietly: true }));
  return [...behind, ...own];
}

/** A value that follows another once it has been still for a moment; null until then. */
function useStill(value, milliseconds) {
  const [still, setStill] = useState(null);
  useEffect(() => {
    const later = setTimeout(() => setStill(value), milliseconds);
    return () => clearTimeout(later);
  }, [value]);
  return still;
}

/** All curves: a row per quantity and a column per run, or the quantities side by side for one run. */
export function Curves({ data, runs, selected, theme, root }) {
  const still = useStill(selected, 120);
  const rows = useMemo(() => still && rowsOf(still), [still]);
  const isAll = rows?.length === data.n;
  const grid = useMemo(() => {
    if (!rows) return [];
    const names = [...new Set(runs.flatMap((run) => run.curves.map((curve) => curve.name)))];
    return names.map((name) => {
      const panels = runs.map((run) => {
        const curve = run.curves.find((candidate) => candidate.name === name);
        return { run, curve, series: curve ? panel(data, run, curve, rows, isAll) : [] };
      });
      return { curve: panels.find(({ curve }) => curve).curve, panels, range: rangeOf(panels.flatMap(({ series }) => series.map(({ values }) => values))) };
    });
  }, [rows, runs]);
  if (!grid.length) return html`<div class="x-waiting"></div>`;
  const many = runs.length > 1;
  return html`<section class="x-curves" aria-label="Curves of the selection">
    <div class="x-charts" style=${`--across:${many ? runs.length : grid.length}`}>
      ${grid.map(({ curve, panels, range }) =>
        panels.map(
          ({ run, series }) => html`<figure key=${`${curve.name} ${run.name}`}>
            <figcaption title=${curve.sentence}>${curve.heading}${many ? html` <span class="quiet">${run.short}</span>` : curve.unit === "nats" ? html` <span class="quiet">nats</span>` : null}</figcaption>
            ${series.length
              ? html`<${Chart} label=${describe(curve, run, series)} steps=${run.steps} unit=${run.step_unit} series=${series} range=${range} height=${many ? 124 : 150} theme=${theme} root=${root} sync="steps" />`
              : html`<p class="quiet small">Not recorded.</p>`}
          </figure>`,
        ),
      )}
    </div>
    <p class="x-key small quiet">Means over ${runs[0].step_unit}s. ${isAll ? "All examples" : html`<span class="x-line"></span> selection <span class="x-line x-dashed"></span> all examples`}${data.categories.length ? ", by category" : ""}.</p>
  </section>`;
}

function describe(curve, run, series) {
  const ends = series.filter(({ quietly }) => !quietly).map(({ name, values }) => `${name} ${values[0].toFixed(2)} to ${values[values.length - 1].toFixed(2)}`);
  return `${curve.heading}, ${run.short}: ${ends.join("; ")}`;
}
