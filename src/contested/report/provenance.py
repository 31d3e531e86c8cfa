"""Where the numbers come from: a run's manifest as rows."""

from __future__ import annotations

import math

from contested.trajectories import Trajectory

_SHOWN = ("status", "error", "started_at", "finished_at", "schema_version")


def facts(trajectory: Trajectory) -> list[tuple[str, str]]:
    """The run in a few rows: what it is, where it comes from, how far it came.

    Args:
        trajectory: The run.

    Returns:
        Pairs of name and text.
    """
    manifest, steps = trajectory.manifest, trajectory.steps
    rows = [("run", trajectory.run_id)]
    rows += [(name.replace("_", " "), str(manifest[name])) for name in _SHOWN if manifest.get(name) is not None]
    rows += [(f"origin, {name}", str(value)) for name, value in trajectory.origin.items()]
    epoch = float(trajectory.epochs[-1])
    known = f" (epoch {epoch:.2f})" if trajectory.step_unit == "step" and math.isfinite(epoch) else ""
    last = "steps unknown" if trajectory.counted_in == "checkpoint" else f"up to {trajectory.step_unit} {steps[-1]:,}"
    rows.append(("checkpoints", f"{len(steps)}, {last}{known}"))
    rows.append(("tracked examples", f"{len(trajectory.example_ids):,}"))
    if trajectory.label_names:
        rows.append(("classes", ", ".join(trajectory.label_names)))
    return rows
