// Search in ids and texts.
import uFuzzy from "@leeoniya/ufuzzy";

const LETTERS = {
  unicode: true,
  interSplit: "[^\\p{L}\\d']+",
  intraSplit: "\\p{Ll}\\p{Lu}",
  intraBound: "\\p{L}\\d|\\d\\p{L}|\\p{Ll}\\p{Lu}",
  intraChars: "[\\p{L}\\d']",
  intraContr: "'\\p{L}{1,2}\\b",
};

/** Finds rows whose id or texts have every word of the query, in any order; "in quotes" as it stands, -word without it. */
export class Search {
  constructor(data) {
    this.data = data;
    this.finder = new uFuzzy(LETTERS);
  }

  get lines() {
    const { ids, textColumns } = this.data;
    this.cached ??= ids.map((id, i) => [id, ...textColumns.map((column) => column.texts[i] ?? "")].join("\n"));
    return this.cached;
  }

  /** Rows found; null for an empty query. */
  rows(query) {
    const wanted = query.trim();
    if (!wanted) return null;
    const [found] = this.finder.search(this.lines, wanted, 4, 0);
    // A query of signs alone has no words: it is looked for as it stands.
    if (found === null) return this.lines.flatMap((line, i) => (line.includes(wanted) ? [i] : []));
    return found;
  }
}
