"""The label that an example was published with, before the annotators of now were asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("original_label", "old_label")
"""Columns of the examples that may hold it, the first that is there; ChaosNLI has ``old_label``."""


def original_labels(examples: pd.DataFrame, label_names: Sequence[str]) -> NDArray[np.int64] | None:
    """Each example's original label, as far as it is one of the classes.

    Args:
        examples: The tracked examples, as the run folder has them.
        label_names: Class names, length K.

    Returns:
        Class index, shape ``(N,)``, -1 where an example has no such label; None where no example has one.
    """
    column = next((name for name in COLUMNS if name in examples), None)
    if column is None:
        return None
    numbers = {name.casefold(): index for index, name in enumerate(label_names)}
    found = [numbers.get(str(label).strip().casefold(), -1) for label in examples[column]]
    labels = np.array(found, dtype=np.int64)
    return labels if (labels >= 0).any() else None
