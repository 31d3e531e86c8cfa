"""The map of an annotated file: what it writes reads back, its page is whole, and nothing in it acts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contested.analysis.items import ItemMap, map_items
from contested.annotations import Annotations, Categories, read_annotations
from contested.cli import main
from contested.report import MapPaths, map, map_explorer, map_figures, write_map
from contested.report.explorer.payload import TOO_MANY
from contested.report.map import statements
from contested.report.map_cards import contested_cards, error_cards, text_columns
from contested.report.map_explorer import explorer_of

TEXTS = (
    "The shop opens at nine today.",
    "Nobody should ever <b>say</b> that aloud.",
    "</script><script>alert(1)</script> is a text",
)
WIDE = "id,r1,r2,r3\na,x,y,y\nb,y,y,x\nc,x,x,x\n"


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty items by four annotators as a long table; dan answers at random."""
    rng = np.random.default_rng(0)
    rows = [
        (f"i{item}", who, ("no", "yes")[answer], TEXTS[item % 3], rng.random() if item else "unknown")
        for item in range(30)
        for who in ("ann", "bob", "cid", "dan")
        for answer in [int(rng.random() < 0.5) if who == "dan" or item % 7 == 0 else item % 2]
    ]
    file = tmp_path_factory.mktemp("labels") / "labels.csv"
    table = pd.DataFrame(rows, columns=["item", "annotator", "label", "text", "mixed"])
    table["mixed"] = table.groupby("item")["mixed"].transform("first")
    table.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def written(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> MapPaths:
    """The map of the labels."""
    return write_map(map_items(read_annotations(labels)), tmp_path_factory.mktemp("map"))


def test_files_are_written_and_read_back(labels: Path, written: MapPaths) -> None:
    data = read_annotations(labels)
    items = pd.read_parquet(written.items)
    assert items["example_id"].tolist() == list(data.example_ids)
    np.testing.assert_array_equal(items["entropy_nats"], data.entropy)
    assert items["text"].tolist() == data.fields["text"].tolist()
    table = pd.read_csv(written.html.parent / "tables" / "items.csv")
    np.testing.assert_allclose(table["soft_label_yes"], items["soft_label_yes"])
    assert written.votes is not None
    again = read_annotations(written.votes)
    assert dict(zip(again.example_ids, again.label_counts.tolist(), strict=True)) == dict(
        zip(data.example_ids, data.label_counts.tolist(), strict=True)
    )
    assert again.votes is not None
    assert again.votes.annotator_ids == ("ann", "bob", "cid", "dan")


def test_soft_labels_read_back_and_add_up(labels: Path, written: MapPaths) -> None:
    data = read_annotations(labels)
    again = read_annotations(
        written.soft_labels, distribution_column="shares", annotators_column="n_annotators", id_column="example_id"
    )
    np.testing.assert_array_equal(again.label_counts, data.label_counts)
    for line in written.soft_labels.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert sum(record["soft_label"].values()) == pytest.approx(1.0)
        assert record["text"] in TEXTS


def test_page_says_first_what_was_found_and_holds_no_markup_of_the_data(written: MapPaths) -> None:
    page = written.html.read_text(encoding="utf-8")
    body = page[page.index("<body>") :]
    assert all(sentence in page for sentence in written.statements)
    assert "Of 30 items" in written.statements[0]
    assert written.statements[-1].startswith("dan differs from the others most: the model puts slips at ")
    headings = ("Which labels are likely errors?", "How reliable is each annotator?", "Which items to ask about next?")
    for heading in headings:
        assert heading in body
    assert "<b>say</b>" not in body
    assert "<script>alert" not in body
    assert "&lt;b&gt;say" in body
    assert 'id="explorer-index"' in body
    assert "labels.csv" in body  # the receipt


def test_cards_show_the_likeliest_errors_with_who_gave_them(written: MapPaths) -> None:
    page = written.html.read_text(encoding="utf-8")
    errors = pd.read_csv(written.html.parent / "tables" / "label_errors.csv")
    first = page[page.index('id="label-errors"') :]
    card = first[first.index('<li class="card') : first.index("</li>", first.index('<li class="card'))]
    assert f'<h3 class="mono">{errors["example_id"][0]}</h3>' in card
    assert f"{errors['label'][0]} (suspect)" in card
    assert errors["annotators"][0].split(", ")[0] in card
    assert errors["annotators"][0] == "dan"  # who answers at random is found


@pytest.fixture(scope="module")
def split(labels: Path) -> ItemMap:
    """The items cut into those that agree and those that are split."""
    return map_items(read_annotations(labels), Categories(("agreed", "split"), (0.5,)))


def test_cards_hold_the_votes_of_their_item_and_begin_with_genuine_disagreement(split: ItemMap) -> None:
    items = split.items.set_index("example_id")
    first = error_cards(split, ["text"], 1)[0]
    data = split.known.annotations
    row = data.example_ids.index(first.example_id)
    assert {bar.label: bar.votes for bar in first.bars} == dict(
        zip(data.label_names, data.label_counts[row], strict=True)
    )
    assert [bar.who for bar in first.bars if bar.is_suspect] == ["dan"]
    assert {name for bar in first.bars for name in bar.who.split(", ")} == {"ann", "bob", "cid", "dan"}
    own = items[items["category"] == "split"]
    order = (own["probability_split"] * own["genuine_disagreement"]).sort_values(ascending=False, kind="stable")
    assert [card.example_id for card in contested_cards(split, ["text"], 5)] == order.index[:5].tolist()


def test_texts_are_the_wordy_columns_or_else_those_that_tell_items_apart() -> None:
    wordy = {"code": ["a1", "b2", "c3"], "said": ["one two three", None, "four five six"], "n": [1, 2, 3]}
    assert text_columns(pd.DataFrame(wordy)) == ["said"]
    assert text_columns(pd.DataFrame({"code": ["a1", "b2", "c3"], "same": ["x", "x", "x"]})) == ["code"]


def test_the_explorer_of_a_map_begins_with_what_is_known(split: ItemMap) -> None:
    shown = explorer_of(split, ["text"])
    assert shown is not None
    assert (shown.x, shown.y) == ("entropy_nats", "genuine_disagreement")
    columns = {column.name: column for column in shown.items}
    assert next(iter(columns)) == "text"
    assert columns["category"].levels == ("agreed", "split")  # unknown only where an item is
    assert columns["count_yes"].heading == "yes: votes"
    assert list(columns["count_yes"].values) == split.items["count_yes"].tolist()
    counts = explorer_of(map_items(Annotations(("a", "b"), [[3, 1], [1, 0]], ("no", "yes"))), [])
    assert counts is not None
    assert (counts.y, counts.votes) == ("category_probability", None)
    assert {column.name: column.levels for column in counts.items}["category"][-1] == "unknown"


def test_few_votes_are_said_to_leave_categories_open_and_many_are_not() -> None:
    few, many = (statements(map_items(Annotations(("a", "b"), [[n, 0], [0, n]], ("no", "yes")))) for n in (2, 200))
    assert "Of 2 items, 2 are clean" in few[0]
    assert few[1].startswith("With so few votes that is uncertain: of the distributions behind them, ")
    assert "uncertain" not in " ".join(many)


def test_values_of_several_types_are_text_in_parquet() -> None:
    assert map._one_type(pd.Series([1, "one", None], dtype=object)).dropna().tolist() == ["1", "one"]
    assert map._one_type(pd.Series([1, 2])).tolist() == [1, 2]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> ItemMap:
    """The map of a file with a column for each annotator."""
    file = tmp_path_factory.mktemp("wide") / "wide.csv"
    file.write_text(WIDE, encoding="utf-8")
    return map_items(read_annotations(file, labels_column=["r1", "r2", "r3"]))


def test_agreement_stands_beside_slips_and_columns_are_said_to_be_taken_as_people(
    labels: Path, written: MapPaths, wide: ItemMap
) -> None:
    data = read_annotations(labels)
    beside = pd.read_csv(written.tables[0].parent / "annotators.csv").set_index("annotator")
    own = data.annotator_table().set_index("annotator")
    for column in ("agreement", "agreement_kappa", "label_entropy_nats", "entropy_change_nats", "alpha_change"):
        np.testing.assert_allclose(beside.loc[own.index, column], own[column], rtol=1e-12)
    said = " ".join(statements(wide))
    assert "columns r1, r2 and r3, taken as one person each" in said.replace("r1, r2, r3", "r1, r2 and r3")
    file, columns = Path(wide.known.annotations.source), ["r1", "r2", "r3"]
    ordered = map_items(read_annotations(file, labels_column=columns, scale=["x", "y"]))
    assert wide.known.slips is not None
    assert ordered.known.slips is None
    assert "knows no order, and these classes are given as a scale" in " ".join(ordered.notes)
    assert "differs from the others" not in said
    unknown = " ".join(statements(map_items(read_annotations(file, labels_column=columns, anonymous=True))))
    assert "slips" not in unknown


def test_a_note_that_the_map_begins_with_is_said_once(
    wide: ItemMap, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_explorer, "MOST_ITEMS", 2)
    monkeypatch.setattr(map, "SHOWN", 1)
    page = map._page(wide, map._frames(wide), [], statements(wide), None)
    assert "taken as one person each" in page.headline
    assert "taken as one person each" not in " ".join(page.notes)
    # Three items are too many here: without an explorer, and with one row of each table.
    assert (page.explorer, page.absent) == (None, [TOO_MANY])
    shown = {part.section.name: part.tables for part in page.sections}
    assert len(shown["ask-next"][0].cells.rows) == 1
    paths = MapPaths(*[tmp_path] * 3, None, tmp_path, (), (), tuple(statements(wide)))
    monkeypatch.setattr("contested.analysis.items.map_items", lambda *given, **options: wide)
    monkeypatch.setattr("contested.report.write_map", lambda *given, **options: paths)
    (tmp_path / "wide.csv").write_text(WIDE, encoding="utf-8")
    assert main(["map", str(tmp_path / "wide.csv"), "--labels-column", "r1,r2,r3"]) == 0
    assert capsys.readouterr().out.count("taken as one person each") == 1


def test_of_counts_alone_the_page_says_what_cannot_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_a_hurry: Callable[[pytest.MonkeyPatch], None]
) -> None:
    in_a_hurry(monkeypatch)
    file = tmp_path / "counts.csv"
    file.write_text("id,no,yes\na,3,1\nb,0,5\nc,2,2\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "votes.csv").write_text("an earlier map's")
    paths = write_map(map_items(read_annotations(file, count_columns=["no", "yes"])), tmp_path / "out")
    assert paths.votes is None
    assert not (tmp_path / "out" / "votes.csv").exists()
    page = paths.html.read_text(encoding="utf-8")
    assert page.count("which labels are slips rather than disagreement, cannot be known") >= 2
    assert "model in which annotators slip" not in page


def test_command_writes_a_map_and_says_where(
    labels: Path,
    written: MapPaths,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    in_a_hurry: Callable[[pytest.MonkeyPatch], None],
) -> None:
    in_a_hurry(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert main(["map", str(labels), "--json", "--categories", "fixed"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["html"] == "labels-map/map.html"
    assert all((tmp_path / file).is_file() for file in told["files"])
    # The same file and seed make the same map.
    assert (tmp_path / "labels-map" / "items.parquet").read_bytes() == written.items.read_bytes()
    assert main(["map", str(labels), "--labels-column", "nothing"]) == 2
    assert "--labels-column" in capsys.readouterr().err


def test_many_items_are_drawn_in_part_and_those_at_one_place_fill_a_disc(
    wide: ItemMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_figures, "_MOST_POINTS", 2)
    sure, genuine = map_figures.items_map(wide.items, wide.categories).axes
    for axes in (sure, genuine):
        assert len(axes.collections[0].get_offsets()) == 2
        assert axes.get_xlabel().endswith("\n2 of 3 items drawn")
    aside, up = map_figures._spread(np.zeros(400), np.zeros(400), np.random.default_rng(0))
    reach = np.hypot(aside / 0.6, up)
    assert reach.max() <= 0.11
    # As many in the inner half of the disc's area as in the outer one: standard error 10 of 200.
    assert (reach < 0.11 * np.sqrt(0.5)).sum() == pytest.approx(200, abs=40)
