"""Runs that something else recorded: what they lack is absent, and the page says once why."""

import re

import numpy as np
import pandas as pd
import pytest

from contested.report import write_report
from contested.trajectories import Trajectory

QUICK = {"n_resamples": 60}


def drawn(paths) -> set[str]:
    return {path.stem for path in paths.figures}


@pytest.fixture
def arrays(trajectory):
    """Keywords of the same run, recorded by something else."""
    shared = {"ids": list(trajectory.example_ids), "steps": trajectory.steps}
    gold, counts = trajectory.gold, trajectory.label_counts
    return {
        "losses": shared | {"losses": trajectory.losses},
        "logits": shared | {"logits": trajectory.logits, "gold": gold, "label_names": trajectory.label_names},
        "annotators": shared | {"logits": trajectory.logits, "gold": gold, "label_counts": counts},
        "unlabelled": shared | {"logits": trajectory.logits},
    }


@pytest.mark.parametrize(
    ("kind", "figures", "lacking"),
    [
        ("losses", {"loss_change", "loss_by_category"}, ["logits", "annotators", "number of its classes"]),
        ("logits", {"loss_change", "loss_by_category", "accuracy_by_category", "data_map"}, ["annotators"]),
        (
            "annotators",
            {"loss_change", "loss_by_category", "accuracy_by_category", "data_map", "kl_by_category", "entropy"},
            [],
        ),
        ("unlabelled", set(), ["gold labels", "annotators", "losses"]),
    ],
)
@pytest.mark.usefixtures("unsaved")
def test_what_a_run_lacks_is_absent_and_said_once(tmp_path, arrays, kind, figures, lacking) -> None:
    paths = write_report([Trajectory.from_arrays(**arrays[kind])], tmp_path, **QUICK)
    every = {"loss_change", "loss_by_category", "accuracy_by_category", "data_map", "kl_by_category", "entropy"}
    assert drawn(paths) & every == figures
    # But for the explorer's script and data.
    html = re.sub("<script.*?</script>", "", paths.html.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name in ("logits", "gold labels", "annotators", "losses", "number of its classes"):
        assert html.count(f"The run has no {name}") == (name in lacking), name
    assert ('id="examples"' in html) == (kind != "unlabelled")
    assert ("Compare the annotators' answers" in html) == (kind == "annotators")
    assert "nan" not in html.lower().replace("dominan", "")
    # What a page explains is there to be seen: nothing of annotators, accuracy or classes where there are none.
    explained = {
        "people disagree on": kind == "annotators",
        "ρ: Spearman": kind == "annotators",
        "ΔKL: mean change": kind == "annotators",
        "Categories and regions of the data map": kind == "annotators",
        "Accuracy: on the gold label": kind in {"logits", "annotators"},
        "Dotted: the loss of a uniform guess": kind in {"logits", "annotators"},
        "Δℓ: mean loss change": kind != "unlabelled",
        # Whoever recorded the run knows where its gold labels come from; the page does not.
        "What most annotators chose": False,
    }
    assert {words: words in html for words in explained} == explained


@pytest.mark.usefixtures("unsaved")
def test_numbers_do_not_depend_on_what_is_missing(tmp_path, arrays, trajectory) -> None:
    one = write_report([trajectory], tmp_path / "a", **QUICK)
    bare = write_report([Trajectory.from_arrays(**arrays["losses"])], tmp_path / "b", **QUICK)
    tables = [{path.name: path for path in paths.tables} for paths in (one, bare)]
    whole, part = (pd.read_csv(found["runs.csv"])["change_overall"].iloc[0] for found in tables)
    assert whole == pytest.approx(part, abs=1e-12)


@pytest.mark.usefixtures("unsaved")
def test_runs_of_different_origin_stand_beside_each_other(tmp_path, arrays, trajectory) -> None:
    runs = [Trajectory.from_arrays(**arrays["losses"], run_id="bare"), trajectory]
    html = write_report(runs, tmp_path, **QUICK).html.read_text(encoding="utf-8")
    assert "bare: The run has no logits" in html
    two = [Trajectory.from_arrays(**arrays["losses"], run_id=name) for name in ("bare", "empty")]
    html = write_report([*two, trajectory], tmp_path, **QUICK).html.read_text(encoding="utf-8")
    assert html.count("The run has no logits") == html.count("bare, empty: The run has no logits") == 1
    assert html.count("each labelled by 100 annotators") == 1


@pytest.mark.usefixtures("unsaved")
def test_the_legend_explains_the_measures_of_every_run(tmp_path, arrays, trajectory) -> None:
    # The last run has losses alone.
    runs = [trajectory, Trajectory.from_arrays(**arrays["losses"], run_id="bare")]
    paths = write_report(runs, tmp_path, **QUICK)
    text = next(path for path in paths.tables if path.name == "measures.md").read_text(encoding="utf-8")
    assert "ΔKL: KL(annotators ‖ model) at the last checkpoint minus that at the first" in text


@pytest.mark.usefixtures("unsaved")
def test_steps_may_be_epochs(tmp_path, arrays) -> None:
    run = Trajectory.from_arrays(losses=np.array([[1.0, 1.1, 0.9]] * 3), steps=[1, 2, 3], step_unit="epoch")
    html = write_report([run], tmp_path, **QUICK).html.read_text(encoding="utf-8")
    assert "followed over 3 checkpoints and 3 epochs." in html
    assert ">epochs<" in html
    assert "optimiser steps" not in html


@pytest.mark.usefixtures("unsaved")
def test_steps_that_nobody_gave_are_not_made_up(tmp_path) -> None:
    # One example, two checkpoints: no interval either (6 examples are needed for one).
    run = Trajectory.from_arrays(losses=[[1.5], [0.25]], gold=[0], label_names=["a", "b"])
    assert run.counted_in == "checkpoint"
    paths = write_report([run], tmp_path, **QUICK)
    html = paths.html.read_text(encoding="utf-8")
    assert "What one fine-tune did to 1 tracked example, followed over 2 checkpoints." in html
    assert "inconclusive: their mean loss changed by −1.25 nats (no interval)." in html
    assert "In this run (checkpoints 1 to 2)" in html
    assert ">checkpoints<" in html
    assert "2, steps unknown" in html
    assert "optimiser steps" not in html
    # Learning time, where it is known, is counted in what the run counts.
    measures = pd.read_csv(tmp_path / "tables/measures.csv")
    assert set(measures.loc[measures["measure"] == "learning_time", "unit"]) == {"checkpoints"}


@pytest.mark.parametrize("kind", ["losses", "logits", "annotators"])
@pytest.mark.usefixtures("unsaved")
def test_a_page_without_categories_does_not_speak_of_them(tmp_path, arrays, kind) -> None:
    paths = write_report([Trajectory.from_arrays(**arrays[kind])], tmp_path, **QUICK)
    html = paths.html.read_text(encoding="utf-8")
    said = [
        "Loss by category", "the category was un-learned", "a category that was un-learned", "Every run by category",
        "Every measure by category", "Each line is",
    ]  # fmt: skip
    assert {words for words in said if words in html} == (set(said) if kind == "annotators" else set())
    assert ("Accuracy by category" in html) == (kind == "annotators")
    # The table repeats that of runs on a page, but is a file all the same.
    assert "summary.csv" in {path.name for path in paths.tables}
