"""The frames and tables of a comparison of two models."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contested.analysis import Comparison
from contested.analysis.measures import MEASURES
from contested.formats import CHANGE, COUNT, NATS, SHARE, Format, is_missing, number, p_value
from contested.report.compare_figures import PANELS
from contested.report.declarations import Column, Table

_ONE, _MORE = number(",.1f"), number("+.1%")
_SIGNED = number("+.1f")
_INTERVALS = "In brackets: {confidence} intervals over examples"
_STAR = "*: adjusted p at most {level}."


def comparison_frames(found: Comparison) -> dict[str, pd.DataFrame]:
    """The frames of a comparison's tables and figures: those of its tables, with what they share beside each other.

    Args:
        found: The comparison.

    Returns:
        The frames by name.
    """
    frames, level = found.tables(), 1 - found.confidence + 1e-12
    every = frames["differences"]
    shown = every["measure"].isin([measure for measure, *_ in PANELS]) & (every["family"] == "checkpoint")
    frames["drawn_differences"] = every[shown]
    if "transitions" in frames:
        turned = _with_difference(frames["transitions"], found, "correct", "accuracy")
        turned = turned.assign(changed=[f"{row.lost:,} lost, {row.gained:,} gained" for row in found.transitions])
        for kind in ("lost", "gained"):
            turned[f"{kind}_significant"] = turned[f"{kind}_q_value"] <= level
        frames["transitions"] = turned
    if "distances" in frames:
        apart = _with_difference(frames["distances"], found, "kl", "kl_annotators")
        frames["distances"] = _with_difference(apart, found, "js", "js_annotators")
    return frames


def _with_difference(frame: pd.DataFrame, found: Comparison, measure: str, name: str) -> pd.DataFrame:
    """A frame with the difference of a measure beside each category, its interval and whether it counts."""
    rows = [found.difference(measure, category) for category in frame["category"]]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return frame
    columns = {"": "difference", "_low": "low", "_high": "high", "_q_value": "q_value"}
    added = {f"{name}{end}": [getattr(row, field) for row in known] for end, field in columns.items()}
    return frame.assign(**added, **{f"{name}_significant": [row.direction != "unclear" for row in known]})


_CATEGORY, _N, _NOTE = Column("category", "category"), Column("n", "n", COUNT), Column("note", "note")


def comparison_tables(found: Comparison) -> tuple[Table, ...]:
    """The tables of a comparison.

    Args:
        found: The comparison.

    Returns:
        Their declarations, with the names of both models in headings and captions.
    """
    clustered = f"; {found.n_clusters:,} clusters ({found.clusters})" if found.clusters else ""
    intervals = f"{_INTERVALS}{clustered}."
    star = _STAR.format(level=f"{1 - found.confidence:.4g}")
    return (
        _transitions(found, f"{intervals} {star}"),
        _distances(found, f"{intervals} {star}"),
        _differences(found, intervals),
        Table("examples", "examples", "", "Every example, the largest change first"),
    )


def _transitions(found: Comparison, below: str) -> Table:
    first, second = found.first.name, found.second.name
    return Table(
        "transitions", "transitions", "numbers", "Which answers changed",
        f"1→0: right {found.first.where}, wrong {found.second.where}; 0→1: the other way round. By guessing: how many "
        "of either lucky guesses alone would give, if a model knows an example or guesses: a (K − 1)th of those wrong "
        "in both; beyond guessing: the share of the examples that is left, below 0 where fewer turned than guessing "
        f"would give. Accuracy: {second} minus {first}. {below}",
        (
            _CATEGORY, _N, _count("both_right", "right in both"), _count("both_wrong", "wrong in both"),
            _count("lost", "1→0"), _count("gained", "0→1"), Column("by_guessing", "by guessing", _ONE),
            _starred("lost_beyond", "1→0 beyond guessing", _MORE, "lost"),
            _starred("gained_beyond", "0→1 beyond guessing", _MORE, "gained"),
            _starred("accuracy", "accuracy (points)", points), _NOTE,
        ),
    )  # fmt: skip


def _distances(found: Comparison, below: str) -> Table:
    first, second = found.first.name, found.second.name
    knows = any(row.toward_share == row.toward_share for row in found.distances)
    toward = (
        f" Closer: share of examples on which {second} is the closer one to the annotators, by KL(annotators ‖ model). "
        f"The last two columns are {second} minus {first}: below 0 is closer to the annotators."
    )
    return Table(
        "distances", "distances", "numbers", "How far apart the two are, and towards whom",
        f"KL({first} ‖ {second}) and JS, their Jensen–Shannon divergence (at most ln 2), of the models' probabilities."
        f"{toward if knows else ''} {below if knows else below.rpartition('*')[0]}",
        (
            _CATEGORY, _N, _count("changed", "other answer"),
            Column("changed_share", "share", SHARE, "changed_low", "changed_high"),
            Column("kl", "KL of the two (nats)", NATS, "kl_low", "kl_high"),
            Column("js", "JS of the two (nats)", NATS, "js_low", "js_high"),
            *((Column("toward_share", "closer", SHARE, "toward_low", "toward_high"),) if knows else ()),
            _starred("kl_annotators", "ΔKL to annotators", CHANGE),
            _starred("js_annotators", "ΔJS to annotators", CHANGE),
            _NOTE,
        ),
    )  # fmt: skip


def _differences(found: Comparison, below: str) -> Table:
    first, second = found.first.name, found.second.name
    return Table(
        "differences", "differences", "numbers", "Every measure of both, example by example",
        f"Difference: {second} minus {first}. p: paired test of no difference; adjusted (Benjamini–Hochberg) for the "
        f"tests of its kind, at the compared checkpoints or over the whole runs. {below}",
        (
            Column("family", "of"), Column("measure", "measure", measure_heading, words=True), Column("unit", "unit"),
            _CATEGORY, _N, _count("n_skipped", "left out"),
            Column("first", first, NATS), Column("second", second, NATS),
            Column("difference", "difference", CHANGE, "low", "high"), Column("p_value", "p", p_value),
            Column("q_value", "adjusted p", p_value), Column("direction", "direction"), _NOTE,
        ),
        folded=True,
        legend=_legend(found),
    )  # fmt: skip


def points(share: Any) -> str:
    """A difference of shares in points.

    >>> points(0.0213), points(-0.5)
    ('+2.1', '−50.0')
    """
    return _SIGNED(share if is_missing(share) else 100 * share)


def _count(name: str, heading: str) -> Column:
    return Column(name, heading, COUNT)


def _starred(name: str, heading: str, form: Format, key: str = "") -> Column:
    """A difference with its interval, starred where it counts."""
    key = key or name
    return Column(name, heading, form, f"{key}_low", f"{key}_high", star=f"{key}_significant")


_DECLARED = {measure.name.removesuffix("_last"): measure for measure in MEASURES}


def measure_heading(name: object) -> str:
    """How a measure of a comparison is shown: its heading without "last"."""
    known = _DECLARED.get(str(name))
    return str(name) if known is None else known.heading.removeprefix("last ")


def _legend(found: Comparison) -> tuple[tuple[str, str], ...]:
    names = dict.fromkeys(row.measure for row in found.differences)
    return tuple(
        (measure_heading(name), _DECLARED[name].sentence.replace("the last checkpoint", "the compared checkpoint"))
        for name in names
        if name in _DECLARED
    )
