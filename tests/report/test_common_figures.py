"""One declaration serves a report of runs and that of a study, where both have its frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import Axis, study_results
from contested.report import FigureSpec, write_report, write_study_report
from contested.report.declarations import Frames
from contested.report.pictures import alt
from contested.report.style import new_axes, style_context
from contested.trajectories import Trajectory

SEEN: list[pd.DataFrame] = []


def histogram(examples: pd.DataFrame, *, narrow: bool = False):
    SEEN.append(examples)
    with style_context():
        figure, (axes,) = new_axes(1, height=2.0)
        for _, own in examples.groupby("category"):
            axes.hist(own["loss_change"])
    return figure


OWN = FigureSpec(
    "changes_of_examples", "happened", "Changes", "How to read it.",
    (("examples", "loss_change", "category"),), histogram, ("of", "category", ""),
)  # fmt: skip


@pytest.fixture
def own_figure(monkeypatch) -> None:
    SEEN.clear()
    for module in ("run_figures", "study_figures"):
        monkeypatch.setattr(f"contested.report.{module}.common_figures.FIGURES", (OWN,))
    monkeypatch.setattr("contested.report.write.FIGURES", (OWN,))


@pytest.mark.usefixtures("own_figure")
def test_a_figure_of_both_pages_draws_runs_and_groups(tmp_path, make) -> None:
    runs = {seed: make(f"run-{seed}", drift=0.3 + seed) for seed in (1, 2)}
    paths = write_report(list(runs.values()), tmp_path / "runs", n_resamples=50)
    assert "changes_of_examples" in {path.stem for path in paths.figures}
    assert set(SEEN[0]["of"]) == {"run-1", "run-2"}
    cells = pd.DataFrame(
        [
            {"run_id": f"run-{seed}", "name": f"seed {seed}", "seed": seed, "main": False, "group": "all"}
            | {"status": "complete", "excluded": "", "method": "lora"}
            for seed in runs
        ]
    )
    found = study_results(cells, [Axis("method", "", ("lora",))], {f"run-{seed}": run for seed, run in runs.items()})
    study = write_study_report(found, tmp_path / "study")
    assert "changes_of_examples" in {path.stem for path in study.figures}
    assert 'id="changes_of_examples"' in study.html.read_text(encoding="utf-8")
    drawn = SEEN[-1].set_index("example_id")
    assert set(drawn["of"]) == {"all runs"}
    # The mean over both seeds, example by example.
    change = {
        name: np.mean([(run.losses[-1] - run.losses[0])[list(run.example_ids).index(name)] for run in runs.values()])
        for name in drawn.index
    }
    assert drawn["loss_change"].to_dict() == pytest.approx(change)
    assert "examples" not in found.to_dict()


@pytest.mark.usefixtures("own_figure")
def test_it_is_left_out_where_a_run_lacks_one_of_its_columns(tmp_path) -> None:
    paths = write_report([Trajectory.from_arrays(losses=np.array([[1.0, 2.0], [1.5, 0.5]]))], tmp_path, n_resamples=50)
    assert "changes_of_examples" not in {path.stem for path in paths.figures}
    assert SEEN == []


def test_every_frame_must_have_rows_but_for_optional_ones() -> None:
    whole = pd.DataFrame({"run": ["a", "b"], "x": [1.0, None], "y": [1.0, 2.0]})
    spec = OWN._replace(frames=(("one", "x", "y"), ("two", "x")))
    frames: Frames = {"one": whole, "two": whole.iloc[1:]}
    assert not spec.is_drawable(frames)
    assert spec._replace(optional=("two",)).is_drawable(frames)
    assert [len(rows) for rows in spec.rows(frames)] == [1, 0]
    assert [len(rows) for rows in spec._replace(frames=(("one", "x", "z"), ("three", "x"))).rows(frames)] == [0, 0]


def test_names_that_the_rows_lack_are_not_said() -> None:
    rows = pd.DataFrame({"of": ["a", "a", "b"], "x": [1.0, 2.0, 3.0]})
    said = OWN._replace(said=("of", "category", "x"))
    assert alt(said, rows) == "Changes. a from 1.000 to 2.000; b 3.000."
    assert alt(OWN._replace(said=("category", "")), rows) == "Changes. 3 examples."
