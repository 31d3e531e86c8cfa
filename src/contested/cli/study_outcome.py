"""How a study ended, as ``contested study run`` and ``submit`` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contested.cli.console import echo, print_json

if TYPE_CHECKING:
    from contested.studies import StudyOutcome

_INTERRUPTED = 130


def tell(outcome: StudyOutcome, *, json: bool) -> None:
    """Print the outcome.

    Args:
        outcome: It.
        json: Whether as JSON.
    """
    if json:
        print_json(_outcome_json(outcome))
    else:
        _print_outcome(outcome)


def _outcome_json(outcome: StudyOutcome) -> dict[str, object]:
    return {
        "runs": outcome.n_runs,
        "complete": len(outcome.complete),
        "failed": dict(outcome.failed),
        "damaged": list(outcome.damaged),
        "interrupted": list(outcome.interrupted),
        "waiting": list(outcome.waiting),
        "out": str(outcome.out),
    }


def exit_code(outcome: StudyOutcome, *, timed: bool = False) -> int:
    """The exit code of a study that ended.

    Args:
        outcome: How it ended.
        timed: Whether it had an end of its time.

    Returns:
        0 done, 1 runs failed, 130 interrupted; where a worker has an end of its time, 3 if it leaves the rest to others
        and 4 if its time was too short for a step.
    """
    from contested.studies.worker import HELD_ELSEWHERE, TOO_SHORT

    if outcome.waiting or len(outcome.interrupted) > len(outcome.held):
        return _INTERRUPTED if outcome.advanced or not timed else TOO_SHORT
    if outcome.held:
        return HELD_ELSEWHERE if timed else _INTERRUPTED
    return 1 if outcome.failed else 0


def _print_outcome(outcome: StudyOutcome) -> None:
    for name, message in outcome.failed.items():
        how = "is damaged, and was left as it is" if name in outcome.damaged else "failed"
        echo(f"{name} {how}:\n  " + message.replace("\n", "\n  "))
    failed, damaged = len(outcome.failed) - len(outcome.damaged), len(outcome.damaged)
    ends = [f"{failed} failed", *([f"{damaged} damaged"] if damaged else [])]
    ends += [f"{len(outcome.interrupted) - len(outcome.held)} interrupted", f"{len(outcome.waiting)} not started"]
    ends += [f"{len(outcome.held)} with other workers"] if outcome.held else []
    echo(f"{len(outcome.complete)} of {outcome.n_runs} runs complete, {', '.join(ends)}: {outcome.out}")
    if damaged:
        echo(
            f"contested verify {outcome.out} says what can still be read of the damaged runs. Restore them from a "
            "copy, or give contested study run with --from-start: it begins them again, and leaves whole runs alone."
        )
    if outcome.held and not outcome.waiting and len(outcome.held) == len(outcome.interrupted):
        echo("Other workers train the rest: contested study status shows who.")
    elif outcome.interrupted or outcome.waiting:
        echo("The same command resumes the study.")
    elif failed:
        echo("Fix what failed; the same command then tries it again and skips what is complete.")
    elif not damaged:
        echo(f"Next: contested report {outcome.out}")
