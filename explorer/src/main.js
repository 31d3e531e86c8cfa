// The explorer of the page.
import { html, render } from "htm/preact";
import { App } from "./app.js";
import { Blocks, Dataset } from "./data.js";
import { Store } from "./state.js";

const root = document.getElementById("explorer");
const index = document.getElementById("explorer-index");
if (root && index) {
  const data = new Dataset(JSON.parse(index.textContent), new Blocks(document));
  root.replaceChildren();
  render(html`<${App} data=${data} store=${new Store(data, window)} root=${root} />`, root);
  root.dataset.ready = "true";
}
