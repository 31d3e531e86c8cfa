"""What ``analyze`` and ``report`` take from a study's folder: its results, and what its report shows beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from contested.cli.console import echo

if TYPE_CHECKING:
    from contested.analysis.study import StudyResults
    from contested.paper import Claim
    from contested.report import ReportSpec
    from contested.studies import Study
    from contested.trajectories import Trajectory
    from contested.trajectories.splits import Split

Results = TypeVar("Results", bound="StudyResults")
VALIDATION = "validation"


class ReadStudy(NamedTuple):
    """A study and what its runs show together.

    Attributes:
        study: The study.
        results: Its results.
        spec: What its report shows beyond that of any study; None for a study of its own.
        claims: The paper's claims; none for a study that is not the paper's.
        trajectories: Its complete runs by run id.
    """

    study: Study
    results: StudyResults
    spec: ReportSpec | None
    claims: Sequence[Claim]
    trajectories: Mapping[str, Trajectory]


def read_study(
    folder: Path, *, seed: int, resamples: int, split: Split | None = None, clusters: str | None = None
) -> ReadStudy:
    """Analyse every complete run of a study together, as its report needs it.

    Args:
        folder: The study's folder.
        seed: Seed of the resamples.
        resamples: Bootstrap resamples of each interval.
        split: Which of the runs' examples; where not given, those that train.
        clusters: The column of the examples that says which belong together, or ``"none"``; those that share a text
            where not given.

    Returns:
        The study and its results.

    Raises:
        RunError: If no run is complete, or none of them can be read.
        DataError: If the examples of a run have no such column.
    """
    import numpy as np

    from contested.studies.results import open_results

    rng = np.random.default_rng(seed)
    opened = open_results(folder, split)
    if opened.study.report == "paper":
        from contested import paper
        from contested.paper.report import report_spec

        of_paper = paper.results(opened, clusters=clusters, rng=rng, n_resamples=resamples)
        return ReadStudy(
            opened.study, _of(split, of_paper), report_spec(of_paper), of_paper.claims, opened.trajectories
        )
    from contested.analysis.study import study_results

    found = study_results(
        opened.table, opened.axes, opened.trajectories, clusters=clusters, rng=rng, n_resamples=resamples
    )
    return ReadStudy(opened.study, _of(split, found), None, (), opened.trajectories)


def _of(split: Split | None, found: Results) -> Results:
    if split != VALIDATION:
        return found
    note = "Every number is of validation examples, which were tracked like the others and not trained on."
    return replace(found, notes=(note, *found.notes))


def results_name(split: Split | None) -> str:
    """The folder of results inside a run or study, of one split's examples apart from those of all."""
    return "results" if split is None else f"results-{split}"


def print_claims(claims: Sequence[Claim]) -> None:
    """Say claim by claim whether it holds in a study's runs.

    Args:
        claims: The claims with their verdicts.
    """
    for claim in claims:
        echo(f"({claim.key}) {claim.claim}: {claim.verdict}")
        echo(f"    {claim.answer}")
