"""A recording and annotations put together by the examples' ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations import Annotations, measures
from contested.errors import ConfigError, DataError
from contested.exchange.collect import first
from contested.exchange.records import Recording
from contested.trajectories.given_columns import OWN_COLUMNS
from contested.wording import did_you_mean, few_in_common, listed

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("text",), ("sentence",))
_ENTROPY_TOLERANCE = 1e-3


class Joined(NamedTuple):
    """What annotations say of the recorded examples, N of them.

    Attributes:
        label_counts: Annotators' counts, shape (N, K).
        texts: Text columns by name.
        covariates: Further fields by name.
        notes: What was missing on either side, a sentence each.
        unrecorded: How many annotated examples were not recorded.
    """

    label_counts: NDArray[np.int64]
    texts: dict[str, list[str]]
    covariates: dict[str, list[Any]]
    notes: list[str]
    unrecorded: int


def joined(recording: Recording, annotations: Annotations, text_columns: Sequence[str] | None) -> Joined:
    """Find the annotators' counts, the texts and the covariates of each recorded example.

    Args:
        recording: Of the annotated examples alone.
        annotations: Of any examples.
        text_columns: Which of their fields are texts; None takes premise and hypothesis, or what else is usual, as far
            as they are there.

    Returns:
        What was found.

    Raises:
        ConfigError: If a text column is missing.
        DataError: If no id is on both sides.
    """
    if not recording.ids:
        raise DataError(
            f"No recorded example has annotations: recorded are {first(recording.left_out)}; annotated in "
            f"{annotations.source} are {first(annotations.example_ids)}. The ids must be the same text on both sides"
            f"{_alike(recording.left_out, annotations.example_ids)}."
        )
    rows = {name: row for row, name in enumerate(annotations.example_ids)}
    found = [rows[name] for name in recording.ids]
    fields = annotations.fields.iloc[found]
    texts = _text_columns(fields, text_columns, annotations.source)
    covariates = {_renamed(str(name)): _of_one_kind(fields[name]) for name in fields if name not in texts}
    counts = annotations.label_counts[found]
    return Joined(
        counts,
        {name: fields[name].astype(str).tolist() for name in texts},
        covariates,
        [*_missing(recording, annotations.example_ids), *_other_entropy(recording, counts)],
        annotations.n_items - len(found),
    )


def _missing(recording: Recording, annotated: Sequence[str]) -> list[str]:
    recorded = set(recording.ids)
    unrecorded = [name for name in annotated if name not in recorded]
    n_left = len(recording.left_out)
    notes = []
    if few := few_in_common(len(recorded), n_left, len(unrecorded)):
        notes.append(f"Warning: {few}{_alike(recording.left_out, unrecorded)}. Check the ids before using this run.")
    if recording.left_out:
        notes.append(
            f"{n_left:,} of {n_left + len(recorded):,} recorded examples have no annotations and are left out: "
            f"{first(recording.left_out)}{'' if few else _alike(recording.left_out, unrecorded)}"
        )
    if unrecorded:
        notes.append(
            f"{len(unrecorded):,} of {len(annotated):,} annotated examples were not recorded: {first(unrecorded)}"
        )
    return notes


def _alike(recorded: Sequence[str], annotated: Sequence[str]) -> str:
    """Say which ids would meet if it were not for letter case, punctuation or leading zeros; empty where none would."""
    plain = {_plain(name): name for name in reversed(annotated)}
    pairs = [(name, plain[_plain(name)]) for name in recorded if _plain(name) in plain]
    if not pairs:
        return ""
    one, other = pairs[0]
    return (
        f"; {len(pairs):,} of those left out differ from annotated ids in letter case, punctuation or zeros alone, "
        f"such as {one!r} (recorded) and {other!r} (annotated)"
    )


def _plain(name: str) -> str:
    """An id without what two files may write differently.

    >>> _plain("G-0020"), _plain("g20.0")
    ('g20', 'g20')
    """
    whole = re.sub(r"\.0$", "", name.strip().casefold())
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", whole))


def _other_entropy(recording: Recording, counts: NDArray[np.int64]) -> list[str]:
    """Say where the source's own annotation entropies are not those of the annotations, or are in bits."""
    recorded = np.array(recording.entropy or [None] * len(counts), np.float64)
    expected = measures.entropy(counts)
    known = ~np.isnan(recorded) & ~np.isnan(expected)  # sources write 0 where one annotation leaves it unknown
    differs, in_bits = (
        known & ~(np.abs(recorded - values) <= _ENTROPY_TOLERANCE) for values in (expected, expected / np.log(2))
    )
    if not differs.any():
        return []
    if not in_bits.any():
        return ["The recorded annotation entropies are in bits; those of the run are in nats, from the annotations."]
    row = int(differs.argmax())
    return [
        f"{int(differs.sum()):,} of {int(known.sum()):,} recorded annotation entropies are not those of the "
        f"annotations, the first of {recording.ids[row]!r} ({recorded[row]:.4g} recorded, {expected[row]:.4g} nats "
        "here). Check that these are the annotations that the run was tracked with."
    ]


def _text_columns(fields: pd.DataFrame, named: Sequence[str] | None, source: str) -> tuple[str, ...]:
    if named is None:
        return usual_texts(map(str, fields))
    missing = [name for name in named if name not in fields]
    if missing:
        near = did_you_mean(missing[0], map(str, fields))
        raise ConfigError(
            f"{source} has no column {listed(missing)} to take texts from{near}; it has {listed(fields) or 'none'}."
        )
    return tuple(named)


def usual_texts(columns: Iterable[str]) -> tuple[str, ...]:
    """Which columns are texts by their usual names; none where none is called so.

    >>> usual_texts(["label", "hypothesis", "premise"])
    ('premise', 'hypothesis')
    """
    there = set(columns)
    return next((names for names in _TEXTS if set(names) <= there), ())


def _renamed(name: str) -> str:
    """As in a run that was trained, where a field bears the name of one of a run's own columns."""
    return f"{name}_given" if name in OWN_COLUMNS else name


def _of_one_kind(values: pd.Series[Any]) -> list[Any]:
    """Numbers beside text become text: a run's table has one kind of value in a column."""
    known = [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]
    kinds = {type(value) for value in known if value is not None}
    return known if len(kinds) < 2 or kinds == {int, float} else [v if v is None else str(v) for v in known]
