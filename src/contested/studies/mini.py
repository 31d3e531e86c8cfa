"""``--scale mini``: the logic of a study on the embedded world, with small stand-ins for its backbones.

Every stand-in is of its backbone's kind (an encoder that has read the world's text, or a decoder with random
weights), but its numbers say nothing about the backbone: a mini study shows that the whole line works.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contested.config import RunConfig
from contested.naming import is_number
from contested.studies.axis_forms import axis_problems, axis_values
from contested.studies.content import replace_axis
from contested.studies.folder import WORLD
from contested.studies.mini_world import N_ANNOTATED, N_BULK, stand_in

_SEEDS = 2
_LARGE = 2e9  # weights above which a decoder's stand-in has twice the layers
_DEBERTA_LAYERS = 2
_OF_DATA = {"annotated", "bulk", "text_columns", "label_names"}


def shrink(content: dict[str, Any], out: Path) -> dict[str, Any]:
    """Turn a study's content into that of its miniature.

    Args:
        content: A study file's keys; changed in place.
        out: The study's folder, in which :func:`~contested.studies.mini_world.make_parts` puts data and backbones.

    Returns:
        The content.
    """
    axes = content.setdefault("axes", {})
    if not isinstance(axes, dict) or any(axis_problems(str(name), axes[name], RunConfig) for name in axes):
        return content  # The check of the study says what is wrong.
    for name, values in axes.items():
        axes[name] = {own: _flat(value) for own, value in axis_values(str(name), values).items()}
    defaults = content.setdefault("defaults", {})
    defaults["facts"] = content.pop("facts", None) or {}
    bundles = [("data", defaults), *(pair for values in axes.values() for pair in values.items())]
    _fill_in(bundles)
    _shrink_models(bundles, out.resolve() / WORLD)
    _shrink_data(bundles, out.resolve() / WORLD)
    content["facts"] = defaults.pop("facts")
    defaults["training"] = {**defaults.get("training", {}), "learning_rate": 1e-3}
    defaults["tracking"] = {"every": 20, "epoch_ends": True}
    # Its matrices are too small to share between cores.
    defaults["execution"] = {**defaults.get("execution", {}), "threads": 1}
    for name, values in list(axes.items()):
        if all(set(value) == {"seed"} for value in values.values()):
            replace_axis(content, name, dict(list(values.items())[:_SEEDS]))
    for entry in content.get("overrides") or []:
        probes = entry.get("set", {}).get("probes", {})
        if probes.get("every"):
            probes["every"] = 40
    # Known numbers belong to the backbones and data that were named.
    content["expected"] = []
    name, about = content.get("name", "study"), content.get("description")
    content["name"] = f"{name}-mini"
    where = "on the embedded toy world, not on the backbones and data that it names"
    content["description"] = f"Miniature {where}: {about}" if about else f"Miniature of the study {name} {where}"
    return content


def _fill_in(bundles: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Name a backbone and an annotated set where nothing does: they are replaced anyway."""
    defaults = bundles[0][1]
    for section, key, value in (("model", "name", "encoder"), ("task", "annotated", {"path": "data.jsonl"})):
        given = [bundle.get(section, {}) for _, bundle in bundles]
        if all(isinstance(part, dict) and key not in part for part in given):
            defaults[section] = {**defaults.get(section, {}), key: value}


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """A value of an axis as a study file has it: its settings, and its facts beside them."""
    facts = value.get("facts")
    return {**value["overrides"], **({"facts": facts} if facts else {})}


def _shrink_models(bundles: Sequence[tuple[str, dict[str, Any]]], world: Path) -> None:
    """Replace every backbone by a stand-in; encoders get 3, 2 or 1 layers in the order of the file."""
    encoders: list[str] = []
    for name, bundle in bundles:
        named = bundle.get("model", {}).get("name")
        if named is None:
            continue
        facts = bundle.get("facts", {})
        if facts.get("decoder"):
            params = facts.get("params")
            kind, layers = "decoder", 4 if is_number(params) and params > _LARGE else 2
        elif "deberta" in f"{name} {named}".lower():
            kind, layers = "deberta", _DEBERTA_LAYERS
        else:
            encoders += [] if named in encoders else [named]
            kind, layers = "encoder", 3 - encoders.index(named) % 3
        weights = 0.13e6 * layers
        bundle["model"] = {"name": str(world / stand_in(kind, layers)), "max_length": 64}
        bundle["facts"] = {"layers": layers, "hidden": 128, "body": weights, "params": weights + 0.09e6}
        bundle["facts"] |= {"decoder": True} if kind == "decoder" else {}


def _shrink_data(bundles: Sequence[tuple[str, dict[str, Any]]], world: Path) -> None:
    """Replace every annotated set, and the bulk where there is one, by a toy world."""
    tasks = [bundle["task"] for _, bundle in bundles if isinstance(bundle.get("task"), dict)]
    bulk = any(task.get("bulk") for task in tasks)
    for name, bundle in bundles:
        task = bundle.get("task")
        if not isinstance(task, dict) or "annotated" not in task:
            continue
        bundle["task"] = {key: value for key, value in task.items() if key not in _OF_DATA}
        bundle["task"]["annotated"] = {"path": str(world / f"{name}.jsonl")}
        if bulk:
            bundle["task"]["bulk"] = {"path": str(world / f"{name}_bulk.jsonl")}
        bundle["facts"] = {**bundle.get("facts", {}), "tokens": 22, "annotated": N_ANNOTATED}
    if bulk:
        task = bundles[0][1].setdefault("task", {})
        task["bulk"] = {**(task.get("bulk") or {}), "size": N_BULK, "seed": 42}
