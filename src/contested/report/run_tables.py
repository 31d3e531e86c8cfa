"""Every table of a report of runs, one declaration each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from contested.analysis import OVERALL
from contested.analysis.cartography import REGIONS
from contested.analysis.measures import MEASURES
from contested.formats import CHANGE, COUNT, NATS, SHARE, number, p_value
from contested.report import decomposition
from contested.report.declarations import Column, Frames, Table
from contested.report.run_frames import change_column

_RUN = Column("run", "run")
_CATEGORY = Column("category", "category")
_N = Column("n", "n", COUNT)
_ROUNDED = number(",.0f")
_NOTE = Column("note", "note")
_P = Column("p_value", "p", p_value)
_ROSE = Column("rose_share", "share that rose", SHARE, "rose_low", "rose_high")
_INTERVALS = "In brackets: {confidence} intervals over examples, or clusters of them."
_CHANGE = "Δℓ: mean loss change from the first to the last checkpoint;"


def runs_table(categories: Sequence[str]) -> Table:
    """The table of runs: one row each, so that many can be compared.

    Args:
        categories: Category names in order of rising entropy, over all runs.

    Returns:
        The table, with the loss change of each category.
    """
    change = f"{_CHANGE} above 0 {'the category was un-learned' if categories else 'it rose'}."
    changes = [
        Column(
            name, category, CHANGE, f"{name}_low", f"{name}_high", group="mean Δℓ (nats)", legend=(_INTERVALS, change)
        )
        for category in [*reversed(categories), OVERALL]
        for name in [change_column(category)]
    ]
    rho = "ρ: Spearman correlation of AULC, the mean loss of an example over the run, with annotation entropy H."
    correlation = Column("rho", "ρ(AULC, H)", CHANGE, "low", "high", legend=(_INTERVALS, rho))
    right = ("Accuracy: on the gold label of all tracked examples, at the last checkpoint.",)
    return Table(
        "runs", "runs", "happened", "Every run", "",
        (_RUN, *changes, correlation, _P, Column("accuracy", "accuracy", SHARE, legend=right), _N, _NOTE),
    )  # fmt: skip


_HEADINGS = {measure.name: measure.heading for measure in MEASURES}


def measure_heading(name: Any) -> str:
    """How a measure is shown in tables."""
    return _HEADINGS.get(str(name), str(name))


TABLES: tuple[Table, ...] = (
    Table(
        "summary", "summary", "happened", "Every run by category", "",
        (
            _RUN, _CATEGORY, _N,
            Column(
                "change", "Δℓ (nats)", CHANGE, "change_low", "change_high",
                legend=(_INTERVALS, f"{_CHANGE} above 0 its examples were un-learned."),
            ),
            Column("rose_share", "rose", SHARE, legend=("rose: share of examples whose loss rose.",)),
            Column(
                "kl_change", "ΔKL (nats)", CHANGE, "kl_change_low", "kl_change_high",
                legend=(_INTERVALS, "ΔKL: mean change of KL(annotators ‖ model); below 0 is closer to the annotators."),
            ),
            Column("accuracy", "accuracy", SHARE, legend=("accuracy: on the gold label, at the last checkpoint.",)),
        ),
        folded=True,
        whole=("", ""),  # it would say again what the table of runs says
    ),
    Table(
        "measures", "measures", "happened", "Every measure by category",
        "Means over the examples of a category, then over all of them. " + _INTERVALS + " ",
        (
            _RUN, Column("measure", "measure", measure_heading, words=True), Column("unit", "unit"), _CATEGORY, _N,
            Column("n_skipped", "left out", COUNT), Column("mean", "mean", NATS, "low", "high"), _NOTE,
        ),
        folded=True,
        whole=("Every measure", "Means over the examples. " + _INTERVALS + " "),
    ),
    Table(
        "categories", "categories", "", "Categories of the tracked examples", "H: annotation entropy.",
        (_RUN, _CATEGORY, _N, Column("share", "share", SHARE), Column("mean_entropy", "mean H (nats)", NATS), _NOTE),
    ),
    Table(
        "unlearning", "unlearning", "", "Change of the loss", "Last checkpoint minus first. " + _INTERVALS,
        (
            _RUN, _CATEGORY, _N, Column("mean", "mean Δℓ (nats)", CHANGE, "low", "high"),
            Column("rose", "rose", COUNT), _ROSE, Column("verdict", "verdict"), _NOTE,
        ),
    ),
    Table(
        "kl", "kl", "", "Change of the distance to the annotators' distribution",
        "KL(annotators ‖ model) at the last checkpoint minus that at the first. " + _INTERVALS,
        (
            _RUN, _CATEGORY, _N, Column("mean", "mean ΔKL (nats)", CHANGE, "low", "high"),
            Column("rose", "rose", COUNT), _ROSE, Column("verdict", "verdict"), _NOTE,
        ),
    ),
    Table(
        "excess_loss", "excess_loss", "annotators", "Loss beside that of the annotators",
        "What a model that answers as the annotators do would lose (mean of −ln of the gold label's share of them), "
        "and how much more than that the model loses. Where the gold label is the majority of few annotators, their "
        "loss is too low and the excess too high: with 5 of ChaosNLI's 100 by 0.12 to 0.15 nats on contested examples, "
        "with 20 by 0.03. " + _INTERVALS,
        (
            _RUN, _CATEGORY, _N, Column("n_skipped", "left out", COUNT),
            Column("annotators_loss", "annotators' loss (nats)", NATS, "annotators_loss_low", "annotators_loss_high"),
            *(
                Column(name, f"{name.split('_')[-1]} excess (nats)", CHANGE, f"{name}_low", f"{name}_high")
                for name in ("excess_loss_first", "excess_loss_last")
            ),
            _NOTE,
        ),
        folded=True,
    ),
    Table(
        "splits", "splits", "happened", "Training against validation examples",
        "Means over the examples that the run trained on and over those that it did not, which it tracked alike: what "
        "both share was learned, and what they differ in is what training on an example itself adds. " + _INTERVALS,
        (
            _RUN, Column("measure", "measure", measure_heading, words=True), _CATEGORY, _N,
            Column("n_validation", "n validation", COUNT), Column("mean", "mean", NATS),
            Column("mean_validation", "mean, validation", NATS, "validation_low", "validation_high"),
            Column("difference", "difference", CHANGE, "low", "high"), Column("verdict", "verdict"), _NOTE,
        ),
        folded=True,
    ),
    decomposition.table(_RUN),
    decomposition.first_loss_table(_RUN),
    Table(
        "contrasts", "contrasts", "", "Highest and lowest category compared",
        "Mean change of the first minus that of the second. " + _INTERVALS,
        (
            _RUN, Column("measure", "measure"), _CATEGORY, Column("reference", "compared with"), _N,
            Column("n_reference", "n compared with", COUNT),
            Column("difference", "difference (nats)", CHANGE, "low", "high"), Column("verdict", "verdict"), _NOTE,
        ),
    ),
    Table(
        "correlation", "correlation", "disagreement", "Correlation with annotation entropy",
        "Spearman's ρ. " + _INTERVALS,
        (
            _RUN, Column("x", "ρ of"), Column("y", "with"), Column("rho", "ρ", CHANGE, "low", "high"), _P, _N,
            Column("n_skipped", "left out", COUNT), Column("method", "interval by"),
            Column("direction", "direction"), _NOTE,
        ),
        folded=True,
    ),
    Table(
        "few_annotators", "few_annotators", "disagreement", "With fewer annotators",
        "What some of each example's annotators would have shown: means over draws without replacement, after ± their "
        "standard deviation. ρ(AULC, H) is attenuated as H of few annotators is measured with error; corrected, it is "
        "divided by the root of the reliability of H. Gold labels stay those of all annotations.",
        (
            _RUN, Column("annotators", "annotators"), _N, Column("rho", "ρ(AULC, H)", CHANGE, sd="rho_sd"),
            Column("reliability", "reliability of H", NATS), Column("rho_corrected", "ρ corrected", CHANGE),
            Column("same_category", "category of all annotators", SHARE),
            Column("certainty", "probability of the category", SHARE), _NOTE,
        ),
        folded=True,
        whole=("", ""),
    ),
    Table(
        "few_annotators_changes", "few_annotators_changes", "disagreement", "Δℓ by category with fewer annotators",
        "Mean Δℓ of the examples that some of the annotators put into a category, after ± its standard deviation over "
        "draws; corrected: of those that are in it by the distribution behind the annotations (least squares on the "
        "categories' probabilities). Expected: examples in it by these probabilities.",
        (
            _RUN, Column("annotators", "annotators"), _CATEGORY, Column("n", "n", _ROUNDED),
            Column("expected", "expected", _ROUNDED), Column("mean", "mean Δℓ (nats)", CHANGE, sd="sd"),
            Column("corrected", "corrected (nats)", CHANGE), _NOTE,
        ),
        folded=True,
        whole=("", ""),
    ),
    Table(
        "regions", "regions", "disagreement", "Categories and regions of the data map",
        "Ambiguous: variability at or above its median; the others are easy with confidence at or above its median, "
        "else hard. Shares are of the category's examples.",
        (
            _RUN, _CATEGORY, _N,
            *(Column(region, region, COUNT, group="examples") for region in REGIONS),
            *(Column(f"{region}_share", region, SHARE, group="share") for region in REGIONS), _NOTE,
        ),
    ),
    Table(
        "alerts", "alerts", "happened", "The alert: mean loss above its start",
        "Asked at every checkpoint, with one error rate for the whole run and all categories (5% unless set so): "
        "the rise at the alarm and the least that it was, and the surest rise between any two checkpoints.",
        (
            _RUN, _CATEGORY, _N, Column("n_clusters", "clusters", COUNT), Column("first", "first alarm", COUNT),
            Column("first_estimate", "rise at the alarm (nats)", CHANGE), Column("first_low", "at least", CHANGE),
            Column("highest", "highest at", COUNT), Column("highest_estimate", "rise there (nats)", CHANGE),
            Column("last_estimate", "last (nats)", CHANGE),
            Column("rise_start", "surest rise from", COUNT), Column("rise_end", "to", COUNT),
            Column("rise", "rise (nats)", CHANGE), Column("rise_low", "at least", CHANGE), _NOTE,
        ),
        folded=True,
    ),
    Table("alert_looks", "alert_looks", "", "The alert at every checkpoint"),
    # Data for further plots or computations: hundreds of rows, too many to read.
    Table("curves", "curves", "", "Means by category over checkpoints"),
    Table("examples", "examples", "", "Every tracked example"),
)  # fmt: skip


def tables_of(frames: Frames) -> list[Table]:
    """The declared tables, and one for each table of an analysis that no one has declared, shown by type.

    Args:
        frames: The tables of an analysis by name, or frames with them.

    Returns:
        The declarations.
    """
    declared = {table.frame for table in TABLES}
    known = [
        table._replace(legend=legend(frames[table.frame])) if table.frame == "measures" else table
        for table in TABLES
        if table.frame != "measures" or table.frame in frames
    ]
    others = [_by_type(name, frame) for name, frame in frames.items() if name not in declared]
    return [*known, *others]


def legend(frame: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """What the measures of a frame are, one sentence each."""
    shown = set(frame["measure"])
    return tuple((measure.heading, measure.sentence) for measure in MEASURES if measure.name in shown)


def _by_type(name: str, frame: pd.DataFrame) -> Table:
    columns = tuple(_column(str(column), frame[column]) for column in frame.columns)
    return Table(name, name, "", name.replace("_", " ").capitalize(), "", columns)


def _column(name: str, values: pd.Series[Any]) -> Column:
    heading = name.replace("_", " ")
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return Column(name, heading)
    return Column(name, heading, COUNT if pd.api.types.is_integer_dtype(values) else NATS)
