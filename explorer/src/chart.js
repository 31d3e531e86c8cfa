// Lines over training steps.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { number } from "./data.js";
import { cssColor } from "./theme.js";

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

function options({ series, range, width, height, root, onCursor, sync }) {
  const ink = cssColor("var(--quiet)", root);
  const rule = cssColor("var(--rule)", root);
  const axis = { stroke: ink, font: FONT, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: sync ? { key: sync } : undefined },
    scales: { x: { time: false }, y: { range: () => range } },
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
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

/** Lowest and highest finite value of lines, with a little room; from 0 where they are not negative. */
export function rangeOf(lines) {
  let low = 0;
  let high = -Infinity;
  for (const values of lines)
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  if (high === -Infinity) return [0, 1];
  const room = 0.06 * (high - low || 1);
  return [low < 0 ? low - room : 0, high + room];
}

/** A chart of series {name, values, color, dash, width} over steps; the values under the pointer appear beside it. */
export function Chart({ label, steps, unit, series, range, height, theme, root, digits = 2, sync }) {
  const holder = useRef(null);
  const plot = useRef(null);
  const [index, setIndex] = useState(null);
  const finite = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
  const shape = `${theme}|${range}|${height}|${series.map(({ color, dash, width }) => [color, dash, width].join()).join("|")}`;
  useEffect(() => {
    const element = holder.current;
    const made = new uPlot(
      options({ series, range, width: element.clientWidth || 200, height, root, onCursor: setIndex, sync }),
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
    plot.current?.setData([steps, ...series.map(({ values }) => finite(values))], false);
    plot.current?.setScale("x", { min: steps[0], max: steps[steps.length - 1] });
  }, [series]);
  const right = index !== null && index < steps.length / 2;
  return html`<div class="x-chart" role="img" aria-label=${label}>
    <div ref=${holder}></div>
    ${index === null
      ? null
      : html`<div class=${`x-read${right ? " x-right" : ""}`} aria-hidden="true">
          <span class="quiet">${unit} ${steps[index]}</span>
          ${series
            .filter(({ quietly }) => !quietly)
            .map(({ name, values, color }) => html`<span><i class="x-dot" style=${`--c:${color}`}></i>${name} <b>${number(values[index], digits) || "–"}</b></span>`)}
        </div>`}
  </div>`;
}
