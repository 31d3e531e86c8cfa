"""One label per item from votes of annotators who are not equally reliable: Dawid–Skene and MACE, by crowd-kit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from contested.annotations.votes import Votes
from contested.errors import ConfigError, DataError, installation
from contested.wording import did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["dawid-skene", "mace"]
"""How labels are estimated; see `aggregate`."""
_STARTS = 10  # of mace


@dataclass(frozen=True, eq=False)
class Aggregated:
    """Labels estimated from votes.

    Attributes:
        method: How.
        probabilities: Of each class being an item's true one, (N, K).
        reliability: Of each annotator, (A,); nan without a vote. ``dawid-skene``: the probability of giving the true
            label, over classes as frequent as they are estimated to be. ``mace``: the probability of giving it and not
            guessing.
        confusion: ``dawid-skene``: the probability of each annotator to give label d where c is true, (A, K, K) as
            [annotator, c, d]. None with ``mace``.
    """

    method: Method
    probabilities: NDArray[np.float64]
    reliability: NDArray[np.float64]
    confusion: NDArray[np.float64] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most probable class of each item, (N,); the first of several."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def aggregate(
    votes: Votes | None, method: str, *, n_items: int, n_classes: int, rng: np.random.Generator
) -> Aggregated:
    """Estimate one label per item, and how reliable annotators are, from who gave which label.

    Both take it that each item has one true label, from which annotators err: where people disagree for good reasons
    an estimate hides it. ``dawid-skene`` (Dawid and Skene 1979) gives every annotator a confusion matrix, fitted by
    expectation maximisation from the shares of the votes. ``mace`` (Hovy et al. 2013) has every annotator either know
    or guess, by variational Bayes, the best of ten starts.

    Args:
        votes: Who gave which label; every item has one vote at least.
        method: ``dawid-skene`` or ``mace``.
        n_items: N.
        n_classes: K.
        rng: Starts of ``mace``.

    Returns:
        The estimates.

    Raises:
        ConfigError: If the method is unknown, or crowd-kit is not installed.
        DataError: If it is not known who gave each label.
    """
    known = get_args(Method)
    if method not in known:
        raise ConfigError(f"Unknown method '{method}'{did_you_mean(method, known)}: use one of {listed(known)}.")
    if votes is None or not votes.are_named:
        raise DataError(
            f"Not every label has its annotator, whose reliability {method} estimates: give a long table with a column "
            "of annotators, a column per annotator, or objects from annotator to label."
        )
    fit = _dawid_skene if method == "dawid-skene" else _mace
    return fit(votes, n_items, n_classes, rng)


def _fitted(name: str, frame: pd.DataFrame, **options: Any) -> Any:
    try:
        import crowdkit.aggregation
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Estimating labels needs the package crowd-kit, which is not installed. Install it with: "
            f"{installation('crowd')}"
        ) from error
    with warnings.catch_warnings():
        # What pandas says of crowd-kit's own calls is no affair of its users.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(crowdkit.aggregation, name)(**options).fit(frame)


class _Coded:
    """Votes as crowd-kit takes them: numbers in order of first occurrence, since it mixes that with sorted order."""

    def __init__(self, votes: Votes) -> None:
        import pandas as pd

        tasks, self.tasks = pd.factorize(votes.items)
        workers, self.workers = pd.factorize(votes.annotators)
        labels, self.labels = pd.factorize(votes.labels)
        self.frame = pd.DataFrame({"task": tasks, "worker": workers, "label": labels})

    def probabilities(self, found: pd.DataFrame, n_items: int, n_classes: int) -> NDArray[np.float64]:
        """What a model says of tasks and labels, as (N, K)."""
        values = np.zeros((n_items, n_classes))
        ordered = found.reindex(index=range(len(self.tasks)), columns=range(len(self.labels)), fill_value=0.0)
        values[np.ix_(self.tasks, self.labels)] = ordered.to_numpy()
        return values


def _dawid_skene(votes: Votes, n_items: int, n_classes: int, rng: np.random.Generator) -> Aggregated:
    coded, a = _Coded(votes), len(votes.annotator_ids)
    model = _fitted("DawidSkene", coded.frame, n_iter=1000, tol=1e-9)
    probabilities = coded.probabilities(model.probas_, n_items, n_classes)
    confusion = np.full((a, n_classes, n_classes), np.nan)
    confusion[coded.workers] = 0.0
    for true, column in model.errors_.items():
        workers, given = (column.index.get_level_values(level).to_numpy() for level in ("worker", "label"))
        confusion[coded.workers[workers], coded.labels[true], coded.labels[given]] = column.to_numpy()
    # A class that is nobody's label has no probability, and nothing is known of how it would be called.
    reliability = np.einsum("k,akk->a", probabilities.mean(axis=0), confusion)
    return Aggregated("dawid-skene", probabilities, reliability, confusion)


def _mace(votes: Votes, n_items: int, n_classes: int, rng: np.random.Generator) -> Aggregated:
    coded = _Coded(votes)
    # A generator, and not a number, which would give all starts the same place.
    model = _fitted("MACE", coded.frame, n_restarts=_STARTS, random_state=rng)
    reliability = np.full(len(votes.annotator_ids), np.nan)
    reliability[coded.workers] = model.spamming_[:, 1] / model.spamming_.sum(axis=1)
    return Aggregated("mace", coded.probabilities(model.probas_, n_items, n_classes), reliability)
