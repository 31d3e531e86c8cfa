"""How sure a page's numbers are, in sentences: what their intervals cover and what they leave out."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contested.analysis import Analysis, statements_by_topic
from contested.analysis.clusters import shared_in
from contested.formats import percent
from contested.report.declarations import Frames, Section
from contested.report.runs import ReportRun
from contested.wording import alternatives, counted, ranged

SECTION = Section("sure", "How sure are these numbers?")
_MOST_NAMED = 6
_FEW = 100  # below it intervals of simulated skewed means covered 91 to 96 % (docs/statistics.md)


def of_runs(runs: Sequence[ReportRun], frames: Frames) -> list[str]:
    """Say of a page of runs what its numbers leave open.

    Args:
        runs: The runs of the page.
        frames: The frames of the page.

    Returns:
        Sentences, the most consequential first.
    """
    analyses = [run.analysis for run in runs]
    trained = sum(not run.held_out for run in runs)
    one_seed = "each of these runs has one" if trained > 1 else "this is one run"
    return [
        f"What another seed would give is in no interval here: {one_seed}. Several seeds of the same recipe are a "
        "study (contested study run), whose intervals are over seeds, too.",
        f"{alternatives(percent(found.confidence) for found in analyses)} intervals are over {resampled(analyses)}: "
        "they say what other examples of the same kind would show in the same run. Each is for one number by itself, "
        "and of many some miss.",
        *_small(frames.get("changes", pd.DataFrame()), "run"),
        *_cautions(frames.get("unlearning", pd.DataFrame())),
        *once([(run.name, statements_by_topic(run.analysis)[SECTION.name]) for run in runs]),
    ]


def resampled(analyses: Sequence[Analysis]) -> str:
    """What the intervals resample.

    Args:
        analyses: The statistics of the runs.

    Returns:
        "examples", or how many clusters of which kind.
    """
    if not any(found.clusters for found in analyses):
        return "examples"
    shared = alternatives(shared_in(found.clusters) for found in analyses if found.clusters)
    sizes = ranged(found.n_clusters for found in analyses if found.clusters)
    return f"{sizes} clusters of examples that share {shared}"


def of_study(groups: pd.DataFrame, changes: pd.DataFrame, confidence: str) -> list[str]:
    """Say of a study's page what its numbers leave open.

    Args:
        groups: The frame of the study's groups.
        changes: Their mean loss changes by category.
        confidence: The coverage of the intervals, such as "95%".

    Returns:
        Sentences; none where no group has a run.
    """
    seeds = [int(n) for n in groups.get("n_seeds", ()) if n > 0]
    if not seeds:
        return []
    single = seeds.count(1)
    said = [f"Each group has {ranged(seeds)} {'seed' if max(seeds) == 1 else 'seeds'}."]
    if single < len(seeds):
        said[0] += (
            f" {confidence} intervals are over examples and seeds: they say what other examples of the same kind and "
            "other seeds of the same recipe would show."
        )
    if single:
        where = "" if single == len(seeds) else f" of {counted(single, 'group')} with one seed"
        said.append(f"Intervals{where} are over examples alone: they say nothing of another seed.")
    if min((n for n in seeds if n > 1), default=9) < 4:
        said.append(
            "From two or three seeds little is known of how much seeds differ; where they do, intervals are wide."
        )
    return [*said, "Each interval is for one number by itself, and of many some miss.", *_small(changes, "group")]


def once(said: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Each sentence once, with the runs it is true of where not of all.

    Args:
        said: The runs' names and sentences.

    Returns:
        The sentences in the order in which they come first.
    """
    whose: dict[str, list[str]] = {}
    for name, sentences in said:
        for sentence in sentences:
            whose.setdefault(sentence, []).append(name)
    return [
        sentence if len(names) == len(said) else f"{', '.join(names)}: {sentence}" for sentence, names in whose.items()
    ]


def _small(changes: pd.DataFrame, by: str) -> list[str]:
    """The categories with so few examples that a long tail may be missing from them without a sign of it."""
    rows = changes.to_dict("records")
    named = [f"{row['category']} ({row[by]}: {int(row['n'])})" for row in rows if 0 < row["n"] < _FEW]
    if not named:
        return []
    return [
        f"Of fewer than {_FEW} examples: {_shortlist(named)}. If a few in a hundred of such examples changed far more "
        "than the rest, so few may hold none of them, and then an interval is too narrow without a sign of it."
    ]


def _cautions(changes: pd.DataFrame) -> list[str]:
    """The loss changes whose intervals may cover less often than they say, one sentence for each reason."""
    whose: dict[str, list[str]] = {}
    for row in changes.to_dict("records"):
        if row["caution"]:
            whose.setdefault(row["caution"], []).append(f"{row['category']} ({row['run']})")
    return [f"Mean Δℓ of {_shortlist(names)}: {caution}." for caution, names in whose.items()]


def _shortlist(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
