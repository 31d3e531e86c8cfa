"""The paper's frames and their columns: what tables and figures may rely on.

Losses, their changes, AULC and entropies are in nats; shares lie in [0, 1]; ``low`` and ``high`` are the ends of the
interval of the number beside them, and ``caution`` says why it may cover the truth less often than it says.
*Contested* is the category of highest entropy, *clean* that of lowest, whatever their names. A number that does not
exist is NaN, and ``note`` beside it says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from contested.analysis.study.columns import PROVENANCE, frame_of

CONDITION = ("backbone", "method", "dataset")
"""What makes a condition, among plain runs of the usual learning rate."""

_TEST = ("rho", "p_value")
_CHANGES = (
    "contested_change",
    "contested_sd",
    "contested_low",
    "contested_high",
    "contested_caution",
    "clean_change",
    "clean_sd",
    "clean_low",
    "clean_high",
    "clean_caution",
)
_ADJUSTED = ("p_bonferroni", "p_bh", "significant_bonferroni", "significant_bh", "family_size")
_CURVE = ("panel", *CONDITION, "category", "n", "step", "mean", "low", "high", "note", "caution")
_CELL = (
    "run_id",
    "name",
    "backbone",
    "decoder",
    "params",
    "method",
    "family",
    "rank",
    "dataset",
    "seed",
    "learning_rate",
    "composition",
    "noise",
    "noise_rule",
    "soft_labels",
    "main",
    "group",
    "status",
    "excluded",
)

CELL_COLUMNS: tuple[str, ...] = _CELL
"""Columns of ``cells``: one row per run of the study."""

_OWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "runs": (
        *_CELL,
        *_TEST,
        "kendall_tau",
        "val_accuracy",
        "train_loss",
        "contested_change",
        "clean_change",
        "overall_change",
        "aulc_mean",
        "n",
        "notes",
    ),
    # main conditions in the cells' order, then IA3 (main False); p_value: of the seed-mean AULC; p_mean_rho: of the
    # mean of the runs' ρ; p_run_*: of the runs one by one; p_max_t: permutation test, adjusted for all main conditions
    "table1": (
        *CONDITION,
        "main",
        "rho_mean",
        "rho_sd",
        "rho_low",
        "rho_high",
        "rho_mixed",
        "rho_mixed_low",
        "rho_mixed_high",
        "p_value",
        *_ADJUSTED,
        "p_mean_rho",
        "p_run_lowest",
        "p_run_highest",
        "p_max_t",
        "rho_miller_madow",
        "note",
    ),
    # one permutation test of H over the main conditions of a data set, and over all of them
    "omnibus": ("dataset", "n_conditions", "n", "rho_mean", "p_value", "n_permutations", "note"),
    "table2": (*CONDITION, *_CHANGES, "note"),
    # full fine-tuning and IA3 beside each LoRA condition of the same backbone and data, contested Δℓ; difference: the
    # condition's minus LoRA's; entropy_difference: the same of the prediction entropy of all examples at the last
    # checkpoint; excess: the condition's less a fifth of LoRA's
    "beside_lora": (
        *CONDITION,
        "reference",
        "contested_change",
        "reference_change",
        *("difference", "difference_sd", "difference_low", "difference_high", "difference_caution"),
        *("entropy_difference", "entropy_difference_sd", "entropy_difference_low", "entropy_difference_high"),
        "entropy_difference_caution",
        *("excess", "excess_sd", "excess_low", "excess_high", "excess_caution"),
        "n",
        "note",
    ),
    "table3": (*CONDITION, "seed", *_TEST, "val_accuracy", "note"),
    "table4": (*CONDITION, "seed", *_TEST, "val_accuracy", "note"),
    "table5": (*CONDITION, *_CHANGES, "note"),
    # by backbone, rank rising, full fine-tuning last (rank NaN)
    "table6": (*CONDITION, "rank", "seed", *_TEST, "val_accuracy", "note"),
    # difference: ρ at the highest rank minus ρ at the lowest, of the same examples
    "table6_trend": (
        "backbone",
        "dataset",
        "n_ranks",
        "seeds_per_rank",
        "rank_rho",
        "p_value",
        "difference",
        "low",
        "high",
        "note",
    ),
    "table7": (*CONDITION, "composition", "n_trained", "rho_mean", "rho_sd", "p_value", "note"),
    "kendall": ("n_runs", "tau_over_rho_mean", "tau_over_rho_sd", "concordance", "agreement", "note"),
    # control: none, length, gold, both, then covariates by name
    "controls": (*CONDITION, "control", *_TEST, "low", "high", "n", "note"),
    "regression": (*CONDITION, "term", "beta", "se", "p_value", "low", "high", "r_squared", "n", "note"),
    "per_label": (*CONDITION, "label", "n", *_TEST, "low", "high", "note"),
    "figure1": _CURVE,
    "figure2": _CURVE,
    "figure3": ("dataset", "example_id", "entropy", "category"),
    "figure4": ("panel", *CONDITION, "example_id", "category", "entropy", "norm"),
    "figure4_tests": (
        "panel",
        *CONDITION,
        "step",
        *_TEST,
        "low",
        "high",
        "kruskal_h",
        "kruskal_p",
        "n",
        "head",
        "mode",
        "note",
    ),
    "figure5": ("panel", *CONDITION, "scheme", "bin", "position", "n", "aulc_mean", "low", "high", "note", "caution"),
    "figure6": (
        "backbone",
        "decoder",
        "params",
        "method",
        "rank",
        "dataset",
        "rho_mean",
        "rho_sd",
        "rho_low",
        "rho_high",
        "note",
    ),
    "figure7": (
        "dataset",
        "example_id",
        "category",
        "confidence",
        "variability",
        "correctness",
        "region",
        "aulc",
        "entropy",
    ),
    "figure7_overlap": ("dataset", "category", "region", "n", "share"),
    "figure7_tests": (
        "dataset",
        "rho_confidence_aulc",
        "r2_confidence_variability",
        "delta_r2_entropy",
        "p_value_entropy",
        "r2_flexible",
        "delta_r2_flexible",
        "p_value_flexible",
        "n",
        "note",
    ),
    # one row per probed step and run; cosine of the mean gradients of contested and clean examples
    "figure8": ("panel", *CONDITION, "seed", "step", "cosine", "head", "mode", "note"),
    # "overall" last; means over seeds of the last checkpoint's values. ece_calibrated: the mean ECE of a calibrated
    # model with the same probabilities; calibration_error: root of the mean debiased squared error, with the runs' ends
    "figure9": (
        *CONDITION,
        "category",
        "prediction_entropy",
        "prediction_entropy_low",
        "prediction_entropy_high",
        "prediction_entropy_caution",
        "max_confidence",
        "ece",
        "ece_calibrated",
        "calibration_error",
        "calibration_error_low",
        "calibration_error_high",
        "accuracy",
        "n",
        "note",
    ),
    # one row a noised run, against the plain run of the same seed; shift_replaced and shift_kept: among the clean
    # examples that trained on another label, and on their own
    "noise": (
        *CONDITION,
        "noise",
        "noise_rule",
        "seed",
        "clean_aulc",
        "baseline_clean_aulc",
        "shift",
        "low",
        "high",
        "caution",
        "shift_replaced",
        "shift_kept",
        "wilcoxon_p",
        "cohens_d",
        *_TEST,
        "baseline_rho",
        "note",
    ),
    # p_seeds: of shift_mean, seeds counted; seed_shift: between two plain runs of other seeds
    "noise_summary": (
        *CONDITION,
        "noise",
        "noise_rule",
        "clean_aulc",
        "baseline_clean_aulc",
        "shift_mean",
        "shift_sd",
        "shift_low",
        "shift_high",
        "shift_caution",
        "p_seeds",
        "seed_shift",
        "shift_replaced",
        "shift_kept",
        "wilcoxon_p",
        "cohens_d",
        "rho_mean",
        "rho_sd",
        "p_value",
        "baseline_rho_mean",
        "note",
    ),
    # one row a soft-label run, against the plain run of the same seed
    "soft_labels": (
        *CONDITION,
        "seed",
        "contested_change_hard",
        "contested_change_soft",
        "difference",
        "low",
        "high",
        "caution",
        "wilcoxon_p",
        "rho_hard",
        "rho_soft",
        "note",
    ),
    # hard_low: lower end of the hard Δℓ's interval; ratio: soft to hard; least: soft less 80 % of hard; most: 125 % of
    # hard less soft; equivalence: same, different or inconclusive
    "soft_labels_summary": (
        *CONDITION,
        "contested_change_hard",
        "contested_change_soft",
        "difference_mean",
        "difference_sd",
        "difference_low",
        "difference_high",
        "difference_caution",
        "p_seeds",
        "seed_shift",
        "hard_low",
        "ratio",
        *("least", "least_sd", "least_low", "least_high", "least_caution"),
        *("most", "most_sd", "most_low", "most_high", "most_caution"),
        "equivalence",
        "wilcoxon_p",
        "note",
    ),
    # low and high: of contested_change
    "lr_control": (
        *CONDITION,
        "learning_rate",
        "train_loss",
        "val_accuracy",
        "rho_mean",
        "rho_sd",
        "rho_low",
        "rho_high",
        "contested_change",
        "clean_change",
        "low",
        "high",
        "caution",
        "note",
    ),
    # Spearman over the rows of lr_control, of one method or of all: of contested_change with the learning rate and with
    # train_loss, and of ρ with train_loss
    "lr_control_trend": (
        "backbone",
        "dataset",
        "method",
        "n_points",
        "change_with_rate",
        "change_with_train_loss",
        "rho_with_train_loss",
        "note",
    ),
    "learning_order": (*CONDITION, "kendall_w", "p_value", "note"),
    # learning_time in steps; aum: margin of logits (Pleiss et al., 2020); the same of probabilities
    "dynamics": (
        *CONDITION,
        "category",
        "learning_time_median",
        "never_learned_share",
        "forgetting_mean",
        "aum_mean",
        "probability_margin_mean",
        "n",
        "note",
    ),
    "multiple_testing": ("family", "artefact", "test", "p_value", *_ADJUSTED),
}

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (*own, *PROVENANCE) for name, own in _OWN_COLUMNS.items()}
)
"""Frame to its columns, in order. A frame may carry more columns (the paper's values); never fewer."""


def frame(name: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame of the results, with its columns in their order even when it has no rows.

    Args:
        name: One of :data:`COLUMNS`.
        rows: One mapping a row; a column that it leaves out is NaN, or "" for a note.

    Returns:
        The frame.

    Raises:
        KeyError: If a row has a column that the frame does not know.
    """
    return frame_of(name, COLUMNS[name], rows)
