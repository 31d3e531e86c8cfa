"""Run folders of schemas 1 and 2, whose manifests know nothing of the files: taken up as they lie there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contested.errors import DamagedRunError
from contested.files import atomic_path, remove
from contested.trajectories import layout
from contested.trajectories.checksums import RunFiles, checksum_of
from contested.trajectories.leftovers import FORMER_SNAPSHOT, unlisted
from contested.trajectories.reading import read_lines, read_table


def with_files(run: Path, manifest: Mapping[str, Any], step: int) -> dict[str, Any]:
    """The manifest of an older folder with the files that lie there, as a later one would have it.

    Nobody knows whether they are what was written. A run of ``contested train`` has a line of metrics and a file for
    each of its checkpoints; one that was stopped between its snapshot and its manifest has one checkpoint more than
    that lists.

    Args:
        run: The run folder, which nobody else writes; its snapshot gets the name that it has now.
        manifest: Its manifest.
        step: Steps done at the snapshot.

    Returns:
        A manifest of the present schema.

    Raises:
        RunError: If lines of metrics are missing, or a file cannot be read.
    """
    files = RunFiles(run, manifest)
    listed = [found["step"] for found in manifest["checkpoints"]]
    later = [found for found in layout.checkpoint_steps(run) if max(listed, default=-1) < found <= step]
    checkpoints = [*manifest["checkpoints"], *({"step": found, "epoch": _epoch(files, found)} for found in later)]
    if manifest.get("origin", {}).get("kind", "contested") == "contested":
        _check_metrics(files, [found["step"] for found in checkpoints if found["step"] <= step])
    if (run / FORMER_SNAPSHOT).is_file():
        with atomic_path(run / layout.STATE / layout.snapshot_name(step)) as temporary:
            shutil.copyfile(run / FORMER_SNAPSHOT, temporary)
        remove(run / FORMER_SNAPSHOT)
    known = {layout.checkpoint_name(found["step"]) for found in checkpoints}
    names = unlisted(run, {layout.FILES: {}})
    counted = [name for name in names if not name.startswith(layout.CHECKPOINTS) or Path(name).name in known]
    return {
        **manifest,
        "schema_version": layout.SCHEMA_VERSION,
        "checkpoints": checkpoints,
        layout.FILES: {name: checksum_of(run / name) for name in counted},
    }


def _epoch(files: RunFiles, step: int) -> float | None:
    table = read_table(files, f"{layout.CHECKPOINTS}/{layout.checkpoint_name(step)}", ["epoch"])
    epoch: float | None = table["epoch"][0].as_py()
    return epoch


def _check_metrics(files: RunFiles, steps: list[int]) -> None:
    lines = {line["step"] for line in read_lines(files, layout.METRICS)}
    missing = [step for step in steps if step not in lines]
    if missing:
        raise DamagedRunError(
            f"{files.run / layout.METRICS} has no line of {len(missing)} of {len(steps)} checkpoints, the first of "
            f"step {missing[0]:,}. Restore it from a copy, or begin this run again with --from-start of the same "
            "command (from Python: from_start=True), which removes what the folder holds of it."
        )
