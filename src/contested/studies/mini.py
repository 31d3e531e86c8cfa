"""``--scale mini``: the logic of a study on the embedded world, with small stand-ins for its backbones.

Every stand-in is of its backbone's kind (an encoder that has read the world's text, or a decoder with random
weights), but its numbers say nothing about the backbone: a mini study shows that the whole line works.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contested.config import RunConfig
from contested.demo import ENCODER_PATH, make_world
from contested.demo.world import captions
from contested.files import write_text
from contested.studies.axis_forms import axis_problems, axis_values
from contested.studies.content import replace_axis
from contested.studies.file import Study

WORLD = "world"
"""The folder in a mini study's folder that holds data and backbones."""

_ANNOTATED, _BULK = 400, 1000
_SEEDS = 2
_DECODER_VOCABULARY = 1000
_LARGE = 2e9  # weights above which a decoder's stand-in has twice the layers
_DEBERTA_LAYERS = 2
_FOLDER = re.compile(r"^(encoder|decoder|deberta)-(\d+)-layers$")
_OF_DATA = {"annotated", "bulk", "text_columns", "label_names"}


def shrink(content: dict[str, Any], out: Path) -> dict[str, Any]:
    """Turn a study's content into that of its miniature.

    Args:
        content: A study file's keys; changed in place.
        out: The study's folder, in which :func:`make_parts` puts data and backbones.

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
        if entry["set"].get("probes", {}).get("every"):
            entry["set"]["probes"]["every"] = 40
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
            kind, layers = "decoder", 4 if float(facts.get("params", 0)) > _LARGE else 2
        elif "deberta" in f"{name} {named}".lower():
            kind, layers = "deberta", _DEBERTA_LAYERS
        else:
            encoders += [] if named in encoders else [named]
            kind, layers = "encoder", 3 - encoders.index(named) % 3
        weights = 0.13e6 * layers
        bundle["model"] = {"name": str(world / f"{kind}-{layers}-layers"), "max_length": 64}
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
        bundle["facts"] = {**bundle.get("facts", {}), "tokens": 22, "annotated": _ANNOTATED}
    if bulk:
        task = bundles[0][1].setdefault("task", {})
        task["bulk"] = {**task.get("bulk", {}), "size": _BULK, "seed": 42}


def make_parts(study: Study, out: Path) -> None:
    """Write the data and the stand-ins that a shrunk study names, where they are not there yet.

    Args:
        study: The shrunk study.
        out: Its folder.
    """
    world = out.resolve() / WORLD
    world.mkdir(parents=True, exist_ok=True)
    bundles = [study.defaults, *(value.overrides for values in study.axes.values() for value in values.values())]
    sets = [Path(path) for bundle in bundles if (path := bundle.get("task", {}).get("annotated", {}).get("path"))]
    for number, file in enumerate(dict.fromkeys(file for file in sets if file.parent == world)):
        _write_world(world, file.stem, seed=number)
    models = [Path(name) for bundle in bundles if (name := bundle.get("model", {}).get("name"))]
    for folder in dict.fromkeys(models):
        known = _FOLDER.match(folder.name)
        if folder.parent == world and known and not (folder / "config.json").exists():
            _write_backbone(folder, decoder=known[1] == "decoder", layers=int(known[2]))


def _write_world(world: Path, name: str, *, seed: int) -> None:
    annotated, bulk = world / f"{name}.jsonl", world / f"{name}_bulk.jsonl"
    if annotated.exists() and bulk.exists():
        return
    made = make_world(n_annotated=_ANNOTATED, n_bulk=_BULK + 200, seed=seed)
    letters = {label: label[0] for label in made.annotated.label_names}
    rows = [
        {
            "uid": example_id,
            "label_counter": {letters[label]: int(n) for label, n in zip(letters, counts, strict=True) if n},
            "example": {"premise": premise, "hypothesis": hypothesis, "source": name},
        }
        for example_id, counts, premise, hypothesis in zip(
            made.annotated.example_ids,
            made.annotated.label_counts,
            made.annotated.fields["premise"],
            made.annotated.fields["hypothesis"],
            strict=True,
        )
    ]
    write_text(annotated, "".join(json.dumps(row) + "\n" for row in rows))
    columns = ["example_id", "premise", "hypothesis", "label"]
    write_text(bulk, made.bulk[columns].to_json(orient="records", lines=True, force_ascii=False))


def _write_backbone(folder: Path, *, decoder: bool, layers: int) -> None:
    """A stand-in: layers of the embedded encoder, or random weights of another family."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, DebertaV2Config, PreTrainedModel, Qwen2Config

    from contested.models import quiet

    config = AutoConfig.from_pretrained(ENCODER_PATH)
    tokenizer = _decoder_tokenizer() if decoder else AutoTokenizer.from_pretrained(ENCODER_PATH)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "pad_token_id": tokenizer.pad_token_id,
    }
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    tokenizer.save_pretrained(temporary)
    model: PreTrainedModel
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        if decoder:
            model = AutoModel.from_config(Qwen2Config(**shape, num_key_value_heads=config.num_attention_heads))
        elif folder.name.startswith("deberta"):
            relative: dict[str, Any] = {
                "relative_attention": True,
                "pos_att_type": ["p2c", "c2p"],
                "type_vocab_size": 0,
            }
            model = AutoModel.from_config(DebertaV2Config(**shape, **relative, max_position_embeddings=128))
        else:
            model = AutoModel.from_pretrained(ENCODER_PATH, num_hidden_layers=layers, dtype=torch.float32)
        model.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _decoder_tokenizer() -> Any:
    """Byte-level BPE on the world's texts: transformers reads every folder of the decoder's family as such."""
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer().train_new_from_iterator(captions(2000, seed=0), vocab_size=_DECODER_VOCABULARY)
