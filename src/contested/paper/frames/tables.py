"""The paper's tables: correlations, un-learning, seeds, ranks, compositions and Kendall's τ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.mixed import mixed_effect
from contested.analysis.rank import kendall_tau, rank_trend
from contested.analysis.seeds import (
    nested_mean_interval,
    nested_spearman_difference,
    nested_spearman_interval,
    over_seeds,
)
from contested.analysis.study.groups import Resampling, different_examples, of_rows
from contested.analysis.study.overview import cells_of, run_row
from contested.analysis.study.runs import CompleteRun, rank_correlation_of
from contested.paper.frames.columns import CELL_COLUMNS, CONDITION, frame
from contested.paper.frames.conditions import Condition, PaperStudy
from contested.paper.frames.omnibus import max_t
from contested.paper.multiple import adjust
from contested.paper.omnibus import mean_rho
from contested.wording import joined

COMPOSITIONS = ("all", "low", "high", "balanced")
"""Compositions of the training set, in the order of Table 7."""


def mean_of(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    """The mean; NaN without values."""
    return float(values.mean()) if values.size else float("nan")


def runs_frame(study: PaperStudy) -> pd.DataFrame:
    """Every cell with the result of its run; NaN where it is missing, excluded or unusable."""
    return frame("runs", [_run_row(study, cell) for cell in cells_of(study)])


def _run_row(study: PaperStudy, cell: Mapping[str, Any]) -> dict[str, object]:
    row = run_row(study, cell, CELL_COLUMNS)
    run = study.runs.get(str(cell["run_id"]))
    if run is None:
        return row
    return row | {
        "kendall_tau": kendall_tau(run.aulc, run.entropy).tau,
        "contested_change": mean_of(run.change[run.contested]),
        "clean_change": mean_of(run.change[run.clean]),
        "overall_change": mean_of(run.change),
        "aulc_mean": mean_of(run.aulc),
    }


def table1(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Spearman's ρ(AULC, H) of each condition (paper Table 1), with one test a condition.

    ρ is the mean over seeds with its sample standard deviation, as in the paper, and an interval in which examples
    and seeds are random. The p-value is that of the seed-mean AULC of each example, for seeds share
    their examples and p-values of seeds must not be averaged; beside it stand the p of the mean of the seeds' ρ, which
    is the number shown, and the lowest and highest p of the runs tested one by one, as the paper has them in Tables 3
    and 4. Corrections are over the main conditions that have
    a p-value (``family_size``); IA3 is outside the family.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row per condition.
    """
    groups = study.conditions
    rows = [_table1_row(group, child) for group, child in zip(groups, draw.spawn(len(groups)), strict=True)]
    table = frame("table1", rows).assign(p_max_t=max_t(study, draw))
    family = table["p_value"].where(table["main"].astype(bool)).astype(float).tolist()
    return table.assign(**adjusted(family, draw.confidence), family_size=int(np.isfinite(family).sum()))


def adjusted(p_values: list[float], confidence: float) -> dict[str, NDArray[np.generic]]:
    """The adjusted p-values of one family at level 1 − confidence, as columns."""
    found = adjust(np.asarray(p_values, dtype=np.float64), alpha=round(1.0 - confidence, 12))
    return dict(found._asdict())


def rhos(group: Condition) -> dict[str, object]:
    """ρ(AULC, H) over seeds, as columns: its mean and sample standard deviation."""
    found = over_seeds([rank_correlation_of(run.aulc, run.entropy)[0] for run in group.usable])
    return {"rho_mean": found.mean, "rho_sd": found.sd}


def _table1_row(group: Condition, draw: Resampling) -> dict[str, object]:
    if group.problem:
        return group.row(main=group.main)
    nested = nested_spearman_interval(group.aulc, group.entropy, clusters=group.clusters, **draw.options)
    mixed = mixed_effect(group.aulc, group.entropy, confidence=draw.confidence, clusters=group.clusters)
    corrected = [rank_correlation_of(run.aulc, run.entropy_miller_madow)[0] for run in group.usable]
    by_run = [rank_correlation_of(run.aulc, run.entropy, run.clusters)[1] for run in group.usable]
    return group.row(
        nested.note,
        "" if group.main else "not among the main conditions: outside the family of tests",
        **rhos(group),
        main=group.main,
        rho_low=nested.low,
        rho_high=nested.high,
        rho_mixed=mixed.slope,
        rho_mixed_low=mixed.low,
        rho_mixed_high=mixed.high,
        p_value=rank_correlation_of(group.mean_aulc, group.entropy, group.clusters)[1],
        p_mean_rho=mean_rho(group.aulc, group.entropy, group.clusters).p_value,
        p_run_lowest=min(by_run),
        p_run_highest=max(by_run),
        rho_miller_madow=over_seeds(corrected).mean,
    )


def change_tables(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    """Mean Δℓ of contested and of clean examples: Table 2 for encoders and IA3, Table 5 for decoders."""
    groups = study.conditions
    rows = [_change_row(group, child) for group, child in zip(groups, draw.spawn(len(groups)), strict=True)]
    return {
        name: frame(name, [row for row, group in zip(rows, groups, strict=True) if group.decoder is decoder])
        for name, decoder in (("table2", False), ("table5", True))
    }


def _change_row(group: Condition, draw: Resampling) -> dict[str, object]:
    if group.problem:
        return group.row()
    contested, clean = changes(group, draw)
    return group.row(
        contested.note,
        clean.note,
        **contested.columns("contested_change", "contested"),
        **clean.columns("clean_change", "clean"),
    )


class Change(NamedTuple):
    """Mean Δℓ of one category (nats).

    Attributes:
        mean: Mean over examples and seeds.
        sd: Standard deviation over seeds.
        low: Lower end of its interval over examples and seeds.
        high: Upper end of its interval over examples and seeds.
        note: Why a number is missing; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    mean: float
    sd: float
    low: float
    high: float
    note: str
    caution: str

    def columns(self, mean: str, prefix: str) -> dict[str, object]:
        """The numbers as columns of a frame."""
        ends = {f"{prefix}_low": self.low, f"{prefix}_high": self.high, f"{prefix}_caution": self.caution}
        return {mean: self.mean, f"{prefix}_sd": self.sd, **ends}


def changes(group: Condition, draw: Resampling) -> tuple[Change, Change]:
    """Mean Δℓ of the contested and of the clean examples of a group without a problem.

    Args:
        group: Complete runs of the same examples.
        draw: How intervals are made.

    Returns:
        Contested, then clean.
    """
    run = group.first
    members = (run.contested, run.category_names[-1]), (run.clean, run.category_names[0])
    contested, clean = (
        _change(group, rows, name, child) for (rows, name), child in zip(members, draw.spawn(2), strict=True)
    )
    return contested, clean


def _change(group: Condition, rows: NDArray[np.bool_], name: str, draw: Resampling) -> Change:
    found = nested_mean_interval(group.change[:, rows], clusters=of_rows(group.clusters, rows), **draw.options)
    sd = over_seeds([mean_of(run.change[rows]) for run in group.usable]).sd
    # What holds for a group of examples names it; what holds for the seeds does not.
    note = f"{name}: {found.note}" if np.isnan(found.low) else found.note
    return Change(found.estimate, sd, found.low, found.high, note, found.caution)


def seed_tables(study: PaperStudy) -> dict[str, pd.DataFrame]:
    """Each run by itself: Table 3 for the first encoder on the first data set, Table 4 for the decoders."""
    main = study.plain[study.plain["main"]]
    encoders = main[~main["decoder"]]
    first = encoders.iloc[:1]
    on_first = (encoders["backbone"].isin(first["backbone"])) & (encoders["dataset"].isin(study.cells["dataset"][:1]))
    return {
        "table3": frame("table3", [_seed_row(study, cell) for _, cell in encoders[on_first].iterrows()]),
        "table4": frame("table4", [_seed_row(study, cell) for _, cell in main[main["decoder"]].iterrows()]),
    }


def _seed_row(study: PaperStudy, cell: pd.Series, *further: str) -> dict[str, object]:
    group = study.single(cell, (*CONDITION, "seed", *further))
    if group.problem:
        return group.row()
    run = group.first
    rho, p_value, note = rank_correlation_of(run.aulc, run.entropy, run.clusters)
    return group.row(note, rho=rho, p_value=p_value, val_accuracy=run.val_accuracy)


def table6(study: PaperStudy) -> pd.DataFrame:
    """The rank sweep (paper Table 6): each run by backbone, rank rising, full fine-tuning last."""
    cells = _sweep(study)
    order = {name: index for index, name in enumerate(dict.fromkeys(cells["backbone"]))}
    placed = cells.assign(_place=cells["backbone"].map(order))
    ordered = placed.sort_values(["_place", "dataset", "rank", "seed"], na_position="last", kind="stable")
    return frame("table6", [_seed_row(study, cell, "rank") for _, cell in ordered.iterrows()])


def _sweep(study: PaperStudy) -> pd.DataFrame:
    return study.in_group(study.usual, "rank-sweep")


def table6_trend(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Whether ρ rises with LoRA rank: Spearman of rank with ρ, and ρ at the highest minus at the lowest rank.

    p is exact, over all orders of the ranks; several seeds of a rank count as their mean. The difference is of
    the same examples, resampled together.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row a backbone and data set.
    """
    cells = _sweep(study)
    wholes = study.groups(cells[cells["family"] == "lora"], ("backbone", "dataset"))
    return frame(
        "table6_trend",
        [_trend_row(study, cells, whole, child) for whole, child in zip(wholes, draw.spawn(len(wholes)), strict=True)],
    )


def _trend_row(study: PaperStudy, cells: pd.DataFrame, whole: Condition, draw: Resampling) -> dict[str, object]:
    own = cells[(cells["run_id"].isin(whole.asked))]
    ranks = [group for group in study.groups(own, ("backbone", "dataset", "rank")) if not group.problem]
    ranks = sorted(ranks, key=lambda group: group.rank)
    seeds_per_rank = min((len(group.usable) for group in ranks), default=0)
    row = {**whole.key, **whole.provenance, "n_ranks": len(ranks), "seeds_per_rank": seeds_per_rank}
    values = [
        float(over_seeds([rank_correlation_of(run.aulc, run.entropy)[0] for run in g.usable]).mean) for g in ranks
    ]
    trend = rank_trend([group.rank for group in ranks], values)
    row |= {"rank_rho": trend.rho, "p_value": trend.p_value, "note": trend.note}
    if len(ranks) < 2:
        return row
    low, high, note = _rho_difference(ranks[-1], ranks[0], draw)
    return row | {"difference": values[-1] - values[0], "low": low, "high": high, "note": joined(trend.note, note)}


def _rho_difference(high: Condition, low: Condition, draw: Resampling) -> tuple[float, float, str]:
    """The interval of ρ(``high``) − ρ(``low``), means over the same seeds, and why it is missing."""
    note = different_runs(high, low)
    if note:
        return np.nan, np.nan, note
    found = nested_spearman_difference(low.aulc, high.aulc, high.entropy, clusters=high.clusters, **draw.options)
    return found.low, found.high, found.note


def different_runs(a: Condition, b: Condition) -> str:
    """Why two groups cannot be compared example by example and seed by seed; empty where they can."""
    if a.seeds != b.seeds:
        return f"rank {a.rank:g} and rank {b.rank:g} do not have the same seeds: no interval of their difference"
    return different_examples([a.first, b.first])


def table7(study: PaperStudy) -> pd.DataFrame:
    """Which annotated examples train (paper Table 7); the tracked examples are the whole set in every row."""
    rows = []
    composed = study.asked[study.asked["composition"] != "all"]
    for _, arms in composed.groupby([*CONDITION, "learning_rate"], sort=False, dropna=False):
        plain = _same_setting(study.plain, arms)
        cells = pd.concat([plain, arms])
        found = {str(g.key["composition"]): g for g in study.groups(cells, (*CONDITION, "composition"))}
        rows += [_composition_row(found[name]) for name in COMPOSITIONS if name in found]
    return frame("table7", rows)


def _same_setting(plain: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """The plain cells of the arms' condition, learning rate and seeds."""
    head = arms.iloc[0]
    for column in (*CONDITION, "learning_rate"):
        plain = plain[plain[column] == head[column]]
    return plain[plain["seed"].isin(arms["seed"])]


def _composition_row(group: Condition) -> dict[str, object]:
    if group.problem:
        return group.row()
    trained = {run.n_trained for run in group.usable}
    _, p_value, note = rank_correlation_of(group.mean_aulc, group.entropy, group.clusters)
    several = "" if len(trained) == 1 else f"the seeds trained on {sorted(trained)} examples: their mean is given"
    return group.row(note, several, n_trained=float(np.mean(list(trained))), p_value=p_value, **rhos(group))


def kendall(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Whether Kendall's τ-b says what Spearman's ρ says, over all plain runs of the main conditions.

    ``agreement`` is the share of runs where both have the same sign and are both significant, or both not, at
    level 1 − confidence.

    Args:
        study: The study.
        draw: Its confidence sets the level.

    Returns:
        One row; none where the study has no main run.
    """
    asked = [run_id for group in study.main for run_id in group.asked]
    if not asked:
        return frame("kendall", [])
    runs = [study.runs[run_id] for run_id in asked if run_id in study.runs]
    found = np.array([_tau_and_rho(run) for run in runs]).reshape(-1, 4)
    found = found[np.isfinite(found).all(axis=1)]
    tau, tau_p, rho, rho_p = found.T
    ratio = over_seeds(tau[rho != 0] / rho[rho != 0])
    level = 1.0 - draw.confidence
    concordance, _, note = rank_correlation_of(tau, rho)
    return frame(
        "kendall",
        [
            {
                "n_runs": len(found),
                "tau_over_rho_mean": ratio.mean,
                "tau_over_rho_sd": ratio.sd,
                "concordance": concordance,
                "agreement": mean_of((np.sign(tau) == np.sign(rho)) & ((tau_p <= level) == (rho_p <= level))),
                "note": note.replace("examples", "runs").replace("aulc", "tau").replace("entropy", "rho"),
                "run_ids": ",".join(run.run_id for run in runs),
                "missing": ",".join(run_id for run_id in asked if run_id not in study.runs),
                "n_seeds": len(runs),
                "n_expected": len(asked),
            }
        ],
    )


def _tau_and_rho(run: CompleteRun) -> tuple[float, float, float, float]:
    tau = kendall_tau(run.aulc, run.entropy)
    rho, p_value, _ = rank_correlation_of(run.aulc, run.entropy)
    return tau.tau, tau.p_value, rho, p_value
