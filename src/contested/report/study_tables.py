"""The tables of any study, one declaration each; an axis of the study is a column."""

from __future__ import annotations

import pandas as pd

from contested.analysis import OVERALL
from contested.formats import (
    CHANGE,
    COUNT,
    NATS,
    PLAIN,
    SHARE,
    p_value,
    yes_no,
)
from contested.naming import axis_heading
from contested.report import decomposition, matched
from contested.report.declarations import Column, Frames, Table
from contested.report.run_frames import change_column
from contested.report.run_tables import legend, measure_heading
from contested.report.study_frames import axis_format, categories_of, varying_axes

_SEEDS = (
    "Mean ± standard deviation over seeds; in brackets the {confidence} interval over examples, or clusters of them, "
    "and seeds. "
)
_GROUP = Column("group", "group")
_NOTE = Column("note", "note")
_N = Column("n", "n", COUNT)
_ACCURACY = Column(
    "val_accuracy_mean", "validation accuracy", SHARE, "val_accuracy_low", "val_accuracy_high", "val_accuracy_sd"
)
_TRAIN_LOSS = Column(
    "train_loss_mean", "training loss (nats)", NATS, "train_loss_low", "train_loss_high", "train_loss_sd"
)


_CHANGE_DIFFERENCES = Table(
    "loss_change_differences", "change_differences", "differences", "Differences of the loss change",
    "Δℓ of the second group minus Δℓ of the first, on the same examples. In brackets the {confidence} "
    "interval over examples, or clusters of them, and seeds; from one seed on a side there is none.",
    (
        Column("pair", "groups"), Column("category", "category"), _N,
        Column("difference", "difference (nats)", CHANGE, "low", "high", seeded=True), _NOTE,
    ),
    folded=True,
)  # fmt: skip
_DIFFERENCES = Table(
    "differences", "differences", "differences", "Differences of every measure",
    "Mean of the second group minus mean of the first, on the same examples. In brackets the {confidence} "
    "interval over examples, or clusters of them, and seeds; from one seed on a side there is none.",
    (
        Column("axis", "axis", axis_heading, words=True),
        Column("from", "from"), Column("to", "to"), Column("held", "the others"),
        Column("measure", "measure", measure_heading, words=True), Column("category", "category"), _N,
        Column("difference", "difference", CHANGE, "low", "high", seeded=True), _NOTE,
    ),
    folded=True,
)  # fmt: skip
_AXES = Table(
    "axes", "axes", "groups", "What varies", "The ways in which runs of the study may differ besides the seed.",
    (
        Column("axis", "axis"), Column("key", "sets"), Column("varies", "varies", yes_no),
        Column("numeric", "numeric", yes_no), Column("values", "values"),
    ),
    folded=True,
)  # fmt: skip
# For whoever draws them again.
_CURVES = Table("group_curves", "group_curves", "", "Loss by category over steps")


def study_tables(frames: Frames) -> tuple[Table, ...]:
    """The tables of a study.

    Args:
        frames: Its frames, of which axes and categories are taken.

    Returns:
        The declarations, in reading order.
    """
    return (
        matched.VERDICTS,
        matched.TABLE,
        *decomposition.group_tables(frames),
        _groups(frames),
        _AXES,
        _measures(frames),
        _CHANGE_DIFFERENCES,
        _DIFFERENCES,
        _runs(frames),
        _CURVES,
    )


def _groups(frames: Frames) -> Table:
    changes = tuple(
        Column(name, category, CHANGE, f"{name}_low", f"{name}_high", f"{name}_sd", group="mean Δℓ (nats)")
        for category in [*reversed(categories_of(frames)), OVERALL]
        for name in [change_column(category)]
    )
    rho = Column("rho_mean", "ρ(AULC, H)", CHANGE, "rho_low", "rho_high", "rho_sd", seeded=True)
    return Table(
        "groups", "group_summary", "groups", "Every group",
        "A group is the runs that differ only in their seed. Δℓ: mean loss change from the first to the last "
        "checkpoint; above 0 the category was un-learned. ρ: Spearman correlation of AULC with annotation entropy "
        "H. " + _SEEDS + "The intervals of accuracy and training loss are Student's t over seeds.",
        (_GROUP, *changes, rho, _ACCURACY, _TRAIN_LOSS, _NOTE),
    )  # fmt: skip


def _measures(frames: Frames) -> Table:
    return Table(
        "group_measures", "group_measures", "groups", "Every measure by group and category",
        _SEEDS,
        (
            _GROUP, Column("measure", "measure", measure_heading, words=True), Column("unit", "unit"),
            Column("category", "category"), _N,
            Column("mean", "mean", NATS, "low", "high", "sd", seeded=True), _NOTE,
        ),
        folded=True,
        legend=legend(frames.get("group_measures", pd.DataFrame({"measure": []}))),
    )  # fmt: skip


def _runs(frames: Frames) -> Table:
    axes = tuple(Column(axis, axis_heading(axis), axis_format(frames, axis)) for axis in varying_axes(frames))
    return Table(
        "runs", "runs", "runs", "Every run",
        "Every run of the study, whether or not it exists yet, and its result.",
        (
            Column("name", "name"), *axes, Column("seed", "seed", PLAIN), Column("status", "status"),
            Column("rho", "ρ", CHANGE), Column("p_value", "p", p_value),
            Column("val_accuracy", "validation accuracy", SHARE), Column("train_loss", "training loss", NATS), _N,
            Column("excluded", "excluded"), Column("notes", "note"), Column("run_id", "run"),
        ),
        folded=True,
    )  # fmt: skip
