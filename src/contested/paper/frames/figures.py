"""The numbers behind the paper's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.calibration import CalibrationRow, calibration_by_category, prediction_entropy
from contested.analysis.seeds import nested_mean_interval, nested_mean_intervals
from contested.analysis.study.group_frames import OTHER_STEPS, shared_steps
from contested.analysis.study.groups import Resampling, independent, of_rows
from contested.analysis.study.runs import CompleteRun, RecordedProbe
from contested.paper.frames.columns import CONDITION, frame
from contested.paper.frames.conditions import Condition, PaperStudy, panel
from contested.paper.gradient_norms import norm_tests
from contested.wording import joined

_PAPER_RANK = 4


def loss_curves(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    """Mean loss by category over steps: under LoRA of rank 4 or the lowest (Figure 1), and in full (Figure 2).

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        ``figure1`` and ``figure2``; one row a panel, category and step.
    """
    chosen = {"figure1": _lowest_ranks(study.main), "figure2": [g for g in study.main if g.family == "full"]}
    return {
        name: frame(
            name,
            [
                row
                for group, child in zip(groups, figure_draw.spawn(len(groups)), strict=True)
                for row in _curve_rows(group, child)
            ],
        )
        for (name, groups), figure_draw in zip(chosen.items(), draw.spawn(2), strict=True)
    }


def _lowest_ranks(groups: Sequence[Condition]) -> list[Condition]:
    """Of each backbone and data set the LoRA condition of rank 4, or else of the lowest rank."""
    best: dict[tuple[str, str], Condition] = {}
    for group in groups:
        if group.family != "lora":
            continue
        key = group.key["backbone"], group.key["dataset"]
        if key not in best or _preference(group) < _preference(best[key]):
            best[key] = group
    return list(best.values())


def _preference(group: Condition) -> tuple[bool, float]:
    return group.rank != _PAPER_RANK, group.rank


def _curve_rows(group: Condition, draw: Resampling) -> Iterator[dict[str, object]]:
    name = panel(group.key)
    if group.problem:
        yield group.row(panel=name, category="")
        return
    steps = shared_steps(group.usable)
    if not len(steps):
        yield group.row("the seeds share no step", panel=name, category="")
        return
    note = OTHER_STEPS if group.caution else ""
    losses = np.stack([run.losses[np.isin(run.steps, steps)].T for run in group.usable])
    rows = {name: rows for name, rows in group.categories().items() if name in group.first.category_names}
    for (category, members), child in zip(rows.items(), draw.spawn(len(rows)), strict=True):
        found = nested_mean_intervals(losses[:, members], clusters=of_rows(group.clusters, members), **child.options)
        for index, step in enumerate(steps.tolist()):
            own = found.one(index)
            values = {"step": step, "mean": own.estimate, "low": own.low, "high": own.high, "caution": own.caution}
            yield group.row(note, found.note, panel=name, category=category, n=found.n, **values)


def figure3(study: PaperStudy) -> pd.DataFrame:
    """The known entropies of the tracked examples of each data set (paper Figure 3), from its first complete run."""
    rows: list[dict[str, object]] = []
    for _, cells in study.plain.groupby("dataset", sort=False):
        present = [study.single(cell, ("dataset",)) for _, cell in cells.iterrows() if cell["run_id"] in study.runs]
        for group in present[:1]:
            run = group.first
            rows += [
                {**group.key, **group.provenance, "example_id": example_id, "entropy": human, "category": category}
                for example_id, human, category in zip(
                    run.example_ids.tolist(), run.entropy.tolist(), run.categories, strict=True
                )
                if not np.isnan(human)
            ]
    return frame("figure3", rows)


def gradient_figures(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    """Gradient norms by category (Figure 4) with their tests, and alignment over steps (Figure 8).

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        ``figure4``, ``figure4_tests`` and ``figure8``.
    """
    cells = study.in_group(study.usual, "gradients")
    groups = [_with_norms(group) for group in study.groups(cells)]
    tests = [_norm_test(group, child) for group, child in zip(groups, draw.spawn(len(groups)), strict=True)]
    return {
        "figure4": frame("figure4", [row for group in groups for row in _norm_rows(group)]),
        "figure4_tests": frame("figure4_tests", tests),
        "figure8": frame("figure8", [row for _, cell in cells.iterrows() for row in _alignment_rows(study, cell)]),
    }


def _with_norms(group: Condition) -> Condition:
    """The group with those of its runs that took gradient norms; the others count as missing."""
    kept = [(run, seed) for run, seed in zip(group.runs, group.seeds, strict=True) if _norms_of(run) is not None]
    return replace(group, runs=tuple(run for run, _ in kept), seeds=tuple(seed for _, seed in kept))


def _norms_of(run: CompleteRun) -> NDArray[np.float64] | None:
    return None if run.gradients is None else run.gradients.norms


def _mean_norms(group: Condition) -> NDArray[np.float64]:
    norms = [found for run in group.usable if (found := _norms_of(run)) is not None]
    return np.asarray(np.mean(norms, axis=0))


def _norm_rows(group: Condition) -> list[dict[str, object]]:
    if group.problem:
        return []
    run, norms = group.first, _mean_norms(group)
    columns = zip(run.example_ids.tolist(), run.categories, run.entropy.tolist(), norms.tolist(), strict=True)
    return [
        {
            **group.key,
            **group.provenance,
            "panel": panel(group.key),
            "example_id": example_id,
            "category": category,
            "entropy": human,
            "norm": norm,
        }
        for example_id, category, human, norm in columns
        if not np.isnan(human)
    ]


def _norm_test(group: Condition, draw: Resampling) -> dict[str, object]:
    name = panel(group.key)
    if group.problem:
        return group.row("" if group.runs else "no run with gradient norms", panel=name)
    run, norms = group.first, _mean_norms(group)
    known = np.isfinite(norms)
    left_out = int((~known).sum())
    own = of_rows(group.clusters, known)
    found = norm_tests(
        norms[known], run.entropy[known], run.categories[known], run.category_names, clusters=own, **draw.options
    )
    probes = [_probe(run) for run in group.usable]
    heads, modes = {probe.head for probe in probes}, {probe.mode for probe in probes}
    return group.row(
        found.note,
        found.rho.note,
        independent("Kruskal–Wallis", own),
        f"{left_out} examples left out: their gradient norm is not finite" if left_out else "",
        "" if len(heads) == len(modes) == 1 else "the seeds were probed in different ways",
        panel=name,
        step=max(probe.step for probe in probes),
        rho=found.rho.rho,
        p_value=found.rho.p_value,
        low=found.rho.low,
        high=found.rho.high,
        kruskal_h=found.kruskal_h,
        kruskal_p=found.kruskal_p,
        n=found.rho.n,
        head=probes[0].head,
        mode=probes[0].mode,
    )


def _probe(run: CompleteRun) -> RecordedProbe:
    assert run.gradients is not None, "only runs with norms are grouped"
    return run.gradients


def _alignment_rows(study: PaperStudy, cell: pd.Series) -> Iterator[dict[str, object]]:
    group = study.single(cell)
    name = panel(group.key)
    if group.problem:
        yield group.row(panel=name)
        return
    run = group.first
    found = None if run.gradients is None else _clean_and_contested(run, run.gradients.alignment)
    if run.gradients is None or found is None or found.empty:
        incomplete = replace(group, runs=(), seeds=())
        yield {**incomplete.row(), "panel": name, "note": "the run has no gradient alignment of clean and contested"}
        return
    for _, row in found.iterrows():
        note = str(row["note"]) if "note" in found and pd.notna(row["note"]) else ""
        values = {"step": int(row["step"]), "cosine": float(row["cosine"])}
        yield group.row(note, panel=name, head=run.gradients.head, mode=run.gradients.mode, **values)


def _clean_and_contested(run: CompleteRun, alignment: pd.DataFrame) -> pd.DataFrame:
    wanted = {run.category_names[0], run.category_names[-1]}
    pairs = [{group, other} == wanted for group, other in zip(alignment["group"], alignment["reference"], strict=True)]
    return alignment[pairs].drop_duplicates("step").sort_values("step")


def figure6(study: PaperStudy, table1: pd.DataFrame) -> pd.DataFrame:
    """ρ by model size and rank (paper Figure 6): Table 1 beside what it is set against."""
    sizes = {tuple(group.key.values()): group for group in study.conditions}
    shared = ("rho_mean", "rho_sd", "rho_low", "rho_high", "note", "run_ids", "missing", "n_seeds", "n_expected")
    rows = []
    for _, row in table1.iterrows():
        group = sizes[tuple(row[name] for name in CONDITION)]
        facts = {"decoder": group.decoder, "params": group.params, "rank": group.rank}
        rows.append({**group.key, **facts, **{name: row[name] for name in shared}})
    return frame("figure6", rows)


def figure9(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """How confident and how calibrated the last checkpoint's answers are, by category (paper Figure 9).

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row per condition and category, ``"overall"`` last: means over seeds.
    """
    conditions = study.conditions
    known = {tuple(group.key.values()) for group in conditions}
    further = study.groups(study.in_group(study.usual, "calibration"))
    groups = [*conditions, *(group for group in further if tuple(group.key.values()) not in known)]
    pairs = zip(groups, draw.spawn(len(groups)), strict=True)
    return frame("figure9", [row for group, child in pairs for row in _calibration_rows(group, child)])


def _calibration_rows(group: Condition, draw: Resampling) -> Iterator[dict[str, object]]:
    if group.problem:
        yield group.row(category="")
        return
    by_run = [
        calibration_by_category(run.last_logits, run.gold, run.categories, run.category_names, clusters=group.clusters)
        for run in group.usable
    ]
    entropies = np.stack([prediction_entropy(run.last_logits) for run in group.usable])
    rows = group.categories()
    for found, members, child in zip(zip(*by_run, strict=True), rows.values(), draw.spawn(len(rows)), strict=True):
        interval = nested_mean_interval(
            entropies[:, members], clusters=of_rows(group.clusters, members), **child.options
        )
        names = ("accuracy", "prediction_entropy", "max_confidence", "ece", "ece_calibrated")
        means = {name: float(np.mean([getattr(row, name) for row in found])) for name in names}
        ends = {f"prediction_entropy_{end}": getattr(interval, end) for end in ("low", "high", "caution")}
        note = joined(*(row.note for row in found))
        values = {**means, **ends, **_calibration_error(found)}
        yield group.row(note, interval.note, category=found[0].category, n=found[0].n, **values)


def _calibration_error(rows: Sequence[CalibrationRow]) -> dict[str, float]:
    """The root mean squared calibration error over seeds, and the same mean of the ends of the runs' intervals."""
    found = np.array([(row.squared, row.error_low**2, row.error_high**2) for row in rows]).mean(axis=0)
    names = ("calibration_error", "calibration_error_low", "calibration_error_high")
    return dict(zip(names, np.sqrt(np.maximum(found, 0.0)).tolist(), strict=True))
