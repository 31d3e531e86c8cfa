"""What to keep in mind when reading the summary of an annotated set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contested.annotations.categories import FIXED, SCHEMES, Categories, resolve_categories
from contested.annotations.disagreement import CUTS, FIXED_CLASSES, Disagreement
from contested.annotations.measures import Estimator, largest_entropy
from contested.annotations.partitions import unreached
from contested.annotations.receipt import Receipt
from contested.errors import DataError
from contested.wording import counted, listed

_FEW_ANNOTATORS = 20
_SCALED = "Consider by=scaled-entropy, which scales by min(ln K, ln n)"
_FEW_SPLITS = 10  # annotations whose splits are listed to see which categories they reach
_MOST_ORDERED = 7  # classes whose splits are listed where their order matters: many more splits


def summary_notes(
    annotators: NDArray[np.int64],
    values: NDArray[np.float64],
    *,
    n_classes: int,
    bands: Categories,
    estimator: Estimator,
) -> tuple[str, ...]:
    """Say what bounds the entropies of a set, and which of them mean little.

    Args:
        annotators: Annotations of each example, (N,).
        values: Entropy in nats of the examples with two annotations or more.
        n_classes: K.
        bands: How entropy was cut.
        estimator: How entropy was estimated.

    Returns:
        Whole sentences.
    """
    several = annotators[annotators > 1]
    notes = _on_bounds(several, values, n_classes=n_classes, estimator=estimator) if bands == FIXED else []
    notes += measure_notes(bands.disagreement, bands.bounds)
    notes += _on_gaps(several, n_classes=n_classes, bands=bands, estimator=estimator)
    if np.median(annotators) < _FEW_ANNOTATORS:
        notes.append(
            f"The median example has {_annotations(np.median(annotators))}: entropy is at most ln n and "
            f"biased low with few annotators. The chao-shen estimator corrects its mean over examples; single examples "
            f"and their categories it tells apart worse, and miller-madow no better."
        )
    if len(several) < len(annotators):
        them = "it" if len(annotators) - len(several) == 1 else "them"
        notes.append(f"{_on_single(annotators)}; mean and median entropy, alpha and agreement leave {them} out.")
    return tuple(notes)


def measure_notes(measure: Disagreement, bounds: Sequence[float] = ()) -> list[str]:
    """Say which measure categories are bands of, where it is not entropy, and where its bounds come from.

    Args:
        measure: The measure.
        bounds: The bounds of the categories, where they are known.

    Returns:
        A sentence, or none.
    """
    if measure.by == "entropy":
        return []
    unit = f" {measure.unit}" if measure.unit else ""
    at = f", at {' and '.join(f'{bound:.4g}' for bound in bounds)}{unit}" if len(bounds) else ""
    said = f"Categories are cut by {measure.name}, not by entropy{at}"
    if tuple(bounds) != measure.bounds():
        return [f"{said}."]
    if not measure.ordered:
        return [f"{said}: H′ = H · ln 3 / min(ln K, ln n), for these bounds were made for three classes."]
    shares = " and ".join(f"{100 * share:.0f} %" for share in CUTS)
    return [f"{said}: {shares} of its largest value, as 0.4 and 0.7 nats are of ln 3."]


def reading_notes(annotators: NDArray[np.int64], receipt: Receipt | None, bands: Categories = FIXED) -> tuple[str, ...]:
    """Say what a run should tell of its annotated set: how its file was read, its measure, examples in no category.

    Args:
        annotators: Annotations of each example, (N,).
        receipt: How the file was read; None without a file.
        bands: How the examples were cut.

    Returns:
        Whole sentences.
    """
    said = (*(receipt.sentences() if receipt is not None else ()), *measure_notes(bands.disagreement, bands.bounds))
    return (*said, f"{_on_single(annotators)}.") if (annotators < 2).any() else said


def _on_single(annotators: NDArray[np.int64]) -> str:
    single = int((annotators < 2).sum())
    have, are = ("has", "it is") if single == 1 else ("have", "they are")
    return (
        f"{single:,} of {counted(len(annotators), 'example')} {have} one annotation, which shows no disagreement "
        f"whatever people think: {are} unknown, not clean, and in no category"
    )


def _annotations(number: float) -> str:
    return f"{number:g} annotation{'' if number == 1 else 's'}"


def _on_gaps(annotators: NDArray[np.int64], *, n_classes: int, bands: Categories, estimator: Estimator) -> list[str]:
    """Which categories are empty because no split of so few annotations reaches them, whatever people think.

    The highest with the plugin is :func:`_on_bounds`' affair.
    """
    few = [int(n) for n in np.unique(annotators) if n <= _FEW_SPLITS]
    most_classes = _MOST_ORDERED if bands.disagreement.ordered else _FEW_SPLITS
    # An example with more annotations reaches what the others do not.
    if not few or annotators.max() > _FEW_SPLITS or n_classes > most_classes:
        return []
    empty = set.intersection(*(set(unreached(n, n_classes, bands, estimator)) for n in few))
    told = bands == FIXED and estimator == "plugin"
    names = [name for name in bands.names if name in empty and not (told and name == bands.names[-1])]
    if not names:
        return []
    return [
        f"With at most {few[-1]} annotations per example no split has {_value(bands, estimator)} that is "
        f"{listed(names)}: "
        f"{'this category is' if len(names) == 1 else 'these categories are'} empty whatever people think."
    ]


def _value(bands: Categories, estimator: Estimator) -> str:
    measure = bands.disagreement
    return f"a value ({measure.by})" if measure.ordered else f"an entropy ({estimator})"


def _on_bounds(
    annotators: NDArray[np.int64], values: NDArray[np.float64], *, n_classes: int, estimator: Estimator
) -> list[str]:
    """What the fixed bounds can and cannot tell apart here."""
    highest = FIXED.bounds[-1]
    reach = {int(n): largest_entropy(int(n), n_classes, estimator) for n in np.unique(annotators)}
    below = [n for n, largest in reach.items() if largest < highest]
    sentences = []
    if n_classes != FIXED_CLASSES:
        sentences.append(
            f"The fixed bounds 0.4 and 0.7 nats were made for K = {FIXED_CLASSES} classes; this file has "
            f"K = {n_classes}, with entropies up to ln {n_classes} = {math.log(n_classes):.3f}."
        )
    if below and len(below) == len(reach):
        largest = max(reach.values())
        few = f"{max(below)} annotations per example and {n_classes} classes"
        sentences.append(f"With at most {few}, entropy reaches {largest:.3f} < {highest}: no example can be contested.")
    elif below:
        n_below = int(np.isin(annotators, below).sum())
        few = f"{counted(n_below, 'example')} with {max(below)} annotations or fewer"
        sentences.append(f"The {few} cannot be contested: their entropy reaches at most {reach[max(below)]:.3f}.")
    if not sentences:
        return []
    return [" ".join([*sentences, *_advice(values)])]


def _advice(values: NDArray[np.float64]) -> list[str]:
    """Name a scheme that these entropies can be cut by; none is named that would be refused."""
    for scheme in SCHEMES[1:]:
        try:
            resolve_categories(values, scheme)
        except DataError:
            continue
        return [f"{_SCALED}, or {scheme}."]
    distinct = np.unique(values)
    if len(distinct) < 2:
        return []
    shown = listed(f"{value:.3f}" for value in distinct[:4])
    return [
        f"{_SCALED}, or bounds of your own, between the values that occur "
        f"({shown}{', …' if len(distinct) > 4 else ''})."
    ]
