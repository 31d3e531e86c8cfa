"""Un-learning under full fine-tuning and IA3 beside that of LoRA: the same examples under the same seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.calibration import prediction_entropy
from contested.analysis.equivalence import ABSENT
from contested.analysis.seeds import nested_mean_interval, over_seeds
from contested.analysis.study.groups import Resampling, clusters_of, different_examples, of_rows
from contested.paper.frames.columns import CONDITION, frame
from contested.paper.frames.conditions import Condition, PaperStudy, panel

_NOTHING = "no seed of both is complete"


def beside_lora(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Contested Δℓ and prediction entropy of full fine-tuning and IA3 beside each of LoRA, on one backbone and data.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row a pair: the difference (the condition's minus LoRA's), and ``excess``, the condition's less a fifth of
        LoRA's: below 0, un-learning is largely absent.
    """
    pairs = [
        (own, lora)
        for own in study.conditions
        for lora in study.main
        if own.family in ("full", "ia3") and lora.family == "lora"
        if (own.key["backbone"], own.key["dataset"]) == (lora.key["backbone"], lora.key["dataset"])
    ]
    return frame("beside_lora", [_row(own, lora, draw.named(panel(own.key), panel(lora.key))) for own, lora in pairs])


def _row(own: Condition, lora: Condition, draw: Resampling) -> dict[str, object]:
    row = {name: own.key[name] for name in CONDITION} | {"reference": lora.key["method"], **_provenance(own, lora)}
    shared = [seed for seed in own.seeds if seed in lora.seeds]
    note = own.problem or lora.problem or ("" if shared else _NOTHING) or different_examples([own.first, lora.first])
    if note:
        return row | {"note": note}
    change, reference = (_contested(group, shared) for group in (own, lora))
    every = clusters_of([*own.usable, *lora.usable])
    clusters = of_rows(every, lora.first.contested)
    of_difference, of_excess = draw.spawn(2)
    row |= {"contested_change": float(change.mean()), "reference_change": float(reference.mean())}
    sharper = _prediction_entropy(own, shared) - _prediction_entropy(lora, shared)
    row |= _columns("entropy_difference", sharper, every, draw.named("entropy"))
    row |= _columns("difference", change - reference, clusters, of_difference)
    row |= _columns("excess", change - ABSENT * reference, clusters, of_excess)
    return row | {"n_seeds": len(shared)}


def _contested(group: Condition, seeds: list[int]) -> NDArray[np.float64]:
    """Δℓ of the contested examples under these seeds, shape (S, n)."""
    rows = [group.seeds.index(seed) for seed in seeds]
    return group.change[rows][:, group.first.contested]


def _prediction_entropy(group: Condition, seeds: list[int]) -> NDArray[np.float64]:
    """Prediction entropy of every example at the last checkpoint under these seeds (nats), shape (S, N)."""
    return np.stack([prediction_entropy(group.usable[group.seeds.index(seed)].last_logits) for seed in seeds])


def _columns(
    name: str, values: NDArray[np.float64], clusters: NDArray[np.intp] | None, draw: Resampling
) -> dict[str, object]:
    found = nested_mean_interval(values, clusters=clusters, **draw.options)
    ends = {f"{name}_{end}": getattr(found, end) for end in ("low", "high", "caution")}
    # The sd is over seeds; without examples there is none.
    sd = over_seeds(values.mean(axis=1)).sd if values.shape[1] else np.nan
    return {name: found.estimate, **ends, f"{name}_sd": sd, "n": found.n, "note": found.note}


def _provenance(own: Condition, lora: Condition) -> dict[str, object]:
    both = own.provenance, lora.provenance
    joined = {name: ",".join(filter(None, (one[name] for one in both))) for name in ("run_ids", "missing")}
    return {**joined, "n_seeds": 0, "n_expected": max(one["n_expected"] for one in both)}
