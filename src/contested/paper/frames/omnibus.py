"""The permutation test of H over all conditions, of each data set and of the whole study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contested.analysis.study.groups import Resampling, clusters_of
from contested.paper.frames.columns import frame
from contested.paper.frames.conditions import Condition, PaperStudy, panel
from contested.paper.omnibus import Omnibus, SharedExamples, omnibus


def max_t(study: PaperStudy, draw: Resampling) -> list[float]:
    """The p of each condition by permuting H, adjusted for all main conditions; NaN for the others."""
    found = permuted(study.main, draw)[1]
    return [found.get(panel(group.key), np.nan) for group in study.conditions]


def permuted(groups: Sequence[Condition], draw: Resampling) -> tuple[Omnibus, dict[str, float]]:
    """One permutation test of H over some conditions.

    Args:
        groups: The conditions; one with a problem is left out.
        draw: The source of permutations.

    Returns:
        The test, and the adjusted p of each condition by its panel.
    """
    together: dict[tuple[str, ...], list[Condition]] = {}
    for group in groups:
        if not group.problem:
            key = (str(group.key["dataset"]), *group.first.example_ids.tolist())
            together.setdefault(key, []).append(group)
    blocks = [
        SharedExamples(
            [one.aulc for one in own], own[0].entropy, clusters_of([run for one in own for run in one.usable])
        )
        for own in together.values()
    ]
    found = omnibus(blocks, rng=draw.named("permutations").rng)
    names = [panel(group.key) for own in together.values() for group in own]
    return found, dict(zip(names, found.p_conditions.tolist(), strict=True))


def omnibus_frame(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Whether H goes with AULC in any main condition: of each data set, and of all where there are several.

    Args:
        study: The study.
        draw: The source of permutations.

    Returns:
        One row a data set, ``"all"`` last.
    """
    by_data: dict[str, list[Condition]] = {}
    for group in study.main:
        by_data.setdefault(str(group.key["dataset"]), []).append(group)
    if len(by_data) > 1:
        by_data["all"] = study.main
    return frame("omnibus", [_omnibus_row(name, groups, draw) for name, groups in by_data.items()])


def _omnibus_row(dataset: str, groups: Sequence[Condition], draw: Resampling) -> dict[str, object]:
    found, by_condition = permuted(groups, draw)
    tested = [group for group in groups if np.isfinite(by_condition.get(panel(group.key), np.nan))]
    left_out = len(groups) - len(tested)
    together = {
        name: ",".join(filter(None, (group.provenance[name] for group in groups))) for name in ("run_ids", "missing")
    }
    return {
        "dataset": dataset,
        "n_conditions": len(tested),
        "n": max((len(group.entropy) for group in tested), default=0),
        "rho_mean": found.rho,
        "p_value": found.p_value,
        "n_permutations": found.n_permutations,
        "note": f"{left_out} of {len(groups)} conditions have no ρ" if left_out else "",
        **together,
        **{name: sum(group.provenance[name] for group in groups) for name in ("n_seeds", "n_expected")},
    }
