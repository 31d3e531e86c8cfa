// Numbers as a reader sees them.

/** A whole number with its thousands set apart. */
export const count = (value) => value.toLocaleString("en");

/** A share as a whole percentage; only none is 0%, and only all is 100%. */
export const percent = (share) => (share > 0 && share < 0.005 ? "<1%" : share < 1 && share >= 0.995 ? ">99%" : `${Math.round(100 * share)}%`);

/** A number with a fixed count of decimals, and a true minus sign. */
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "" : value < 0 ? "−∞" : "∞";
  const fixed = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(fixed) !== 0 ? "−" : "") + fixed;
}
