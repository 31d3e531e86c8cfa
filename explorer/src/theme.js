// Colours of the page, as canvases need them.

/** The page's value of a CSS colour such as var(--ink), as "rgb(r, g, b)". */
export function cssColor(expression, root) {
  const probe = root.ownerDocument.createElement("span");
  probe.style.color = expression;
  root.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** 0xAABBGGRR of "rgb(r, g, b)", as pixel buffers hold it. */
export function packed(color) {
  const [red, green, blue] = color.match(/[\d.]+/gu).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Colours of classes by their number; more classes than colours share them. */
export const classColor = (k) => `var(--x-class-${k % 8})`;

/** Colour of a category's code; quiet without one. */
export const categoryColor = (data, code) => data.categories[code]?.color ?? "var(--quiet)";
