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
    const terms = query.match(/-?"[^"]+"|\S+/gu) ?? [];
    if (!terms.length) return null;
    const [unwanted, wanted] = [true, false].map((not) => terms.filter((term) => (term.startsWith("-") && term.length > 1) === not));
    let rows = Array.from(this.data.ids.keys());
    for (const term of wanted) rows = this.having(term, rows);
    for (const term of unwanted) {
      const having = new Set(this.having(term.slice(1), rows));
      rows = rows.filter((i) => !having.has(i));
    }
    return rows;
  }

  /** Those of the rows that have a term; one without any letter is looked for as it stands. */
  having(term, rows) {
    const plain = term.replaceAll('"', "");
    return this.finder.filter(this.lines, term, rows) ?? rows.filter((i) => this.lines[i].includes(plain));
  }
}
