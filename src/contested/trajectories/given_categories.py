"""The categories of a run made of arrays: by annotation entropy, or as they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.annotations import measures
from contested.annotations.categories import Categories, cut_counts
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.errors import ContestedError
from contested.trajectories.given import Checks, as_entries, shown

Found = tuple[NDArray[np.object_] | None, tuple[str, ...]]
"""The category of each example, shape (N,), and the order of the categories; None and () where there are none."""


def measure_of(categories: object) -> Disagreement:
    """The measure that categories are bands of: entropy where they do not say another."""
    return categories.disagreement if isinstance(categories, Categories) else PLAIN


def categories_of(
    categories: str | Categories | Sequence[str] | NDArray[Any],
    category_names: Sequence[str] | None,
    *,
    label_counts: NDArray[np.int64] | None,
    n_examples: int | None,
    checks: Checks,
) -> Found:
    """Find the category of each example.

    Args:
        categories: How entropy is cut, or the category of each example.
        category_names: The order of categories given by example, or None.
        label_counts: Annotators' labels, shape (N, K), or None.
        n_examples: Examples N; None where nothing says it.
        checks: Where problems are noted.

    Returns:
        The categories; something usable beside a problem.
    """
    entropy = None if label_counts is None else measures.entropy(label_counts)
    if isinstance(categories, str | Categories):
        if category_names is not None:
            checks.add("category_names: only for categories given by example, and none are given")
        return _cut(label_counts, categories, checks)
    entries = checks.entries("categories", categories, n_examples)
    if entries is None:
        return None, ()
    given = np.array([str(name) for name in entries], dtype=object)
    names = _ordered(category_names, set(given.tolist()), checks)
    if "overall" in {*given.tolist(), *(names or ())}:
        checks.add("categories: 'overall' is reserved for all examples; rename that category")
    # Counts of another number of examples are told of already.
    known = entropy if entropy is not None and len(entropy) == len(given) else None
    return given, _by_entropy(given, known) if names is None else names


def _cut(label_counts: NDArray[np.int64] | None, scheme: str | Categories, checks: Checks) -> Found:
    if label_counts is None:
        if scheme != "fixed":
            checks.add(
                f"categories: given {shown(scheme)}, which cuts annotation entropy and needs label_counts; give these, "
                "or the category of each example"
            )
        return None, ()
    try:
        cut = cut_counts(label_counts, scheme)
    except ContestedError as error:
        checks.add(f"categories: {error}")
        return None, ()
    return cut.categories.astype(object), cut.bands.names


def _ordered(category_names: Sequence[str] | None, used: set[str], checks: Checks) -> tuple[str, ...] | None:
    if category_names is None:
        return None
    entries = as_entries(category_names)
    if entries is None:
        checks.add(f"category_names: given {shown(category_names)}, expected a list of names")
        return None
    names = tuple(str(name) for name in entries)
    if len(set(names)) < len(names):
        checks.add(f"category_names: given {', '.join(names)}, expected distinct names")
    if unknown := sorted(used - set(names)):
        checks.add(f"categories: {', '.join(unknown[:5])} not among the category_names {', '.join(names)}")
    return names


def _by_entropy(given: NDArray[np.object_], entropy: NDArray[np.float64] | None) -> tuple[str, ...]:
    if entropy is None:
        return tuple(dict.fromkeys(given.tolist()))
    means = pd.Series(entropy).groupby(given, sort=False).mean()  # of the known ones; a category without any is last
    return tuple(str(name) for name in means.sort_values(kind="stable").index)
