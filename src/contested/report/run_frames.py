"""The frames of a report of runs: the tables of every run's analysis under each other, and what sums them up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from contested.analysis import OVERALL, Analysis, ChangeRow
from contested.report import matched
from contested.report.runs import ReportRun

CURVES = {"loss_curves": "loss", "accuracy_curves": "accuracy", "kl_curves": "kl"}
"""Frame to the measure whose course over training it holds, by category."""


def stacked_tables(runs: Sequence[ReportRun]) -> dict[str, pd.DataFrame]:
    """The tables of every run's analysis under each other.

    Args:
        runs: The runs.

    Returns:
        The tables of :meth:`contested.analysis.Analysis.tables` with a column ``run``, of those runs that have them.
    """
    every = [(run.name, run.analysis.tables()) for run in runs]
    names = dict.fromkeys(name for _, tables in every for name in tables)
    return {name: _stacked([(run, found[name]) for run, found in every if name in found]) for name in names}


def run_frames(runs: Sequence[ReportRun], tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What tables and figures of a report show besides the tables of its runs.

    Args:
        runs: The runs.
        tables: From :func:`stacked_tables`.

    Returns:
        ``runs``, one row per run; ``summary``, one row per run and category; ``changes``, the loss changes by category
        that are drawn; ``reached``, loss changes by the training loss reached; and the curves of :data:`CURVES`.
    """
    curves = tables.get("curves", pd.DataFrame({"measure": []}))
    return {
        "runs": pd.DataFrame([_run_row(run) for run in runs]),
        "summary": pd.DataFrame([row for run in runs for row in _summary_rows(run.name, run.analysis)]),
        "changes": _drawn(tables.get("unlearning", pd.DataFrame())),
        "reached": matched.of_runs(runs),
        **{name: _drawn(curves[curves["measure"] == measure]) for name, measure in CURVES.items()},
    }


def _stacked(tables: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """The same table of several runs under each other, the run's name in the first column."""
    parts = []
    for run, table in tables:
        part = table.drop(columns=[name for name in ("run", "run_id") if name in table])
        part.insert(0, "run", run)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of categories; those of all examples where a run has no categories."""
    if frame.empty:
        return frame
    whole = frame["category"] == OVERALL
    has_categories = frame["run"].isin(frame.loc[~whole, "run"])
    return frame[~whole | ~has_categories]


def _run_row(run: ReportRun) -> dict[str, Any]:
    """One run in one row: its results, and its loss change by category."""
    analysis = run.analysis
    row: dict[str, Any] = {
        "run": run.name,
        "run_id": analysis.run_id,
        "status": analysis.status,
        "n": analysis.n_examples,
        "n_classes": analysis.n_classes,
        "n_checkpoints": analysis.n_checkpoints,
        "step_unit": analysis.step_unit,
        "first_step": int(analysis.steps[0]),
    }
    if analysis.curves.accuracy:
        row["accuracy"] = _last_accuracy(analysis)[OVERALL]
    if analysis.correlation is not None:
        found = analysis.correlation.aulc._asdict()
        row |= {name: found[name] for name in ("rho", "low", "high", "p_value", "note")}
    for change in analysis.unlearning.every if analysis.unlearning else ():
        name = change_column(change.category)
        row |= {name: change.mean, **_ends(name, change)}
    return row


def _ends(name: str, change: ChangeRow) -> dict[str, Any]:
    return {f"{name}_{end}": getattr(change, end) for end in ("low", "high", "caution")}


def change_column(category: str) -> str:
    """The column of a category's loss change in the frame of all runs."""
    return f"change_{category}"


def _last_accuracy(analysis: Analysis) -> dict[str, float]:
    return {curve.category: float(curve.mean[-1]) for curve in analysis.curves.accuracy}


def _summary_rows(run: str, analysis: Analysis) -> Iterator[dict[str, Any]]:
    accuracy = _last_accuracy(analysis)
    changes = {row.category: row for row in (analysis.unlearning.every if analysis.unlearning else ())}
    distances = {row.category: row for row in (analysis.kl.every if analysis.kl else ())}
    for size in analysis.categories:
        row: dict[str, Any] = {"run": run, "category": size.category, "n": size.n}
        if change := changes.get(size.category):
            row |= {"change": change.mean, **_ends("change", change), "rose_share": change.rose_share}
        if distance := distances.get(size.category):
            row |= {"kl_change": distance.mean, **_ends("kl_change", distance)}
        yield row | ({"accuracy": accuracy[size.category]} if size.category in accuracy else {})
