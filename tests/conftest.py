"""A small NLI world and tiny random checkpoints of every family: nothing is downloaded."""

from __future__ import annotations

import functools
import gc
import itertools
import json
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Annotations
from contested.trajectories.checksums import checksum_of
from contested.trajectories.manifest import sealed

# What the tests set up must not depend on what a user's cache or hub login holds.
os.environ["HF_HUB_OFFLINE"] = "1"
# A shell that starts tests in the background has them ignore Ctrl-C, which some tests send themselves.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

LABELS = ("entailment", "neutral", "contradiction")
WORDS = ["a", "dog", "cat", "man", "woman", "runs", "sleeps", "sits", "in", "the", "park", "house", "red", "two"]
WORDS += ["premise", "hypothesis", ":", "."]


# What imports and collection leave is there to the end: nothing of it is looked through for garbage.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders, each once; pytest's own would be looked for among those of all tests before."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenised texts of one test are not another's, nor the user's."""
    monkeypatch.setenv("CONTESTED_CACHE", str(next(caches)))


@pytest.fixture
def reseal() -> Callable[..., dict[str, Any]]:
    """Makes a run folder that a test has changed one that was written so: manifest, sizes and checksums."""

    def make(run: Path, **changes: Any) -> dict[str, Any]:
        content = {**json.loads((run / "manifest.json").read_text()), **changes}
        content["files"] = {name: checksum_of(run / name) for name in content["files"] if (run / name).exists()}
        content = sealed(content)
        (run / "manifest.json").write_text(json.dumps(content))
        return content

    return make


@pytest.fixture
def make_former() -> Callable[..., dict[str, Any]]:
    """Makes a run folder one of schema 2, whose manifest knows no files."""

    def make(run: Path, **changes: Any) -> dict[str, Any]:
        content = {**json.loads((run / "manifest.json").read_text()), "schema_version": 2, **changes}
        content = {key: value for key, value in content.items() if key not in {"files", "digest"}}
        (run / "manifest.json").write_text(json.dumps(content))
        return content

    return make


def sentence(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS[:14], rng.integers(2, 12)))


def make_annotated(n: int = 40, seed: int = 0) -> Annotations:
    """Random pairs with 100 annotations each; every entropy category occurs."""
    rng = np.random.default_rng(seed)
    peaks = rng.dirichlet([0.6, 0.6, 0.6], n)
    counts = np.stack([rng.multinomial(100, p) for p in peaks])
    fields = pd.DataFrame(
        {
            "premise": [sentence(rng) for _ in range(n)],
            "hypothesis": [f"{sentence(rng)} {WORDS[i % 14]} {WORDS[i // 14 % 14]}" for i in range(n)],
            "genre": rng.choice(["fiction", "travel"], n),
        }
    )
    return Annotations(tuple(f"item-{i}" for i in range(n)), counts, LABELS, fields, "made")


def make_bulk(n: int = 100, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "example_id": [f"bulk-{i}" for i in range(n)],
            "premise": [sentence(rng) for _ in range(n)],
            "hypothesis": [f"{sentence(rng)} red" for _ in range(n)],
            "label": rng.choice(LABELS, n),
        }
    )


@pytest.fixture(scope="session")
def annotated() -> Annotations:
    return make_annotated()


@pytest.fixture(scope="session")
def annotated_of() -> Callable[[int], Annotations]:
    """Makes as many annotated examples as are wanted."""
    return make_annotated


@pytest.fixture(scope="session")
def bulk() -> pd.DataFrame:
    return make_bulk()


@pytest.fixture(scope="session")
def write_task(annotated: Annotations, bulk: pd.DataFrame) -> Callable[..., dict[str, Any]]:
    """Writes the small world as people.jsonl and bulk.jsonl, and gives the section ``task`` that names them."""

    def write(folder: Path, *, size: int = 40, absolute: bool = False) -> dict[str, Any]:
        people = annotated.fields.assign(uid=annotated.example_ids, label_counts=annotated.label_counts.tolist())
        for name, rows in (("people", people), ("bulk", bulk)):
            rows.to_json(folder / f"{name}.jsonl", orient="records", lines=True)
        within = f"{folder}/" if absolute else ""
        options = {"label_names": list(annotated.label_names)}
        return {
            "annotated": {"path": f"{within}people.jsonl", "options": options},
            "bulk": {"path": f"{within}bulk.jsonl", "size": size},
        }

    return write


_QWEN2_VOCABULARY = 320  # 256 bytes, an end token, and pieces of the words


# The windows end within most texts; caps are low enough to bend scores.
_GEMMA = {"query_pre_attn_scalar": 8, "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}
_DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {}),
    "llama": ("LlamaConfig", {}),
    "mistral": ("MistralConfig", {"sliding_window": 5}),
    "gemma2": ("Gemma2Config", {**_GEMMA, "attn_logit_softcapping": 2.0}),
    "gemma3_text": ("Gemma3TextConfig", _GEMMA),
}


def _tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    if kind in _DECODERS:
        # transformers reads every folder of this family as byte-level BPE; of another tokenizer it would find no word.
        return Qwen2Tokenizer().train_new_from_iterator([" ".join(WORDS)] * 2, vocab_size=_QWEN2_VOCABULARY)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(special + WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", "attention_mask"]
    if kind in {"bert", "deberta-v2"}:
        names.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=names,
    )


def _config(kind: str) -> Any:
    import transformers as tf

    # A wide initialisation keeps the logits away from zero, where wrong code looks right.
    sizes: dict[str, Any] = {"vocab_size": 5 + len(WORDS), "initializer_range": 0.3, "pad_token_id": 0}
    bert: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    if kind == "bert":
        return tf.BertConfig(**sizes, **bert)
    if kind == "roberta":
        return tf.RobertaConfig(**sizes, **bert, type_vocab_size=1)
    if kind == "deberta-v2":
        relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 16}
        return tf.DebertaV2Config(**sizes, **bert, **relative, norm_rel_ebd="layer_norm", share_att_key=True)
    if kind == "distilbert":
        return tf.DistilBertConfig(**sizes, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=64)
    if kind == "albert":
        dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "classifier_dropout_prob": 0.1}
        return tf.AlbertConfig(**sizes, **bert, **dropout, embedding_size=8)
    if kind == "big_bird":
        # Texts of more than 28 tokens would be read with sparse attention.
        return tf.BigBirdConfig(**sizes, **bert, block_size=4, num_random_blocks=1)
    if kind == "xlnet":
        return tf.XLNetConfig(**sizes, d_model=16, n_layer=2, n_head=2, d_inner=32)
    if kind == "electra":
        return tf.ElectraConfig(**sizes, **bert, embedding_size=8)
    if kind == "modernbert":
        # Windows of four tokens either way, so that most of a text lies outside them.
        windows = {"local_attention": 8, "global_attn_every_n_layers": 2}
        own = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
        return tf.ModernBertConfig(**sizes, **bert, **windows, **own, initializer_cutoff_factor=2.0)
    if kind in _DECODERS:
        del sizes["pad_token_id"]
        sizes["vocab_size"] = _QWEN2_VOCABULARY
        name, own = _DECODERS[kind]
        return getattr(tf, name)(**sizes, **bert, num_key_value_heads=1, head_dim=8, **own)
    raise ValueError(kind)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a folder with a tiny random pretrained-like checkpoint (no head) of a family."""

    @functools.cache
    def make(kind: str) -> Path:
        import torch
        from transformers import AutoModel

        folder = tmp_path_factory.mktemp(kind)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            AutoModel.from_config(_config(kind)).save_pretrained(folder)
        _tokenizer(kind).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def forkserver() -> Any:
    """Starts processes that are copies of one that has imported what trains, which takes each of its own seconds."""
    multiprocessing.set_forkserver_preload(["contested.runs"])
    return multiprocessing.get_context("forkserver")


@pytest.fixture(scope="session")
def meeting() -> Callable[[int], dict[str, str]]:
    """The environment in which so many processes find one another."""

    def where(size: int) -> dict[str, str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    return where


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets, which are not part of the project."""
    folder = Path(os.environ.get("CONTESTED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "chaosnli" / "chaosNLI_snli.jsonl").is_file():
        pytest.skip(f"no real data in {folder}: set CONTESTED_DATA to the folder that holds chaosnli/ and snli/")
    return folder


@pytest.fixture(scope="session")
def in_a_hurry() -> Callable[[pytest.MonkeyPatch], None]:
    """Has reports draw figures once, wide and as they fall, and save empty files: the rest is most of their time."""
    from contested.report.style import inline_svg

    def saved(figure: Any, stem: Path) -> list[Path]:
        paths = [stem.with_suffix(f".{ending}") for ending in ("pdf", "png")]
        for path in paths:
            path.touch()
        return paths

    def unlaid(figure: Any) -> Any:
        figure.set_layout_engine(None)
        return figure

    def wide(figure: Any, name: str) -> str:
        return inline_svg(figure, name) if name.endswith("wide") else "<svg></svg>"

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, instead in {"save_figure": saved, "freeze_layout": unlaid, "inline_svg": wide}.items():
            monkeypatch.setattr(f"contested.report.pictures.{name}", instead)

    return patch


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch, in_a_hurry: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Reports in a hurry, for tests of what they say."""
    in_a_hurry(monkeypatch)


@pytest.fixture(scope="session")
def overlapping() -> Callable[[Any], list[str]]:
    """What is wrong with the texts of a figure: those that lie on another one, and those outside."""
    return _overlapping


def _overlapping(figure: Any) -> list[str]:
    from contested.report.style import freeze_layout

    freeze_layout(figure)
    figure.set_dpi(200)  # as it is saved: letters are wider at some resolutions than at others
    # Labels of axes and keys find their places when they are drawn.
    figure.draw_without_rendering()
    found = _seen_texts(figure)
    inside = figure.bbox.padded(4)
    wrong = [text for text, box in found if box.x0 < inside.x0 or box.x1 > inside.x1]
    for index, (text, box) in enumerate(found):
        for other, second in found[index + 1 :]:
            across = min(box.x1, second.x1) - max(box.x0, second.x0)
            up = min(box.y1, second.y1) - max(box.y0, second.y0)
            if across > 3 and up > 3:
                wrong.append(f"{text!r} on {other!r}")
    return wrong


def _seen_texts(figure: Any) -> list[tuple[str, Any]]:
    """Every text that is seen, and where it is, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    renderer = FigureCanvasAgg(figure).get_renderer()
    ticks = [tick for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_major_ticks()]
    drawn = [tick for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]
    # A tick beyond the ends of its axis is there, but not drawn.
    hidden = {label for tick in ticks if tick not in drawn for label in (tick.label1, tick.label2)}
    seen = [text for text in figure.findobj(Text) if text.get_visible() and text not in hidden]
    found = [(text.get_text(), text.get_window_extent(renderer)) for text in seen if text.get_text().strip()]
    return [(text, box) for text, box in found if box.width > 0]
