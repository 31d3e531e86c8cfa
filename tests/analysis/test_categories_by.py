"""Categories that are bands of another measure than entropy, wherever a run has categories."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from contested.analysis import analyze
from contested.annotations import Annotations, Disagreement
from contested.annotations.categories import fixed_categories
from contested.annotations.certainty import category_probabilities
from contested.exchange import import_run
from contested.report.figures import bounds_between
from contested.report.prose import notes
from contested.tasks import TextClassificationTask
from contested.trajectories import Trajectory
from contested.trajectories.manifest_content import content_problems

SPREAD = Disagreement("sd", (1, 2, 3, 4, 5))
# Entropy takes the first two as one: deviations 0.5, 2, 0 and 0.75 (of four 2, 2, 2, 4: √0.75 = 0.866).
COUNTS = np.array([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2], [0, 0, 4, 0, 0], [0, 3, 0, 1, 0]])
EXPECTED = ["clean", "contested", "clean", "ambiguous"]


def annotated(disagreement=SPREAD, times=5):
    n = len(COUNTS) * times
    ids = tuple(f"x{row}" for row in range(n))
    texts = pd.DataFrame({"text": [f"the text {row}" for row in range(n)]})
    return Annotations(ids, np.tile(COUNTS, (times, 1)), tuple("12345"), texts, disagreement=disagreement)


def test_a_task_cuts_by_the_measure_of_its_annotations_and_says_so():
    options = {"text_columns": ["text"], "class_weights": False}
    task = TextClassificationTask(annotated(), **options).prepare()
    found = task.examples.set_index("example_id").loc[list(annotated().example_ids), "category"]
    assert found.tolist() == EXPECTED * 5
    # Two of ten, one of five, one of five: the split keeps the shares of these categories.
    validation = task.examples[task.examples["split"] == "validation"]["category"]
    assert sorted(validation) == ["ambiguous", "clean", "clean", "contested"]
    assert task.disagreement == SPREAD
    assert any("cut by the standard deviation of the ratings, not by entropy" in note for note in task.notes)
    plain = TextClassificationTask(annotated(Disagreement()), **options).prepare()
    assert plain.disagreement.to_manifest() == {}
    assert plain.fingerprint != task.fingerprint


@pytest.fixture
def run():
    data = annotated()
    rng = np.random.default_rng(0)
    return Trajectory.from_arrays(
        losses=rng.random((3, data.n_items)),
        ids=data.example_ids,
        gold=data.majority,
        label_counts=data.label_counts,
        label_names=data.label_names,
        categories=fixed_categories(SPREAD),
    )


def test_a_run_keeps_the_measure_in_its_folder(run, tmp_path):
    run.save(tmp_path / "run")
    again = Trajectory.load(tmp_path / "run")
    assert again.categories.tolist() == EXPECTED * 5
    assert again.disagreement == SPREAD
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["categories_by"] == {"by": "sd", "scale": [1, 2, 3, 4, 5]}
    problems = content_problems(manifest | {"categories_by": {"by": "sd", "scale": "1,2"}})
    assert problems == ["categories_by.scale: expected a list of numbers, got '1,2'"]


def test_the_probability_of_a_category_is_that_of_the_measure(run):
    examples = analyze(run, rng=np.random.default_rng(0), n_resamples=50).examples.set_index("example_id")
    bands = fixed_categories(SPREAD)
    expected = category_probabilities(COUNTS, bands).probabilities
    own = [expected[row, bands.names.index(name)] for row, name in enumerate(EXPECTED)]
    assert examples.loc[["x0", "x1", "x2", "x3"], "category_probability"].tolist() == own


def test_few_annotators_are_put_in_categories_of_the_measure(run):
    found = analyze(run, rng=np.random.default_rng(0), n_resamples=50)
    # All annotators give the categories that the examples have; by entropy near and far would be one.
    assert found.annotators.rows[-1].same_category == 1
    every = {change.category: change.n for change in found.annotators.changes if change.annotators == "all"}
    assert every == {"clean": 10, "ambiguous": 5, "contested": 5}
    # Two of 2, 2, 3, 3 never differ by more than a step (SD 0.5, clean), as all four; of 1, 1, 5, 5 they are 2 apart
    # (contested) or agree (clean).
    two = found.annotators.rows[0]
    assert (two.annotators, two.n) == ("2", 20)
    drawn = {change.category: change.n for change in found.annotators.changes if change.annotators == "2"}
    assert drawn["clean"] == pytest.approx(10 + 5 * 2 / 6 + 5 / 2, abs=1)


def test_a_run_says_by_which_measure_its_categories_are(run):
    found = analyze(run, rng=np.random.default_rng(0), n_resamples=50)
    said = "Categories are cut by the standard deviation of the ratings, not by entropy, at 0.7282 and 1.274 units"
    assert any(note.startswith(said) for note in found.notes)
    assert any(sentence.startswith(said) for sentence in found.to_dict()["statements"])
    assert dict(notes([run], [found]))["Categories"].startswith(said)  # on the page, in place of "Bands of H"


def test_a_histogram_of_entropy_has_no_bounds_where_categories_are_others(run):
    assert bounds_between(run.entropy, run.categories, run.category_names, np.log(5)) == ()
    # 0 clean, ln 2 contested: bands, with one at the limit for the category without an example.
    labels = np.array(["clean", "contested"], dtype=object)
    assert bounds_between(np.array([0, 0.7]), labels, ("clean", "contested", "more"), 1.1) == (0.7, 1.1)


def test_a_recording_gets_the_measure_of_the_annotations(tmp_path):
    rows = [
        {"guid": name, "epoch": epoch, "loss": 0.5, "gold": 2} for epoch in (0, 1) for name in annotated().example_ids
    ]
    made = import_run(
        "csv", _csv(tmp_path, rows), annotations=annotated(), label_names=list("12345"), check_label_order=False
    )
    assert made.trajectory.disagreement == SPREAD
    assert made.trajectory.categories.tolist() == EXPECTED * 5


def _csv(folder, rows):
    path = folder / "run.csv"
    pd.DataFrame(rows).rename(columns={"guid": "example_id"}).to_csv(path, index=False)
    return path
