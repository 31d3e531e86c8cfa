// Loss, gold probability and KL of the selection over training, against all examples, by category and run.
import { html } from "htm/preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart, rangeOf } from "./chart.js";
import { tableOf } from "./data.js";
import { Meaning } from "./help.js";
import { FEWEST, means, rowsOf } from "./select.js";
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
    ...meansOf(data, run, curve, group.rows),
  }));
  return curve.all;
}

function seriesOf(data, run, curve, selected, isAll) {
  const all = allMeans(data, run, curve);
  if (isAll) return all;
  const own = groups(data, selected).map((group) => ({ ...group, ...meansOf(data, run, curve, group.rows) }));
  const behind = all.map(({ name, color, values }) => ({ name, color, values, width: 1, dash: [3, 3], quietly: true }));
  return [...behind, ...own];
}

const pause = () => new Promise((done) => (window.requestIdleCallback ? requestIdleCallback(done, { timeout: 200 }) : setTimeout(done)));

/** Every curve of the selection once it has been still for a moment: {runs, isAll, grid}; what was before until then. */
function useGrid(data, runs, selected) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let isOver = false;
    const work = async () => {
      const rows = rowsOf(selected);
      const isAll = rows.length === data.n;
      const grid = [];
      for (const name of new Set(runs.flatMap((run) => run.curves.map((curve) => curve.name)))) {
        const panels = [];
        for (const run of runs) {
          await pause(); // one curve at a time, so that a pointer that moves on is not held up
          if (isOver) return;
          const curve = run.curves.find((candidate) => candidate.name === name);
          panels.push({ run, curve, series: curve ? seriesOf(data, run, curve, rows, isAll) : [] });
        }
        grid.push({ curve: panels.find(({ curve }) => curve).curve, panels, range: rangeOf(panels.flatMap(({ series }) => series)) });
      }
      setFound({ runs, isAll, grid });
    };
    const later = setTimeout(work, 120);
    return () => {
      isOver = true;
      clearTimeout(later);
    };
  }, [selected, runs]);
  return found?.runs === runs ? found : null;
}

/** All curves: a row per quantity and a column per run, or the quantities side by side for one run. */
export function Curves({ data, runs, selected, theme, root }) {
  const found = useGrid(data, runs, selected);
  return useMemo(() => (found ? html`<${Grid} data=${data} ...${found} theme=${theme} root=${root} />` : html`<div class="x-waiting"></div>`), [found, theme]);
}

function Grid({ data, runs, isAll, grid, theme, root }) {
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
    <p class="x-key small quiet">Means over ${runs[0].step_unit}s. ${isAll ? "All examples" : html`<span class="x-line"></span> selection <span class="x-line x-dashed"></span> all examples`}${data.categories.length ? ", by category" : ""}. <span class="x-band"></span> 95 % intervals, examples taken as independent.</p>
    <${Meaning} of=${grid.map(({ curve }) => curve)}>
      <p>A band is mean ± t · s / √n over the n examples of a line that have a value, from ${FEWEST} of them on: s is their standard deviation, t the 97.5 % quantile of Student's t. It is too narrow where examples share a text, and says nothing of
      another seed; the page's tables allow for shared texts. Examples that were selected by their losses differ by selection, whatever the bands.</p>
    </${Meaning}>
  </section>`;
}

function describe(curve, run, series) {
  const ends = series.filter(({ quietly }) => !quietly).map(({ name, values, margins }) => `${name} ${values[0].toFixed(2)} to ${values.at(-1).toFixed(2)}${margins.at(-1) >= 0 ? ` ± ${margins.at(-1).toFixed(2)}` : ""}`);
  return `${curve.heading}, ${run.short}: ${ends.join("; ")}`;
}
