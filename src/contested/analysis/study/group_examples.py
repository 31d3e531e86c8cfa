"""The examples of each group, their measures averaged over seeds: what figures draw, and no file holds."""

from __future__ import annotations

import pandas as pd

from contested.analysis.study.cells import StudyRuns
from contested.analysis.study.groups import SeedGroup, categories_of
from contested.analysis.study.measured import stacked


def group_examples(study: StudyRuns) -> pd.DataFrame:
    """One row per example of each group that has a complete run.

    Args:
        study: The study.

    Returns:
        ``group``, the axes, ``example_id``, ``category`` and ``entropy`` where the runs know them, and every measure
        that is a number: its mean over seeds, NaN where an example lacks it under one of them.
    """
    parts = [_of_group(study, group) for group in study.seed_groups if group.usable]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"group": [], "example_id": []})


def _of_group(study: StudyRuns, group: SeedGroup) -> pd.DataFrame:
    categories, names = categories_of(group.usable, len(group.first.example_ids))
    entropy = next((run.entropy for run in group.usable if run.entropy is not None), None)
    columns = {"example_id": group.first.example_ids, **({"category": categories} if names else {})}
    if entropy is not None:
        columns["entropy"] = entropy
    columns |= {name: values.mean(axis=0) for name, values in stacked(group.usable).items()}
    found = pd.DataFrame(columns)
    for place, axis in enumerate(study.axes):
        found.insert(place, axis.name, group.key[axis.name])
    found.insert(0, "group", study.label(group.key))
    return found
