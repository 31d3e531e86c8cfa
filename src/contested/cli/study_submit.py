"""``contested study submit`` and ``cancel``: the workers of a study on a cluster."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand

from contested.cli.console import console, echo, path
from contested.cli.study_files import FILE, SCALE, SETS, load, make_miniature
from contested.errors import ConfigError
from contested.wording import counted

if TYPE_CHECKING:
    from contested.studies import Study

_CLUSTERS = ("slurm", "ray")
_WORKERS = 8  # where SLURM is not asked for another number
_SHORT = 300  # seconds, of which a worker loses too many to begin


class SubmitCommand(TyperCommand):
    """Says of an option that it does not know where those of the cluster stand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Args:
            ctx: The command's context.
            args: What was given.

        Returns:
            What is left of it.
        """
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer may bring its own copy of click or use the installed one.
            if type(error).__name__ == "NoSuchOption":
                given: Any = error
                given.message = (
                    f"{given.message.rstrip('.')}. Options for sbatch or Ray stand after --, at the end: "
                    f"-- {given.option_name} …"
                )
            raise


def submit(
    file: Annotated[str, FILE],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- OPTIONS]",
            help="Options for sbatch, such as -- --gres=gpu:1; for Ray what each worker asks for, --num-gpus 1 and "
            "--num-cpus 4.",
            show_default=False,
        ),
    ] = None,
    *,
    to: Annotated[str, typer.Option(help="Where the workers are: slurm or ray.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="The study's folder, on a disk that the cluster shares; STUDY where that is one.",
            show_default=False,
        ),
    ] = None,
    sets: Annotated[list[str] | None, SETS] = None,
    scale: Annotated[str | None, SCALE] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Workers at most; each does one run at a time. By default 8, on Ray one for each GPU or core.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time of each worker, such as 4h, 90m or 1-12:00:00; it is queued again until the study is done. For "
            "SLURM.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the study and print SLURM's script; submit nothing.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray's cluster, such as auto or 10.0.0.1:6379; by default that of RAY_ADDRESS, else this machine.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Submit workers of a study to a cluster.

    To SLURM: writes one script into the study's folder (submit/slurm.sh) and submits it: an array of jobs that train
    the study's runs, longest first, save them before their time ends, and are queued again until the study is done.

    To Ray: starts a worker for each GPU or core, shows what they do and stays until the study is done. Workers that are
    lost with their nodes begin again elsewhere. Ctrl-C saves the state of every run and ends them.

    What is checked before a study runs is checked here.

    Example: contested study submit mine.yaml --out /shared/study --to slurm --workers 8 --time 4h -- --gres=gpu:1
    """
    if to not in _CLUSTERS:
        raise ConfigError(f"--to is {to!r}; expected: {' or '.join(_CLUSTERS)}.")
    folder = _folder(file, out)
    study = load(file, sets, scale, folder)
    if to == "ray":
        if time is not None or dry_run:
            raise ConfigError("--time and --dry-run are for SLURM: on Ray the workers stay until the study is done.")
        _to_ray(study, folder, scale=scale, workers=workers, address=address, options=options or [])
    if time is None:
        raise ConfigError("Give --time, the time that each worker asks SLURM for, such as --time 4h.")
    if address is not None:
        raise ConfigError("--address is for Ray: SLURM is where its commands are.")
    again = [part for each in sets or () for part in ("--set", each)] + (["--scale", scale] if scale else [])
    command = ["contested", "study", "submit", file, "--out", str(folder), *again, "--to", to]
    asked = _Asked(workers or _WORKERS, time, options or [], command)
    _to_slurm(study, folder, asked, scale=scale, dry_run=dry_run)


class _Asked(NamedTuple):
    """What SLURM is asked for, and the command that asks, without these."""

    workers: int
    time: str
    options: list[str]
    command: list[str]


def _to_slurm(study: Study, folder: Path, asked: _Asked, *, scale: str | None, dry_run: bool) -> None:
    from contested.studies import expand
    from contested.studies.checks import check_cells
    from contested.studies.clock import duration
    from contested.studies.folder import StudyFolder, begin, check_folder
    from contested.studies.slurm import check_here, script, submit

    cells = [cell for cell in expand(study) if not cell.excluded]
    workers, options = min(asked.workers, len(cells)), asked.options
    given = ["--workers", str(workers), "--time", asked.time, *(["--", *options] if options else [])]
    command = shlex.join([*asked.command, *given])
    seconds = duration(asked.time)
    text = script(folder, name=study.name, workers=workers, seconds=seconds, options=options, command=command)
    check_folder(folder)
    if not dry_run:
        check_here()
        make_miniature(study, folder, scale)
    if scale is None or not dry_run:  # A miniature's files are made as it is submitted.
        check_cells(cells, here=False)
    if seconds < _SHORT:
        echo(f"Warning: a worker takes up to a minute to begin; in {asked.time} it may not come far.", err=True)
    if dry_run:
        typer.echo(text, nl=False)
        return
    begin(study, folder)
    states = StudyFolder(folder, cells).states.values()
    if not (left := sum(state.status != "complete" for state in states)):
        echo(f"All {len(cells)} runs are complete: nothing was submitted. Next: contested report {folder}")
        return
    made = submit(folder, text, workers=workers, command=command)
    share = f"{left} of {len(cells)} runs"
    echo(f"Submitted {counted(workers, 'worker')} for {share} as SLURM job {made.job}: {folder}/submit/slurm.sh")
    echo(f"Next: contested study status {folder}; contested study cancel {folder} ends the workers.")


def _to_ray(
    study: Study, folder: Path, *, scale: str | None, workers: int | None, address: str | None, options: list[str]
) -> NoReturn:
    from contested.cli.progress import study_board
    from contested.cli.study_outcome import exit_code, tell
    from contested.studies import run_study
    from contested.studies.ray import RayExecutor, parse_needs

    with study_board(console(stderr=True)) as show:
        needs = parse_needs(options)
        executor = RayExecutor(folder, workers=workers, address=address, needs=needs, warn=show.warn)
        make_miniature(study, folder, scale)
        outcome = run_study(study, folder, executor=executor, on_start=show.start, on_change=show)
    tell(outcome, json=False)
    raise typer.Exit(exit_code(outcome))


def cancel(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", parser=path, help="The study's folder.")],
) -> None:
    """Cancel the workers of a study that were submitted to SLURM; those on Ray end with their command.

    Those at work save what they train first; contested study submit goes on from there. On Ray, Ctrl-C in the command
    that submitted them does the same.

    Example: contested study cancel /shared/study
    """
    from contested.studies.folder import is_study
    from contested.studies.slurm import cancel as cancel_jobs

    if not is_study(folder):
        raise ConfigError(f"{folder} is not a study's folder: it has no study.yaml. Give the --out of submit.")
    ended = cancel_jobs(folder)
    for each in ended:
        when = f"submitted {each.submission.submitted}" if each.submission else "submitted by hand"
        echo(f"Cancelled SLURM job {each.job} ({counted(each.workers, 'worker')}, {when}).")
    if not ended:
        echo("None of this study's workers is in SLURM's queue. Those on Ray end with their command: Ctrl-C there.")


def _folder(file: str, out: Path | None) -> Path:
    """The study's folder, absolute: where the workers are, the present folder is another one."""
    from contested.studies.folder import is_study

    if path(file).is_dir() and not is_study(path(file)):
        raise ConfigError(f"{file} is a folder and not a study's: it has no study.yaml. Give a study file and --out.")
    if out is None and not is_study(path(file)):
        raise ConfigError(f"Give the folder of its runs: contested study submit {file} --out FOLDER.")
    # Not resolved: a link may lead elsewhere on the machines of a cluster.
    return Path(os.path.abspath(path(file) if out is None else out))
