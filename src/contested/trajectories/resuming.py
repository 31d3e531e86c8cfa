"""Taking up a run folder again: what was recorded up to a step is whole, and what came after it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from contested.errors import DamagedRunError
from contested.trajectories import layout
from contested.trajectories.checksums import RunFiles, checksum
from contested.trajectories.former import with_files
from contested.trajectories.integrity import RunHealth, inspect_run
from contested.trajectories.leftovers import drop_unlisted, forgotten
from contested.trajectories.manifest import read_manifest, write_manifest
from contested.trajectories.reading import lines_of

FROM_START = (
    "Restore what is damaged from a copy, or begin this run again with --from-start of the same command (from Python: "
    "from_start=True), which removes what the folder holds of it."
)
_OF_ITS_END = ("error", "ended_by", "finished_at")


def resumed(run: Path, step: int, go_on: str = FROM_START) -> dict[str, Any]:
    """Take a run folder back to a step.

    Args:
        run: The run folder, which nobody else writes.
        step: Steps done there.
        go_on: What to do where that cannot be, a sentence.

    Returns:
        The manifest as it then is on the disk.

    Raises:
        DamagedRunError: If something that was recorded up to there is missing, damaged, or not listed.
    """
    manifest = read_manifest(run)
    if layout.FILES not in manifest:
        manifest = with_files(run, manifest, step)
    problems = _problems(run, manifest, step)
    if problems:
        refuse(run, f"what it recorded up to step {step:,} is not whole", problems, go_on)
    manifest["checkpoints"] = [listed for listed in manifest["checkpoints"] if listed["step"] <= step]
    manifest["status"] = "running"
    for key in _OF_ITS_END:
        manifest.pop(key, None)
    if "alarms" in manifest:
        manifest["alarms"] = [alarm for alarm in manifest["alarms"] if alarm["step"] <= step]
    manifest[layout.FILES] = _files_up_to(run, manifest, step)
    # Before anything goes: whatever stops this leaves files that are not listed, not a list of files that are gone.
    write_manifest(run, manifest)
    drop_unlisted(run, manifest)
    return manifest


def refuse(run: Path, why: str, problems: list[str], go_on: str = FROM_START) -> NoReturn:
    """Raise the error of a run that cannot be resumed.

    Args:
        run: The run folder.
        why: What stops it, the second half of a sentence.
        problems: Each thing that is wrong.
        go_on: What to do, a sentence.

    Raises:
        DamagedRunError: Always; it says what remains, and how to go on.
    """
    remains = " ".join(inspect_run(run).readable)
    raise DamagedRunError(f"{run} cannot be resumed: {why}. {remains} {go_on}", problems)


def check_whole(run: Path, *, quick: bool = False) -> RunHealth:
    """Refuse a complete run that is not as it was written.

    Args:
        run: The run folder.
        quick: Whether the size is enough of weights and snapshots, which no analysis reads.

    Returns:
        What was found: nothing damaged, and what a process left that died at the run's very end.

    Raises:
        DamagedRunError: If something is missing, damaged or not listed.
    """
    health = inspect_run(run, quick=quick)
    if health.damage:
        raise DamagedRunError(
            f"{run} holds this run, complete, but not as it was written. {' '.join(health.readable)} {FROM_START}",
            [damage.what for damage in health.damage],
        )
    return health


def _problems(run: Path, manifest: Mapping[str, Any], step: int) -> list[str]:
    """What a folder has lost of what it recorded up to a step."""
    files = RunFiles(run, manifest)
    counting = {name for name in manifest[layout.FILES] if _up_to(name, step) and not name.startswith(layout.STATE)}
    listed = {f"{layout.CHECKPOINTS}/{layout.checkpoint_name(found['step'])}" for found in manifest["checkpoints"]}
    counting |= {name for name in listed if _up_to(name, step)}
    problems = [f"{name} {fault.what}" for name in sorted(counting) if (fault := files.fault(name)) is not None]
    lost = [name for name in forgotten(run, manifest) if _up_to(name, step)]
    return problems + [f"{name} is there, but the manifest does not list it" for name in lost]


def _up_to(name: str, step: int) -> bool:
    of = layout.step_of(name)
    return of is None or of <= step


def _files_up_to(run: Path, manifest: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What the manifest has of the files, without those of later steps, and with the lines up to the step."""
    files = RunFiles(run, manifest)
    kept = {name: known for name, known in manifest[layout.FILES].items() if _up_to(name, step)}
    for name in layout.GROWING & kept.keys():
        kept[name] = checksum(_lines_up_to(files, name, step))
    return kept


def _lines_up_to(files: RunFiles, name: str, step: int) -> bytes:
    content = files.read(name)
    lines = content.split(b"\n")
    later = [index for index, line in enumerate(lines_of(files.run / name, content)) if line["step"] > step]
    return b"".join(line + b"\n" for line in lines[: min(later, default=len(lines) - 1)])
