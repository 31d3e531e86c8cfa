// The data map: two measures of every example, with a brush by pointer and by keyboard.
import Flatbush from "flatbush";
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { number } from "./formats.js";
import { Buffer, crowds, disc, layOut, mixedOrder, places, sizeOf, spread, STEPS, ticks } from "./scatter.js";
import { cssColor, packed } from "./theme.js";

const LEFT = 46;
const BOTTOM = 26;
const TOP = 6;
const RIGHT = 8;
const INSET = 6;
const NEAR = 14;
const LEAST = 4; // a brush of fewer CSS pixels is a click

const isDiscrete = (column) => column.kind !== "number";

/** Lowest and highest finite value of some columns, a little apart where they are equal. */
export function extent(columns) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (const value of column.numbers) {
      if (value < low && value > -Infinity) low = value;
      if (value > high && value < Infinity) high = value;
    }
  }
  if (low > high) return [0, 1];
  if (columns.some(isDiscrete)) return [low - 0.5, high + 0.5];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** An end of a brush as it is shown: to three digits of what the axis spans, so that a field says exactly what is selected. */
function rounded(value, domain, round) {
  const digits = 2 - Math.floor(Math.log10(domain[1] - domain[0]));
  const whole = Number(`${value}e${digits}`); // exact in decimals, where a product is not
  return Number.isNaN(whole) ? value : Number(`${round(whole)}e${-digits}`);
}

/** Ends within the axis, rounded away from each other: no example between them is left out. */
export const outward = (domain, [from, to] = domain) => [rounded(Math.max(from, domain[0]), domain, Math.floor), rounded(Math.min(to, domain[1]), domain, Math.ceil)];

/** Ends of a brush on a discrete axis take whole values. */
const snapped = (column, domain, from, to) => (isDiscrete(column) ? [Math.floor(from + 0.5) - 0.5, Math.floor(to + 0.5) + 0.5] : outward(domain, [from, to]));

function axisTicks(column, domain, length) {
  if (column.kind === "flag" || column.kind === "category") {
    const names = column.kind === "flag" ? ["no", "yes"] : column.levels;
    return names.map((name, value) => ({ value, name })).filter(({ value }) => value >= domain[0] && value <= domain[1]);
  }
  const { values, digits } = ticks(domain, length / 52);
  if (column.kind !== "integer") return values.map((value) => ({ value, name: number(value, digits) }));
  return values.filter(Number.isInteger).map((value) => ({ value, name: number(value, 0) }));
}

/** The size of an element in CSS pixels, followed as it changes. */
function useSize(reference) {
  const [size, setSize] = useState(null);
  useLayoutEffect(() => {
    const measure = () => setSize([Math.round(reference.current.clientWidth), Math.round(reference.current.clientHeight)]);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(reference.current);
    return () => observer.disconnect();
  }, []);
  return size;
}

/** Where every example lies on the plot, in device pixels. */
function usePlaces(x, y, domains, size, ratio) {
  return useMemo(() => {
    if (!size) return null;
    const [width, height] = [(size[0] - LEFT - RIGHT) * ratio, (size[1] - TOP - BOTTOM) * ratio].map((length) => Math.max(Math.round(length), 40));
    const along = (column, axis, length, inset) =>
      places(isDiscrete(column) ? spread(column.numbers, STEPS[axis]) : column.numbers, domains[axis], length, inset * ratio, axis === "y");
    const placed = (inset) => ({ px: along(x, "x", width, inset), py: along(y, "y", height, inset), width, height, inset });
    let spots = placed(INSET);
    const most = crowds(spots.px, spots.py, width);
    if (most) {
      const widest = Math.min(34, (0.09 * Math.min(width, height)) / ratio); // radius of the largest disc
      const spacing = Math.min(1.8 * sizeOf(spots.px.length).radius, widest / Math.sqrt(most));
      spots = placed(INSET + spacing * Math.sqrt(most));
      layOut(spots.px, spots.py, width, height, spacing * ratio);
    }
    for (let i = 0; i < spots.px.length; i++) if (spots.py[i] < 0) spots.px[i] = -1;
    return spots;
  }, [x, y, domains.x.join(), domains.y.join(), size?.join(), ratio]);
}

/** The example nearest to a place on the plot. */
function useNearest(spots) {
  const tree = useRef(null);
  useEffect(() => {
    tree.current = null;
  }, [spots]);
  return (left, top, reach, shown) => {
    if (!tree.current) {
      tree.current = new Flatbush(spots.px.length, 16, Int32Array);
      for (let i = 0; i < spots.px.length; i++) tree.current.add(spots.px[i], spots.px[i] < 0 ? -100000 : spots.py[i]);
      tree.current.finish();
    }
    return tree.current.neighbors(left, top, 1, reach, (i) => shown[i] === 1)[0] ?? -1;
  };
}

/** Draws the points: all in the quiet colour, the selected ones over them in their category's. */
function useDrawing(canvas, data, spots, selected, theme, root) {
  const layers = useMemo(() => {
    if (!spots) return null;
    const { radius, opacity } = sizeOf(data.n);
    const ratio = globalThis.devicePixelRatio || 1;
    const colors = data.categories.map((category) => packed(cssColor(category.color, root)));
    while (colors.length < 256) colors.push(packed(cssColor("var(--quiet)", root)));
    const buffer = new Buffer(spots.width, spots.height);
    const order = (data.mixed ??= mixedOrder(data.n));
    buffer.pixels.fill(packed(cssColor("var(--page)", root)));
    buffer.draw(order, null, spots.px, spots.py, null, [packed(cssColor("var(--bar)", root))], disc(radius * ratio, 0.3));
    return { buffer, base: buffer.pixels.slice(), colors, order, spots: disc(radius * ratio, opacity) };
  }, [spots, theme]);
  useLayoutEffect(() => {
    if (!layers) return;
    const { buffer, base, colors, order } = layers;
    buffer.pixels.set(base);
    buffer.draw(order, selected, spots.px, spots.py, data.codes, colors, layers.spots);
    canvas.current.getContext("2d").putImageData(buffer.image, 0, 0);
  }, [layers, selected]);
}

/** One map. The brush is {x0, x1, y0, y1} in the columns' values; hovered and open are rows. */
export function DataMap({ data, x, y, title, domains, shown, selected, brush, hovered, open, theme, root, onBrush, onHover, onOpen }) {
  const frame = useRef(null);
  const canvas = useRef(null);
  const drag = useRef(null);
  const over = useRef(false);
  const size = useSize(frame);
  const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
  const spots = usePlaces(x, y, domains, size, ratio);
  const nearest = useNearest(spots);
  useDrawing(canvas, data, spots, selected, theme, root);

  const width = spots ? spots.width / ratio : 0;
  const height = spots ? spots.height / ratio : 0;
  const inset = spots?.inset ?? INSET;
  const scale = (domain, length) => (length - 2 * inset) / (domain[1] - domain[0]);
  const toX = (value) => inset + (value - domains.x[0]) * scale(domains.x, width);
  const toY = (value) => height - inset - (value - domains.y[0]) * scale(domains.y, height);
  const atX = (left) => domains.x[0] + (left - inset) / scale(domains.x, width);
  const atY = (top) => domains.y[0] + (height - inset - top) / scale(domains.y, height);

  const place = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const rowAt = (left, top) => (spots ? nearest(left * ratio, top * ratio, NEAR * ratio, selected) : -1);
  const boxOf = (from, to) => {
    const [x0, x1] = snapped(x, domains.x, ...[atX(from[0]), atX(to[0])].sort((a, b) => a - b));
    const [y0, y1] = snapped(y, domains.y, ...[atY(from[1]), atY(to[1])].sort((a, b) => a - b));
    return { x0, x1, y0, y1 };
  };

  const isThin = (box) => Math.min(toX(box.x1) - toX(box.x0), toY(box.y0) - toY(box.y1)) < LEAST;

  const press = (event) => {
    if (event.button !== 0) return;
    const from = place(event);
    const value = [atX(from[0]), atY(from[1])];
    const inside = brush && value[0] >= brush.x0 && value[0] <= brush.x1 && value[1] >= brush.y0 && value[1] <= brush.y1;
    drag.current = { from, value, before: brush, now: null, kept: inside ? brush : null };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const move = (event) => {
    const to = place(event);
    const held = drag.current;
    over.current = !held;
    if (!held) return onHover(rowAt(...to));
    if (!held.now && Math.hypot(to[0] - held.from[0], to[1] - held.from[1]) < LEAST) return undefined;
    onHover(-1);
    held.now = held.kept ? shifted(held.kept, atX(to[0]) - held.value[0], atY(to[1]) - held.value[1], domains, x, y) : boxOf(held.from, to);
    if (isThin(held.now)) held.now = null;
    return onBrush(held.now ?? held.before, true);
  };
  const release = (event) => {
    const held = drag.current;
    drag.current = null;
    if (!held) return;
    if (held.now) return onBrush(held.now, false);
    const row = rowAt(...place(event));
    if (row >= 0) onOpen(row);
    else if (held.before) onBrush(null, false);
  };
  // The browser takes the gesture for itself, such as a finger that scrolls.
  const cancel = () => {
    if (drag.current) onBrush(drag.current.before, true);
    drag.current = null;
  };
  const keys = (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const step = arrows[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    onBrush(stepped(brush, step, event.shiftKey, domains, x, y), false);
  };

  const box = brush && { left: clip(toX(brush.x0), width), right: clip(toX(brush.x1), width), top: clip(toY(brush.y1), height), bottom: clip(toY(brush.y0), height) };
  const ring = (row, name) =>
    row >= 0 && spots && spots.px[row] >= 0
      ? html`<circle class=${name} cx=${spots.px[row] / ratio} cy=${spots.py[row] / ratio} r="6" />`
      : null;
  const described = `${y.heading} against ${x.heading}${title ? `, ${title}` : ""}: a point per example. Arrow keys move a selection, with Shift they change its size.`;
  return html`<figure class="x-map">
    ${title ? html`<figcaption>${title}</figcaption>` : null}
    <div
      class="x-frame"
      style=${size ? `--drawn-width:${size[0]}px;--drawn-height:${size[1]}px` : ""}
      ref=${frame}
      tabindex="0"
      role="application"
      aria-roledescription="data map"
      aria-label=${described}
      onKeyDown=${keys}
    >
      <canvas
        ref=${canvas}
        width=${spots?.width ?? 1}
        height=${spots?.height ?? 1}
        style=${`left:${LEFT}px;top:${TOP}px;width:${width}px;height:${height}px`}
        onPointerDown=${press}
        onPointerMove=${move}
        onPointerUp=${release}
        onPointerCancel=${cancel}
        onPointerLeave=${() => {
          over.current = false;
          onHover(-1);
        }}
      ></canvas>
      ${spots
        ? html`<svg width=${size[0]} height=${size[1]} aria-hidden="true">
            <g transform=${`translate(${LEFT} ${TOP})`}>
              <path class="x-axis" d=${`M0 0V${height}H${width}`} />
              ${x !== y && x.name === y.name ? html`<path class="x-equal" d=${`M${inset} ${height - inset}L${width - inset} ${inset}`} />` : null}
              ${axisTicks(x, domains.x, width).map(
                ({ value, name }) => html`<g transform=${`translate(${toX(value)} ${height})`}>
                  <line y2="4" />
                  <text y="17" text-anchor="middle">${name}</text>
                </g>`,
              )}
              ${axisTicks(y, domains.y, height).map(
                ({ value, name }) => html`<g transform=${`translate(0 ${toY(value)})`}>
                  <line x2="-4" />
                  <text x="-7" dy=".32em" text-anchor="end">${short(name)}</text>
                </g>`,
              )}
              ${box ? html`<rect class="x-brush" x=${box.left} y=${box.top} width=${Math.max(box.right - box.left, 1)} height=${Math.max(box.bottom - box.top, 1)} />` : null}
              ${ring(hovered, "x-hover")} ${ring(open, "x-open")}
            </g>
          </svg>`
        : null}
      ${over.current && hovered >= 0 && spots && spots.px[hovered] >= 0
        ? html`<${Tip} data=${data} row=${hovered} x=${x} y=${y} left=${LEFT + spots.px[hovered] / ratio} top=${TOP + spots.py[hovered] / ratio} size=${size} />`
        : null}
    </div>
  </figure>`;
}

const clip = (place, length) => Math.min(Math.max(place, 0), length);
const short = (name) => (name.length > 8 ? `${name.slice(0, 7)}…` : name);

/** The brush after an arrow key: moved by a fortieth of the axes, or grown and shrunk; the middle of the map without one. */
function stepped(brush, [right, up], resize, domains, x, y) {
  const span = (domain) => domain[1] - domain[0];
  const middle = (domain, part) => domain[0] + part * span(domain);
  const box = brush ?? {
    x0: middle(domains.x, 0.375),
    x1: middle(domains.x, 0.625),
    y0: middle(domains.y, 0.375),
    y1: middle(domains.y, 0.625),
  };
  const dx = right * (isDiscrete(x) ? 1 : span(domains.x) / 40);
  const dy = up * (isDiscrete(y) ? 1 : span(domains.y) / 40);
  if (!brush) return shifted(box, 0, 0, domains, x, y);
  const moved = shifted(box, dx, dy, domains, x, y);
  return resize ? { ...box, x1: Math.max(moved.x1, box.x0), y1: Math.max(moved.y1, box.y0) } : moved;
}

/** A brush elsewhere. */
function shifted(box, dx, dy, domains, x, y) {
  const by = (column, domain, ends, delta) => ends.map((end) => (isDiscrete(column) ? end + Math.round(delta) : rounded(end + delta, domain, Math.round)));
  const [x0, x1] = by(x, domains.x, [box.x0, box.x1], dx);
  const [y0, y1] = by(y, domains.y, [box.y0, box.y1], dy);
  return { x0, x1, y0, y1 };
}

function Tip({ data, row, x, y, left, top, size }) {
  const text = data.mainTexts.map((column) => column.shown(row)).filter(Boolean);
  const above = top > size[1] / 2;
  const style = `left:${Math.min(Math.max(left, 120), Math.max(size[0] - 120, 120))}px;${above ? `bottom:${size[1] - top + 12}px` : `top:${top + 12}px`}`;
  return html`<div class="x-tip" style=${style}>
    <b>${data.shownId(row)}</b> ${data.category ? html`<span class="quiet">${data.category.shown(row)}</span>` : null}
    ${text.map((line) => html`<div class="x-tiptext">${line}</div>`)}
    <div class="quiet">${x.heading} ${x.shown(row) || "–"} · ${y.heading} ${y.shown(row) || "–"}</div>
  </div>`;
}
