"""Clusters of examples that are not independent, such as those that share a premise: their numbers and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from contested.analysis.checks import same_length
from contested.errors import DataError
from contested.wording import listed

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

TEMPLATE = 0.1
"""A text that more than this share of the examples have is part of a template, and joins nothing."""

NO_CLUSTERS = "none"
"""What says that each example stands for itself, where a column may be named."""
SHARED_TEXTS = "shared texts"


def shared_in(clusters: str) -> str:
    """What the examples of a cluster share, within a sentence: a text, or the value of a column."""
    return "a text" if clusters == SHARED_TEXTS else clusters


def units(clusters: str) -> str:
    """What intervals resample: examples, or clusters of those that share something.

    Args:
        clusters: What they share, as :class:`RunClusters` names it.

    Returns:
        Words for within a sentence.

    >>> units(""), units("shared texts"), units("genre")
    ('examples', 'clusters of examples that share a text', 'clusters of examples that share genre')
    """
    return f"clusters of examples that share {shared_in(clusters)}" if clusters else "examples"


class RunClusters(NamedTuple):
    """Which examples of a run belong together.

    Attributes:
        name: What they share: a column, ``"shared texts"``, or empty where each example stands for itself.
        codes: The number of each example's cluster, shape ``(N,)``; None where each stands for itself.
        n: Clusters.
    """

    name: str
    codes: NDArray[np.intp] | None
    n: int


def cluster_codes(clusters: Sequence[Any] | NDArray[Any] | None, n: int) -> NDArray[np.intp]:
    """Number the clusters of n examples in the order in which they occur.

    Args:
        clusters: What examples share, such as their premise, shape ``(n,)``; missing values are one cluster. None where
            each example stands for itself.
        n: Examples.

    Returns:
        From 0, shape ``(n,)``.

    Raises:
        DataError: If there is not one entry for each example.
    """
    if clusters is None:
        return np.arange(n, dtype=np.intp)
    same_length(examples=n, clusters=len(clusters))
    return pd.factorize(np.asarray(clusters, dtype=object), use_na_sentinel=False)[0]


def cluster_sums(
    values: NDArray[np.float64], codes: NDArray[np.intp], n_clusters: int | None = None
) -> NDArray[np.float64]:
    """Sum S quantities of n examples within each cluster.

    Args:
        values: Shape ``(n, S)``.
        codes: The number of each example's cluster, shape ``(n,)``, as :func:`cluster_codes` gives it.
        n_clusters: Clusters G, some of them perhaps without examples; by default up to the highest number.

    Returns:
        Shape ``(G, S)``.
    """
    sums = np.zeros((int(codes.max(initial=-1)) + 1 if n_clusters is None else n_clusters, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def run_clusters(trajectory: Trajectory, clusters: str | None = None) -> RunClusters:
    """Which examples of a run belong together, so that intervals are over clusters of them.

    Args:
        trajectory: The run.
        clusters: The column of its examples that says so, or ``"none"``; without it those that share a text, such as
            a premise, directly or through others.

    Returns:
        The clusters, in the run's order of examples; none where no two examples share anything.

    Raises:
        DataError: If there is no such column.
    """
    n = len(trajectory.example_ids)
    if clusters == NO_CLUSTERS:
        return RunClusters("", None, n)
    found = example_clusters(trajectory.examples, trajectory.text_columns, clusters)
    codes = cluster_codes(found, n)
    n_clusters = int(codes.max(initial=-1)) + 1
    if n_clusters == n:
        return RunClusters(clusters or "", None, n)
    return RunClusters(clusters or SHARED_TEXTS, codes, n_clusters)


def example_clusters(
    examples: pd.DataFrame, text_columns: Sequence[str], clusters: str | None = None
) -> NDArray[Any] | None:
    """What examples share.

    Args:
        examples: The tracked examples, as the run folder has them.
        text_columns: Which columns hold texts.
        clusters: The column that says which examples belong together; those that share a text without it.

    Returns:
        Equal values mark examples that belong together, shape ``(N,)``; None where no two share a text.

    Raises:
        DataError: If there is no such column.
    """
    if clusters is None:
        return sharing_texts(examples, text_columns)
    if clusters not in examples:
        raise DataError(
            f"clusters: the examples have no column {clusters!r}; they have {listed(map(str, examples.columns))}."
        )
    return examples[clusters].to_numpy()


def sharing_texts(examples: pd.DataFrame, text_columns: Sequence[str]) -> NDArray[np.intp] | None:
    """The clusters of examples that share a text, directly or through others; None where none does.

    Args:
        examples: The tracked examples.
        text_columns: Which columns hold texts.

    Returns:
        The number of each example's cluster, shape ``(N,)``.
    """
    n = len(examples)
    links: list[NDArray[np.intp]] = []
    for column in text_columns:
        numbers = cluster_codes(examples[column].str.strip().to_numpy(object), n)
        sizes = np.bincount(numbers, minlength=1)
        firsts = np.zeros(len(sizes), dtype=np.intp)
        firsts[numbers[::-1]] = np.arange(n)[::-1]
        joined = (sizes[numbers] > 1) & (sizes[numbers] <= max(TEMPLATE * n, 2))
        links.append(np.stack([np.flatnonzero(joined), firsts[numbers[joined]]]))
    if not any(link.size for link in links):
        return None
    ends = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)
