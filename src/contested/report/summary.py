"""The summary table: what each run did to each category, one run or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contested.analysis import Analysis


def summary_table(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """One row for each run and category, and one for all examples of a run.

    Args:
        analyses: Name of the run to its analysis.

    Returns:
        Columns run, category, n, change (mean Δℓ, nats) with change_low and change_high, rose_share,
        kl_change (mean change of KL(annotators ‖ model), nats) with its interval, accuracy (at the last
        checkpoint), rho (Spearman of AULC and entropy, in the row of all examples) with low and high.
    """
    return pd.DataFrame([row for name, analysis in analyses.items() for row in _rows(name, analysis)])


def side_by_side(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with one row a category and the runs beside each other.

    Args:
        summary: From :func:`summary_table`, all its columns or some.

    Returns:
        Columns of two levels, (run, quantity), in the order of the runs; the first is ("", category).
    """
    categories = list(dict.fromkeys(summary["category"]))
    # All examples stand last, also where runs have different categories.
    categories.sort(key=lambda name: name == "overall")
    columns: dict[tuple[str, str], Any] = {("", "category"): categories}
    for run in dict.fromkeys(summary["run"]):
        rows = summary[summary["run"] == run].set_index("category").reindex(categories)
        rows["n"] = rows["n"].astype("Int64")
        for quantity in rows.columns.drop("run"):
            columns[run, quantity] = rows[quantity].tolist()
    return pd.DataFrame(columns)


def stacked(tables: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """The same table of several runs under each other, the run's name in the first column.

    Args:
        tables: Name of the run and its table.

    Returns:
        One table with a column ``run``.
    """
    parts = []
    for run, table in tables:
        part = table.drop(columns=[name for name in ("run", "run_id") if name in table])
        part.insert(0, "run", run)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _rows(run: str, analysis: Analysis) -> list[dict[str, Any]]:
    if analysis.unlearning is None or analysis.kl is None or analysis.correlation is None:
        return []
    losses, distances = analysis.unlearning.every, analysis.kl.every
    accuracy = {curve.category: float(curve.mean[-1]) for curve in analysis.curves.accuracy}
    rows: list[dict[str, Any]] = []
    for loss, distance in zip(losses, distances, strict=True):
        whole = loss is analysis.unlearning.overall
        found = analysis.correlation.aulc
        rows.append(
            {
                "run": run,
                "category": loss.category,
                "n": loss.n,
                "change": loss.mean,
                "change_low": loss.low,
                "change_high": loss.high,
                "rose_share": loss.rose_share,
                "kl_change": distance.mean,
                "kl_change_low": distance.low,
                "kl_change_high": distance.high,
                "accuracy": accuracy.get(loss.category, float("nan")),
                "rho": found.rho if whole else float("nan"),
                "low": found.low if whole else float("nan"),
                "high": found.high if whole else float("nan"),
            }
        )
    return rows
