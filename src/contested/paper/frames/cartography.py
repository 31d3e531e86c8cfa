"""Dataset cartography against entropy over all runs of a data set (paper Figure 7, App. I)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.cartography import REGIONS, added_variance, overlap, regions
from contested.analysis.study.runs import rank_correlation_of
from contested.paper.frames.columns import frame
from contested.paper.frames.conditions import Condition, PaperStudy

POOLED = "all"
"""The data set of the rows that count over all of them."""


def cartography_figures(study: PaperStudy) -> dict[str, pd.DataFrame]:
    """Dataset cartography against entropy, pooled over the main runs and those of the rank sweep.

    Each run's map is cut into regions by its own medians, and an example counts once for every run, as in the paper's
    App. I; the data sets are counted apart and, where there are several, together. The points of the map are the
    examples of the first data set, at their means over its runs, each in the region where most of the runs have it.

    Args:
        study: The study.

    Returns:
        ``figure7``, ``figure7_overlap`` and ``figure7_tests``.
    """
    sweep = study.in_group(study.usual, "rank-sweep").index
    cells = study.plain[study.plain["main"] | study.plain.index.isin(sweep)]
    # Conditions are pooled on purpose: what makes runs unfit for one mean here is only other examples.
    groups = [replace(group, mixed="") for group in study.groups(cells, ("dataset",))]
    counted = [(group, _counted(group)) for group in groups if not group.problem]
    rows = [row for group, counts in counted for row in _overlap_rows(group.key, group.provenance, counts)]
    if len(groups) > 1 and counted:
        rows += _overlap_rows({"dataset": POOLED}, _together(groups), pd.concat([counts for _, counts in counted]))
    charts = [(group, _chart(group)) for group in groups[:1]]
    return {
        "figure7": frame("figure7", [row for group, chart in charts for row in _chart_rows(group, chart)]),
        "figure7_overlap": frame("figure7_overlap", rows),
        "figure7_tests": frame("figure7_tests", [_chart_tests(*pair) for pair in charts]),
    }


def _regions(group: Condition) -> NDArray[np.object_]:
    """The region of each example in each run, by the run's own medians, shape (S, N)."""
    return np.stack([regions(run.columns["confidence"], run.columns["variability"]) for run in group.usable])


def _counted(group: Condition) -> pd.DataFrame:
    """The examples of each category in each region, each counted once for every run."""
    found = _regions(group)
    categories = np.tile(group.first.categories, len(found))
    return overlap(categories, found.ravel(), group.first.category_names)


def _overlap_rows(
    key: dict[str, object], provenance: dict[str, object], counts: pd.DataFrame
) -> list[dict[str, object]]:
    cells = counts.groupby(["category", "region"], sort=False)["n"].sum().reset_index()
    whole = cells.groupby("category")["n"].transform("sum")
    table = cells.assign(share=cells["n"] / whole.where(whole > 0))
    return [
        {**key, **provenance, **{str(name): value for name, value in row.items()}} for row in table.to_dict("records")
    ]


def _together(groups: list[Condition]) -> dict[str, object]:
    """Which runs the counts of several data sets rest on."""
    joined = {name: ",".join(filter(None, (g.provenance[name] for g in groups))) for name in ("run_ids", "missing")}
    return {**joined, **{name: sum(g.provenance[name] for g in groups) for name in ("n_seeds", "n_expected")}}


def _chart(group: Condition) -> pd.DataFrame:
    if group.problem:
        return pd.DataFrame()
    run, runs = group.first, group.usable
    found = _regions(group)
    votes = np.stack([(found == region).sum(axis=0) for region in REGIONS])
    means = {
        name: np.mean([run.columns[name] for run in runs], axis=0)
        for name in ("confidence", "variability", "correctness")
    }
    return pd.DataFrame(
        {
            "example_id": run.example_ids,
            "category": run.categories,
            **means,
            "region": np.array(REGIONS, object)[votes.argmax(axis=0)],
            "aulc": group.mean_aulc,
            "entropy": group.entropy,
        }
    )


def _chart_rows(group: Condition, chart: pd.DataFrame) -> list[dict[str, object]]:
    shared = {**group.key, **group.provenance}
    rows = chart if chart.empty else chart[chart["entropy"].notna()]
    return [{str(name): value for name, value in row.items()} | shared for row in rows.to_dict("records")]


def _chart_tests(group: Condition, chart: pd.DataFrame) -> dict[str, object]:
    if group.problem:
        return group.row()
    confidence, aulc = chart["confidence"].to_numpy(np.float64), chart["aulc"].to_numpy(np.float64)
    rho, _, note = rank_correlation_of(aulc, confidence)
    found = added_variance(aulc, confidence, chart["variability"], chart["entropy"], clusters=group.clusters)
    return group.row(
        note.replace("entropy", "confidence"),
        found.note,
        rho_confidence_aulc=rho,
        r2_confidence_variability=found.r2_base,
        delta_r2_entropy=found.delta_r2,
        p_value_entropy=found.p_value,
        r2_flexible=found.r2_flexible,
        delta_r2_flexible=found.delta_r2_flexible,
        p_value_flexible=found.p_value_flexible,
        n=found.n,
    )
