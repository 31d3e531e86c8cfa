// The explorer of the page.
import { html, render } from "htm/preact";
import { Explorer, Failure } from "./app.js";
import { Blocks, Dataset } from "./data.js";
import { holdsState, Store } from "./state.js";

/** Decodes the columns one by one while the reader does nothing, so that the first card opens at once. */
function decodeWhenIdle(columns) {
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
  const next = () => {
    const column = columns.shift();
    if (!column) return;
    if (column.kind === "text") column.texts.length;
    else column.numbers.length;
    idle(next);
  };
  idle(next);
}

/** Shows who follows a link to a state of the explorer what it is about. */
function bringIntoView(root) {
  const { top, bottom } = root.getBoundingClientRect();
  const away = top > window.innerHeight / 2 || bottom < 0;
  if (away && holdsState(window.location.hash)) (document.getElementById("explore") ?? root).scrollIntoView();
}

const root = document.getElementById("explorer");
const index = document.getElementById("explorer-index");
if (root && index) {
  root.replaceChildren();
  try {
    const data = new Dataset(JSON.parse(index.textContent), new Blocks(document));
    render(html`<${Explorer} data=${data} store=${new Store(data, window)} root=${root} />`, root);
    bringIntoView(root);
    window.addEventListener("popstate", () => bringIntoView(root));
    decodeWhenIdle([...data.columns]);
  } catch (problem) {
    console.error(problem);
    render(html`<${Failure} problem=${problem} />`, root);
  }
  root.dataset.ready = "true";
  performance.mark("explorer-ready");
}
