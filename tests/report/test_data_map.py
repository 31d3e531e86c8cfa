"""The data map of a report of runs: every example where its coordinates are, and the regions of each category."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from contested.analysis import analyze
from contested.report import data_map
from contested.report.declarations import Frames
from contested.report.run_figures import FIGURES
from contested.report.run_frames import stacked_tables
from contested.report.runs import ReportRun
from contested.report.style import category_colors
from contested.trajectories import Trajectory

(SPEC,) = (figure for figure in FIGURES if figure.name == "data_map")


def frames_of(*runs: Trajectory) -> Frames:
    return stacked_tables([ReportRun(run.run_id, run, analyze(run, n_resamples=50)) for run in runs])


@pytest.mark.parametrize("narrow", [False, True])
def test_points_colours_and_borders_are_those_of_the_analysis(make, narrow, overlapping) -> None:
    frames = frames_of(make(n=120), make("other", n=80, seed=1))
    figure = SPEC.draw(*SPEC.rows(frames), narrow=narrow)
    colors = category_colors(("clean", "ambiguous", "contested"))
    for axes, (name, rows) in zip(figure.axes, frames["examples"].groupby("run", sort=False), strict=True):
        assert axes.get_title("left") == name
        (cloud,) = axes.collections
        drawn = {
            (*point, to_hex(color[:3])) for point, color in zip(cloud.get_offsets(), cloud.get_facecolor(), strict=True)
        }
        expected = zip(rows["variability"], rows["confidence"], rows["category"], strict=True)
        assert drawn == {(x, y, colors[category].line) for x, y, category in expected}
        upright, level = (line for line in axes.lines if line.get_linestyle() != "None")
        # Medians of an even number of examples lie between two of them; the border is the upper one of both.
        border, steady = upright.get_xdata()[0], rows[rows["region"] != "ambiguous"]
        assert border == np.sort(rows["variability"])[len(rows) // 2]
        assert (steady["variability"] < border).all()
        assert ((steady["confidence"] >= level.get_ydata()[0]) == (steady["region"] == "easy")).all()
    assert overlapping(figure) == []


def test_of_very_many_examples_an_even_part_is_drawn_and_said(make, monkeypatch) -> None:
    frames = frames_of(make(n=120))
    whole = SPEC.draw(*SPEC.rows(frames)).axes[0]
    monkeypatch.setattr(data_map, "_MOST_POINTS", 50)
    monkeypatch.setattr(data_map, "_LEAST_POINTS", 10)
    axes = SPEC.draw(*SPEC.rows(frames)).axes[0]
    assert len(axes.collections[0].get_offsets()) == 50
    assert axes.get_xlabel().endswith("\n50 of 120 examples drawn")
    assert "drawn" not in whole.get_xlabel()
    assert [list(line.get_ydata()) for line in axes.lines] == [list(line.get_ydata()) for line in whole.lines]


def test_regions_by_category_are_a_crosstab(make) -> None:
    frames = frames_of(make(n=120))
    examples, shown = frames["examples"], frames["regions"].set_index("category")
    counts = pd.crosstab(examples["category"], examples["region"])
    for category, row in counts.iterrows():
        for region, count in row.items():
            assert shown.loc[category, region] == count
            assert shown.loc[category, f"{region}_share"] == pytest.approx(count / row.sum())
    assert shown["n"].tolist() == [int(counts.loc[name].sum()) for name in ("clean", "ambiguous", "contested")]


def test_no_map_without_a_course_and_one_colour_without_categories(make) -> None:
    run = make(n=60)
    given = {"ids": run.example_ids.tolist(), "gold": run.gold, "label_names": run.label_names, "run_id": "bare"}
    once = Trajectory.from_arrays(logits=run.logits[-1:], **given, check_label_order=False)
    assert not SPEC.is_drawable(frames_of(once))
    frames = frames_of(Trajectory.from_arrays(logits=run.logits, **given, check_label_order=False))
    assert "regions" not in frames
    figure = SPEC.draw(*SPEC.rows(frames))
    assert len({tuple(color) for color in figure.axes[0].collections[0].get_facecolor()}) == 1
    assert not figure.legends
