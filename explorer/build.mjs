// npm run build: src/ → src/contested/report/explorer/explorer.{js,css}, with the licences of what is bundled at its head.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bundled = ["uplot", "preact", "htm", "flatbush", "flatqueue", "@leeoniya/ufuzzy", "fflate"];

/** Name, version, licence and full licence text of a package. */
function licence(name) {
  const about = JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), "utf8"));
  const text = readFileSync(here(`node_modules/${name}/LICENSE`), "utf8").trim();
  return { name, version: about.version, licence: about.license, text };
}

const licences = bundled.map(licence);
// The Apache licence is long and known; the page names it and where it stands, the others appear in full.
const short = ({ name, version, licence, text }) =>
  `${name} ${version} (${licence})\n${licence === "Apache-2.0" ? "Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0" : text}`;
const said = licences.map(short).join("\n\n");
const banner = `/*!\nBuilt from explorer/ by "npm run build"; do not edit. It contains:\n\n${said}\n*/`;

await build({
  entryPoints: [
    { in: here("src/main.js"), out: "explorer" },
    { in: here("src/explorer.css"), out: "explorer" },
  ],
  outdir: here("../src/contested/report/explorer"),
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome111", "firefox113", "safari16.4"],
  charset: "utf8",
  legalComments: "none",
  define: { LICENCES: JSON.stringify(said) },
  banner: { js: banner, css: banner.split("\n").slice(0, 2).join("\n") + " uPlot's style (MIT; its licence is in explorer.js). */" },
});
