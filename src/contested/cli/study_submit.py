"""``contested study submit`` and ``cancel``: the workers of a study on a cluster."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from contested.cli.console import echo, path
from contested.cli.study_files import FILE, SCALE, SETS, load, make_miniature
from contested.errors import ConfigError
from contested.wording import counted

_CLUSTERS = ("slurm",)


def submit(
    file: Annotated[str, FILE],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Options for sbatch, such as -- --gres=gpu:1.", show_default=False),
    ] = None,
    *,
    to: Annotated[str, typer.Option(help="Where the workers are: slurm.", show_default=False)],
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
    workers: Annotated[int, typer.Option(min=1, max=1000, help="Workers at most; each does one run at a time.")] = 8,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time of each worker, such as 4h, 90m or 1-12:00:00; it is queued again until the study is done.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script, and submit nothing.")] = False,
) -> None:
    """Submit workers of a study to a cluster.

    Writes one script into the study's folder (submit/slurm.sh) and submits it: an array of jobs that train the study's
    runs, longest first, save them before their time ends, and are queued again until the study is done. What is checked
    before a study runs is checked here.

    Example: contested study submit mine.yaml --out /shared/study --to slurm --workers 8 --time 4h -- --gres=gpu:1
    """
    from contested.studies import expand
    from contested.studies.checks import missing_inputs
    from contested.studies.clock import duration
    from contested.studies.folder import begin
    from contested.studies.slurm import script
    from contested.studies.slurm import submit as submit_script

    if to not in _CLUSTERS:
        raise ConfigError(f"--to is {to!r}; expected: {', '.join(_CLUSTERS)}.")
    if time is None:
        raise ConfigError("Give --time, the time that each worker asks SLURM for, such as --time 4h.")
    folder, seconds = _folder(file, out), duration(time)
    study = load(file, sets, scale, folder)
    cells = [cell for cell in expand(study) if not cell.excluded]
    workers, options = min(workers, len(cells)), options or []
    again = [part for each in sets or () for part in ("--set", each)] + (["--scale", scale] if scale else [])
    again += ["--to", to, "--workers", str(workers), "--time", time, *(["--", *options] if options else [])]
    command = shlex.join(["contested", "study", "submit", file, "--out", str(folder), *again])
    text = script(folder, name=study.name, workers=workers, seconds=seconds, options=options, command=command)
    if dry_run:
        typer.echo(text, nl=False)
        return
    make_miniature(study, folder, scale)
    if problems := missing_inputs(cells):
        raise ConfigError("The study cannot run:", problems)
    begin(study, folder)
    made = submit_script(folder, text, workers=workers, command=command)
    echo(f"Submitted {counted(workers, 'worker')} as SLURM job {made.job}: {folder}/submit/slurm.sh")
    echo(f"Next: contested study status {folder}; contested study cancel {folder} ends the workers.")


def cancel(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", parser=path, help="The study's folder.")],
) -> None:
    """Cancel the workers that were submitted of a study.

    Those at work save what they train first; contested study submit goes on from there.

    Example: contested study cancel /shared/study
    """
    from contested.studies.folder import is_study
    from contested.studies.slurm import cancel as cancel_jobs

    if not is_study(folder):
        raise ConfigError(f"{folder} is not a study's folder: it has no study.yaml. Give the --out of submit.")
    ended = cancel_jobs(folder)
    for each in ended:
        echo(f"Cancelled SLURM job {each.job} ({counted(each.workers, 'worker')}, submitted {each.submitted}).")
    if not ended:
        echo("None of this study's workers is in SLURM's queue.")


def _folder(file: str, out: Path | None) -> Path:
    """The study's folder, absolute: where the workers are, the present folder is another one."""
    from contested.studies.folder import is_study

    if out is None and not is_study(path(file)):
        raise ConfigError(f"Give the folder of its runs: contested study submit {file} --out FOLDER.")
    # Not resolved: a link may lead elsewhere on the machines of a cluster.
    return Path(os.path.abspath(path(file) if out is None else out))
