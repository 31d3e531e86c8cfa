"""Whether a run folder is as it was written: what is damaged, what is left over, and what can still be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.checksums import RunFiles
from contested.trajectories.lease import held, is_held
from contested.trajectories.lease_chain import staged
from contested.trajectories.leftovers import drop_unlisted, forgotten, left_over
from contested.trajectories.manifest import read_manifest
from contested.trajectories.reading import check_content

_LOOKS = 3
_UNREAD = {*layout.WEIGHTS, layout.STATE}


class Damage(NamedTuple):
    """Something in a folder that is not as it was written.

    Attributes:
        path: The file or folder.
        kind: ``missing``, ``damaged``, ``unlisted`` (there, and unknown to the manifest) or ``left over``.
        what: A sentence that says what is the matter and what to do.
    """

    path: Path
    kind: Literal["missing", "damaged", "unlisted", "left over"]
    what: str


class RunHealth(NamedTuple):
    """The state of a run folder.

    Attributes:
        run_id: The run's name; None where the manifest cannot be read.
        status: Its status; None where the manifest cannot be read.
        damage: What is missing, damaged or unlisted.
        leftovers: Files and folders that processes that are gone left behind, and growing files with a rest that does
            not count. None of it is part of the run; none is told while a process holds it.
        readable: What can still be read, a sentence each.
        verified: Whether the manifest knows its files; of an older folder only what cannot be read at all is damaged.
    """

    run_id: str | None
    status: str | None
    damage: tuple[Damage, ...]
    leftovers: tuple[Path, ...]
    readable: tuple[str, ...]
    verified: bool


def inspect_run(run: Path, *, quick: bool = False) -> RunHealth:
    """Hold every file of a run folder against its manifest; a run that is being written is seen as it is at a moment.

    Args:
        run: The run folder.
        quick: Whether the size is enough of weights and snapshots, which no analysis reads.

    Returns:
        Its state, whatever it is.
    """
    for _ in range(_LOOKS):
        before = _stamp(run)
        health = _inspect(run, quick=quick)
        # A writer may have gone on meanwhile.
        if not health.damage or _stamp(run) == before:
            break
    return health


def remove_leftovers(run: Path) -> tuple[Path, ...]:
    """Remove what :func:`inspect_run` finds left over.

    Args:
        run: The run folder.

    Returns:
        What was removed, or cut back to what counts of it.

    Raises:
        RunLockedError: If a process holds the run.
        RunError: If the manifest cannot be read, or something cannot be removed.
    """
    gone = staged(run)  # Whoever takes the run removes them.
    with held(run, instead=""):
        manifest = read_manifest(run)
        found = sorted({*gone, *left_over(run, manifest)})
        try:
            drop_unlisted(run, manifest, keep=forgotten(run, manifest) if layout.FILES in manifest else ())
        except OSError as error:
            raise RunError(f"Cannot clean up {run}: {error.strerror or error}. Fix the permissions.") from None
    return tuple(found)


def _inspect(run: Path, *, quick: bool) -> RunHealth:
    try:
        manifest = read_manifest(run)
    except RunError as error:
        kind: Literal["missing", "damaged"] = "damaged" if (run / layout.MANIFEST).exists() else "missing"
        damage = (Damage(run / layout.MANIFEST, kind, error.message),)
        return RunHealth(None, None, damage, (), (_without_manifest(run),), verified=False)
    files = RunFiles(run, manifest)
    found = tuple(_damage(files, manifest, quick=quick))
    broken = {damage.path.relative_to(run).as_posix() for damage in found}
    leftovers = () if is_held(run) else tuple(left_over(run, manifest))
    readable = tuple(_readable(files, manifest, broken))
    return RunHealth(manifest["run_id"], manifest["status"], found, leftovers, readable, files.verified)


def _damage(files: RunFiles, manifest: Mapping[str, Any], *, quick: bool) -> Iterator[Damage]:
    run = files.run
    for name in _names(files, manifest):
        if files.verified:
            fault = files.fault(name, content=not (quick and name.partition("/")[0] in _UNREAD))
        else:
            fault = check_content(run, name)
        if fault is not None:
            yield Damage(run / name, fault.kind, f"{name} {fault.what}. {_remedy(name, manifest['status'])}")
    for name in forgotten(run, manifest) if files.verified else ():
        what = (
            f"{name} is there, but the manifest does not list it. Put back the manifest that does, or remove the file."
        )
        yield Damage(run / name, "unlisted", what)


def _names(files: RunFiles, manifest: Mapping[str, Any]) -> list[str]:
    """The files that the run should have."""
    checkpoints = [_checkpoint(step) for step in _steps(manifest)]
    if files.verified:
        return sorted({*manifest[layout.FILES], *checkpoints})
    optional = [layout.METRICS, layout.BASELINE, *files.named(layout.GRADIENTS)]
    return [layout.EXAMPLES, *checkpoints, *(name for name in optional if files.has(name))]


def _remedy(name: str, status: str) -> str:
    if name.startswith(f"{layout.STATE}/") and status != "complete":
        return "Give the command that trains the run again: it resumes from the snapshot before, if that is whole."
    return "Restore it from a copy."


def _readable(files: RunFiles, manifest: Mapping[str, Any], broken: set[str]) -> Iterator[str]:
    """What is whole, a sentence each."""
    checkpoints = [_checkpoint(step) for step in _steps(manifest)]
    yield _share("checkpoints", checkpoints, broken)
    single = {layout.EXAMPLES: "examples", layout.METRICS: "metrics", layout.BASELINE: "baseline"}
    there = [title for name, title in single.items() if files.has(name) and name not in broken]
    if there:
        yield f"{' and '.join(filter(None, (', '.join(there[:-1]), there[-1]))).capitalize()} can be read."
    folders = {layout.GRADIENTS: "files of gradients", layout.STATE: "snapshots"}
    folders |= {name: f"files in {name}/" for name in layout.WEIGHTS}
    for folder, title in folders.items():
        if names := files.named(folder):
            yield _share(title, names, broken)


def _share(title: str, names: list[str], broken: set[str]) -> str:
    whole = sum(name not in broken for name in names)
    return f"{whole} of {len(names)} {title} can be read."


def _without_manifest(run: Path) -> str:
    found = len(layout.checkpoint_steps(run))
    return f"Without its manifest nothing of it is read; {found} files of checkpoints lie there."


def _checkpoint(step: int) -> str:
    return f"{layout.CHECKPOINTS}/{layout.checkpoint_name(step)}"


def _steps(manifest: Mapping[str, Any]) -> list[int]:
    return [listed["step"] for listed in manifest["checkpoints"]]


def _stamp(run: Path) -> object:
    try:
        found = (run / layout.MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
