"""A study's workers as an array of jobs of SLURM: one script, written into the study's folder, readable and kept."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from contested.errors import ConfigError, ContestedError, write_error
from contested.files import write_json, write_text
from contested.studies.clock import slurm_time
from contested.studies.worker import HELD_ELSEWHERE, TOO_SHORT
from contested.wording import counted, listed

SUBMIT = "submit"
"""The part of a study's folder that is about its submission: the script, the jobs' numbers, what the workers said."""
SCRIPT = "slurm.sh"
JOBS = "jobs.json"

_REFUSED = (
    " Options after -- are for sbatch; sinfo says what the cluster has. Nothing was submitted: the script and the "
    "study's file stay in the folder, and the same command with other options puts new ones in their place."
)
_WARNING = 120  # seconds before a job's end at which SLURM asks the worker to save
_OWN = {
    "array": "a",
    "error": "e",
    "no-requeue": "",
    "open-mode": "",
    "output": "o",
    "parsable": "",
    "requeue": "",
    "signal": "",
    "time": "t",
    "time-min": "",
    "wrap": "",
}
"""Options of sbatch that the script sets, or that would change what it relies on."""


class SlurmError(ContestedError):
    """SLURM is not there, or refuses what it is asked for."""


class Submission(NamedTuple):
    """What was submitted once.

    Attributes:
        job: The number of the array of jobs.
        workers: Tasks of the array.
        submitted: When (UTC, ISO 8601).
        command: The command that submitted it.
    """

    job: str
    workers: int
    submitted: str
    command: str


class Queued(NamedTuple):
    """A job of a study that SLURM has now.

    Attributes:
        job: The number of the array of jobs.
        states: State, as SLURM calls it, to how many tasks are in it; without those that have ended.
        submission: What was submitted with it; None where sbatch was given the script by hand.
    """

    job: str
    states: Mapping[str, int]
    submission: Submission | None

    @property
    def workers(self) -> int:
        """Tasks of the array; of one that was submitted by hand those that have not ended."""
        return sum(self.states.values()) if self.submission is None else self.submission.workers


def script(
    out: Path, *, name: str, workers: int, seconds: int, options: Sequence[str], command: str, python: str = ""
) -> str:
    """The script of an array of workers.

    Args:
        out: The study's folder, absolute.
        name: The study's name.
        workers: Tasks of the array.
        seconds: The time of each.
        options: More options for sbatch.
        command: What is submitted, for the comment at the top.
        python: The Python that has the package; this one where not given.

    Returns:
        The text.

    Raises:
        ConfigError: If options are given that the script sets.
    """
    check_options(options)
    # A warning as long as the time would come at its beginning.
    warning = min(_WARNING, seconds // 6)
    own = [
        f"--job-name={re.sub(r'[^A-Za-z0-9._-]+', '-', name)}",
        f"--array=0-{workers - 1}",
        f"--time={slurm_time(seconds)}",
        "--requeue",
        "--open-mode=append",
        f"--signal=B:USR2@{warning}",
        f"--output={out / SUBMIT}/%A_%a.log",
    ]
    run = f"{shlex.quote(python or sys.executable)} -m contested study run {shlex.quote(str(out))}"
    return _SCRIPT.format(
        command=command.replace("\n", "\n# "),
        when=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        options="\n".join(f"#SBATCH {line}" for line in _lines([*own, *options])),
        seconds=seconds,
        run=f"{run} --out {shlex.quote(str(out))} --jobs 1",
        held=HELD_ELSEWHERE,
        short=TOO_SHORT,
    )


_SCRIPT = """\
#!/bin/bash
# {when}: {command}
# Each task of this array trains runs of the study that nobody else trains, one after the other, until none is left.
# "sbatch slurm.sh" adds as many workers again.
{options}

# When this job ends. Versions of SLURM that do not say it give the job this many seconds from now.
until=${{SLURM_JOB_END_TIME:-$(($(date +%s) + {seconds}))}}
# Not the job's own number: that of an array's last task is the number of the whole array.
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
export OMP_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-${{SLURM_CPUS_ON_NODE:-1}}}}

# Who asks this job to stop asks the worker, which saves the state of its run.
# USR2 comes before the end of the time: the job is then queued again. After TERM, SLURM decides what becomes of it.
asked=
trap 'asked=USR2; kill -USR2 "$!" 2>/dev/null' USR2
trap 'asked=TERM; kill -TERM "$!" 2>/dev/null' TERM

# A worker that was killed, as for lack of memory, is started again; its run resumes from its last snapshot.
for attempt in 1 2 3; do
    {run} --until "$until" &
    wait "$!"
    code=$?
    # A signal to this script ends a wait before the worker ends.
    while kill -0 "$!" 2>/dev/null; do
        wait "$!"
        code=$?
    done
    if [ -n "$asked" ] || [ "$code" -le 128 ] || [ "$code" -eq 130 ]; then break; fi
    echo "The worker ended with exit code $code (attempt $attempt of 3)."
done

if [ "$asked" = TERM ]; then exit "$code"; fi
case $code in
    0) scancel --state=PENDING "$SLURM_ARRAY_JOB_ID" ;; # the study is complete: workers that wait have nothing to do
    {held}) exit 0 ;; # other workers hold what is left
    130) scontrol requeue "$task" ;; # out of time
    {short}) # out of time before the first step
        if [ "${{SLURM_RESTART_COUNT:-0}}" -ge 2 ]; then
            echo "This worker took no step in its time. Submit workers with more: contested study submit … --time"
            exit 1
        fi
        scontrol requeue "$task" ;;
    *) if [ "$asked" = USR2 ]; then scontrol requeue "$task"; else exit "$code"; fi ;;
esac
"""


def check_options(options: Sequence[str]) -> None:
    """Refuse options for sbatch that the script sets itself.

    Args:
        options: As they would be given to sbatch.

    Raises:
        ConfigError: With the name of each.
    """
    if options and not options[0].startswith("-"):
        raise ConfigError(f"{options[0]!r} is no option of sbatch. After -- give options alone: -- --gres=gpu:1 -p gpu")
    taken = [option for option in options if _is_own(option)]
    if taken:
        raise ConfigError(
            f"{listed(taken)} cannot be given to sbatch: the script sets {'it' if len(taken) == 1 else 'them'} itself. "
            "Give --workers and --time before the --, and leave the rest out."
        )


def _is_own(option: str) -> bool:
    if option.startswith("--"):
        return option[2:].partition("=")[0] in _OWN
    return option.startswith("-") and option[1:2] in {short for short in _OWN.values() if short}


def _lines(options: Sequence[str]) -> list[str]:
    """Options with their values, one on a line."""
    lines: list[str] = []
    for option in options:
        if option.startswith("-") or not lines:
            lines.append(shlex.quote(option))
        else:
            lines[-1] += f" {shlex.quote(option)}"
    return lines


def check_here(command: str = "sbatch") -> None:
    """Refuse a machine without SLURM.

    Args:
        command: What is to be asked.

    Raises:
        SlurmError: If it is not there.
    """
    if shutil.which(command) is None:
        raise SlurmError(
            f"{command} is not here: this machine has no SLURM. Give the command on a login node of the cluster; "
            "--dry-run shows the script without SLURM."
        )


def submit(out: Path, text: str, *, workers: int, command: str) -> Submission:
    """Write the script into the study's folder and submit it.

    Args:
        out: The study's folder.
        text: The script.
        workers: Tasks of its array.
        command: The command that submits it.

    Returns:
        What was submitted; it is noted in the study's folder.

    Raises:
        SlurmError: If SLURM is not there, or refuses it.
        RunError: If the folder cannot be written.
    """
    path = out / SUBMIT / SCRIPT
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise write_error(error, f"Cannot write {path}: {error.strerror or error}. Choose another --out.") from error
    answer = _call(["sbatch", "--parsable", str(path)])
    job = answer.strip().splitlines()[-1].partition(";")[0] if answer.strip() else ""
    if not job.isdigit():
        raise SlurmError(f"sbatch did not say the number of the job, but: {answer.strip()!r}. Look with: squeue --me")
    made = Submission(job, workers, datetime.now(UTC).isoformat(timespec="seconds"), command)
    write_json(out / SUBMIT / JOBS, [each._asdict() for each in [*submissions(out), made]])
    return made


def submissions(out: Path) -> list[Submission]:
    """What was submitted of a study.

    Args:
        out: Its folder.

    Returns:
        In order; none where nothing was.

    Raises:
        SlurmError: If what is noted there cannot be read.
    """
    path = out / SUBMIT / JOBS
    try:
        return [Submission(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise SlurmError(
            f"{path} cannot be read: {error}. Look for the jobs with squeue --me, and remove it."
        ) from error


def cancel(out: Path) -> list[Queued]:
    """Cancel all jobs of a study: their workers save what they train.

    Args:
        out: The study's folder.

    Returns:
        What was queued or at work; none where nothing was.

    Raises:
        SlurmError: If SLURM is not there, or refuses it.
    """
    found = queue(out)
    if found:
        _call(["scancel", *(each.job for each in found)])
    return found


def queue(out: Path) -> list[Queued]:
    """What SLURM has of a study's jobs now, those that sbatch was given by hand as well.

    Args:
        out: The study's folder.

    Returns:
        Each job of which a task is queued or at work; none where nothing was submitted.

    Raises:
        SlurmError: If SLURM is not there, or does not answer.
    """
    known = {each.job: each for each in submissions(out)}
    if not known:
        return []
    own = os.path.realpath(out / SUBMIT / SCRIPT)
    found: dict[str, dict[str, int]] = {}
    # All of one's own: squeue refuses a number that it has forgotten.
    answer = _call(["squeue", "--me", "--noheader", "--array", "--format=%F %T %o"])
    for line in answer.splitlines():
        job, state, command = (*line.strip().split(" ", 2), "")[:3]
        if job in known or (command and os.path.realpath(command) == own):
            states = found.setdefault(job, {})
            states[state.lower()] = states.get(state.lower(), 0) + 1
    return [Queued(job, states, known.get(job)) for job, states in found.items()]


def queue_lines(out: Path, *, training: int, is_left: bool) -> list[str]:
    """What was submitted of a study and is not done, a sentence each.

    Args:
        out: The study's folder.
        training: How many workers hold a run now.
        is_left: Whether runs are left.

    Returns:
        The sentences; none where nothing was submitted.
    """
    try:
        present, was_submitted = queue(out), bool(submissions(out))
    except SlurmError as error:
        return [str(error)]
    lines = [
        f"SLURM job {each.job} ({counted(each.workers, 'worker')}): "
        + listed([f"{count} {state}" for state, count in each.states.items()])
        for each in present
    ]
    idle = sum(each.states.get("running", 0) for each in present) - training
    waiting = any("pending" in each.states for each in present)
    if is_left and idle > 0:
        lines.append(
            f"{counted(idle, 'running worker')} without a run: it takes up to a minute to begin. What workers say: "
            f"{out / SUBMIT}/*.log"
        )
    elif is_left and waiting and not training:
        lines.append(
            "No worker is at work yet: the jobs wait in SLURM's queue. squeue --me --start says when SLURM expects to "
            "have a place for them."
        )
    elif is_left and was_submitted and not present and not training:
        lines.append(
            f"No worker is queued or at work, and runs are left. {out / SUBMIT}/*.log has what the last ones said; "
            "contested study submit goes on."
        )
    return lines


def _call(command: Sequence[str]) -> str:
    """Run a command of SLURM; what it refuses is shown as it says it."""
    check_here(command[0])
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} gave no answer in {error.timeout:.0f} seconds. Try again later.") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise SlurmError(
            f"{command[0]} ended with exit code {done.returncode}: {said}\n"
            f"The command was: {shlex.join(command)}." + _REFUSED * (command[0] == "sbatch")
        )
    return done.stdout
