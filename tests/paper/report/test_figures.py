import numpy as np
import pytest

from contested.paper import COLUMNS
from contested.paper.frames.columns import frame
from contested.paper.report import comparison_figures, curve_figures, example_figures
from contested.paper.report.declared_tables import TABLES
from contested.paper.report.method_style import method_colors, panel_titles
from contested.paper.report.spec import FIGURES, SECTIONS
from contested.report.labels import short_ids, short_runs
from contested.report.pictures import alt, foot
from contested.report.style import freeze_layout, save_figure

BY_NAME = {figure.name: figure for figure in FIGURES}

PAPER = ("figure1_loss_lora", "figure2_loss_full", "figure3_entropy", "figure4_gradient_norms", "figure5_binning")
PAPER += ("figure6_model_size", "figure7_cartography", "figure8_gradient_alignment", "figure9_calibration")


def drawn(results, name, *, narrow=False):
    figure = BY_NAME[name]
    return figure.draw(*figure.rows(results.frames), narrow=narrow)


def test_every_figure_of_the_paper_is_declared_and_has_its_place() -> None:
    assert set(PAPER) <= set(BY_NAME)
    assert len(BY_NAME) == len(FIGURES)
    sections = {name for name, _ in SECTIONS}
    assert {figure.section for figure in FIGURES} <= sections
    # That of all runs is every study's.
    assert {table.section for table in TABLES} <= {*sections, "runs", ""}


def test_every_column_that_a_figure_needs_exists() -> None:
    for figure in FIGURES:
        assert all({*columns} <= {*COLUMNS[name]} for name, *columns in figure.frames), figure.name
        assert {*figure.said} - {""} <= set(COLUMNS[figure.frames[0][0]]), figure.name


def test_nothing_is_drawn_from_empty_frames(small) -> None:
    empty = {name: frame(name, []) for name in COLUMNS}
    assert not any(figure.is_drawable(empty) for figure in FIGURES)
    # A condition without a complete run has a row, but no number.
    asked = small.frames | {"figure1": small.frames["figure1"].iloc[:1].assign(mean=np.nan)}
    assert not BY_NAME["figure1_loss_lora"].is_drawable(asked)
    assert foot(BY_NAME["figure1_loss_lora"], asked)[-1] == (
        "Not drawn, for lack of a complete run",
        "roberta · lora-r4 · snli",
    )


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_no_text_lies_on_another_or_outside_with_one_panel(small, name, overlapping) -> None:
    assert overlapping(drawn(small, name)) == []


@pytest.mark.parametrize("name", ["figure1_loss_lora", "figure6_model_size"])
def test_nor_with_many(large, name, overlapping) -> None:
    assert overlapping(drawn(large, name)) == []


def test_panels_are_told_apart_by_what_differs(large) -> None:
    figure = drawn(large, "figure1_loss_lora")
    assert len(figure.axes) == 12
    assert figure.axes[0].get_title(loc="left") == "roberta · snli"
    assert figure.get_suptitle() == "lora-r4"
    # The made study lacks a seed in every panel but the first.
    assert figure.axes[0].get_xlabel() == "optimiser steps"
    assert figure.axes[1].get_xlabel() == "optimiser steps (2 of 3 seeds)"


def test_curves_are_the_frames_means(small) -> None:
    (axes,) = drawn(small, "figure2_loss_full").axes
    rows = small.frames["figure2"]
    for line in axes.get_lines():
        own = rows[rows["category"] == line.get_label()]
        assert np.array_equal(line.get_ydata(), own["mean"])


def test_what_lacks_seeds_is_hollow_and_has_its_interval(small) -> None:
    figure = comparison_figures.model_size(small.frames["figure6"])
    points = {
        line.get_marker(): line for line in figure.axes[0].get_lines() if line.get_marker() not in {"None", ""}
        and len(line.get_xdata())
    }  # fmt: skip
    # Full fine-tuning (a square) has two of its three seeds.
    assert points["s"].get_markerfacecolor() == "#ffffff"
    assert points["D"].get_markerfacecolor() != "#ffffff"
    row = small.frames["figure6"].query("method == 'full'").iloc[0]
    ends = [list(line.get_ydata()) for line in figure.axes[0].get_lines()]
    assert [row["rho_low"], row["rho_high"]] in ends


def test_no_interval_is_cut_by_the_limits_that_panels_share(large) -> None:
    rows = large.frames["figure6"].dropna(subset="rho_mean")
    for axes in comparison_figures.model_size(rows).axes:
        low, high = axes.get_ylim()
        assert low <= 0
        assert high > rows["rho_high"].max()


def test_a_zero_gradient_leaves_a_gap(small) -> None:
    frame_of = small.frames["figure8"]
    lines = [
        line for line in curve_figures.gradient_alignment(frame_of).axes[0].get_lines() if len(line.get_xdata()) > 2
    ]
    assert [int(np.isnan(line.get_ydata()).sum()) for line in lines] == [1, 1]
    assert [line.get_xdata()[np.isnan(line.get_ydata())].tolist() for line in lines] == [[800], [800]]


def test_the_map_is_cut_where_its_regions_are(small) -> None:
    rows = small.frames["figure7"]
    cloud, bars = example_figures.cartography(rows, small.frames["figure7_overlap"]).axes
    border = cloud.get_lines()[0].get_xdata()[0]
    assert ((rows["variability"] >= border) == (rows["region"] == "ambiguous")).all()
    shown = [patch.get_width() for patch in bars.patches]
    assert sum(shown) == pytest.approx(3.0)


def test_a_method_has_one_colour_in_every_figure() -> None:
    alone, among = method_colors(["lora-r4"]), method_colors(["full", "ia3", "lora-r16", "lora-r4"])
    assert alone["lora-r4"] == among["lora-r4"]
    assert list(among) == ["ia3", "lora-r4", "lora-r16", "full"]
    assert len({color.line for color in among.values()}) == 4


def test_the_description_says_where_lines_end(small) -> None:
    figure = BY_NAME["figure1_loss_lora"]
    rows = figure.rows(small.frames)[0]
    said = alt(figure, rows)
    first, last = rows[rows["category"] == "contested"]["mean"].iloc[[0, -1]]
    assert f"roberta · lora-r4 · snli, contested from {first:.3f} to {last:.3f}" in said
    assert "examples" in alt(BY_NAME["figure7_cartography"], small.frames["figure7"])


def test_titles_say_what_differs(large) -> None:
    titles = panel_titles(large.frames["table1"].query("dataset == 'snli' and backbone == 'bert'"))
    assert titles.common == "bert · snli"
    assert list(titles.short.values()) == ["lora-r4", "lora-r16", "full"]


def test_runs_are_named_in_short(large) -> None:
    assert short_ids(["a-r4-s42", "a-r16-s42"]) == "a-r{4,16}-s42"
    assert short_ids(["ab-1", "ac-1"]) == "{ab,ac}-1"
    assert short_runs(large.frames["table1"]).endswith("more rows (all in the .csv)")
    assert short_runs(large.frames["table6"].query("backbone == 'bert' and rank < 3")) == (
        "bert-lora-r1-snli-seed42; bert-lora-r2-snli-seed42"
    )


def test_the_same_figure_gives_the_same_bytes(small, tmp_path) -> None:
    saved = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        save_figure(freeze_layout(drawn(small, "figure4_gradient_norms")), folder / "x")
        saved.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert saved[0] == saved[1]
    assert set(saved[0]) == {"x.pdf", "x.png"}
