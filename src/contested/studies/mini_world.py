"""The world of a miniature study: its data and the stand-ins for its backbones, made once and completely.

Any number of processes may ask for the same world at the same time: one makes it under a lock, the others wait. Each
file and folder is made beside its place and moved there whole; the list of parts, with the digest of every file, comes
last. A part that is not listed, or is not as listed, is made again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from contested.demo import ENCODER_PATH, make_world
from contested.demo.world import captions
from contested.errors import RunError
from contested.files import atomic_folder, remove_temporaries, write_json, write_text
from contested.studies.file import Study
from contested.studies.folder import WORLD
from contested.trajectories.checksums import checksum_of

N_ANNOTATED, N_BULK = 400, 1000
"""Examples of a miniature's annotated set, and those of its bulk that are trained on."""

PARTS = "parts.json"
"""The list of the world's parts: part, file, SHA-256."""

_LOCK = ".lock"
_PATIENCE = 600.0  # seconds to wait for another process that makes the world, which takes seconds
_DECODER_VOCABULARY = 1000
_FOLDER = re.compile(r"^(encoder|decoder|deberta)-(\d+)-layers$")

# Makes a part in the world's folder; gives its files and folders.
_Maker = Callable[[Path], list[Path]]


def stand_in(kind: str, layers: int) -> str:
    """The folder of a stand-in for a backbone.

    >>> stand_in("encoder", 3)
    'encoder-3-layers'
    """
    return f"{kind}-{layers}-layers"


def make_parts(study: Study, out: Path) -> None:
    """Make the data and the stand-ins that a shrunk study names, where they are not there whole.

    Args:
        study: The shrunk study.
        out: Its folder.

    Raises:
        RunError: If another process makes them and does not end, or the folder cannot be locked.
    """
    world = out.resolve() / WORLD
    world.mkdir(parents=True, exist_ok=True)
    makers = _makers(study, world)
    if all(_whole(world, _listed(world).get(name)) for name in makers):
        return
    with _alone(world):
        # Before the lock was free, another process may have made them.
        listed = _listed(world)
        remove_temporaries(world, former=True)
        for name, make in makers.items():
            if not _whole(world, listed.get(name)):
                listed[name] = _put(world, name, make)
                write_json(world / PARTS, listed)


def damaged_parts(out: Path) -> list[str]:
    """Find what of a study's world is not as it was made.

    Args:
        out: The study's folder.

    Returns:
        The names of the listed parts that lack a file or hold another one; none where there is no world.
    """
    world = out / WORLD
    return [name for name, files in _listed(world).items() if not _whole(world, files)]


@contextlib.contextmanager
def _alone(world: Path) -> Iterator[None]:
    """Hold the world for this process alone, as soon as nobody else does."""
    import filelock

    lock = filelock.FileLock(world / _LOCK)
    try:
        lock.acquire(timeout=_PATIENCE)
    except filelock.Timeout:
        raise RunError(
            f"Another process has been making {world} for {_PATIENCE / 60:.0f} minutes. End it, or choose another "
            "--out."
        ) from None
    except NotImplementedError as error:  # a file system that knows no locks
        raise RunError(f"{world} cannot be locked: {error}. Choose an --out on another disk.") from error
    try:
        yield
    finally:
        lock.release()


def _listed(world: Path) -> dict[str, dict[str, str]]:
    """The parts that are listed; none where the list is missing or is no list of parts."""
    try:
        found = json.loads((world / PARTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: files for name, files in entries if isinstance(files, dict)}


def _whole(world: Path, files: Mapping[str, str] | None) -> bool:
    try:
        return bool(files) and all(_digest(world / name) == digest for name, digest in (files or {}).items())
    except (OSError, ValueError):  # a file is missing or cannot be read, or no file can have the name
        return False


def _digest(file: Path) -> str:
    digest: str = checksum_of(file)["sha256"]
    return digest


def _put(world: Path, name: str, make: _Maker) -> dict[str, str]:
    """Make a part, each file and folder of it whole and on the disk before the list speaks of it."""
    files = [file for made in make(world) for file in ([made] if made.is_file() else sorted(made.rglob("*")))]
    return {file.relative_to(world).as_posix(): _digest(file) for file in files if file.is_file()}


def _makers(study: Study, world: Path) -> dict[str, _Maker]:
    """The parts that a study names in its world: name of the data set or folder, and how it is made."""
    bundles = [study.defaults, *(value.overrides for values in study.axes.values() for value in values.values())]
    paths = [path for bundle in bundles if (path := bundle.get("task", {}).get("annotated", {}).get("path"))]
    sets = [Path(file) for path in paths for file in ([path] if isinstance(path, str) else path)]
    ours = dict.fromkeys(file.stem for file in sets if file.parent == world)
    makers: dict[str, _Maker] = {name: partial(_make_data, name=name, seed=seed) for seed, name in enumerate(ours)}
    models = [Path(name) for bundle in bundles if (name := bundle.get("model", {}).get("name"))]
    for folder in dict.fromkeys(models):
        known = _FOLDER.match(folder.name)
        if folder.parent == world and known:
            makers[folder.name] = partial(_make_backbone, kind=known[1], layers=int(known[2]))
    return makers


def _make_data(world: Path, *, name: str, seed: int) -> list[Path]:
    made = make_world(n_annotated=N_ANNOTATED, n_bulk=N_BULK + 200, seed=seed)
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
    annotated, bulk = world / f"{name}.jsonl", world / f"{name}_bulk.jsonl"
    write_text(annotated, "".join(json.dumps(row) + "\n" for row in rows))
    columns = ["example_id", "premise", "hypothesis", "label"]
    write_text(bulk, made.bulk[columns].to_json(orient="records", lines=True, force_ascii=False))
    return [annotated, bulk]


def _make_backbone(world: Path, *, kind: str, layers: int) -> list[Path]:
    """A stand-in: layers of the embedded encoder, or random weights of another family."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, DebertaV2Config, PreTrainedModel, Qwen2Config

    from contested.models import quiet, system_errors

    config = AutoConfig.from_pretrained(ENCODER_PATH)
    tokenizer = _decoder_tokenizer() if kind == "decoder" else AutoTokenizer.from_pretrained(ENCODER_PATH)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "pad_token_id": tokenizer.pad_token_id,
    }
    folder = world / stand_in(kind, layers)
    with atomic_folder(folder, replace=True) as made, torch.random.fork_rng(), quiet(), system_errors():
        tokenizer.save_pretrained(made)
        torch.manual_seed(0)
        model: PreTrainedModel
        if kind == "decoder":
            model = AutoModel.from_config(Qwen2Config(**shape, num_key_value_heads=config.num_attention_heads))
        elif kind == "deberta":
            relative: dict[str, Any] = {
                "relative_attention": True,
                "pos_att_type": ["p2c", "c2p"],
                "type_vocab_size": 0,
            }
            model = AutoModel.from_config(DebertaV2Config(**shape, **relative, max_position_embeddings=128))
        else:
            model = AutoModel.from_pretrained(ENCODER_PATH, num_hidden_layers=layers, dtype=torch.float32)
        model.save_pretrained(made)
    return [folder]


def _decoder_tokenizer() -> Any:
    """Byte-level BPE on the world's texts: transformers reads every folder of the decoder's family as such."""
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer().train_new_from_iterator(captions(2000, seed=0), vocab_size=_DECODER_VOCABULARY)
