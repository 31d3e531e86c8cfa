import dataclasses
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from contested.analysis import analyze, statements
from contested.errors import RunError
from contested.report import find_runs, write_report
from contested.report.examples import most_unlearned
from contested.report.figures import bounds_between
from contested.report.run_figures import FIGURES
from contested.report.run_frames import run_frames, stacked_tables
from contested.report.runs import analyzed

QUICK = {"n_resamples": 60}


class Links(HTMLParser):
    """Collects what a browser would fetch, every id, and every element's name."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        # Data in an element of another type is no script.
        self.elements.append("data" if tag == "script" and any(name == "type" for name, _ in attrs) else tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"} and not value.startswith("#"):
                self.fetched.append(value)


def parsed(html: str) -> Links:
    links = Links()
    links.feed(html)
    return links


def page(tmp_path, *trajectories, **options) -> str:
    return write_report(trajectories, tmp_path, **QUICK, **options).html.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def two(tmp_path_factory, make):
    folder = tmp_path_factory.mktemp("two")
    runs = [
        make("lora <r4>", drift=1.2),
        make("full", drift=0.3, status="failed"),
    ]  # the same settings: named by their ids
    return runs, write_report(runs, folder, **QUICK), folder


def test_the_documented_files_are_written(two) -> None:
    _, paths, folder = two
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = [figure.name for figure in FIGURES]
    tables = ("runs", "summary", "categories", "unlearning", "kl", "contrasts", "correlation", "measures")
    expected = {"report.html", "results.json", "tables/curves.csv", "tables/examples.csv"}
    expected |= {f"figures/{name}.{ending}" for name in names for ending in ("pdf", "png")}
    expected |= {f"tables/{name}.{ending}" for name in tables for ending in ("csv", "md", "tex")}
    # A figure or table that is added needs no other test.
    assert expected <= written
    assert {str(p.relative_to(folder)) for p in (paths.html, paths.results, *paths.tables, *paths.figures)} == written


def test_the_page_fetches_nothing(two) -> None:
    html = two[1].html.read_text(encoding="utf-8")
    found = parsed(html)
    assert found.fetched == []
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttp", html)
    # The only addresses are names of XML vocabularies and of a licence, which no browser opens.
    assert set(re.findall(r"https?://[^\"'\s<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/1998/Math/MathML",
        "http://www.apache.org/licenses/LICENSE-2.0",  # of a library in the bundle, as text
    }
    assert "link" not in found.elements
    assert found.elements.count("script") == 1


def test_ids_are_unique(two) -> None:
    ids = parsed(two[1].html.read_text(encoding="utf-8")).ids
    assert len(ids) == len(set(ids))


def test_every_run_and_its_statements_are_on_the_page(two) -> None:
    runs, paths, _ = two
    html = paths.html.read_text(encoding="utf-8")
    assert "lora &lt;r4&gt;" in html
    assert "<r4>" not in html
    assert "full is not complete (status: failed).</strong>" in html
    assert "lora &lt;r4&gt; is not complete" not in html
    assert list(paths.statements) == ["lora <r4>", "full"]
    first = statements(analyze(runs[1], **QUICK))[0]
    assert paths.statements["full"][0] == first
    assert first in html


def test_the_page_begins_with_a_sentence_and_a_picture(two) -> None:
    html = two[1].html.read_text(encoding="utf-8")
    places = [html.index(part) for part in ("not complete", 'class="headline"', 'id="loss_change"', 'id="happened"')]
    assert places == sorted(places)
    assert re.search(r'class="headline">[^<]*ontested examples[^<]* nats', html)


@pytest.mark.usefixtures("unsaved")
def test_a_run_that_hardly_moved_says_so_before_anything_else(tmp_path, make) -> None:
    run = make()
    flat = dataclasses.replace(run, losses=np.repeat(run.losses[:1], 3, axis=0))
    html = page(tmp_path, flat)
    assert "This run learned next to nothing.</strong> It hardly moved" in html
    assert html.index("next to nothing") < html.index('class="headline"')
    assert "learned next to nothing" not in page(tmp_path, run)


@pytest.mark.usefixtures("unsaved")
def test_user_text_is_escaped_everywhere(tmp_path, make) -> None:
    bad = '<script>alert("x")</script>'
    run = make(bad, labels=("yes" + bad, "no"), texts={f"q{bad}": bad, "answer": "</style>{}"})
    run.manifest["config"]["note"] = bad
    html = page(tmp_path, run, title=bad)
    assert bad not in html
    assert "</style>0" not in html
    assert parsed(html).elements.count("script") == 1


def test_the_same_runs_give_the_same_bytes(two, tmp_path) -> None:
    runs, _, folder = two
    write_report(runs, tmp_path, **QUICK)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (folder, tmp_path)
    )
    assert first == second


def test_a_run_has_the_same_numbers_alone_and_beside_another(two) -> None:
    runs, paths, _ = two
    alone = analyze(runs[1], **QUICK).to_dict()
    beside = json.loads(paths.results.read_text(encoding="utf-8"))["runs"][1]
    assert {name: beside[name] for name in ("unlearning", "correlation")} == {
        name: json.loads(json.dumps(alone[name])) for name in ("unlearning", "correlation")
    }


@pytest.mark.parametrize("options", [
    {"labels": ("no", "yes")},
    {"labels": ("1", "2", "3", "4", "5"), "scheme": "quartiles", "texts": {"text": "One text {}."}},
    {"texts": {}, "scheme": "terciles"},
    {"n": 5, "steps": (0, 7)},
])  # fmt: skip
@pytest.mark.usefixtures("unsaved")
def test_any_number_of_classes_categories_and_texts_works(tmp_path, make, options) -> None:
    run = make("other", **options)
    html = page(tmp_path, run)
    for name in (*run.label_names, *run.category_names, *run.text_columns):
        assert f">{name}" in html


@pytest.mark.usefixtures("unsaved")
def test_runs_of_different_tasks_stand_beside_each_other(tmp_path, make) -> None:
    html = page(tmp_path, make("a"), make("b", labels=("no", "yes"), scheme="terciles", n=30), make("a"))
    assert "a (2)" in html
    assert "What 3 fine-tunes did to 30 to 60 tracked examples" in html


def test_the_examples_shown_are_those_that_rose_most(trajectory) -> None:
    found = analyze(trajectory, **QUICK)
    shown = most_unlearned(trajectory, found.examples, category="contested", limit=3)
    rows = found.examples[found.examples["category"] == "contested"].nlargest(3, "loss_change")
    assert [example.example_id for example in shown] == rows["example_id"].tolist()
    people, first, last = shown[0].answers
    row = list(trajectory.example_ids).index(shown[0].example_id)
    assert people.shares == tuple(trajectory.label_counts[row] / 100)
    # A loss is minus the log of the gold label's probability, so the bars must agree with it.
    assert -np.log(first.shares[shown[0].gold]) == pytest.approx(shown[0].loss[0], abs=1e-5)
    assert -np.log(last.shares[shown[0].gold]) == pytest.approx(shown[0].loss[1], abs=1e-5)
    assert last.who == "step 200"


@pytest.mark.usefixtures("unsaved")
def test_examples_whose_loss_fell_are_shown_only_where_none_rose(tmp_path, make) -> None:
    run = make(n=40)
    rising = np.arange(40) % 2 == 0
    losses = np.where(rising, [[1.0], [1.2], [1.5]], [[1.0], [0.8], [0.7]])
    losses[:, run.categories == "clean"] = [[1.0], [0.5], [0.4]]
    run = replace(run, losses=losses, logits=None)
    measured = analyze(run, **QUICK).examples
    contested = most_unlearned(run, measured, category="contested", limit=40)
    assert len(contested) == ((run.categories == "contested") & rising).sum()
    assert {example.change for example in contested} == {0.5}
    clean = most_unlearned(run, measured, category="clean", limit=40)
    assert len(clean) == (run.categories == "clean").sum()
    html = page(tmp_path, run)
    assert '<h2 id="examples">The examples whose loss rose most</h2>' in html
    assert html.count("The loss of no clean example rose; these are those whose loss fell least.") == 1
    assert "The loss of no contested example" not in html


@pytest.mark.usefixtures("unsaved")
def test_a_card_without_texts_is_headed_by_its_id(tmp_path, make) -> None:
    bare, told = page(tmp_path / "a", make(n=20, texts={})), page(tmp_path / "b", make(n=20))
    assert '<h3 class="mono">id-0' in bare
    assert '<h3 class="mono">id-0' not in told
    # Once on each card, wherever it stands.
    for html in (bare, told):
        cards = html.split('<li class="card"')[1:]
        assert cards
        assert all(card.count(">id-0") == 1 for card in cards)


def test_runs_are_rows_and_their_categories_columns(make) -> None:
    runs = analyzed([make("a"), make("b", scheme="terciles")], None, 60)
    frames = run_frames(runs, stacked_tables(runs))
    assert frames["runs"]["run"].tolist() == ["a", "b"]
    first, second = (run.analysis for run in runs)
    assert frames["runs"]["change_contested"].iloc[0] == first.unlearning.rows[-1].mean
    assert pd.isna(frames["runs"]["change_contested"].iloc[1])
    assert frames["runs"]["change_overall_high"].iloc[1] == second.unlearning.overall.high
    assert frames["runs"]["rho"].iloc[0] == first.correlation.aulc.rho
    assert frames["summary"]["category"].tolist() == [
        *("clean", "ambiguous", "contested", "overall"), *("low", "middle", "high", "overall"),
    ]  # fmt: skip
    assert "overall" not in set(frames["changes"]["category"])


def test_bounds_are_the_papers_or_the_least_entropy_above(make) -> None:
    run = make()
    assert bounds_between(run.entropy, run.categories, run.category_names, 1.1) == (0.4, 0.7)
    run = make(scheme="terciles")
    low, high = bounds_between(run.entropy, run.categories, run.category_names, 1.1)
    assert np.array_equal(run.categories == "middle", (run.entropy >= low) & (run.entropy < high))


def test_no_runs_are_refused(tmp_path) -> None:
    with pytest.raises(RunError, match="at least one run"):
        write_report([], tmp_path)


def test_runs_are_found_in_folders(tmp_path) -> None:
    for name in ("study/runs/b", "study/runs/a", "single"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    found = find_runs([tmp_path / "single", tmp_path / "study", tmp_path / "missing"])
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "single", "study/runs/a", "study/runs/b", "missing",
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="There is no run in"):
        find_runs([tmp_path / "empty"])
