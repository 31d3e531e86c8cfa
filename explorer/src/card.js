// One example: its texts, what annotators chose, what the models gave, and its place in every measure.
import { html } from "htm/preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Chart } from "./chart.js";
import { tableOf } from "./data.js";
import { count, percent } from "./formats.js";
import { percentile } from "./select.js";
import { categoryColor, classColor } from "./theme.js";

const MOST_CLASSES = 8; // as many as there are colours

/** A run's probabilities of one example: per class, over steps; null where they are missing. */
function probabilitiesOf(data, run, row) {
  const spec = run.probabilities;
  if (!spec) return null;
  const [stored, table] = [data.blocks.raw(spec), tableOf(spec)];
  const [steps, n, classes] = spec.shape;
  const lines = Array.from({ length: classes }, () => new Float64Array(steps));
  for (let t = 0; t < steps; t++)
    for (let k = 0; k < classes; k++) lines[k][t] = table[stored[(t * n + row) * classes + k]];
  return lines.every((line) => line.every(Number.isNaN)) ? null : lines;
}

/** Labels of an example by class: counts, and who gave them. */
function votesOf(data, row) {
  const K = data.labelNames.length;
  const spec = data.index.label_counts;
  const counts = spec ? Array.from(data.blocks.numbers(spec, row * K, row * K + K)) : null;
  const votes = data.index.votes;
  const total = counts ? counts.reduce((sum, own) => sum + (own || 0), 0) : 0;
  if (!votes) return { counts, total, people: null };
  const offsets = data.blocks.raw(votes.offsets);
  const [annotators, labels] = [data.blocks.raw(votes.annotators), data.blocks.raw(votes.labels)];
  const people = Array.from({ length: K }, () => []);
  for (let v = offsets[row]; v < offsets[row + 1]; v++) people[labels[v]]?.push(votes.annotator_ids[annotators[v]] ?? "unnamed");
  return { counts, total, people };
}

function Share({ share, said, color }) {
  return html`<span class="x-share"><i style=${`width:${(100 * share).toFixed(1)}%;--c:${color}`}></i><span>${said}</span></span>`;
}

/** Classes to show, at most so many: in their order, or of many those that people and models chose most, and the gold one. */
function classesToShow(weights, gold, most) {
  const order = weights.map((_, k) => k);
  if (order.length <= most) return order;
  const rank = (k) => (k === gold ? Infinity : weights[k]);
  return order.sort((a, b) => rank(b) - rank(a) || a - b).slice(0, most);
}

function Answers({ data, row, runs, lines, votes, classes, gold }) {
  const { counts, people, total } = votes;
  const modelled = runs.filter((_, r) => lines[r]);
  if (!total && !modelled.length) return null;
  const hidden = data.labelNames.length - classes.length;
  return html`<table class="x-answers">
      <thead>
        <tr>
          <td></td>
          ${total ? html`<th scope="col">annotators <span class="quiet">(${total})</span></th>` : null}
          ${modelled.map((run) => html`<th scope="col">${data.shortName(run.name) ?? "model"}, last</th>`)}
        </tr>
      </thead>
      <tbody>
        ${classes.map(
          (k) => html`<tr>
            <th scope="row" class=${k === gold ? "x-gold" : ""}><span><i class="x-dot" style=${`--c:${classColor(k)}`}></i><span>${data.labelNames[k]}${k === gold ? " (gold)" : ""}</span></span></th>
            ${total ? html`<td><${Share} share=${counts[k] / total} said=${`${percent(counts[k] / total)} · ${counts[k]}`} color=${categoryColor(data, data.codes[row])} /></td>` : null}
            ${lines.filter(Boolean).map((own) => {
              const last = own[k][own[k].length - 1];
              return html`<td><${Share} share=${last || 0} said=${Number.isNaN(last) ? "–" : percent(last)} color="var(--bar)" /></td>`;
            })}
          </tr>`,
        )}
      </tbody>
    </table>
    ${hidden > 0 ? html`<p class="quiet small">${hidden} classes with less are not shown.</p>` : null}
    ${people?.some((names) => names.length)
      ? html`<dl class="x-people">
          ${people.map((names, k) => names.length ? html`<dt>${data.labelNames[k]}</dt><dd>${names.slice(0, 40).join(", ")}${names.length > 40 ? ` and ${names.length - 40} more` : ""}</dd>` : null)}
        </dl>`
      : null}`;
}

function Courses({ data, row, runs, lines, votes, classes, theme, root }) {
  const charts = useMemo(() => {
    const shown = runs.map((run, r) => ({ run, own: lines[r] })).filter(({ run, own }) => own && run.steps.length > 1);
    return shown.map(({ run, own }) => {
      const flat = (k) => new Float64Array(run.steps.length).fill(votes.counts[k] / votes.total);
      const people = votes.total ? classes.map((k) => ({ name: "", values: flat(k), color: classColor(k), width: 1, dash: [3, 3], quietly: true })) : [];
      return { run, series: [...people, ...classes.map((k) => ({ name: data.labelNames[k], values: own[k], color: classColor(k) }))] };
    });
  }, [row, runs]);
  if (!charts.length) return null;
  return html`<div>
    <div class="x-charts" style=${`--across:${Math.min(charts.length, 2)}`}>
      ${charts.map(
        ({ run, series }) => html`<figure key=${run.name}>
          <figcaption>${data.shortName(run.name) ?? "probability"} <span class="quiet">over ${run.step_unit}s</span></figcaption>
          <${Chart} label=${`Probability of each class over training, ${run.short}`} steps=${run.steps} unit=${run.step_unit} series=${series} range=${[0, 1.02]} height=${130} theme=${theme} root=${root} sync="steps" />
        </figure>`,
      )}
    </div>
    ${votes.total ? html`<p class="x-key small quiet"><span class="x-line"></span> the model's probability <span class="x-line x-dashed"></span> annotators' share</p>` : null}
  </div>`;
}

function Place({ column, row }) {
  const value = column?.shown(row);
  if (!value) return html`<td class="quiet">–</td>`;
  if (!column.isNumber) return html`<td>${value}</td>`;
  const share = percentile(column.numbers, row);
  return html`<td>
    <span class="x-place" title=${`higher than ${percent(share)} of the examples`}><b>${value}</b><i style=${`--at:${(100 * share).toFixed(1)}%`}></i><small>${Math.round(100 * share)}</small></span>
  </td>`;
}

/** Every measure: its value and the share of examples below it. */
function Places({ data, row, runs }) {
  return useMemo(() => {
    const items = data.items.filter((column) => column.kind !== "text" && column !== data.category && column.name !== "gold");
    const names = [...new Set(runs.flatMap((run) => data.ofRun.get(run.name).map((column) => column.name)))];
    const line = (column, cells) => html`<tr>
      <th scope="row" title=${column.sentence}>${column.heading}</th>
      ${cells}
    </tr>`;
    return html`<table class="x-places">
      <thead>
        <tr><th scope="col">value, and percentile</th>${runs.length ? runs.map((run) => html`<th scope="col" title=${run.name}>${data.shortName(run.name)}</th>`) : html`<td></td>`}</tr>
      </thead>
      <tbody>
        ${items.filter((column) => column.shown(row)).map((column) => line(column, [html`<${Place} column=${column} row=${row} />`, ...runs.slice(1).map(() => html`<td></td>`)]))}
        ${names.map((name) => {
          const own = runs.map((run) => data.ofRun.get(run.name).find((column) => column.name === name));
          return own.some((column) => column?.shown(row))
            ? line(own.find(Boolean), own.map((column) => html`<${Place} column=${column} row=${row} />`))
            : null;
        })}
      </tbody>
    </table>`;
  }, [row, runs]);
}

/** The card of a row; position says where it stands among the selected ones. */
export function Card({ data, row, runs, position, total, theme, root, onStep, onClose }) {
  const lines = useMemo(() => runs.map((run) => probabilitiesOf(data, run, row)), [row, runs]);
  const votes = useMemo(() => votesOf(data, row), [row]);
  const gold = data.items.find((column) => column.name === "gold")?.numbers[row];
  const weights = data.labelNames.map((_, k) => (votes.total ? votes.counts[k] / votes.total : 0) + lines.reduce((sum, own) => sum + (own?.[k].at(-1) || 0), 0));
  const classes = classesToShow(weights, gold, MOST_CLASSES);
  const bare = !data.textColumns.length && !votes.total && !lines.some(Boolean);
  const shared = { data, runs, lines, votes, classes };
  const category = data.category?.shown(row);
  const card = useRef(null);
  useEffect(() => {
    const { top } = card.current.getBoundingClientRect();
    if (top < 0 || top > window.innerHeight - 120) card.current.scrollIntoView({ block: "nearest" });
  }, [row]);
  return html`<article class="x-card" ref=${card} aria-label=${`Example ${data.shownId(row)}`} style=${`--c:${categoryColor(data, data.codes[row])}`}>
    <header>
      <div><span class="mono">${data.shownId(row)}</span>${category ? html`<span class="x-cat"><i class="x-dot"></i>${category}</span>` : null}</div>
      <div class="x-steps">
        <span class="quiet small">${position >= 0 ? `${count(position + 1)} of ${count(total)}` : "not in the selection"}</span>
        <button type="button" onClick=${() => onStep(-1)} aria-label="Previous example" title="Previous (k)">↑</button>
        <button type="button" onClick=${() => onStep(1)} aria-label="Next example" title="Next (j)">↓</button>
        <button type="button" onClick=${onClose} aria-label="Close the example" title="Close (Escape)">×</button>
      </div>
    </header>
    <div class=${`x-columns${bare ? " x-alone" : ""}`}>
      <div>
        <dl class="x-text">${data.textColumns.filter((column) => column.shown(row)).map((column) => html`<dt>${column.heading}</dt><dd>${column.shown(row)}</dd>`)}</dl>
        <${Answers} ...${shared} row=${row} gold=${gold} />
        <${Courses} ...${shared} row=${row} theme=${theme} root=${root} />
      </div>
      <${Places} data=${data} row=${row} runs=${runs} />
    </div>
  </article>`;
}
