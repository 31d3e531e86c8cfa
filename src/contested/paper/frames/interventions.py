"""What changes when the training labels or the learning rate do: noise, soft labels and the learning-rate control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.equivalence import SAME, ratio_equivalence
from contested.analysis.intervals import mean_interval
from contested.analysis.rank import rank_trend
from contested.analysis.seeds import nested_mean_interval, nested_mean_test, nested_spearman_interval, over_seeds
from contested.analysis.study.groups import Resampling, clusters_of, different_examples, of_rows
from contested.analysis.study.runs import CompleteRun, rank_correlation_of
from contested.paper.frames.columns import CONDITION, frame
from contested.paper.frames.conditions import Condition, PaperStudy, panel
from contested.paper.frames.tables import changes, mean_of, rhos
from contested.paper.noise import noise_shift, wilcoxon
from contested.wording import joined


@dataclass(frozen=True, eq=False)
class Pairs:
    """Runs of an intervention, each with the plain run of its seed, condition and learning rate.

    Attributes:
        key: What the intervened runs have in common.
        seeds: The seed of each complete pair.
        pairs: Intervened and plain run, both complete.
        run_ids: Complete runs among those needed.
        missing: Runs needed and not complete.
        n_expected: Intervened runs of the study.
        unasked: Seeds of which the study has no plain run at all.
    """

    key: dict[str, Any]
    seeds: tuple[int, ...]
    pairs: tuple[tuple[CompleteRun, CompleteRun], ...]
    run_ids: tuple[str, ...]
    missing: tuple[str, ...]
    n_expected: int
    unasked: tuple[int, ...]

    @classmethod
    def of(cls, study: PaperStudy, cells: pd.DataFrame, by: tuple[str, ...]) -> Pairs:
        """Find the plain run of each cell."""
        cells = cells.sort_values(["seed", "run_id"], kind="stable")
        pairs, seeds, needed, unasked = [], [], [], []
        for _, cell in cells.iterrows():
            plain = study.baseline(cell)["run_id"].tolist()
            needed += [str(cell["run_id"]), *plain[:1]]
            if not plain:
                unasked.append(int(cell["seed"]))
            elif cell["run_id"] in study.runs and plain[0] in study.runs:
                pairs.append((study.runs[str(cell["run_id"])], study.runs[plain[0]]))
                seeds.append(int(cell["seed"]))
        return cls(
            key={name: cells.iloc[0][name] for name in by},
            seeds=tuple(seeds),
            pairs=tuple(pairs),
            run_ids=tuple(run_id for run_id in needed if run_id in study.runs),
            missing=tuple(run_id for run_id in needed if run_id not in study.runs),
            n_expected=len(cells),
            unasked=tuple(unasked),
        )

    @cached_property
    def problem(self) -> str:
        """Why there is nothing to compare; empty where there is."""
        if self.pairs:
            return different_examples([run for pair in self.pairs for run in pair])
        return "no complete pair of this run and the plain run of its seed"

    @property
    def note(self) -> str:
        """The problem, and the seeds without a plain run."""
        seeds = ", ".join(map(str, self.unasked))
        return joined(self.problem, f"the study has no plain run of seed {seeds}" if seeds else "")

    @property
    def intervened(self) -> tuple[CompleteRun, ...]:
        """The runs with the intervention."""
        return tuple(run for run, _ in self.pairs)

    @property
    def plain(self) -> tuple[CompleteRun, ...]:
        """The runs without."""
        return tuple(run for _, run in self.pairs)

    @property
    def clusters(self) -> NDArray[np.intp] | None:
        """The number of each example's cluster, shape (N,); None where each stands for itself."""
        return clusters_of([run for pair in self.pairs for run in pair])

    def row(self, *notes: str, **values: Any) -> dict[str, Any]:
        """A row: the key, the runs, a note, and ``values``."""
        return {
            **self.key,
            "run_ids": ",".join(self.run_ids),
            "missing": ",".join(self.missing),
            "n_seeds": len(self.pairs),
            "n_expected": self.n_expected,
            "note": joined(self.note, *notes),
            **values,
        }


_FEWEST_POINTS = 3
_NOISE = (*CONDITION, "noise", "noise_rule")
_BY_RATE = (*CONDITION, "learning_rate")


def noise(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    """What noised labels of clean training examples do to the clean examples' AULC (paper §5).

    Every run is set against the plain run of its condition, seed and learning rate; losses of both are against
    the original labels. ``noise_summary`` has the mean shift over seeds with its interval and, for p-values of seeds
    are not averaged, one Wilcoxon test and one Cohen's d of the seed-mean AULCs. Both take the runs as they are, and
    so do the intervals of single runs: that other runs of the same settings shift too is in ``seed_shift``, how far
    the mean AULC of clean examples lies apart in two plain runs of other seeds, and in ``p_seeds``, the test that
    counts seeds.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        ``noise`` and ``noise_summary``.
    """
    cells = study.asked[study.asked["noise"] > 0]
    return _by_run_and_summary(study, cells, _NOISE, draw, ("noise", _noise_row), ("noise_summary", _noise_summary))


_RowMaker = Callable[[Pairs, Resampling], dict[str, object]]


def _by_run_and_summary(
    study: PaperStudy,
    cells: pd.DataFrame,
    by: tuple[str, ...],
    draw: Resampling,
    each: tuple[str, _RowMaker],
    whole: tuple[str, _RowMaker],
) -> dict[str, pd.DataFrame]:
    """A frame of single runs and one over seeds, rows of one learning rate together."""
    blocks = [rows for _, rows in cells.groupby([*by, "learning_rate"], sort=False, dropna=False)]
    for_each, for_whole = draw.spawn(2)
    singles = [rows.iloc[[index]] for rows in blocks for index in range(len(rows))]
    return {
        name: frame(
            name,
            [make(Pairs.of(study, rows, key), child) for rows, child in zip(sets, d.spawn(len(sets)), strict=True)],
        )
        for (name, make), sets, key, d in (
            (each, singles, (*by, "seed"), for_each),
            (whole, blocks, by, for_whole),
        )
    }


def _noise_row(pairs: Pairs, draw: Resampling) -> dict[str, object]:
    if pairs.problem:
        return pairs.row()
    run, plain = pairs.pairs[0]
    found = noise_shift(
        plain.aulc[plain.clean], run.aulc[run.clean], clusters=of_rows(pairs.clusters, plain.clean), **draw.options
    )
    rho, p_value, note = rank_correlation_of(run.aulc, run.entropy, run.clusters)
    return pairs.row(
        found.note,
        note,
        clean_aulc=found.mean_noised,
        baseline_clean_aulc=found.mean_baseline,
        **{name: getattr(found, name) for name in ("shift", "low", "high", "caution", "wilcoxon_p", "cohens_d")},
        rho=rho,
        p_value=p_value,
        baseline_rho=rank_correlation_of(plain.aulc, plain.entropy)[0],
        **_split_shift(pairs),
    )


def _split_shift(pairs: Pairs) -> dict[str, float]:
    """Mean shift of the clean examples that trained on another label, and of those that kept theirs."""
    shifts = {"shift_replaced": [], "shift_kept": []}  # type: dict[str, list[float]]
    for run, plain in pairs.pairs:
        shift = run.aulc - plain.aulc
        shifts["shift_replaced"].append(mean_of(shift[run.clean & run.replaced]))
        shifts["shift_kept"].append(mean_of(shift[run.clean & ~run.replaced]))
    return {name: over_seeds(values).mean for name, values in shifts.items()}


def _noise_summary(pairs: Pairs, draw: Resampling) -> dict[str, object]:
    if pairs.problem:
        return pairs.row()
    clean = pairs.plain[0].clean
    noised = np.stack([run.aulc[clean] for run in pairs.intervened])
    before = np.stack([run.aulc[clean] for run in pairs.plain])
    for_nested, for_test = draw.spawn(2)
    shift, p_seeds = nested_mean_test(noised - before, clusters=of_rows(pairs.clusters, clean), **for_nested.options)
    test = noise_shift(
        before.mean(axis=0), noised.mean(axis=0), clusters=of_rows(pairs.clusters, clean), **for_test.options
    )
    by_seed = over_seeds([mean_of(row) for row in noised - before])
    rho = over_seeds([rank_correlation_of(run.aulc, run.entropy)[0] for run in pairs.intervened])
    mean_aulc = np.mean([run.aulc for run in pairs.intervened], axis=0)
    return pairs.row(
        shift.note,
        test.note,
        clean_aulc=test.mean_noised,
        baseline_clean_aulc=test.mean_baseline,
        shift_mean=shift.estimate,
        shift_sd=by_seed.sd,
        **{f"shift_{end}": getattr(shift, end) for end in ("low", "high", "caution")},
        p_seeds=p_seeds,
        seed_shift=apart(before.mean(axis=1)),
        wilcoxon_p=test.wilcoxon_p,
        cohens_d=test.cohens_d,
        rho_mean=rho.mean,
        rho_sd=rho.sd,
        p_value=rank_correlation_of(mean_aulc, pairs.plain[0].entropy, pairs.clusters)[1],
        baseline_rho_mean=over_seeds([rank_correlation_of(run.aulc, run.entropy)[0] for run in pairs.plain]).mean,
        **_split_shift(pairs),
    )


def apart(by_seed: NDArray[np.float64]) -> float:
    """How far the numbers of two seeds lie apart, on average over all pairs; NaN with one seed."""
    pairs = np.abs(by_seed[:, None] - by_seed)[np.triu_indices(len(by_seed), 1)]
    return float(pairs.mean()) if pairs.size else float("nan")


def soft_labels(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    """Un-learning of contested examples with soft against hard training labels (paper §5).

    Both are tracked against the hard gold label. The difference is soft minus hard, of the same examples and seed;
    ``p_seeds`` and ``seed_shift`` are as for :func:`noise`, of contested Δℓ.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        ``soft_labels`` and ``soft_labels_summary``.
    """
    cells = study.asked[study.asked["soft_labels"]]
    each, whole = ("soft_labels", _soft_row), ("soft_labels_summary", _soft_summary)
    return _by_run_and_summary(study, cells, CONDITION, draw, each, whole)


def _soft_row(pairs: Pairs, draw: Resampling) -> dict[str, object]:
    if pairs.problem:
        return pairs.row()
    soft, hard = pairs.pairs[0]
    difference = (soft.change - hard.change)[hard.contested]
    own = of_rows(pairs.clusters, hard.contested)
    found = mean_interval(difference, clusters=own, **draw.options)
    p_value, note = wilcoxon(difference, own)
    return pairs.row(
        found.note,
        note,
        contested_change_hard=mean_of(hard.change[hard.contested]),
        contested_change_soft=mean_of(soft.change[hard.contested]),
        difference=found.estimate,
        **{end: getattr(found, end) for end in ("low", "high", "caution")},
        wilcoxon_p=p_value,
        rho_hard=rank_correlation_of(hard.aulc, hard.entropy)[0],
        rho_soft=rank_correlation_of(soft.aulc, soft.entropy)[0],
    )


def _soft_summary(pairs: Pairs, draw: Resampling) -> dict[str, object]:
    if pairs.problem:
        return pairs.row()
    contested = pairs.plain[0].contested
    hard = np.stack([run.change[contested] for run in pairs.plain])
    soft = np.stack([run.change[contested] for run in pairs.intervened])
    own = of_rows(pairs.clusters, contested)
    found, p_seeds = nested_mean_test(soft - hard, clusters=own, **draw.options)
    p_value, note = wilcoxon((soft - hard).mean(axis=0), own)
    same = ratio_equivalence(
        soft, hard, lambda one: nested_mean_interval(one, clusters=own, **draw.named("equivalence").options)
    )
    lower, upper = SAME
    return pairs.row(
        found.note,
        note,
        contested_change_hard=mean_of(hard),
        contested_change_soft=mean_of(soft),
        difference_mean=found.estimate,
        difference_sd=over_seeds([mean_of(row) for row in soft - hard]).sd,
        difference_low=found.low,
        difference_high=found.high,
        difference_caution=found.caution,
        p_seeds=p_seeds,
        seed_shift=apart(hard.mean(axis=1)),
        hard_low=nested_mean_interval(hard, clusters=own, **draw.named("hard").options).low,
        **{name: value for name, value in same._asdict().items() if name != "note"},
        least_sd=over_seeds([mean_of(row) for row in soft - lower * hard]).sd,
        most_sd=over_seeds([mean_of(row) for row in upper * hard - soft]).sd,
        equivalence=same.verdict,
        wilcoxon_p=p_value,
    )


def lr_control(study: PaperStudy, draw: Resampling) -> pd.DataFrame:
    """Δℓ and ρ of every method at every learning rate, beside the training loss reached.

    One rate for all methods leaves rank and amount of training confounded; rows of one training loss compare.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row per condition and rate, of the conditions in the group lr-control; rates rise within a condition.
    """
    groups = study.groups(study.in_group(study.plain, "lr-control"), _BY_RATE)
    order = {name: index for index, name in enumerate(dict.fromkeys(panel(group.key) for group in groups))}
    groups = sorted(groups, key=lambda group: (order[panel(group.key)], group.key["learning_rate"]))
    return frame("lr_control", _rate_rows(groups, draw))


ALL_METHODS = "all"
"""The row of ``lr_control_trend`` over every method."""


def lr_control_trend(control: pd.DataFrame) -> pd.DataFrame:
    """Whether un-learning and ρ go with the learning rate and with the training loss reached.

    If Δℓ follows the training loss over all methods as it does within each, the amount of training explains what the
    method seems to.

    Args:
        control: The frame of :func:`lr_control`.

    Returns:
        One row a backbone, data set and method, the row of all methods last.
    """
    rows = []
    for (backbone, dataset), whole in control.groupby(["backbone", "dataset"], sort=False):
        methods = [(str(method), own) for method, own in whole.groupby("method", sort=False)]
        for method, own in [*methods, (ALL_METHODS, whole)]:
            rows.append({"backbone": backbone, "dataset": dataset, "method": method, **_trends(own)})
    return frame("lr_control_trend", rows)


def _trends(rows: pd.DataFrame) -> dict[str, object]:
    known = rows[rows["contested_change"].notna() & rows["train_loss"].notna() & rows["rho_mean"].notna()]
    rate, loss, change, rho = (
        known[name].to_numpy(np.float64) for name in ("learning_rate", "train_loss", "contested_change", "rho_mean")
    )
    of_rate, of_loss, of_rho = (rank_trend(x, y) for x, y in ((rate, change), (loss, change), (loss, rho)))
    left_out = len(rows) - len(known)
    return {
        "n_points": len(known),
        "change_with_rate": of_rate.rho,
        "change_with_train_loss": of_loss.rho,
        "rho_with_train_loss": of_rho.rho,
        "note": joined(
            f"{len(known)} points: too few for a rank correlation" if len(known) < _FEWEST_POINTS else "",
            f"{left_out} points left out: a number is missing" if left_out else "",
        ),
        "run_ids": ",".join(filter(None, rows["run_ids"])),
        "missing": ",".join(filter(None, rows["missing"])),
        "n_seeds": int(rows["n_seeds"].sum()),
        "n_expected": int(rows["n_expected"].sum()),
    }


def _rate_rows(groups: list[Condition], draw: Resampling) -> Iterator[dict[str, object]]:
    for group, child in zip(groups, draw.spawn(len(groups)), strict=True):
        if group.problem:
            yield group.row()
            continue
        for_change, for_rho = child.spawn(2)
        contested, clean = changes(group, for_change)
        rho = nested_spearman_interval(group.aulc, group.entropy, clusters=group.clusters, **for_rho.options)
        yield group.row(
            contested.note,
            clean.note,
            **rhos(group),
            rho_low=rho.low,
            rho_high=rho.high,
            train_loss=over_seeds([run.train_loss for run in group.usable]).mean,
            val_accuracy=over_seeds([run.val_accuracy for run in group.usable]).mean,
            contested_change=contested.mean,
            clean_change=clean.mean,
            low=contested.low,
            high=contested.high,
            caution=contested.caution,
        )
