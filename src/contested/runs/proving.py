"""What a run proves: before step 0 that its engine is right, after the end that its saved weights are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from contested import training
from contested.config import RunConfig
from contested.runs.prepare import RunComponents


def prove_engine(
    config: RunConfig, components: RunComponents, before: Mapping[str, Any] | None = None
) -> training.Proven:
    """Find the fastest engine that gives the logits of the library's own forward.

    Args:
        config: The checked configuration.
        components: The run's parts, as they were built.
        before: The run's manifest where it began earlier: it keeps its engine, or takes a slower one.

    Returns:
        The engine.

    Raises:
        ModelError: If there is none.
    """
    data = components.encoded
    return training.proven_engine(
        components.model.module,
        data.tracked,
        pad_id=components.model.pad_id,
        device=components.device,
        precision=config.training.precision,
        others=[data.train, data.validation],
        fastest=_engine_before(before or {}),
    )


def engine_check(proven: training.Proven) -> dict[str, Any]:
    """What the manifest says of a proven engine."""
    return {
        "name": proven.name,
        "because": proven.because,
        "examples": proven.examples,
        "largest_difference": proven.difference,
        "merges": proven.merges,
    }


def engine_notes(proven: training.Proven) -> tuple[str, ...]:
    """What is to be said of an engine: nothing where it is the fastest that the family has."""
    found = []
    if proven.because:
        found.append(f"Batches are computed {_SAID[proven.name]}, which takes longer: {proven.because}.")
    if not proven.merges:
        found.append(
            "Adapters stay apart from their weights while examples are tracked: merged they gave other logits."
        )
    return tuple(found)


_SAID: dict[training.EngineName, str] = {
    "packed": "without padding",
    "padded": "with padding",
    "equal lengths": "in pieces of equal length",
    "one by one": "one example at a time",
}


def _engine_before(manifest: Mapping[str, Any]) -> training.EngineName | None:
    """The engine that a run had before; versions without a check noted whether batches were padded."""
    checked = manifest.get("checks", {}).get("engine", {}).get("name")
    name = checked or manifest.get("provenance", {}).get("batches")
    return name if name in get_args(training.EngineName) else None
