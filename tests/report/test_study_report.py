"""The report of any study: made frames in, tables, figures and one page out."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import StudyResults
from contested.analysis.study.columns import columns_of, frame_of
from contested.errors import ConfigError
from contested.report import FigureSpec, ReportSpec, Section, write_study_report, write_study_tables
from contested.report.study_figures import AxisScale, study_figures
from contested.report.study_frames import study_frames
from contested.report.study_tables import study_tables

CATEGORIES = ("clean", "ambiguous", "contested", "overall")
RATE, METHOD = "training.learning_rate", "method"


def made(axes: dict[str, list], *, have: int = 2) -> StudyResults:
    """A study over axes of which each group has two seeds, the last one ``have`` of them."""
    frames: dict[str, list[dict]] = {name: [] for name in ("runs", "groups", "group_measures", "group_curves")}
    settings = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    for index, setting in enumerate(settings):
        group = ", ".join(map(str, setting.values())) or "all runs"
        there = have if index == len(settings) - 1 else 2
        ids = [f"run{index}-s{seed}" for seed in (1, 2)]
        source = {"run_ids": ",".join(ids[:there]), "missing": ",".join(ids[there:]), "n_seeds": there, "n_expected": 2}
        for place, run_id in enumerate(ids):
            own = {"run_ids": run_id, "missing": "", "n_seeds": int(place < there), "n_expected": 1}
            frames["runs"].append(
                {"run_id": run_id, "name": f"{group}, seed {place}", **setting, "excluded": "", **own}
            )
        rho = {"rho_mean": 0.1 * index, "rho_low": 0.1 * index - 0.05, "rho_high": 0.1 * index + 0.05}
        frames["groups"].append(
            {"group": group, **setting, **rho, "val_accuracy_mean": 0.7, "train_loss_mean": 0.5, **source}
        )
        for step, category in enumerate(CATEGORIES):
            mean = 0.1 * index + 0.2 * (step % 3) - 0.2
            ends = {"n": 9, "mean": mean, "sd": 0.01, "low": mean - 0.05, "high": mean + 0.05}
            at = {"group": group, **setting, "category": category}
            frames["group_measures"].append({**at, "measure": "loss_change", **ends, **source})
            curve = [{**at, "n": 9, "step": x, "mean": 1 + x, "low": x, "high": x + 2.0, **source} for x in (0, 1)]
            frames["group_curves"] += curve
    axis_rows = [
        {
            "axis": axis,
            "key": axis,
            "numeric": not isinstance(values[0], str),
            "varies": len(values) > 1,
            "values": ", ".join(map(str, values)),
        }
        for axis, values in axes.items()
    ]
    differences = [
        {
            **{"axis": axis, "from": str(values[0]), "to": str(values[1]), "held": "", "measure": "loss_change"},
            **{"category": category, "difference": 0.1, "low": 0.05, "high": 0.15, "run_ids": "a,b"},
        }
        for axis, values in axes.items()
        if len(values) > 1
        for category in CATEGORIES
    ]
    rows = {**frames, "axes": axis_rows, "differences": differences}
    found = {name: frame_of(name, columns_of(name, list(axes)), own) for name, own in rows.items()}
    return StudyResults(found, (), (), 0.95, 200)


@pytest.fixture(scope="module")
def rates() -> StudyResults:
    return made({RATE: [1e-4, 1e-3, 1e-2], METHOD: ["lora", "full"]}, have=1)


@pytest.mark.usefixtures("unsaved")
def test_every_study_has_a_page_without_a_word_of_configuration(rates, tmp_path) -> None:
    paths = write_study_report(rates, tmp_path, title="Rates <&>")
    figures = {"loss_change", "group_curves", "differences", "along_training_learning_rate", "along_method"}
    assert figures <= {path.stem for path in paths.figures}
    tables = {"groups", "axes", "group_measures", "differences", "runs", "group_curves"}
    assert tables <= {path.stem for path in paths.tables}
    html = paths.html.read_text(encoding="utf-8")
    assert "Rates &lt;&amp;&gt;" in html
    assert "11 of the 12 runs of the study, in 6 groups, which differ in learning rate and method" in html
    places = [html.index(part) for part in ('class="headline"', 'id="loss_change"', 'id="groups"', 'id="axes"')]
    assert places == sorted(places)
    assert "claim" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    # Nothing is tested by condition here.
    assert "Not drawn" not in html
    assert "test per condition" not in html
    assert paths.missing == {}
    assert paths.headline in html
    assert json.loads(paths.results.read_text())["frames"]["groups"]["rows"]


def test_the_table_of_groups_has_the_changes_by_category(rates, tmp_path) -> None:
    write_study_tables(rates, tmp_path)
    text = (tmp_path / "groups.md").read_text()
    # The first group: 0.2 · 2 − 0.2 for contested; the last one has one of two seeds.
    assert "mean Δℓ (nats) · contested" in text
    assert "+0.200 ± 0.010 [+0.150, +0.250]" in next(line for line in text.splitlines() if "0.0001, lora" in line)
    assert "(1 of 2 seeds)" in next(line for line in text.splitlines() if "0.01, full" in line)
    assert "70.0%" in text


@pytest.mark.usefixtures("unsaved")
def test_figures_of_an_axis_that_no_longer_varies_are_removed(rates, tmp_path) -> None:
    write_study_report(rates, tmp_path)
    assert (tmp_path / "figures" / "along_method.png").exists()
    mine = tmp_path / "figures" / "mine.png"
    mine.touch()
    one = write_study_report(made({RATE: [1e-4, 1e-3]}), tmp_path)
    assert not (tmp_path / "figures" / "along_method.png").exists()
    assert mine.exists()
    assert "along_training_learning_rate" in {path.stem for path in one.figures}


@pytest.mark.usefixtures("unsaved")
def test_sections_are_chosen_and_unknown_ones_refused(rates, tmp_path) -> None:
    paths = write_study_report(rates, tmp_path, wanted=["axes"])
    assert not {"groups", "differences", "runs", "group_curves"} & {path.stem for path in paths.tables}
    drawn = {path.stem for path in paths.figures}
    assert {"loss_change", "along_training_learning_rate", "along_method"} <= drawn
    assert not {"group_curves", "differences"} & drawn
    html = paths.html.read_text(encoding="utf-8")
    assert "Not selected by the study: groups, matched, annotators, differences, runs." in html
    assert 'id="sure"' in html  # with whatever is shown
    with pytest.raises(ConfigError, match=r"no section 'rank'\. Its sections: groups, axes, matched, ann"):
        write_study_report(rates, tmp_path, wanted=["rank"])


@pytest.mark.usefixtures("unsaved")
def test_a_study_in_which_nothing_varies_has_no_axis_and_no_difference(tmp_path) -> None:
    paths = write_study_report(made({}), tmp_path)
    html = paths.html.read_text(encoding="utf-8")
    assert 'id="axes"' not in html
    assert 'id="differences"' not in html
    assert not any(path.stem.startswith("along_") for path in paths.figures)


@pytest.mark.usefixtures("unsaved")
def test_runs_that_learned_nothing_and_gaps_come_before_the_headline(rates, tmp_path) -> None:
    results = replace(
        rates, warnings=("2 of 12 runs learned next to nothing: a; b. They <moved>.",), gaps=("x is missing.",)
    )
    html = write_study_report(results, tmp_path).html.read_text(encoding="utf-8")
    places = [html.index(part) for part in ("learned next to nothing:</strong> a; b.", "1 run is missing", "headline")]
    assert "They &lt;moved&gt;" in html
    assert places[:2] == sorted(places[:2])
    assert html.index('class="headline"') > places[1]


def along(results: StudyResults, name: str, *, narrow: bool = False):
    frames = results.frames | study_frames(results.frames)
    spec = next(figure for figure in study_figures(frames) if figure.name == name)
    return spec.draw(*spec.rows(frames), narrow=narrow)


def test_a_numeric_axis_lies_along_x_and_is_logarithmic_over_decades(rates) -> None:
    figure = along(rates, "along_training_learning_rate")
    change, rho = figure.axes[:2]
    assert change.get_xscale() == "log"
    assert [tick.get_text() for tick in change.get_xticklabels()] == ["1e−4", "1e−3", "1e−2"]
    assert change.get_title(loc="left") == "lora"
    # One line per category, its points at the groups' means: groups 0, 2 and 4 are those of lora.
    contested = next(line for line in change.get_lines() if len(line.get_ydata()) == 3 and line.get_ydata()[0] > 0.1)
    assert contested.get_ydata() == pytest.approx([0.2, 0.4, 0.6])
    line = next(line for line in rho.get_lines() if len(line.get_ydata()) == 3)
    assert line.get_ydata() == pytest.approx([0.0, 0.2, 0.4])
    assert line.get_xdata() == pytest.approx([1e-4, 1e-3, 1e-2])


def test_rows_of_panels_share_their_scales_and_names_are_hardly_joined(rates) -> None:
    panels = along(rates, "along_training_learning_rate").axes
    assert panels[0].get_ylim() == panels[2].get_ylim() != panels[1].get_ylim() == panels[3].get_ylim()
    joins = {
        name: {line.get_alpha() for line in along(rates, name).axes[1].get_lines() if len(line.get_ydata()) > 2}
        for name in ("along_training_learning_rate", "along_method")
    }
    assert joins["along_training_learning_rate"] == {1.0}
    two = [line for line in along(rates, "along_method").axes[1].get_lines() if len(line.get_ydata()) == 2]
    assert two[0].get_alpha() < 0.5


def test_a_caption_speaks_of_gaps_and_cuts_only_where_there_are_any(rates) -> None:
    def captions(results: StudyResults) -> str:
        return " ".join(figure.caption for figure in study_figures(results.frames | study_frames(results.frames)))

    whole = captions(made({RATE: [1e-4, 1e-3]}))
    assert "Hollow" not in whole
    assert "drawn" not in whole
    assert "Hollow points lack some of their seeds." in captions(made({RATE: [1e-4, 1e-3]}, have=1))
    many = captions(made({RATE: [float(rate) for rate in range(1, 26)]}))
    ends = "those where Δℓ of contested examples is lowest and highest are drawn"
    assert f"Of 25, {ends} (24); all are in the table." in many
    assert f"Of 25, {ends} (6); all are in the table." in many


def test_of_many_groups_those_at_both_ends_are_drawn() -> None:
    results = made({RATE: [float(rate) for rate in range(1, 31)]})
    # Where the loss of contested examples rose most stands first.
    measures = results.frames["group_measures"]
    results.frames["group_measures"] = measures.assign(mean=-measures["mean"])
    names = [str(float(rate)) for rate in range(1, 31)]
    found = study_frames(results.frames)
    assert list(found["changes_shown"]["group"].unique()) == [*names[:12], *names[-12:]]
    assert list(found["group_curves_shown"]["group"].unique()) == [*names[:3], *names[-3:]]
    assert len(along(results, "group_curves").axes) == 6
    few = study_frames(made({RATE: [float(rate) for rate in range(1, 25)]}).frames)
    assert few["changes_shown"]["group"].nunique() == 24


def test_many_settings_are_faint_lines_with_their_mean_and_no_interval() -> None:
    results = made({METHOD: ["lora", "full"], RATE: [float(rate) for rate in range(1, 14)]})
    change, rho = along(results, "along_method").axes
    assert not change.collections
    assert [len(axes.get_lines()) for axes in (change, rho)] == [15, 15]  # 13 settings, their mean, and zero
    middle = next(line for line in rho.get_lines() if line.get_marker() == "o")
    rows = results.frames["groups"]
    assert middle.get_ydata() == pytest.approx(
        [rows.query(f"method == '{own}'")["rho_mean"].mean() for own in ("lora", "full")]
    )
    frames = results.frames | study_frames(results.frames)
    captions = {figure.name: figure.caption for figure in study_figures(frames)}
    assert "A faint line for each of the 13 settings of the other axes" in captions["along_method"]
    assert "Intervals: {confidence}" in captions["along_training_learning_rate"]


def test_the_only_pair_is_named_above_its_differences() -> None:
    results = made({METHOD: ["lora", "full"]})
    assert along(results, "differences").axes[0].get_title(loc="left") == "method lora → full"


def test_a_group_that_lacks_seeds_is_hollow(rates) -> None:
    rho = along(rates, "along_training_learning_rate").axes[3]
    faces = [line.get_markerfacecolor() for line in rho.get_lines() if len(line.get_ydata()) == 1]
    assert faces == ["#20262e", "#20262e", "#ffffff"]


def test_names_stand_along_x_in_the_order_of_the_study(rates) -> None:
    axes = along(rates, "along_method").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["lora", "full"]
    assert axes.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("values", "log"), [([1, 3], False), ([1, 10], True), ([0.0, 10.0], False), ([1e-5, 1e-3], True)]
)
def test_an_axis_is_logarithmic_from_a_factor_of_ten(values, log) -> None:
    assert AxisScale(values, numeric=True, form=str).log == log


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(
    "axes",
    [
        {RATE: [1e-4, 1e-3, 1e-2], METHOD: ["lora", "full"]},
        {"method": ["a-method-with-a-long-name", "another-with-a-long-name", "lora-r4"]},
        {RATE: [1e-4, 1e-3], METHOD: [f"lora-r{2**i}" for i in range(6)]},
        # More settings than rows of panels: lines with a key of long names.
        {"data": ["snli", "mnli"], "backbone": [f"a-backbone-{i}" for i in range(3)], METHOD: ["lora-r16", "full"]},
    ],
)
def test_no_text_lies_on_another_or_outside(overlapping, axes, narrow) -> None:
    results = made(axes)
    frames = results.frames | study_frames(results.frames)
    for spec in filter(lambda figure: figure.is_drawable(frames), study_figures(frames)):
        assert overlapping(spec.draw(*spec.rows(frames), narrow=narrow)) == [], spec.name


@pytest.mark.usefixtures("unsaved")
def test_axes_that_only_vary_together_have_no_figure_of_their_own(tmp_path) -> None:
    # LoRA at one rate, full fine-tuning at another: no two groups differ in one axis alone.
    every = made({RATE: [1e-4, 1e-3], METHOD: ["full", "lora"]})
    frames = {
        name: frame[(frame[RATE] == 1e-4) == (frame[METHOD] == "full")] if METHOD in frame else frame
        for name, frame in every.frames.items()
    }
    paths = write_study_report(replace(every, frames=frames), tmp_path)
    assert not [file for file in paths.figures if file.stem.startswith("along")]
    assert {"loss_change", "group_curves"} <= {file.stem for file in paths.figures}


@pytest.mark.usefixtures("unsaved")
def test_a_client_adds_its_own_figure_in_its_own_section(rates, tmp_path) -> None:
    def draw(rows: pd.DataFrame, *, narrow: bool = False):
        from contested.report.style import new_axes, style_context

        with style_context():
            figure, (axes,) = new_axes(1, height=2.0)
            axes.plot(np.arange(len(rows)), rows["rho_mean"])
        return figure

    figure = FigureSpec(
        "mine", "own", "My figure", "How to read it.", (("groups", "rho_mean"),), draw, ("group", "rho_mean")
    )
    spec = ReportSpec(sections=(Section("own", "My section"),), figures=(figure,), lead="My <study>.")
    html = write_study_report(rates, tmp_path, spec=spec).html.read_text(encoding="utf-8")
    assert html.index('id="own"') < html.index('id="mine"') < html.index('id="axes"')
    assert "My &lt;study&gt;." in html


@pytest.mark.usefixtures("unsaved")
def test_a_table_of_thousands_of_rows_is_written_and_named_on_the_page(rates, tmp_path) -> None:
    rows = rates.frames["group_measures"]
    results = replace(rates, frames=rates.frames | {"group_measures": pd.concat([rows] * 42, ignore_index=True)})
    html = write_study_report(results, tmp_path, wanted=["groups"]).html.read_text(encoding="utf-8")
    # 6 groups of 4 rows, 42 times.
    assert "1,008 rows, too many for a page: they are in tables/group_measures.csv and .md." in html
    assert html.count("<tr>") < 200
    assert len(pd.read_csv(tmp_path / "tables" / "group_measures.csv")) == 1008


def test_all_examples_are_drawn_only_where_there_are_no_categories(rates) -> None:
    assert set(study_frames(rates.frames)["changes"]["category"]) == {"clean", "ambiguous", "contested"}
    measures = rates.frames["group_measures"]
    whole = rates.frames | {"group_measures": measures[measures["category"] == "overall"]}
    assert set(study_frames(whole)["changes"]["category"]) == {"overall"}


def test_every_declared_column_is_in_its_frame(rates) -> None:
    frames = rates.frames | study_frames(rates.frames)
    for table in (table for table in study_tables(frames) if table.frame in frames):
        for column in table.columns:
            names = {column.name, column.low, column.high, column.sd, column.star} - {""}
            assert names <= set(frames[table.frame]), table.name


_MEASURED = """<script>addEventListener("load", () => {
  const page = document.documentElement, found = [page.scrollWidth, page.clientWidth];
  for (const part of document.querySelectorAll(".scroll")) found.push([part.clientWidth, part.scrollWidth]);
  document.body.textContent = JSON.stringify(found);
})</script></body>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.usefixtures("unsaved")
def test_a_table_wider_than_the_text_takes_the_window_and_never_widens_the_page(tmp_path) -> None:
    page = write_study_report(made({"model.name": ["all-MiniLM-L6-v2-as-the-authors-published-it"]}), tmp_path).html
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    page.write_text(html.replace("</body>", _MEASURED), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    widths = {}
    for window in (1600, 1280, 600):
        done = subprocess.run(
            [*command, f"--window-size={window},900", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        whole, seen, *widths[window] = json.loads(re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)[1])
        assert whole == seen
    # The text is at most 1,040 wide; "Every group" needs more, for which the widest window has room.
    assert any(1040 < own == needed for own, needed in widths[1600])
    assert any(own > 1040 for own, _ in widths[1280])
    assert any(own < needed for own, needed in widths[600])


def test_intervals_with_a_caution_are_marked_and_a_minority_is_named(tmp_path):
    results = made({METHOD: ["full", "lora"]})
    measures = results.frames["group_measures"]
    chosen = (measures["category"] == "contested") & (measures["group"] == "lora")
    measures.loc[chosen, ["mean", "low", "high", "rose_share", "caution"]] = [0.3, 0.2, 0.4, 0.2, "too skewed"]
    paths = write_study_report(results, tmp_path)
    assert "lora: +0.30 nats†" in paths.headline
    assert "on average alone in lora, where the loss of most did not rise" in paths.headline
    shown = (tmp_path / "tables" / "groups.md").read_text(encoding="utf-8")
    assert "+0.300 ± 0.010 [+0.200, +0.400]†" in shown
    assert "†: too skewed\n" in shown
    page = paths.html.read_text(encoding="utf-8")
    assert "Some of the intervals cover less often than they say: † in the tables says which." in page
    plain = write_study_report(made({METHOD: ["full", "lora"]}), tmp_path).html.read_text(encoding="utf-8")
    assert "Some of the intervals cover" not in plain
