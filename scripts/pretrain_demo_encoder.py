"""Pretrain the demo's embedded encoder on the unlabelled text of the demo's world.

BERT's own two objectives, on generated text alone: masked words, and whether the second sentence belongs
to the first (that trains the pooler, which LoRA leaves frozen). No label is drawn before the closing
probe, which fine-tunes copies and throws them away.

    python scripts/pretrain_demo_encoder.py --out src/contested/demo/encoder

The same seed, steps and machine give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForPreTraining,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from contested.demo.hypotheses import LABELS
from contested.demo.vocabulary import vocabulary
from contested.demo.world import caption_pairs, captions, make_world, sentence_pairs

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IGNORED = -100
MASKED_SHARE, KEPT_SHARE, RANDOM_SHARE = (0.15, 0.35), 0.1, 0.1
LIKENESS = 1.0
"""Scale of the initial query and key weights; 1 keeps a vector's length."""
WIDTH = 6.0
"""How much wider than BERT's the initial embeddings are spread."""
HELD_OUT_SEED = 1_000_003
FOR_USERS = {"dtype": "float32", "hidden_dropout_prob": 0.1}
"""Settings of the saved configuration that differ from pretraining's."""


class Text(NamedTuple):
    """One or two sentences as token ids; the second's are None for a single caption."""

    first: list[int]
    second: list[int] | None


class Batch(NamedTuple):
    """Padded inputs and targets of both objectives, shapes (B, L) and, for pairs, (B,)."""

    input_ids: torch.Tensor
    token_type_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    next_sentence_label: torch.Tensor


def build_tokenizer(out: Path) -> PreTrainedTokenizerBase:
    words = (*SPECIAL, *vocabulary())
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True, model_max_length=64)
    tokenizer.save_pretrained(out)
    return AutoTokenizer.from_pretrained(out)


def build_model(vocab_size: int, seed: int) -> BertForPreTraining:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,  # the text is endless: nothing to overfit
        attention_probs_dropout_prob=0.0,
    )
    model = BertForPreTraining(config)
    attend_to_likeness(model)
    return model


@torch.no_grad()
def attend_to_likeness(model: BertForPreTraining) -> None:
    """Start with attention from each word to like words of either sentence.

    Equal query and key weights, after Trockman and Kolter, "Mimetic initialization of self-attention
    layers" (ICML 2023). Comparing two sentences is what a small model is slowest to find.
    """
    embeddings, config = model.bert.embeddings, model.config
    # Wide apart from the start, so that words used alike (red, blue) grow near but never the same.
    embeddings.word_embeddings.weight.mul_(WIDTH)
    embeddings.token_type_embeddings.weight.mul_(WIDTH)
    embeddings.position_embeddings.weight.mul_(WIDTH / 4)
    first, second = embeddings.token_type_embeddings.weight
    side = torch.nn.functional.normalize(second - first, dim=0)
    scale = config.hidden_size**-0.5
    for layer in model.bert.encoder.layer:
        attention = layer.attention
        query = torch.randn_like(attention.self.query.weight) * LIKENESS * scale
        # Blind to the side, so that a word finds its like in the other sentence as well as itself ...
        attention.self.query.weight.copy_(query - torch.outer(query @ side, side))
        attention.self.key.weight.copy_(attention.self.query.weight)
        # ... and brings back in full which side it found it on.
        attention.self.value.weight.normal_(0, scale)
        attention.output.dense.weight.normal_(0, scale)


def read(tokenizer: PreTrainedTokenizerBase, n: int, seed: int) -> list[Text]:
    """N texts: half pairs of captions, a quarter premises with hypotheses, a quarter single captions."""
    pairs = [*caption_pairs(n // 2, seed=seed), *sentence_pairs(n // 4, seed=seed)]
    firsts = _ids(tokenizer, [first for first, _ in pairs])
    seconds = _ids(tokenizer, [second for _, second in pairs])
    singles = _ids(tokenizer, captions(n // 4, seed=seed))
    return [*map(Text, firsts, seconds), *(Text(single, None) for single in singles)]


def _ids(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(sentences), add_special_tokens=False)["input_ids"]


def batches(texts: list[Text], size: int, rng: np.random.Generator) -> Iterator[list[Text]]:
    """Endless passes over the texts, each in a new order."""
    while True:
        order = rng.permutation(len(texts))
        for start in range(0, len(order) - size + 1, size):
            yield [texts[i] for i in order[start : start + size]]


def collate(texts: list[Text], rng: np.random.Generator, vocab_size: int) -> Batch:
    """Swap half of the second sentences for those of other texts, mask words, pad."""
    others = [text.second for text in texts if text.second is not None]
    rows, kinds, follows = [], [], []
    for first, second in texts:
        true = bool(rng.random() < 0.5)
        shown = second if second is None or true else others[int(rng.integers(len(others)))]
        row, kind = _joined(first, shown)
        rows.append(row)
        kinds.append(kind)
        follows.append(IGNORED if second is None else int(not true))
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    types = torch.tensor([kind + [0] * (width - len(kind)) for kind in kinds])
    masked, labels = _mask(ids, torch.tensor(MASKED_SHARE)[types], rng, vocab_size)
    return Batch(masked, types, (ids != 0).long(), labels, torch.tensor(follows))


def _joined(first: list[int], second: list[int] | None) -> tuple[list[int], list[int]]:
    cls, sep = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
    row, kind = [cls, *first, sep], [0] * (len(first) + 2)
    if second is not None:
        row, kind = [*row, *second, sep], [*kind, *[1] * (len(second) + 1)]
    return row, kind


def _mask(
    ids: torch.Tensor, share: torch.Tensor, rng: np.random.Generator, vocab_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    draw, fate = (torch.from_numpy(rng.random(tuple(ids.shape))) for _ in range(2))
    noise = torch.from_numpy(rng.integers(len(SPECIAL), vocab_size, tuple(ids.shape)))
    chosen = (draw < share) & (ids >= len(SPECIAL))
    shown = torch.where(chosen & (fate >= KEPT_SHARE), torch.full_like(ids, SPECIAL.index("[MASK]")), ids)
    shown = torch.where(chosen & (fate >= 1 - RANDOM_SHARE), noise, shown)
    return shown, torch.where(chosen, ids, torch.full_like(ids, IGNORED))


def pretrain(model: BertForPreTraining, texts: list[Text], args: argparse.Namespace) -> float:
    """Train; the mean loss of the last hundred steps."""
    rng = np.random.default_rng([args.seed, 1])
    torch.manual_seed(args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    warm_up = max(1, args.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (args.steps - step) / max(1, args.steps - warm_up))
    )
    losses, hits, started = [], [], time.perf_counter()
    model.train()
    for step, texts_of_step in zip(range(1, args.steps + 1), batches(texts, args.batch_size, rng), strict=False):
        batch = collate(texts_of_step, rng, model.config.vocab_size)
        scores = score(model, batch)
        loss = objective(scores)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        hits.append((scores.follows.argmax(-1) == scores.follow_labels).float().mean().item())
        if step % 500 == 0:
            recent, right = np.mean(losses[-100:]), np.mean(hits[-100:])
            seconds = time.perf_counter() - started
            print(f"step {step}: loss {recent:.3f}, pairs {right:.3f}, {seconds:.0f} s", flush=True)
    return float(np.mean(losses[-100:]))


class Scores(NamedTuple):
    """Both objectives of a batch: logits and truths of the masked words and of the pairs."""

    words: torch.Tensor
    word_labels: torch.Tensor
    follows: torch.Tensor
    follow_labels: torch.Tensor


def score(model: BertForPreTraining, batch: Batch) -> Scores:
    """Run both heads where they have something to answer; the word head on all positions is slow."""
    hidden = model.bert(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    asked, paired = batch.labels != IGNORED, batch.next_sentence_label != IGNORED
    words = model.cls.predictions(hidden.last_hidden_state[asked])
    follows = model.cls.seq_relationship(hidden.pooler_output[paired])
    return Scores(words, batch.labels[asked], follows, batch.next_sentence_label[paired])


def objective(scores: Scores) -> torch.Tensor:
    """BERT's: the mean loss over masked words plus that over pairs (nats)."""
    cross_entropy = torch.nn.functional.cross_entropy
    return cross_entropy(scores.words, scores.word_labels) + cross_entropy(scores.follows, scores.follow_labels)


@torch.no_grad()
def held_out(model: BertForPreTraining, texts: list[Text]) -> dict[str, float]:
    """Masked-word loss (nats) and accuracy, and next-sentence accuracy."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    model.eval()
    starts = range(0, len(texts), 100)
    runs = [score(model, collate(texts[i : i + 100], rng, model.config.vocab_size)) for i in starts]
    words, word_labels, follows, follow_labels = (torch.cat(parts) for parts in zip(*runs, strict=True))
    return {
        "masked_loss": round(torch.nn.functional.cross_entropy(words, word_labels).item(), 4),
        "masked_accuracy": round((words.argmax(-1) == word_labels).float().mean().item(), 4),
        "next_sentence_accuracy": round((follows.argmax(-1) == follow_labels).float().mean().item(), 4),
    }


def save(model: BertForPreTraining, out: Path) -> None:
    """The encoder without the pretraining heads: weights in float16, to be loaded in float32."""
    encoder = model.bert.half()
    encoder.save_pretrained(out)
    model.float()
    # Written for the owner alone; package data is for everyone.
    (out / "model.safetensors").chmod(0o644)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, **FOR_USERS}, indent=2) + "\n")


def probe(out: Path, *, pretrained: bool, epochs: int = 3, lr: float = 5e-4) -> list[float]:
    """Accuracy on 1,000 unseen bulk examples after each epoch of full fine-tuning on 4,000."""
    tokenizer = AutoTokenizer.from_pretrained(out)
    bulk = make_world(n_annotated=1, n_bulk=5000, seed=1).bulk
    labels = torch.tensor([LABELS.index(label) for label in bulk["label"]])
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(out, num_labels=len(LABELS))
    if not pretrained:
        model = AutoModelForSequenceClassification.from_config(model.config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    rng = np.random.default_rng(0)

    def logits(rows: np.ndarray) -> torch.Tensor:
        texts = bulk.iloc[rows]
        pairs = (texts["premise"].tolist(), texts["hypothesis"].tolist())
        return model(**tokenizer(*pairs, padding=True, return_tensors="pt")).logits

    scores = []
    for _ in range(epochs):
        model.train()
        for rows in np.array_split(rng.permutation(4000), 125):
            torch.nn.functional.cross_entropy(logits(rows), labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        scores.append(accuracy(model, logits, labels))
    return scores


@torch.no_grad()
def accuracy(model: PreTrainedModel, logits: Callable[[np.ndarray], torch.Tensor], labels: torch.Tensor) -> float:
    model.eval()
    rows = np.arange(4000, 5000)
    return round((logits(rows).argmax(-1) == labels[rows]).float().mean().item(), 4)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for config, tokenizer and weights")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--texts", type=int, default=80_000, help="distinct texts to read")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--no-probe", action="store_true", help="skip the fine-tuning comparison")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(args.out)
    texts, unseen = read(tokenizer, args.texts, args.seed), read(tokenizer, 2000, HELD_OUT_SEED)
    model = build_model(len(tokenizer), args.seed)
    before = held_out(model, unseen)
    loss = pretrain(model, texts, args)
    print(json.dumps({"before": before, "after": held_out(model, unseen), "final_train_loss": round(loss, 4)}))
    save(model, args.out)
    if not args.no_probe:
        print(json.dumps({"probe": {str(kept): probe(args.out, pretrained=kept) for kept in (True, False)}}))


if __name__ == "__main__":
    main()
