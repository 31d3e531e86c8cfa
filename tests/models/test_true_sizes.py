"""The paper's six backbones at their published sizes, with random weights: built, trained for three steps, tracked."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Tokenizer,
)

from contested import models, tasks, training
from contested.demo import ENCODER_PATH

LABELS = ("entailment", "neutral", "contradiction")
BATCH, STEPS, TRACKED = 8, 3, 8


class Published(NamedTuple):
    """What is known of a checkpoint before it is built; the counts are derived by hand.

    Attributes:
        config: The numbers of its published config.json.
        backbone: Weights of the backbone that the classifier reads.
        head: Weights of the head for three classes.
        targets: Modules that LoRA adapts, in all layers together.
        per_rank: Adapter weights of all of them for each unit of r.
    """

    config: dict[str, Any]
    backbone: int
    head: int
    targets: int
    per_rank: int


# One layer of 768 with a feed-forward of 3,072, the same in all four encoders:
#   query, key, value, output   4 × (768 × 768 + 768)            = 2,362,368
#   feed-forward                768 × 3,072 + 3,072 = 2,362,368
#                               3,072 × 768 + 768   = 2,360,064  → 4,722,432
#   two layer norms             2 × (768 + 768)                  =     3,072
#                                                          layer   7,087,872;  × 12 = 85,054,464;  × 6 = 42,527,232
# A dense layer of 768: 768 × 768 + 768 = 590,592. Its projection on three classes: 768 × 3 + 3 = 2,307. Both: 592,899.
# LoRA on query and value: A (r × 768) and B (768 × r) each, so 2 × r × (768 + 768) = 3,072 r a layer:
#   12 layers 36,864 r (r = 4: 147,456; r = 16: 589,824); 6 layers 18,432 r (r = 4: 73,728; r = 16: 294,912).
PUBLISHED = {
    # Embeddings: 50,265 × 768 words + 514 × 768 positions + 1 × 768 types + 1,536 norm = 39,000,576; no pooler.
    # 39,000,576 + 85,054,464 = 124,055,040; with the head (dense, out_proj) 124,647,939.
    "roberta-base": Published(
        {
            "model_type": "roberta",
            "architectures": ["RobertaForMaskedLM"],
            "vocab_size": 50265,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "hidden_act": "gelu",
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "initializer_range": 0.02,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "pad_token_id": 1,
        },
        backbone=124_055_040,
        head=592_899,
        targets=24,
        per_rank=36_864,
    ),
    # Embeddings: 30,522 × 768 + 512 × 768 + 2 × 768 + 1,536 = 23,837,184; the pretrained pooler 590,592 is part of
    # the backbone: full fine-tuning trains it, LoRA leaves it. 23,837,184 + 85,054,464 + 590,592 = 109,482,240.
    "bert-base-uncased": Published(
        {
            "model_type": "bert",
            "architectures": ["BertForMaskedLM"],
            "vocab_size": 30522,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "hidden_act": "gelu",
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "pad_token_id": 0,
        },
        backbone=109_482_240,
        head=2_307,
        targets=24,
        per_rank=36_864,
    ),
    # Embeddings: 30,522 × 768 + 512 × 768 + 1,536 = 23,835,648, no types; + 42,527,232 = 66,362,880.
    # The head is pre_classifier and classifier.
    "distilbert-base-uncased": Published(
        {
            "model_type": "distilbert",
            "architectures": ["DistilBertForMaskedLM"],
            "vocab_size": 30522,
            "dim": 768,
            "n_layers": 6,
            "n_heads": 12,
            "hidden_dim": 3072,
            "activation": "gelu",
            "max_position_embeddings": 512,
            "sinusoidal_pos_embds": False,
            "initializer_range": 0.02,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "qa_dropout": 0.1,
            "seq_classif_dropout": 0.2,
            "pad_token_id": 0,
        },
        backbone=66_362_880,
        head=592_899,
        targets=12,
        per_rank=18_432,
    ),
    # Embeddings: 128,100 × 768 + 1,536 norm = 98,382,336, no absolute positions and no types. Relative positions:
    # 2 × 256 buckets × 768 = 393,216 and their norm 1,536; their keys and queries are the content's (share_att_key).
    # 98,382,336 + 85,054,464 + 393,216 + 1,536 = 183,831,552. The head is the (new) pooler and the classifier.
    "microsoft/deberta-v3-base": Published(
        {
            "model_type": "deberta-v2",
            "vocab_size": 128100,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "hidden_act": "gelu",
            "max_position_embeddings": 512,
            "type_vocab_size": 0,
            "layer_norm_eps": 1e-7,
            "initializer_range": 0.02,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "max_relative_positions": -1,
            "position_biased_input": False,
        },
        backbone=183_831_552,
        head=592_899,
        targets=24,
        per_rank=36_864,
    ),
    # Two key-value heads of 1,536 / 12 = 128, so keys and values have 256. A layer:
    #   q 1,536 × 1,536 + 1,536 = 2,360,832; k and v 2 × (1,536 × 256 + 256) = 786,944; o 1,536 × 1,536 = 2,359,296
    #   gate, up, down 3 × 1,536 × 8,960 = 41,287,680; two norms 3,072                → 46,797,824; × 28 = 1,310,339,072
    # Words 151,936 × 1,536 = 233,373,696 (tied, so once) and the last norm 1,536       → 1,543,714,304.
    # The head: 3 × 1,536 without bias. LoRA on q, k, v, o: (3,072 + 1,792 + 1,792 + 3,072) r = 9,728 r a layer.
    "Qwen/Qwen2.5-1.5B": Published(
        {
            "model_type": "qwen2",
            "architectures": ["Qwen2ForCausalLM"],
            "vocab_size": 151936,
            "hidden_size": 1536,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "intermediate_size": 8960,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "max_window_layers": 28,
            "sliding_window": 131072,
            "use_sliding_window": False,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "initializer_range": 0.02,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "use_cache": True,
            "bos_token_id": 151643,
            "eos_token_id": 151643,
            "torch_dtype": "bfloat16",
        },
        backbone=1_543_714_304,
        head=4_608,
        targets=112,
        per_rank=272_384,
    ),
    # Two key-value heads of 2,048 / 16 = 128. A layer:
    #   q 2,048 × 2,048 + 2,048 = 4,196,352; k and v 2 × (2,048 × 256 + 256) = 1,049,088; o 2,048 × 2,048 = 4,194,304
    #   gate, up, down 3 × 2,048 × 11,008 = 67,633,152; two norms 4,096               → 77,076,992; × 36 = 2,774,771,712
    # Words 151,936 × 2,048 = 311,164,928 (tied) and the last norm 2,048                → 3,085,938,688.
    # The head: 3 × 2,048 without bias. LoRA: (4,096 + 2,304 + 2,304 + 4,096) r = 12,800 r a layer.
    "Qwen/Qwen2.5-3B": Published(
        {
            "model_type": "qwen2",
            "architectures": ["Qwen2ForCausalLM"],
            "vocab_size": 151936,
            "hidden_size": 2048,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "intermediate_size": 11008,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "max_window_layers": 36,
            "sliding_window": 32768,
            "use_sliding_window": False,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "initializer_range": 0.02,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "use_cache": True,
            "bos_token_id": 151643,
            "eos_token_id": 151643,
            "torch_dtype": "bfloat16",
        },
        backbone=3_085_938_688,
        head=6_144,
        targets=144,
        per_rank=460_800,
    ),
}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"lora-r{r}": ("lora", {"r": r, "lora_alpha": 2 * r, "lora_dropout": 0.05}) for r in (4, 16)},
    "full": ("full", {}),
}
# The paper fine-tunes no decoder in full.
CASES = [(name, kind) for name in PUBLISHED for kind in METHODS if kind != "full" or not name.startswith("Qwen/")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_backbone_of_the_paper_trains_at_its_true_size(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = PUBLISHED[name]
    method, options = METHODS[kind]
    _need_memory(published, method)
    folder = _checkpoint(published, tmp_path, monkeypatch)
    built = models.build(str(folder), label_names=LABELS, method=method, options=options, max_length=64)

    assert built.family.pools_last_token == name.startswith("Qwen/")
    assert {p.dtype for p in built.module.parameters()} == {torch.float32}
    whole = published.backbone + published.head
    if method == "full":
        assert built.trainable_params == built.total_params == whole
    else:
        adapters = published.per_rank * options["r"]
        assert sum("lora_A" in key for key, _ in built.module.named_parameters()) == published.targets
        assert built.trainable_params == adapters + published.head
        # PEFT keeps the head's random start beside the head that trains.
        assert built.total_params == whole + adapters + published.head

    before = {key: p.detach().clone() for key, p in _small_trained(built.module)}
    recorder = _Recorder()
    losses: list[float] = []
    training.TrainingLoop(
        built.module,
        training.make_engine(built.module, pad_id=built.tokenizer.pad_token_id, device=torch.device("cpu")),
        _data(built),
        training.Recipe(epochs=1, batch_size=BATCH),
        recorder=recorder,
        observer=lambda step: losses.append(step.loss),
    ).fit()

    assert len(losses) == STEPS
    assert all(map(math.isfinite, losses))
    assert list(recorder.logits) == [0, STEPS]
    assert all(logits.shape == (TRACKED, len(LABELS)) for logits in recorder.logits.values())
    assert all(np.isfinite(logits).all() for logits in recorder.logits.values())
    # Every example is read for itself, and every one moves.
    assert len(np.unique(recorder.logits[0], axis=0)) == TRACKED
    assert (recorder.logits[0] != recorder.logits[STEPS]).any(axis=1).all()
    # Each adapter and each part of the head learns (B starts at 0, and what is 0 does not decay).
    unmoved = [key for key, p in _small_trained(built.module) if torch.equal(p, before[key])]
    assert not unmoved


class _Recorder:
    """Keeps the logits of each tracking pass."""

    def __init__(self) -> None:
        self.logits: dict[int, NDArray[np.float32]] = {}

    def write_checkpoint(
        self, *, step: int, epoch: float, losses: NDArray[np.float64], logits: NDArray[np.float32]
    ) -> None:
        assert np.isfinite(losses).all()
        self.logits[step] = logits

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        pass

    def write_metrics(self, values: Mapping[str, Any]) -> None:
        pass


def _small_trained(module: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Adapters and head: all that trains, but for full fine-tuning without the backbone, whose copy would be large."""
    heads = ("lora_", "classifier", "score.", "pooler")
    return [(key, p) for key, p in module.named_parameters() if p.requires_grad and any(part in key for part in heads)]


def _need_memory(published: Published, method: str) -> None:
    # Float32; full fine-tuning adds a gradient and Adam's two moments a weight. Beside it the largest matrix in
    # bfloat16, activations, Python and its libraries.
    copies = 4 if method == "full" else 1
    # Modules refer to themselves: the case before this one may still be in memory.
    gc.collect()
    needed = 4 * copies * (published.backbone + published.head) / 1e9 + 2.5
    available = psutil.virtual_memory().available / 1e9
    if available < needed:
        pytest.skip(f"{needed:.1f} GB of memory needed, {available:.1f} GB available")


def _checkpoint(published: Published, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint folder whose weights transformers finds in memory: 3B of them on disk would take 6 GB or 12 GB."""
    (folder / "config.json").write_text(json.dumps(published.config))
    _tokenizer(published.config["model_type"]).save_pretrained(folder)
    with torch.device("meta"):
        skeleton = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    weights = _backbone_weights(skeleton)

    def from_memory(backbone: str, *, revision: str | None, **options: Any) -> Any:
        assert (backbone, revision) == (str(folder), None)
        return type(skeleton).from_pretrained(None, state_dict=weights, **options)

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", from_memory)
    return folder


def _tokenizer(model_type: str) -> PreTrainedTokenizerBase:
    names = ["input_ids", "attention_mask"]
    if model_type == "qwen2":
        # transformers reads every folder of this type as byte-level BPE and would find no word of the embedded one.
        texts = [f"premise: {word} hypothesis: {word}" for word in _words()]
        return Qwen2Tokenizer().train_new_from_iterator(texts, vocab_size=2_000)
    if model_type in {"bert", "deberta-v2"}:
        names.insert(1, "token_type_ids")
    return AutoTokenizer.from_pretrained(ENCODER_PATH, model_input_names=names)


def _words() -> list[str]:
    return sorted(word for word in AutoTokenizer.from_pretrained(ENCODER_PATH).get_vocab() if word.isalpha())


def _backbone_weights(skeleton: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Random weights in bfloat16 without a head, all matrices views into one noise that is as long as the largest."""
    prefix = f"{skeleton.base_model_prefix}."
    shapes = {key: value.shape for key, value in skeleton.state_dict().items() if key.startswith(prefix)}
    generator = torch.Generator().manual_seed(0)
    longest = max(shape.numel() for shape in shapes.values())
    noise = torch.empty(longest, dtype=torch.bfloat16)
    noise.normal_(0.0, skeleton.config.initializer_range, generator=generator)
    weights = {}
    start = 0
    for key, shape in shapes.items():
        if len(shape) == 1:
            # Norms of one, biases of zero.
            weights[key] = torch.full(shape, float(key.endswith("weight")), dtype=torch.bfloat16)
            continue
        # From another place each time, so that no two layers are alike.
        size = shape.numel()
        start = (start + 1_000_003) % (longest - size + 1)
        weights[key] = noise[start : start + size].view(shape)
    return weights


def _data(built: models.TextModel) -> training.TrainingSet:
    """Short pairs of texts in the embedded vocabulary; three batches that train and eight that are tracked."""
    vocabulary = _words()
    rng = np.random.default_rng(0)

    def encoded(n: int) -> tasks.EncodedTexts:
        pairs = [[" ".join(rng.choice(vocabulary, rng.integers(1, 5))) for _ in range(2)] for _ in range(n)]
        texts = pd.DataFrame(pairs, columns=["premise", "hypothesis"])
        return tasks.encode(built.tokenizer, texts, max_length=64, template=built.family.template)

    return training.TrainingSet(
        train=encoded(BATCH * STEPS),
        labels=rng.integers(0, len(LABELS), BATCH * STEPS),
        tracked=encoded(TRACKED),
        tracked_targets=rng.integers(0, len(LABELS), TRACKED),
        validation=encoded(0),
        validation_targets=np.zeros(0, np.int64),
        class_weights=None,
    )
