"""What else could make the correlation: length, gold label, covariates, bins, and how far seeds agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.controls import Categorical, partial_spearman, regression, spearman_by_label
from contested.analysis.correlation import spearman
from contested.analysis.rank import kendall_w
from contested.analysis.study.groups import Resampling, independent
from contested.errors import DataError
from contested.paper.binning import aulc_by_bins
from contested.paper.frames.columns import frame
from contested.paper.frames.conditions import Condition, PaperStudy, panel

NONE, LENGTH, GOLD, BOTH = "none", "length", "gold", "both"
"""The controls of §4.3; covariates come after them by name."""

_NO_TEXT = "the runs have no text column, so examples have no length"
_SCHEMES = ("fixed", "quartiles", "terciles")
_MOST_LEVELS = 0.2  # levels of a categorical control, as a share of the examples


def controls(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """ρ of the seed-mean AULC with H, with nothing, length, gold label, both, and each covariate held fixed.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row per condition and control; a condition without runs has the row of no control.
    """
    return frame("controls", _rows(study, draw, _control_rows))


def _rows(study: PaperStudy, draw: Resampling, of_group: Any) -> list[dict[str, object]]:
    groups = study.conditions
    pairs = zip(groups, draw.spawn(len(groups)), strict=True)
    return [row for group, child in pairs for row in of_group(group, child)]


def _control_rows(group: Condition, draw: Resampling) -> Iterator[dict[str, object]]:
    if group.problem:
        yield group.row(control=NONE)
        return
    aulc, human = group.mean_aulc, group.entropy
    for_none, *children = draw.spawn(4 + group.first.covariates.shape[1])
    raw = spearman(aulc, human, names=("aulc", "entropy"), clusters=group.clusters, **for_none.options)
    yield group.row(raw.note, control=NONE, rho=raw.rho, p_value=raw.p_value, low=raw.low, high=raw.high, n=raw.n)
    for (name, held, note), child in zip(_held_fixed(group), children, strict=True):
        if note:
            yield group.row(note, control=name, n=len(aulc))
            continue
        found = partial_spearman(aulc, human, held, clusters=group.clusters, **child.options)
        left_out = (
            f"{found.n_skipped} examples left out: the control or the entropy is missing" if found.n_skipped else ""
        )
        yield group.row(
            found.note,
            left_out,
            control=name,
            rho=found.rho,
            p_value=found.p_value,
            low=found.low,
            high=found.high,
            n=found.n,
        )


def _held_fixed(group: Condition) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Name of a control, what it holds fixed, and why it cannot."""
    run = group.first
    gold = {GOLD: Categorical(run.gold)}
    length = {} if run.length is None else {LENGTH: run.length}
    no_text = _NO_TEXT if run.length is None else ""
    yield LENGTH, length, no_text
    yield GOLD, gold, ""
    yield BOTH, length | gold, no_text
    for name in run.covariates:
        values = run.covariates[name]
        if pd.api.types.is_numeric_dtype(values):
            yield str(name), {str(name): values.to_numpy(np.float64)}, ""
        else:
            levels = values.astype(str).nunique()
            crowded = f"{levels} levels for {len(values)} examples: a name for each example, not a control"
            held = {str(name): Categorical(_levels(values))}
            yield str(name), held, crowded if levels > _MOST_LEVELS * len(values) else ""


def _levels(values: pd.Series) -> NDArray[np.object_]:
    return np.array([None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)])


def regressions(study: PaperStudy) -> pd.DataFrame:
    """Seed-mean AULC regressed on H, length and gold label together (paper §4.3), one row a term."""
    rows: list[dict[str, object]] = []
    for group in study.conditions:
        length = None if group.problem else group.first.length
        if group.problem or length is None:
            rows.append(group.row("" if group.problem else _NO_TEXT, term="entropy"))
            continue
        run = group.first
        found = regression(
            group.mean_aulc, group.entropy, length, run.gold, label_names=run.label_names, clusters=group.clusters
        )
        whole = {"r_squared": found.r_squared, "n": found.n}
        rows += [group.row(found.note, **term._asdict(), **whole) for term in found.terms]
    return frame("regression", rows)


def per_label(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """ρ of the seed-mean AULC with H among the examples of each gold label (paper §4.3)."""
    return frame("per_label", _rows(study, draw, _label_rows))


def _label_rows(group: Condition, draw: Resampling) -> Iterator[dict[str, object]]:
    if group.problem:
        yield group.row(label="")
        return
    run = group.first
    options = draw.options | {"clusters": group.clusters}
    for label, found in spearman_by_label(group.mean_aulc, group.entropy, run.gold, run.label_names, **options):
        yield group.row(
            found.note,
            label=label,
            rho=found.rho,
            p_value=found.p_value,
            low=found.low,
            high=found.high,
            n=found.n,
        )


def figure5(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Seed-mean AULC by fixed, quartile and tercile bins of entropy (paper Appendix G)."""
    return frame("figure5", _rows(study, draw, _bin_rows))


def _bin_rows(group: Condition, draw: Resampling) -> Iterator[dict[str, object]]:
    name = panel(group.key)
    if group.problem:
        yield group.row(panel=name, scheme="", bin="")
        return
    for scheme, child in zip(_SCHEMES, draw.spawn(len(_SCHEMES)), strict=True):
        options = child.options | {"n_classes": len(group.first.label_names), "clusters": group.clusters}
        try:
            bins = aulc_by_bins(group.mean_aulc, group.entropy, scheme, **options)
        except DataError as error:
            yield group.row(str(error), panel=name, scheme=scheme, bin="")
            continue
        for found in bins:
            values = found._asdict()
            yield group.row(values.pop("note"), panel=name, aulc_mean=values.pop("mean"), **values)


def learning_order(study: PaperStudy) -> pd.DataFrame:
    """Whether seeds learn the examples in the same order: Kendall's W of their AULCs."""
    rows = []
    for group in study.conditions:
        if group.problem:
            rows.append(group.row())
            continue
        found = kendall_w(group.aulc)
        rows.append(group.row(found.note, independent("p", group.clusters), kendall_w=found.w, p_value=found.p_value))
    return frame("learning_order", rows)


def dynamics(study: PaperStudy) -> pd.DataFrame:
    """Learning time, forgetting and margins by category, over examples and seeds.

    Learning time is the first step with a loss below ln K, infinite where there is none; an example is never
    learned if no checkpoint gets it right.

    Args:
        study: The study.

    Returns:
        One row per condition and category, ``"overall"`` last.
    """
    return frame("dynamics", [row for group in study.conditions for row in _dynamics_rows(group)])


def _dynamics_rows(group: Condition) -> Iterator[dict[str, object]]:
    if group.problem:
        yield group.row(category="")
        return
    for category, rows in group.categories().items():
        if not len(rows):
            yield group.row("no examples", category=category, n=0)
            continue
        runs = group.usable
        times = np.concatenate([np.nan_to_num(run.columns["learning_time"][rows], nan=np.inf) for run in runs])
        median = float(np.median(times))
        yield group.row(
            "" if np.isfinite(median) else "half or more never reach a loss below ln K: no median learning time",
            category=category,
            learning_time_median=median if np.isfinite(median) else np.nan,
            never_learned_share=float(np.mean([run.columns["never_learned"][rows].mean() for run in runs])),
            forgetting_mean=float(np.mean([run.columns["forgetting_events"][rows].mean() for run in runs])),
            aum_mean=float(np.mean([run.columns["aum"][rows].mean() for run in runs])),
            probability_margin_mean=float(np.mean([run.columns["probability_margin"][rows].mean() for run in runs])),
            n=len(rows),
        )
