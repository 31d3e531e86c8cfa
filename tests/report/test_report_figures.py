import re
import subprocess
import sys
import zlib
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from contested.analysis import ChangeRow, Curve
from contested.report import change_figure, figures
from contested.report.style import (
    category_colors,
    color_property,
    colors_in_the_dark,
    freeze_layout,
    inline_svg,
    save_figure,
)

STEPS = np.array([0, 100, 250])


def curve(category: str, mean: list[float]) -> Curve:
    values = np.array(mean)
    return Curve("loss", "nats", category, 10, values, values - 0.1, values + 0.1, "")


def panel(title: str = "run") -> figures.Panel:
    curves = (curve("clean", [1.1, 0.5, 0.25]), curve("contested", [1.1, 1.2, 1.4]))
    return figures.Panel(title, STEPS, curves, 3)


def lines(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in axes.get_lines()}


def texts(axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_loss_lines_are_the_given_means_and_runs_share_the_axis() -> None:
    figure = figures.loss_by_category([panel("LoRA"), panel("full")])
    assert isinstance(figure, Figure)
    left, right = figure.axes
    assert [left.get_title(loc="left"), right.get_title(loc="left")] == ["LoRA", "full"]
    assert left.get_ylim() == right.get_ylim()
    np.testing.assert_array_equal(lines(left)["contested"], [1.1, 1.2, 1.4])
    assert left.get_ylabel() == "mean loss (nats)"
    assert left.get_xlabel() == "optimiser steps"
    assert texts(left) == {"clean", "contested", "uniform guess, ln 3"}


@pytest.mark.parametrize(("low", "bottom"), [(0.4, 0.0), (0.9, 0.9 - 0.04 * 0.3)])
def test_an_axis_begins_at_zero_unless_that_would_flatten_the_lines(low, bottom) -> None:
    # Highest end 1.2: zero is kept where the lowest end is below half of it.
    curve = Curve("loss", "nats", "clean", 9, np.full(3, 1.0), np.full(3, low), np.full(3, 1.2), "")
    axes = figures.loss_by_category([figures.Panel("a", STEPS, (curve,), None)]).axes[0]
    assert axes.get_ylim()[0] == pytest.approx(bottom)


def test_a_loss_that_never_moves_has_an_axis_from_zero() -> None:
    still = Curve("loss", "nats", "clean", 9, *[np.full(3, 0.5)] * 3, "")
    axes = figures.loss_by_category([figures.Panel("a", STEPS, (still,), None)]).axes[0]
    assert axes.get_ylim() == pytest.approx((0.0, 0.52))


def test_panels_share_the_x_axis_where_they_count_the_same() -> None:
    # 250 steps beside 100 steps, and 3 epochs: the shorter run does not cut the longer, nor do steps squeeze epochs.
    short = panel("short")._replace(steps=np.array([0, 50, 100]))
    epochs = panel("epochs")._replace(steps=np.array([1, 2, 3]), below="epochs")
    for order in ([panel("long"), epochs, short], [short, epochs, panel("long")]):
        figure = figures.loss_by_category(order)
        assert [axes.get_xlim() for axes in figure.axes] == [(0, 250), (1, 3), (0, 250)]
        assert {axes.get_ylim() for axes in figure.axes} == {figure.axes[0].get_ylim()}


def test_accuracy_marks_the_uniform_guess_of_its_classes() -> None:
    figure = figures.accuracy_by_category([panel()._replace(n_classes=5)])
    assert "uniform guess, 1/5" in texts(figure.axes[0])


def test_a_category_without_examples_leaves_no_line_and_no_label() -> None:
    nothing = curve("contested", [np.nan] * 3)
    figure = figures.kl_by_category([panel()._replace(curves=(curve("clean", [1.0, 0.5, 0.2]), nothing))])
    assert texts(figure.axes[0]) == {"clean"}
    figure.canvas.draw()


def test_many_categories_have_a_legend_in_place_of_labels() -> None:
    names = [f"band-{index}" for index in range(6)]
    figure = figures.kl_by_category([panel()._replace(curves=tuple(curve(n, [1, 2, 3]) for n in names))])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert not axes.texts


def test_one_checkpoint_draws() -> None:
    one = figures.Panel("run", np.array([0]), (curve("clean", [1.0]),), 2)
    figures.loss_by_category([one]).canvas.draw()


def test_changes_stand_at_their_values_with_their_intervals() -> None:
    row = ChangeRow("contested", 9, 0.5, 0.2, 0.9, 6, 0.67, 0.4, 0.9, "rises", "")
    axes = change_figure.loss_change([change_figure.Group("LoRA", (row,)), change_figure.Group("full", (row,))]).axes[0]
    drawn = [line for line in axes.get_lines() if line.get_label() == "contested"]
    # The last one, without points, is that of the key.
    assert [list(line.get_xdata()) for line in drawn] == [[0.5], [0.5], []]
    assert any(list(line.get_xdata()) == [0.2, 0.9] for line in axes.get_lines())
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["LoRA", "full"]
    assert "un-learned →" in texts(axes)


def disagreement(**changes) -> figures.Disagreement:
    entropy = np.array([0.0, 0.1, 0.5, 0.9])
    labels = np.array(["clean", "clean", "ambiguous", "contested"], object)
    names = ("clean", "ambiguous", "contested")
    return figures.Disagreement("run", entropy, labels, names, (0.4, 0.7), 3)._replace(**changes)


def test_the_histogram_shows_bounds_and_shares() -> None:
    axes = figures.entropy_histogram([disagreement()]).axes[0]
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [0.4, 0.7]
    assert texts(axes) == {"clean\n50.0%", "ambiguous\n25.0%", "contested\n25.0%"}
    # Every example is in a bar, and no bar crosses a bound.
    assert sum(bar.get_height() for bar in axes.patches) == 4
    for bar in axes.patches:
        left, right = bar.get_x(), bar.get_x() + bar.get_width()
        assert not any(left + 1e-9 < bound < right - 1e-9 for bound in (0.4, 0.7))


def test_bounds_above_the_greatest_entropy_are_drawn_too() -> None:
    two = disagreement(entropy=np.array([0.0, 0.1, 0.5, 0.69]), n_classes=2)
    axes = figures.entropy_histogram([two._replace(labels=np.array(["clean"] * 2 + ["ambiguous"] * 2, object))]).axes[0]
    assert axes.get_xlim()[1] == pytest.approx(0.7)
    assert "contested\n0.0%" in texts(axes)


def test_labels_are_moved_apart_no_further_than_needed() -> None:
    # 0.50 and 0.52 stand 0.10 apart around their mean 0.51; 0.9 stays.
    placed = figures.spread({"b": 0.52, "a": 0.50, "c": 0.9}, 0.10)
    assert placed == pytest.approx({"a": 0.46, "b": 0.56, "c": 0.9})


def test_fixed_categories_keep_their_colours_and_others_differ() -> None:
    assert category_colors(["clean", "contested"])["contested"] == category_colors(["contested"])["contested"]
    assert len(set(category_colors(["q1", "q2", "q3", "q4"]).values())) == 4


def test_drawing_leaves_matplotlib_as_it_was(tmp_path) -> None:
    before = dict(mpl.rcParams)
    save_figure(figures.loss_by_category([panel()]), tmp_path / "figure")
    assert dict(mpl.rcParams) == before


def test_files_are_the_same_bytes_again_with_fonts_inside(tmp_path) -> None:
    first = [path.read_bytes() for path in save_figure(figures.loss_by_category([panel()]), tmp_path / "a.b")]
    second = [path.read_bytes() for path in save_figure(figures.loss_by_category([panel()]), tmp_path / "c")]
    assert first == second
    assert b"CreationDate" not in first[0]
    assert b"/FontFile2" in first[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.pdf", "a.b.png", "c.pdf", "c.png"]


def test_fonts_in_a_pdf_have_shapes_and_no_tables_for_setting_text(tmp_path) -> None:
    pdf, _ = save_figure(figures.loss_by_category([panel()]), tmp_path / "figure")
    streams = re.findall(rb"/Length1 \d+.*?stream\r?\n(.*?)\r?\nendstream", pdf.read_bytes(), re.DOTALL)
    tables = [set(TTFont(BytesIO(zlib.decompress(stream))).keys()) for stream in streams]
    assert len(tables) == 2  # plain and bold
    assert all({"glyf", "hmtx"} <= own and not own & {"GDEF", "GPOS", "GSUB", "MATH", "kern"} for own in tables)
    assert subset.load_font.__module__ == subset.__name__  # others' figures keep theirs


def test_svg_takes_its_colours_from_the_page_and_points_nowhere() -> None:
    color = category_colors(["clean"])["clean"].line
    svg = inline_svg(figures.loss_by_category([panel()]), "one")
    assert svg.startswith("<svg ")
    assert f"var({color_property(color)})" in svg
    assert color not in svg
    assert "dtd" not in svg.lower()
    assert "<metadata" not in svg
    assert 'id="one-' in svg
    assert svg == inline_svg(figures.loss_by_category([panel()]), "one")


def test_one_run_has_a_row_for_each_category() -> None:
    rows = tuple(ChangeRow(name, 9, 0.5, 0.2, 0.9, 6, 0.67, 0.4, 0.9, "rises", "") for name in ("clean", "contested"))
    axes = change_figure.loss_change([change_figure.Group("LoRA", rows)]).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["clean", "contested"]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("n_runs", [1, 2, 10, 40])
def test_ten_runs_fit_and_no_text_lies_on_another(overlapping, n_runs, narrow) -> None:
    names = ("clean", "ambiguous", "contested")
    rows = tuple(
        ChangeRow(name, 9, place / 9, place / 9 - 0.1, place / 9 + 0.1, 6, 0.7, 0.4, 0.9, "rises", "")
        for place, name in enumerate(names)
    )
    runs = [change_figure.Group(f"LoRA r{2**index}, a-model-with-a-long-name, 1e−3", rows) for index in range(n_runs)]
    figure = change_figure.loss_change(runs, narrow=narrow)
    assert overlapping(figure) == []
    assert figure.get_figheight() < (13 if n_runs == 40 else 9.5)


def test_a_figure_with_its_layout_is_drawn_once_for_each_file(tmp_path, monkeypatch):
    figure = freeze_layout(figures.loss_by_category([panel()]))
    drawn: list[Figure] = []
    original = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda self, renderer: (drawn.append(self), original(self, renderer))[1])
    save_figure(figure, tmp_path / "loss")
    inline_svg(figure, "loss")
    assert drawn == [figure] * 3  # PDF, PNG, SVG


def test_colours_on_a_dark_page_are_known_for_every_category() -> None:
    shades = colors_in_the_dark()
    for names in (["clean", "ambiguous", "contested"], [f"band-{index}" for index in range(9)]):
        for color in category_colors(names).values():
            assert shades[color.line] == color.dark
            assert color.text in shades


_BESIDE = """
import sys
from pathlib import Path
import contested.beside
import pandas as pd
from contested.report.common_figures import FIGURES
from contested.report.pictures import draw_figures
row = {"category": "clean", "n": 9, "mean": 0.5, "low": 0.2, "high": 0.9, "rose": 6, "share": 0.7, "share_low": 0.4}
row |= {"share_high": 0.9, "verdict": "rises", "group": "LoRA", "caution": ""}
found = []
for processes in (0, 2):
    contested.beside.processes = lambda: processes
    folder = Path(sys.argv[1]) / str(processes)
    with draw_figures(FIGURES, {"changes": pd.DataFrame([row])}, folder, "95%") as drawn:
        placed, files = drawn()
    found.append(([(path.name, path.read_bytes()) for path in files], [part.picture for part in placed]))
print(found[0] == found[1], *[name for name, _ in found[1][0]], "matplotlib.backends.backend_pdf" in sys.modules)
"""


def test_figures_are_the_same_whether_other_processes_draw_them_or_not(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", _BESIDE, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.stdout == "True loss_change.pdf loss_change.png True\n", done.stderr
