"""What statistics over seeds require of their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import finite_array, known_entropy, same_length
from contested.analysis.clusters import cluster_codes
from contested.errors import DataError
from contested.wording import counted

Floats = NDArray[np.float64]


def seeds_and_examples(name: str, values: ArrayLike, ndim: int) -> Floats:
    """Take values of at least one seed, shape (S, N, …), refusing NaN and infinity.

    Args:
        name: What the values are, for the message.
        values: Array-like of numbers.
        ndim: The number of dimensions expected.

    Returns:
        The same numbers as float64.

    Raises:
        DataError: If there is no seed, the dimensions differ, or a value is not finite.
    """
    array = finite_array(name, values, ndim)
    if not len(array):
        raise DataError(f"{name}: given no seed, expected at least one.")
    return array


class KnownExamples(NamedTuple):
    """The n examples whose entropy is known.

    Attributes:
        losses: AULC under each seed (nats), shape ``(S, n)``.
        entropy: Annotation entropy H (nats), shape ``(n,)``.
        codes: The number of each example's cluster, from 0, shape ``(n,)``.
        note: How many examples are left out; empty where none is.
    """

    losses: Floats
    entropy: Floats
    codes: NDArray[np.intp]
    note: str


def known_examples(
    aulc: ArrayLike, entropy: ArrayLike, clusters: Sequence[Any] | NDArray[Any] | None = None
) -> KnownExamples:
    """AULC and H of the examples that have both.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); NaN where an example has none.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        What is known.

    Raises:
        DataError: If there is no seed, lengths differ, or a number is not finite.
    """
    losses, known = seeds_and_examples("aulc", aulc, 2), known_entropy(entropy)
    same_length(aulc=losses.shape[1], entropy=len(known.rows))
    numbers = cluster_codes(clusters, len(known.rows))[known.rows]
    return KnownExamples(losses[:, known.rows], known.entropy, cluster_codes(numbers, len(numbers)), known.note)


def no_slope(losses: Floats, entropy: Floats) -> str:
    """Why AULC (S, n) has no correlation with H (n,); empty where it has."""
    if len(entropy) < 3:
        return f"{counted(len(entropy), 'example')}: too few for a correlation (3 needed)"
    if np.ptp(entropy) == 0:
        return "constant: entropy, so there is nothing to correlate with"
    constant = int((np.ptp(losses, axis=1) == 0).sum())
    return f"constant: aulc of {constant} of {len(losses)} seeds, so there is nothing to correlate" if constant else ""
