// The search in ids and texts; needs the packages (npm ci).
import assert from "node:assert/strict";
import test from "node:test";
import { Search } from "../src/search.js";

const texts = ["A red tree near the dog.", "The dog sees a tree, red as fire.", null, "Ein Bär läuft 20 % schneller", "dog dog"];
const data = { ids: ["id-1", "id-2", "x#3", "id-4", "id-5"], textColumns: [{ texts }] };
const found = (query) => new Search(data).rows(query);

test("every word is in the id or a text, in any order and any case", () => {
  assert.equal(found("  "), null);
  assert.deepEqual(found("dog RED"), [0, 1]);
  assert.deepEqual(found("near tree red dog the a"), [0]); // also many words
  assert.deepEqual(found("id-4"), [3]);
  assert.deepEqual(found("BÄR"), [3]);
  assert.deepEqual(found("cat"), []);
});

test("quotes keep words together, a minus leaves out", () => {
  assert.deepEqual(found('"red tree"'), [0]);
  assert.deepEqual(found("dog -red"), [4]);
  assert.deepEqual(found('dog -"red tree"'), [1, 4]);
});

test("signs alone are looked for as they stand", () => {
  assert.deepEqual(found("#"), [2]);
  assert.deepEqual(found("%"), [3]);
});
