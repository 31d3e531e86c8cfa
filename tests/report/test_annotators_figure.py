"""The figure of few annotators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.report.annotators_figure import few_annotators


def rows(run, numbers, corrected=True):
    rho = np.linspace(0.1, 0.25, len(numbers))
    return pd.DataFrame(
        {
            "run": run,
            "annotators": numbers,
            "rho": rho,
            "rho_sd": [0.02] * (len(numbers) - 1) + [np.nan],
            "rho_corrected": rho + 0.05 if corrected else np.nan,
        }
    )


@pytest.mark.filterwarnings("error")
def test_points_stand_at_their_number_of_annotators_in_rising_order():
    figure = few_annotators(pd.concat([rows("a", ["2", "10", "all"]), rows("b", ["2", "5", "10", "20", "all"])]))
    figure.draw_without_rendering()
    first, second = figure.axes
    for axes in figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "5", "10", "20", "all"]
    assert (first.get_title("left"), second.get_title("left")) == ("a", "b")
    corrected = first.lines[-1]
    np.testing.assert_allclose(corrected.get_xydata(), [(0.08, 0.15), (2.08, 0.225), (4.08, 0.3)])


@pytest.mark.filterwarnings("error")
def test_three_annotators_that_nothing_is_corrected_of_are_drawn_as_counted():
    (axes,) = few_annotators(rows("a", ["2", "all"], corrected=False), narrow=True).axes
    axes.figure.draw_without_rendering()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "all"]
