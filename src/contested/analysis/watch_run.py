"""What the alert says of a whole run, for its analysis: alarms by category, and rises between any two checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contested.analysis.alert import Alert
from contested.analysis.rise import Rise, highest_rise
from contested.analysis.watch import (
    alert_sentence,
    alerts,
    amount,
    group_examples,
    planned_steps,
    watched,
    watched_with,
)
from contested.formats import percent
from contested.wording import counted

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


class Watch(NamedTuple):
    """The alerts of a run and the surest rise of each of their groups.

    Attributes:
        start: The step of the first checkpoint.
        planned: The step at which the run is to end.
        margin: A rise up to this is none (nats).
        level: Probability of a false alarm in any group over the whole run; the same for all rises together.
        alerts: By group: was the mean loss above its start at any checkpoint.
        rises: By group: the surest rise from any checkpoint to a later one.
    """

    start: int
    planned: int
    margin: float
    level: float
    alerts: dict[str, Alert]
    rises: dict[str, Rise]

    def tables(self) -> dict[str, pd.DataFrame]:
        """One row for each group (``alerts``), and one for each group and look (``alert_looks``)."""
        looks = [
            pd.DataFrame({"category": name, "step": found.steps, **{of: getattr(found, of) for of in _OF_LOOKS}})
            for name, found in self.alerts.items()
        ]
        rows = [_row(name, found, self.rises[name]) for name, found in self.alerts.items()]
        return {"alerts": pd.DataFrame(rows), "alert_looks": pd.concat(looks, ignore_index=True)}

    @property
    def alarms(self) -> dict[str, Alert]:
        """The alerts of the groups that raised one, the categories of highest entropy first."""
        return {name: found for name, found in reversed(self.alerts.items()) if found.first is not None}

    def sentences(self, unit: str) -> list[str]:
        """What the alarms are, or that there is none; then rises that began later than the first checkpoint.

        Args:
            unit: What steps count.

        Returns:
            Sentences, the categories of highest entropy first.
        """
        groups = dict(reversed(self.alerts.items()))
        tested = {name: found for name, found in groups.items() if np.isfinite(found.statistic).any()}
        told = {name: found for name, found in groups.items() if found.first is not None or name not in tested}
        silent = [] if any(name in tested for name in told) or not tested else [self._silence(tested, unit)]
        return [
            *silent,
            *(alert_sentence(name, found, unit=unit, planned=self.planned) for name, found in told.items()),
            *(_later(name, self.rises[name], unit) for name in groups if self._rose_later(name)),
        ]

    def _silence(self, tested: dict[str, Alert], unit: str) -> str:
        looks = counted(max(len(found.steps) for found in tested.values()), "look")
        names = [group_examples(name) for name in tested]
        return (
            f"No alarm: at none of {looks} was the mean loss of {alternatives(names)} found more than "
            f"{amount(self.margin)} nats above its start (an alarm is false in at most {percent(self.level)} of runs "
            f"of {counted(self.planned, unit)})."
        )

    def _rose_later(self, name: str) -> bool:
        return self.rises[name].rose and self.rises[name].start != self.start


_OF_LOOKS = ("estimate", "low", "statistic", "boundary", "crossed", "spent")


def watch_run(trajectory: Trajectory) -> Watch | None:
    """Ask after the fact what the alert asks during a run, and for rises between any two checkpoints.

    Args:
        trajectory: The run; the order of its examples does not matter.

    Returns:
        The answers, with what the run was watched with where it says so; None where the run has no losses, or neither
        ended nor says how many steps are planned.
    """
    planned = planned_steps(trajectory)
    if trajectory.losses is None or planned is None or planned <= trajectory.steps[0]:
        return None
    order = np.argsort(np.asarray(trajectory.example_ids, dtype=str), kind="stable")
    table = trajectory.examples.iloc[order].reset_index(drop=True)
    level, margin, column = watched_with(trajectory)
    groups, clusters = watched(table, trajectory.category_names, trajectory.text_columns, clusters=column)
    losses, steps = trajectory.losses[:, order], trajectory.steps
    found = alerts(losses, steps, planned, groups=groups, clusters=clusters, margin=margin, level=level)
    rises = {
        name: highest_rise(
            losses[:, mask],
            steps,
            clusters=None if clusters is None else clusters[mask],
            margin=margin,
            level=found[name].level,
        )
        for name, mask in groups.items()
    }
    return Watch(int(steps[0]), planned, margin, level, found, rises)


def _row(name: str, found: Alert, rise: Rise) -> dict[str, Any]:
    seen = np.isfinite(found.statistic)
    highest = int(np.nanargmax(np.where(seen, found.estimate, np.nan))) if seen.any() else None
    first = None if found.first is None else int(np.flatnonzero(found.steps == found.first)[0])
    return {
        "category": name,
        "n": found.n,
        "n_clusters": found.n_clusters,
        "first": found.first,
        "first_estimate": np.nan if first is None else found.estimate[first],
        "first_low": np.nan if first is None else found.low[first],
        "highest": None if highest is None else found.steps[highest],
        "highest_estimate": np.nan if highest is None else found.estimate[highest],
        "last_estimate": found.estimate[-1] if len(found.estimate) else np.nan,
        "rise_start": rise.start,
        "rise_end": rise.end,
        "rise": rise.estimate,
        "rise_low": rise.low,
        "rose": rise.rose,
        "note": found.note or rise.note,
    }


def _later(name: str, rise: Rise, unit: str) -> str:
    return (
        f"Mean loss of {group_examples(name)} rose between {unit} {rise.start:,} and {unit} {rise.end:,} by "
        f"{amount(rise.estimate)} nats (at least {amount(rise.low)}, over all pairs of checkpoints together)."
    )


def alternatives(names: list[str]) -> str:
    """Names joined by commas, the last by "or"."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
