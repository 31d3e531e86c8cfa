"""What a page of runs says before anything else: what the alert ended or found, and what makes numbers mean little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contested.analysis.learned import at_chance, learned_little
from contested.analysis.watch import amount, ended_by_alert, group_examples, rise_sentence
from contested.analysis.watch_run import Watch
from contested.report.left_out import left_out
from contested.report.page import Banner
from contested.report.runs import ReportRun

_MOST_NAMED = 6


def banners(runs: Sequence[ReportRun]) -> list[Banner]:
    """What readers must know first: alarms, runs that learned next to nothing, examples lost, runs not complete.

    Args:
        runs: The runs of the page.

    Returns:
        One for each run and matter; one for all runs together where the alert found something and ended nothing.
    """
    runs = [run for run in runs if not run.held_out]
    return [*alarm_banners(runs), *learning_banners(runs), *_lost(runs), *_incomplete(runs)]


def alarm_banners(runs: Sequence[ReportRun]) -> list[Banner]:
    """Which runs the alert ended, and in which others the loss rose above its start."""
    found = []
    for run in runs:
        if ended := ended_by_alert(run.trajectory):
            title = (
                f"The alert ended this run {ended}." if len(runs) == 1 else f"{run.name}: the alert ended it {ended}."
            )
            found.append(Banner(title, _in_full(run)))
    others = [(run, watch) for run in runs if (watch := _raised(run)) and not ended_by_alert(run.trajectory)]
    if not others:
        return found
    if len(runs) == 1:
        return [*found, Banner("Alarm: in this run the loss rose above its start.", _in_full(runs[0]))]
    told = " ".join(f"{run.name}: {_in_short(watch, run.analysis.step_unit)}." for run, watch in others[:_MOST_NAMED])
    more = f" {len(others) - _MOST_NAMED} more are in the table of the alert." if len(others) > _MOST_NAMED else ""
    which = f"{len(others)} {'other ' if found else ''}of {len(runs)} runs"
    title = f"Alarm: in {which} the loss rose above its start."
    return [*found, Banner(title, told + more)]


def learning_banners(runs: Sequence[ReportRun]) -> Iterator[Banner]:
    """Which runs learned next to nothing, and which did not get above chance and yet moved."""
    for run in runs:
        subject = "This run" if len(runs) == 1 else run.name
        if why := learned_little(run.trajectory):
            yield Banner(f"{subject} learned next to nothing.", f"It {why}. Its numbers mean little.")
        elif accuracy := at_chance(run.trajectory):
            yield Banner(f"{subject} did not get above chance.", f"Its {accuracy}.")


def _lost(runs: Sequence[ReportRun]) -> Iterator[Banner]:
    for run in runs:
        if few := left_out(run.trajectory).few:
            yield Banner(
                f"{f'{run.name}: ' if len(runs) > 1 else ''}{few}.",
                "Everything below is of these alone. Check that ids are the same text where it was recorded and "
                "annotated.",
            )


def _incomplete(runs: Sequence[ReportRun]) -> Iterator[Banner]:
    for run in runs:
        if run.trajectory.status != "complete":
            subject = "This run" if len(runs) == 1 else run.name
            strong = f"{subject} is not complete (status: {run.trajectory.status})."
            yield Banner(strong, "Everything below covers only what it had recorded.")


def _raised(run: ReportRun) -> Watch | None:
    return run.analysis.alert if run.analysis.alert and run.analysis.alert.alarms else None


def _in_full(run: ReportRun) -> str:
    watch, unit = _raised(run), run.analysis.step_unit
    return " ".join(rise_sentence(name, found, unit=unit) for name, found in (watch.alarms if watch else {}).items())


def _in_short(watch: Watch, unit: str) -> str:
    """Where each group raised its alarm, and how far it had risen."""
    rows = watch.tables()["alerts"].set_index("category")
    return "; ".join(
        f"{group_examples(name)} at {unit} {found.first:,} by {amount(rows.loc[name, 'first_estimate'])} nats"
        for name, found in watch.alarms.items()
    )
