"""Every test of a study's frames with its family, corrected within it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from contested.analysis.study.columns import PROVENANCE
from contested.paper.frames.columns import CONDITION, frame
from contested.paper.frames.tables import adjusted

MAIN_FAMILY = "main conditions"
"""The paper's family of tests: ρ(AULC, H) of each main condition."""


class _Family(NamedTuple):
    name: str
    artefact: str
    p_value: str
    label: tuple[str, ...]


_FAMILIES = (
    _Family(MAIN_FAMILY, "table1", "p_value", CONDITION),
    _Family("single runs of the rank sweep", "table6", "p_value", (*CONDITION, "seed")),
    _Family("trend with rank", "table6_trend", "p_value", ("backbone", "dataset")),
    _Family("compositions of the training set", "table7", "p_value", (*CONDITION, "composition")),
    _Family("ρ with controls held fixed", "controls", "p_value", (*CONDITION, "control")),
    _Family("ρ by gold label", "per_label", "p_value", (*CONDITION, "label")),
    _Family("gradient norms and entropy", "figure4_tests", "p_value", CONDITION),
    _Family("gradient norms by category", "figure4_tests", "kruskal_p", CONDITION),
    _Family("label noise", "noise_summary", "p_seeds", (*CONDITION, "noise", "noise_rule")),
    _Family("soft labels", "soft_labels_summary", "p_seeds", CONDITION),
    _Family("learning order", "learning_order", "p_value", CONDITION),
)


def multiple_testing(frames: Mapping[str, pd.DataFrame], confidence: float) -> pd.DataFrame:
    """The tests of every family with a p-value, corrected within the family at level 1 − confidence.

    Args:
        frames: The study's frames by name.
        confidence: Coverage of the study's intervals.

    Returns:
        One row a test; a condition outside the main ones is not in the main family, and ``none`` among the
        controls repeats the main tests and is left out.
    """
    return frame("multiple_testing", [row for family in _FAMILIES for row in _rows(family, frames, confidence)])


def _rows(family: _Family, frames: Mapping[str, pd.DataFrame], confidence: float) -> list[dict[str, object]]:
    table = frames[family.artefact]
    table = table[table[family.p_value].notna()]
    if family.artefact == "table1":
        table = table[table["main"].astype(bool)]
    if family.artefact == "controls":
        table = table[table["control"] != "none"]
    p_values = table[family.p_value].astype(float).tolist()
    found = adjusted(p_values, confidence)
    columns = [name for name in (*family.label,) if name in table]
    return [
        {
            "family": family.name,
            "artefact": family.artefact,
            "test": " · ".join(str(row[name]) for name in columns if str(row[name])),
            "p_value": p_value,
            **{name: values[index] for name, values in found.items()},
            "family_size": int(np.size(p_values)),
            **{name: row[name] for name in PROVENANCE},
        }
        for index, (p_value, (_, row)) in enumerate(zip(p_values, table.iterrows(), strict=True))
    ]
