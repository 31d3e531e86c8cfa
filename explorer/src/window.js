// Which rows of a long list are in view.

const TALLEST = 12_000_000; // browsers draw nothing beyond about 17 million pixels

/** First row to draw and the height of the whole list, where rows beyond the tallest list share its pixels. */
export function windowOf(n, rowHeight, scrollTop, viewHeight) {
  const height = Math.min(n * rowHeight, TALLEST);
  const visible = Math.ceil(viewHeight / rowHeight);
  const scrollable = Math.max(height - viewHeight, 1);
  const exact = n * rowHeight <= TALLEST ? scrollTop / rowHeight : (scrollTop / scrollable) * Math.max(n - visible, 0);
  const first = Math.max(Math.min(Math.floor(exact), n - visible), 0);
  const top = n * rowHeight <= TALLEST ? first * rowHeight : scrollTop;
  return { height, first, top, visible };
}

/** Where to scroll so that a row is in view; null where it is already. */
export function scrollTo(position, n, rowHeight, scrollTop, viewHeight) {
  const { first, height, visible } = windowOf(n, rowHeight, scrollTop, viewHeight);
  const whole = Math.max(Math.floor(viewHeight / rowHeight), 1);
  if (position >= first + (scrollTop % rowHeight > 1 ? 1 : 0) && position < first + whole) return null;
  const wanted = Math.max(position - Math.floor(whole / 2), 0);
  if (n * rowHeight <= TALLEST) return wanted * rowHeight;
  return (wanted / Math.max(n - visible, 1)) * (height - viewHeight);
}
