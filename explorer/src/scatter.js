// Points drawn into a pixel buffer: 200,000 of them take a few milliseconds.

/** Offsets and opacities (0 to 256) of a disc's pixels, by its radius in device pixels. */
export function disc(radius, opacity) {
  const reach = Math.ceil(radius);
  const spots = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const covered = Math.min(Math.max(radius + 0.5 - Math.hypot(dx, dy), 0), 1);
      if (covered > 0.05) spots.push([dx, dy, Math.round(256 * opacity * covered)]);
    }
  }
  return spots;
}

/** A point's radius in CSS pixels and its opacity, by how many there are. */
export function sizeOf(n) {
  if (n <= 500) return { radius: 3.2, opacity: 0.75 };
  if (n <= 4000) return { radius: 2.1, opacity: 0.55 };
  if (n <= 40000) return { radius: 1.5, opacity: 0.55 };
  return { radius: 0.8, opacity: 0.45 };
}

/** A buffer of width × height pixels, each 0xAABBGGRR. */
export class Buffer {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** Blends discs at pixel places (-1: none) of the given rows, each in the colour of its code. */
  draw(rows, mask, px, py, codes, colors, spots) {
    const { width, height, pixels } = this;
    const [dxs, dys, opacities] = [0, 1, 2].map((part) => Int32Array.from(spots, (spot) => spot[part]));
    for (let r = 0; r < rows.length; r++) {
      const i = rows[r];
      if (px[i] < 0 || (mask && !mask[i])) continue;
      const color = codes ? colors[codes[i]] : colors[0];
      const red = color & 0xff00ff;
      const green = color & 0x00ff00;
      for (let s = 0; s < dxs.length; s++) {
        const x = px[i] + dxs[s];
        const y = py[i] + dys[s];
        if (x < 0 || y < 0 || x >= width || y >= height) continue;
        const at = y * width + x;
        const old = pixels[at];
        const oldRed = old & 0xff00ff;
        const oldGreen = old & 0x00ff00;
        const nextRed = (oldRed + (Math.imul(red - oldRed, opacities[s]) >>> 8)) & 0xff00ff;
        const nextGreen = (oldGreen + (Math.imul(green - oldGreen, opacities[s]) >>> 8)) & 0x00ff00;
        pixels[at] = 0xff000000 | nextRed | nextGreen;
      }
    }
  }
}

/** Pixel places of values along an axis of the given length, -1 where missing. */
export function places(values, [low, high], length, inset, upwards) {
  const scale = (length - 2 * inset) / (high - low);
  const out = new Int16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const along = inset + (values[i] - low) * scale;
    out[i] = along === along && Math.abs(along) < 32000 ? Math.round(upwards ? length - along : along) : -1;
  }
  return out;
}

/** All rows in a fixed mixed order, so that no category lies on top of the others. */
export function mixedOrder(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let seed = 1;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1)); // the high bits: the low ones repeat soon
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Values spread by up to 0.3 around whole numbers, so that equal ones do not hide one another; by another draw for another step. */
export function spread(values, step) {
  // Multiples of an irrational step fill the interval evenly.
  return Float32Array.from(values, (value, i) => value + 0.6 * (((i + 1) * step) % 1) - 0.3);
}

/** Irrational steps of the two axes (Roberts 2018, R2): together they fill a square evenly. */
export const STEPS = { x: 0.7548776662466927, y: 0.5698402909980532 };

/** Round numbers from low to high, about so many. */
export function ticks([low, high], about) {
  const rough = (high - low) / Math.max(about, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(k * step + 0);
  return { values, digits };
}

const GOLDEN = Math.PI * (3 - Math.sqrt(5));

/** How many points of a plot share each place, where they are so many that most would hide one another; else null. */
export function crowds(px, py, width) {
  const counts = new Map();
  let known = 0;
  for (let i = 0; i < px.length; i++) {
    if (px[i] < 0 || py[i] < 0) continue;
    known++;
    const place = py[i] * width + px[i];
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return counts.size && counts.size < known / 4 ? Math.max(...counts.values()) : null;
}

/** Lays points that share a place out as the seeds of a sunflower: the area of each disc is as their number. */
export function layOut(px, py, width, height, spacing) {
  const seen = new Map();
  for (let i = 0; i < px.length; i++) {
    if (px[i] < 0 || py[i] < 0) continue;
    const place = py[i] * width + px[i];
    const k = seen.get(place) ?? 0;
    seen.set(place, k + 1);
    const [reach, angle] = [spacing * Math.sqrt(k), GOLDEN * k];
    px[i] = Math.min(Math.max(Math.round(px[i] + reach * Math.cos(angle)), 0), width - 1);
    py[i] = Math.min(Math.max(Math.round(py[i] + reach * Math.sin(angle)), 0), height - 1);
  }
}
