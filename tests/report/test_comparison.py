"""The report of a comparison: its files, its tables against the numbers, its figures, its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from scipy.special import log_softmax

from contested.analysis import compare
from contested.report import compare_figures, write_comparison
from contested.report.compare_tables import comparison_frames, comparison_tables, measure_heading
from contested.report.compared_examples import compared_examples
from contested.report.explorer import bundle
from contested.report.table_cells import rendered
from contested.trajectories import Trajectory

HOSTILE = '<script>alert("1")</script>'


def second(run: Trajectory, seed: int = 3) -> Trajectory:
    noise = np.random.default_rng(seed).normal(0, 0.9, run.logits.shape).astype(np.float32)
    logits = run.logits + noise
    rows = np.arange(len(run.example_ids))
    losses = -log_softmax(logits.astype(np.float64), axis=2)[:, rows, run.gold]
    return replace(run, run_id="other", logits=logits, losses=losses)


@pytest.fixture(scope="module")
def found(make):
    run = make(n=120, texts={"premise": "Someone & {}.", "hypothesis": HOSTILE})
    return compare(run, second(run), names=("A", "B <b>"), n_resamples=200, n_flips=400)


@pytest.mark.usefixtures("unsaved")
def test_the_files_are_written_and_those_of_an_earlier_report_removed(found, make, tmp_path):
    paths = write_comparison(found, tmp_path)
    assert {path.name for path in paths.tables} == {
        *(f"{name}.{end}" for name in ("transitions", "distances", "differences") for end in ("csv", "md", "tex")),
        "examples.csv",
    }
    assert {path.stem for path in paths.figures} == {"changed_answers", "differences"}
    assert json.loads(paths.results.read_text(encoding="utf-8")) == found.to_dict()
    examples = pd.read_csv(tmp_path / "tables" / "examples.csv")
    assert examples["example_id"].tolist() == found.examples["example_id"].tolist()
    run = make(n=20)
    losses = [replace(one, logits=None) for one in (run, second(run))]
    write_comparison(compare(*losses, n_resamples=100, n_flips=200), tmp_path)
    assert {path.stem for path in (tmp_path / "tables").glob("*")} == {"differences", "examples"}


def test_the_tables_say_the_numbers(found):
    frames = comparison_frames(found)
    shown = {table.name: rendered(table, frames[table.frame], "95%") for table in comparison_tables(found)}
    turned = shown["transitions"]
    assert turned.cells.headings[4:7] == ("1→0", "0→1", "by guessing")
    row = dict(zip(turned.cells.headings, turned.cells.rows[2], strict=True))
    contested, accuracy = found.transitions[2], found.difference("correct", "contested")
    assert (row["1→0"], row["0→1"]) == (str(contested.lost), str(contested.gained))
    star = "*" if accuracy.direction != "unclear" else ""
    amounts = [f"{100 * value:+.1f}".replace("-", "−") for value in (accuracy.difference, accuracy.low, accuracy.high)]
    assert row["accuracy (points)"] == f"{amounts[0]}{star} [{amounts[1]}, {amounts[2]}]"
    assert (found.transitions[2].gained_q_value <= 0.05) == row["0→1 beyond guessing"].split(" ")[0].endswith("*")
    assert "right with A, wrong with B <b>" in turned.caption
    assert "adjusted p at most 0.05" in turned.caption
    assert shown["distances"].cells.headings[-2:] == ("ΔKL to annotators", "ΔJS to annotators")
    assert {"A", "B <b>"} <= set(shown["differences"].cells.headings)
    assert ("accuracy", "Whether the gold label has the highest logit at the compared checkpoint.") in shown[
        "differences"
    ].table.legend
    assert (measure_heading("loss"), measure_heading("loss_change"), measure_heading("new")) == ("loss", "Δℓ", "new")


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figures_show_every_category_and_no_text_lies_on_another(found, narrow, overlapping):
    frames = comparison_frames(found)
    for spec in compare_figures.figures(found.first, found.second):
        figure = spec.draw(*spec.rows(frames), narrow=narrow)
        assert overlapping(figure) == []
        labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
        assert labels == {"clean", "ambiguous", "contested", "all examples"}
    assert len(figure.axes) == 3


def test_bars_and_marks_are_where_the_counts_are(found):
    figure = compare_figures.changed_answers(comparison_frames(found)["transitions"])
    (axes,) = figure.axes
    contested = found.transitions[2]
    widths = [bar.get_width() for bar in axes.patches[:2]]
    assert widths == pytest.approx([-contested.lost / contested.n, contested.gained / contested.n])
    marks = [line.get_xdata()[0] for line in axes.lines[:2]]
    assert marks == pytest.approx([-contested.by_guessing / contested.n, contested.by_guessing / contested.n])


def test_what_no_test_tells_from_zero_is_hollow(found):
    frame = comparison_frames(found)["drawn_differences"]
    figure = compare_figures.differences(frame)
    for axes, (measure, *_) in zip(figure.axes, compare_figures.PANELS, strict=True):
        points = [line for line in axes.lines if line.get_marker() == "o"]
        rows = [found.difference(measure, category) for category in found.categories]
        hollow = [line.get_markerfacecolor() == "white" for line in points]
        assert hollow == [row.direction == "unclear" for row in rows]
    assert {row.direction for row in found.differences} >= {"unclear"}


def test_cards_hold_some_of_every_kind_and_both_models_answers(found):
    limit = found.examples.query("category == 'contested'")["change"].nunique()
    shown = compared_examples(found, *found.states, limit)
    assert list(shown.by_category) == ["clean", "ambiguous", "contested"]
    contested = found.examples[found.examples["category"] == "contested"]
    cards = shown.by_category["contested"]
    assert len(cards) == limit
    assert set(contested.head(limit)["change"]) < set(contested["change"])  # the largest alone would not show all
    assert {card.kind for card in cards} == set(contested["change"])
    for kind in {card.kind for card in cards}:
        assert contested[contested["change"] == kind]["example_id"].iloc[0] in {card.example_id for card in cards}
    assert [card.size for card in cards] == sorted((card.size for card in cards), reverse=True)
    card = cards[0]
    row = list(found.states[0].example_ids).index(card.example_id)
    assert [answer.who for answer in card.answers] == ["100 annotators", "A", "B <b>"]
    shares = np.exp(log_softmax(found.states[1].logits[0, row].astype(float)))
    assert card.answers[2].shares == pytest.approx(shares.tolist())
    assert card.order["toward"] == -card.order["away"]
    assert [name for name, _ in shown.orders] == ["size", "loss", "toward", "away", "entropy"]


@pytest.mark.usefixtures("unsaved")
def test_the_page_is_whole_and_every_text_escaped(found, tmp_path):
    page = write_comparison(found, tmp_path).html.read_text(encoding="utf-8")
    said = found.statements()
    assert page.count("of either, if a model knows an example or guesses") == 4
    assert f'<p class="headline">{escape(found.headline())}</p>' in page
    assert "B &lt;b&gt; compared with A</h1>" in page
    assert HOSTILE not in page
    assert "alert(&#34;1&#34;)" in page
    figures = page.replace(bundle("explorer.js"), "")  # which draws its own, and names where licences stand
    assert figures.count("<svg") == 4
    # A wide table begins where the text does: it grows to the right and is not moved.
    (scroll,) = re.findall(r"\.scroll \{ width: max-content;[^}]*\}", page)
    assert "calc(50vw + 34rem - 4rem)" in scroll
    assert not re.search(r"margin-left|transform", scroll)
    assert 'data-kind="1→0"' in page
    assert '<option value="0→1">0→1: turned right</option>' in page
    assert re.search(r"https?://(?!www\.w3\.org)", figures) is None
    assert "in 120 independent clusters" in page
    assert any(sentence.startswith("Over the whole runs") for sentence in said)


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("lacks", ["categories", "gold", "logits", "annotators"])
def test_pages_without_what_runs_may_lack(make, tmp_path, lacks):
    run = make(n=40)
    ids, names = run.example_ids.tolist(), run.label_names
    given = {"logits": run.logits, "gold": run.gold, "label_counts": run.label_counts, "label_names": names}
    if lacks == "logits":
        given = {"losses": run.losses}
    drop = {"gold": ("gold",), "annotators": ("label_counts",), "categories": ("label_counts", "gold")}.get(lacks, ())
    given = {name: value for name, value in given.items() if name not in drop}
    changed = {name: value for name, value in given.items() if name in ("logits", "losses")}
    ((name, values),) = changed.items()
    one = Trajectory.from_arrays(**given, ids=ids, run_id="one")
    other = Trajectory.from_arrays(**{**given, name: np.abs(values + 0.3)}, ids=ids, run_id="other")
    found = compare(one, other, n_resamples=100, n_flips=200)
    page = write_comparison(found, tmp_path).html.read_text(encoding="utf-8")
    assert "other compared with one" in page
    for sentence in found.absent:
        assert page.count(sentence.split("‖")[0].replace("'", "&#39;")) == 1
    assert page.count('class="card"') > 0
