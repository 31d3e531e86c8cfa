"""The colours, markers and order of the paper's methods, and the titles of its conditions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import pandas as pd

from contested.report.labels import Titles
from contested.report.labels import panel_titles as titles_by
from contested.report.labels import panels as panels_by
from contested.report.style import CategoryColor, sequential

CONDITION = ("backbone", "method", "dataset")


def panel_titles(frame: pd.DataFrame, by: Sequence[str] = CONDITION) -> Titles:
    """Titles of conditions that say how each panel differs from the others."""
    return titles_by(frame, by)


def panels(frame: pd.DataFrame, by: Sequence[str] = CONDITION) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each condition under its short title, in the order in which the conditions first occur."""
    return panels_by(frame, by)


def by_capacity(methods: Iterable[str]) -> list[str]:
    """Methods in the order of what they may change: LoRA by rising rank, others, full fine-tuning last.

    >>> by_capacity(["full", "lora-r16", "ia3", "lora-r4"])
    ['ia3', 'lora-r4', 'lora-r16', 'full']
    """
    return sorted(dict.fromkeys(methods), key=_capacity)


def _capacity(method: str) -> float:
    """A position from 0 to 1: full fine-tuning 1, LoRA by the logarithm of its rank, what has no rank 0."""
    if method == "full":
        return 1.0
    rank = re.search(r"r(\d+)$", method)
    return min(0.85, 0.05 + 0.125 * math.log2(max(int(rank[1]), 1))) if rank else 0.0


def method_colors(methods: Iterable[str]) -> dict[str, CategoryColor]:
    """A colour for each method along one sequential map, the same in every figure of every study.

    Args:
        methods: The methods.

    Returns:
        Method to colour, by rising capacity.
    """
    return {method: sequential(_capacity(method)) for method in by_capacity(methods)}


def marker(method: str) -> str:
    """The shape of a method's points: LoRA round, full fine-tuning square, anything else a diamond."""
    return "o" if method.startswith("lora") else "s" if method == "full" else "D"
