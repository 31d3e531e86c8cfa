// Lines over training steps.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { number } from "./formats.js";
import { cssColor } from "./theme.js";

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** Fills the interval around each line that has one, in the line's colour. */
function drawBands(plot, series, root) {
  const { ctx, bbox } = plot;
  const at = (value, scale) => plot.valToPos(value, scale, true);
  const place = (step, value) => [at(plot.data[0][step], "x"), at(value, "y")];
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.18;
  for (const { values, margins, color } of series) {
    if (!margins) continue;
    const known = [...margins.keys()].filter((step) => Number.isFinite(values[step] + margins[step]));
    const upper = known.map((step) => place(step, values[step] + margins[step]));
    const lower = known.map((step) => place(step, values[step] - margins[step])).reverse();
    ctx.beginPath();
    for (const [across, down] of [...upper, ...lower]) ctx.lineTo(across, down);
    ctx.fillStyle = cssColor(color, root);
    ctx.fill();
  }
  ctx.restore();
}

function options({ series, width, height, root, onCursor, onBands, onRange, sync }) {
  const ink = cssColor("var(--quiet)", root);
  const rule = cssColor("var(--rule)", root);
  const axis = { stroke: ink, font: FONT, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: sync ? { key: sync } : undefined },
    scales: { x: { time: false }, y: { range: onRange } },
    axes: [
      { ...axis, size: 22, gap: 4, space: 50, values: (_, values) => values.map((value) => (value === null ? "" : String(Number(value.toPrecision(6))))) },
      { ...axis, size: 36, gap: 4, space: 26 },
    ],
    series: [
      {},
      ...series.map(({ color, dash, width: line = 1.8 }) => ({
        stroke: cssColor(color, root),
        width: line,
        dash,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)], drawAxes: [onBands] },
  };
}

/** Lowest and highest finite value of lines and their intervals, with a little room; from 0 where lines are not negative. */
export function rangeOf(lines) {
  let low = 0;
  let high = -Infinity;
  for (const { values, margins } of lines)
    for (let t = 0; t < values.length; t++) {
      if (values[t] < low) low = values[t];
      const upper = values[t] + (margins?.[t] || 0);
      if (upper > high) high = upper;
    }
  if (high === -Infinity) return [0, 1];
  const room = 0.06 * (high - low || 1);
  return [low < 0 ? low - room : 0, high + room];
}

/** A chart of series {name, values, margins, color, dash, width} over steps; the values under the pointer appear beside it. */
export function Chart({ label, steps, unit, series, range, height, theme, root, digits = 2, sync }) {
  const holder = useRef(null);
  const plot = useRef(null);
  const [index, setIndex] = useState(null);
  const finite = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
  const shown = useRef(null);
  shown.current = { series, range };
  const shape = `${theme}|${height}|${series.map(({ color, dash, width }) => [color, dash, width].join()).join("|")}`;
  useEffect(() => {
    const element = holder.current;
    const made = new uPlot(
      options({ series, width: element.clientWidth || 200, height, root, onCursor: setIndex, onBands: (own) => drawBands(own, shown.current.series, root), onRange: () => shown.current.range, sync }),
      [steps, ...series.map(({ values }) => finite(values))],
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => element.clientWidth && made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, steps]);
  useEffect(() => {
    plot.current?.batch((own) => {
      own.setData([steps, ...series.map(({ values }) => finite(values))], false);
      own.setScale("x", { min: steps[0], max: steps[steps.length - 1] });
      own.setScale("y", { min: range[0], max: range[1] });
    });
  }, [series, `${range}`]);
  const right = index !== null && index < steps.length / 2;
  return html`<div class="x-chart" role="img" aria-label=${label}>
    <div ref=${holder}></div>
    ${index === null
      ? null
      : html`<div class=${`x-read${right ? " x-right" : ""}`} aria-hidden="true">
          <span class="quiet">${unit} ${steps[index]}</span>
          ${series
            .filter(({ quietly }) => !quietly)
            .map(({ name, values, margins, color }) => html`<span><i class="x-dot" style=${`--c:${color}`}></i>${name} <b>${number(values[index], digits) || "–"}</b>${margins?.[index] >= 0 ? ` ± ${number(margins[index], digits)}` : ""}</span>`)}
        </div>`}
  </div>`;
}
