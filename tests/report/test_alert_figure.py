"""The figure of the alert where there is little to draw: one look, or no alarm."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from contested.report.alert_figure import rise_above_start


def looks(run: str, steps: list[int], rise: float) -> list[dict[str, Any]]:
    """Three categories, an alarm wherever the bound is above the margin."""
    return [
        {"run": run, "category": name, "step": step, "estimate": (part := rise * share * step / steps[-1]),
         "low": part - 0.05, "crossed": part - 0.05 > 0.02}
        for name, share in (("clean", 0.1), ("ambiguous", 0.5), ("contested", 1.0))
        for step in steps
    ]  # fmt: skip


def drawn(*runs: list[dict[str, Any]], first_step: int = 0) -> list[Axes]:
    frame = pd.DataFrame([look for run in runs for look in run])
    names = frame["run"].drop_duplicates()
    figure = rise_above_start(frame, pd.DataFrame({"run": names, "step_unit": "step", "first_step": first_step}))
    figure.draw_without_rendering()
    return figure.axes


def ticks(axes: Axes) -> list[str]:
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    return [axes.xaxis.get_major_formatter()(tick) for tick in shown]


def points(axes: Axes) -> list[tuple[float, float, str]]:
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    found = [(*line.get_xydata()[-1], line.get_markerfacecolor()) for line in lines]
    return [(float(x), round(float(y), 3), "ring" if color == "white" else "point") for x, y, color in found]


@pytest.mark.parametrize(("first", "last"), [(0, 4), (0, 1), (7, 8)])
def test_one_look_is_a_line_from_zero_at_the_start_with_its_bound_and_distinct_ticks(first: int, last: int) -> None:
    (axes,) = drawn(looks("stopped", [last], 0.8), first_step=first)
    assert axes.get_xlim() == (first, last)
    assert len(set(ticks(axes))) == len(ticks(axes)) >= 2
    contested = next(line for line in axes.lines if line.get_label() == "contested")
    np.testing.assert_allclose(contested.get_xydata(), [(first, 0.0), (last, 0.8)])
    bars = [part.get_segments()[0] for part in axes.collections if hasattr(part, "get_segments")]
    np.testing.assert_allclose(bars[-1], [(last, 0.75), (last, 0.8)])
    assert (last, 0.8, "point") in points(axes)


def test_a_run_without_an_alarm_is_no_empty_panel_and_panels_keep_their_width() -> None:
    stopped, quiet, whole = drawn(looks("a", [4], 0.8), looks("b", [4], -0.3), looks("c", [4, 8, 12], 0.8))
    assert [axes.get_title("left") for axes in (stopped, quiet, whole)] == ["a", "b: no alarm", "c"]
    assert points(quiet) == [(4.0, -0.03, "ring"), (4.0, -0.15, "ring"), (4.0, -0.3, "ring")]
    # A line shows itself: it has a point only where it first raised an alarm.
    assert points(whole) == [(12.0, 0.08, "point"), (4.0, 0.133, "point"), (4.0, 0.267, "point")]
    widths = [axes.get_position().width for axes in (stopped, quiet, whole)]
    assert max(widths) < 1.05 * min(widths)
