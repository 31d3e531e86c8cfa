"""What lies in a run folder and is not part of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from contested.files import atomic_path, remove, remove_temporaries, sync_folder, temporaries
from contested.trajectories import layout
from contested.trajectories.lease_chain import staged

FORMER_SNAPSHOT = f"{layout.STATE}/snapshot.pt"
"""The one snapshot that folders of earlier schemas have."""
_FIXED = (layout.EXAMPLES, layout.METRICS, layout.BASELINE, f"{layout.GRADIENTS}/{layout.ALIGNMENT}", FORMER_SNAPSHOT)
_FOLDERS = (layout.CHECKPOINTS, layout.GRADIENTS, layout.STATE)


def unlisted(run: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The names of files that only a run's writer makes and that its manifest does not list, sorted.

    Args:
        run: The run folder.
        manifest: Its manifest, which knows its files.

    Returns:
        Paths in the folder, with slashes. What else lies there is nobody's business.
    """
    there = [f"{folder}/{file.name}" for folder in _FOLDERS for file in (run / folder).glob("step-*")]
    made = [name for name in there if layout.step_of(name) is not None]
    made += [name for name in _FIXED if (run / name).is_file()]
    return sorted(name for name in made if name not in manifest[layout.FILES])


def forgotten(run: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Of the unlisted files those that no process left behind that was stopped while it wrote.

    Such a process leaves what is later than the last checkpoint of the manifest. A checkpoint before it is one that the
    manifest should list, and does not.

    Args:
        run: The run folder.
        manifest: Its manifest, which knows its files.

    Returns:
        Paths in the folder, with slashes.
    """
    steps = [listed["step"] for listed in manifest["checkpoints"]]
    return [name for name in unlisted(run, manifest) if steps and _is_before(name, max(steps))]


def tails(run: Path, manifest: Mapping[str, Any]) -> dict[str, int]:
    """The growing files that have more than counts.

    Args:
        run: The run folder.
        manifest: Its manifest, which knows its files.

    Returns:
        How many bytes of each count, by path in the folder.
    """
    listed = {
        name: int(manifest[layout.FILES][name]["bytes"]) for name in layout.GROWING & manifest[layout.FILES].keys()
    }
    return {name: size for name, size in sorted(listed.items()) if _size(run / name) > size}


def drop_unlisted(run: Path, manifest: Mapping[str, Any], *, only: str = "", keep: Collection[str] = ()) -> None:
    """Remove what a process that is gone left behind, and whatever else of a run's files the manifest does not list.

    Args:
        run: The run folder, which nobody else writes.
        manifest: Its manifest as it is on the disk; of one that knows no files only temporary files go.
        only: One of its folders, in place of all of it.
        keep: Files that stay.
    """
    for folder in (only,) if only else ("", *_FOLDERS):
        remove_temporaries(run / folder, former=True)
    if layout.FILES not in manifest:
        return
    gone = [name for name in unlisted(run, manifest) if name.startswith(only) and name not in keep]
    for name in gone:
        remove(run / name)
    for name, size in tails(run, manifest).items():
        if name.startswith(only):
            _cut(run / name, size)
    for folder in (layout.GRADIENTS, layout.STATE):
        if (run / folder).is_dir() and not any((run / folder).iterdir()):
            remove(run / folder)
            gone.append(folder)
    if any("/" not in name for name in gone):
        sync_folder(run)


def left_over(run: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """What :func:`drop_unlisted` would remove or cut back, without what is forgotten.

    Args:
        run: The run folder, which nobody writes.
        manifest: Its manifest.

    Returns:
        Paths, sorted.
    """
    found = staged(run) + [path for folder in ("", *_FOLDERS) for path in temporaries(run / folder, former=True)]
    if layout.FILES in manifest:
        lost = forgotten(run, manifest)
        found += [run / name for name in unlisted(run, manifest) if name not in lost]
        found += [run / name for name in tails(run, manifest)]
    return sorted(found)


def _is_before(name: str, last: int) -> bool:
    """Whether a writer would have listed a file with or before the checkpoint at ``last``."""
    step = layout.step_of(name)
    if name.startswith(f"{layout.CHECKPOINTS}/"):
        return step is not None and step <= last
    # A probe of a complete run writes norms at its last step, and says so afterwards.
    return name == layout.BASELINE or (name.startswith(f"{layout.GRADIENTS}/") and step is not None and step < last)


def _cut(file: Path, size: int) -> None:
    """Keep the beginning of a file, as a new file: a process that lost the run may still add to the old one."""
    with atomic_path(file) as temporary, file.open("rb") as whole:
        temporary.write_bytes(whole.read(size))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
