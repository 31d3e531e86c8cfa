"""``--scale mini``: the logic of a study on the embedded world, with small stand-ins for its backbones.

Every stand-in is of its backbone's kind (an encoder that has read the world's text, or a decoder with random
weights), but its numbers say nothing about the backbone: a mini study shows that the whole line works.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from contested.demo import ENCODER_PATH, make_world
from contested.demo.world import captions
from contested.files import write_text
from contested.studies.file import REQUIRED_AXES, Study, replace_axis

WORLD = "world"
"""The folder in a mini study's folder that holds data and backbones."""

_ANNOTATED, _BULK = 400, 1000
_SEEDS = 2
_DECODER_VOCABULARY = 1000
_LARGE = 2e9  # weights above which a decoder's stand-in has twice the layers
_ENCODER_LAYERS = {"distilbert": 1, "bert": 2}


def shrink(content: dict[str, Any], out: Path) -> dict[str, Any]:
    """Turn a study's content into that of its miniature.

    Args:
        content: A study file's keys; changed in place.
        out: The study's folder, in which :func:`make_parts` puts data and backbones.

    Returns:
        The content.
    """
    axes = content.get("axes")
    if not isinstance(axes, dict) or any(not isinstance(axes.get(name), dict | list) for name in REQUIRED_AXES):
        return content  # The check of the study says what is missing.
    if any(not isinstance(axes[name], dict) for name in ("backbone", "dataset")):
        return content
    world = out.resolve() / WORLD
    defaults = content.setdefault("defaults", {})
    defaults["training"] = {**defaults.get("training", {}), "learning_rate": 1e-3}
    defaults["tracking"] = {"every": 20, "epoch_ends": True}
    # Its matrices are too small to share between cores.
    defaults["execution"] = {**defaults.get("execution", {}), "threads": 1}
    defaults.setdefault("task", {})["bulk"] = {"size": _BULK, "seed": 42}
    axes["backbone"] = {name: _backbone(name, value or {}, world) for name, value in axes["backbone"].items()}
    axes["dataset"] = {
        name: {
            "task": {
                "annotated": {"path": str(world / f"{name}.jsonl")},
                "bulk": {"path": str(world / f"{name}_bulk.jsonl")},
            },
            "facts": {"tokens": 22, "annotated": _ANNOTATED},
        }
        for name in axes["dataset"]
    }
    seeds = axes["seed"] if isinstance(axes["seed"], list) else list(axes["seed"])
    replace_axis(content, "seed", {str(seed): {"seed": int(seed)} for seed in seeds[:_SEEDS]})
    for entry in content.get("overrides") or []:
        if entry["set"].get("probes", {}).get("every"):
            entry["set"]["probes"]["every"] = 40
    # The paper's numbers belong to the paper's backbones.
    content["expected"] = []
    content["name"] = f"{content.get('name', 'study')}-mini"
    about = content.get("description")
    content["description"] = "Miniature on the embedded toy world, not on the backbones and data that it names" + (
        f": {about}" if about else "."
    )
    return content


def make_parts(study: Study, out: Path) -> None:
    """Write the data and the stand-ins that a shrunk study names, where they are not there yet.

    Args:
        study: The shrunk study.
        out: Its folder.
    """
    world = out.resolve() / WORLD
    world.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(study.axes["dataset"]):
        _write_world(world, name, seed=number)
    for value in study.axes["backbone"].values():
        folder = Path(value.overrides["model"]["name"])
        if folder.parent == world and not (folder / "config.json").exists():
            _write_backbone(folder, decoder=value.facts.decoder, layers=value.facts.layers or 3)


def _backbone(name: str, value: dict[str, Any], world: Path) -> dict[str, Any]:
    facts = value.get("facts", {})
    if facts.get("decoder"):
        layers = 4 if float(facts.get("params", 0)) > _LARGE else 2
        folder = world / f"decoder-{layers}-layers"
    else:
        layers = _ENCODER_LAYERS.get(name, 3)
        folder = world / f"encoder-{layers}-layers" if name != "deberta" else world / "deberta-2-layers"
        layers = 2 if name == "deberta" else layers
    weights = 0.13e6 * layers
    return {
        "model": {"name": str(folder), "max_length": 64},
        "facts": {"layers": layers, "hidden": 128, "body": weights, "params": weights + 0.09e6}
        | ({"decoder": True} if facts.get("decoder") else {}),
    }


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
