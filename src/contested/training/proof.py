"""Before a run costs anything: does its engine give what the library gives, one example at a time?

The module's own forward, in eval mode and unpadded, is taken to be right. An engine must give its logits, of a few
examples together and of each alone, and its gradients, by the way that training takes. Adapters begin as if they were
not there: they are moved meanwhile, so that what they do to a batch shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from contested.errors import ModelError
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import (
    Engine,
    EngineName,
    PackedEngine,
    PaddedEngine,
    base_model,
    engine_names,
    looks_across,
    make_engine,
)
from contested.training.gradients import probing, trained_parameters
from contested.training.padded import attention_name, set_attention
from contested.training.precision import at_least_float32
from contested.training.tracking import inference_mode, track

EXAMPLES = 8
"""How many examples are computed at most."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Largest difference of a logit by precision, in units of the largest logit where that is above 1."""

_GRADIENTS = 1e-3  # largest difference of all gradients together, relative to them
_MOVES = (0.02, 0.1, 0.5)  # standard deviations of what an adapter's weights are moved by
_WAYS: dict[EngineName, str] = {
    "packed": "packed",
    "padded": "with padding",
    "equal lengths": "in batches of equal lengths",
    "one by one": "one by one",
}
_VISIBLE = 1e-2  # what that does at least to a logit, or the next of them is tried


_Text = tuple[EncodedTexts, int]
"""A set and one of its rows."""


class Proven(NamedTuple):
    """An engine that gives what the library gives.

    Attributes:
        engine: The engine.
        name: How it makes batches.
        because: Why it is not a faster one, without a full stop; empty where it is the fastest that the family has.
        difference: Largest difference of a logit from the library's own.
        examples: How many examples were computed.
        merges: Whether adapters may be merged into the weights that they adapt while examples are tracked.
        keyed_attention: Whether the module's attention was replaced where batches are not packed.
    """

    engine: Engine
    name: EngineName
    because: str
    difference: float
    examples: int
    merges: bool
    keyed_attention: bool

    @property
    def how(self) -> _How:
        """Arguments of :func:`contested.training.make_engine`."""
        return {"name": self.name, "keyed_attention": self.keyed_attention}


class _How(TypedDict):
    name: EngineName
    keyed_attention: bool


def proven_engine(
    module: nn.Module,
    texts: EncodedTexts,
    *,
    pad_id: int,
    device: torch.device,
    precision: str = "float32",
    others: Sequence[EncodedTexts] = (),
    fastest: EngineName | None = None,
) -> Proven:
    """Find the fastest engine that gives a module's own logits; the module is left as it was found but for the engine.

    Args:
        module: A transformers or PEFT classifier, as it was built: no engine was made for it before.
        texts: The tracked examples.
        pad_id: The pad token.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        others: Further texts, of which one is computed if it is longer than all tracked ones.
        fastest: No faster one is tried, as where a run that resumes has taken a slower one before.

    Returns:
        The engine, and how near it is.

    Raises:
        ModelError: If there is none, with each engine's difference or error; or if the module's own forward fails.
    """
    sample = chosen_examples(texts, others)
    names = engine_names(module)
    names = names[names.index(fastest) :] if fastest in names else names
    with _moved(module, sample, pad_id, device):
        expected = _Expected.of(module, sample, pad_id, device)
        found = _first(module, sample, expected, names, pad_id=pad_id, device=device)
        if precision == "float32":
            return found
        # Casts frozen weights for good, so that all else was held against them as they were.
        engine = make_engine(module, pad_id=pad_id, device=device, precision=precision, **found.how)
        return found._replace(engine=engine, difference=_rounding(module, engine, sample, expected, precision))


def chosen_examples(texts: EncodedTexts, others: Sequence[EncodedTexts] = ()) -> EncodedTexts:
    """A few texts of lengths as different as possible, the shortest and the longest among them, and two of one length.

    Args:
        texts: The tracked examples.
        others: Further texts, of which the longest takes the place of the longest tracked one if it is longer.

    Returns:
        At most :data:`EXAMPLES` texts, from short to long but for the last, which is as long as another one.
    """
    by_length = np.argsort(texts.lengths, kind="stable")
    firsts = np.flatnonzero(np.diff(texts.lengths[by_length], prepend=-1))  # the first text of each length
    rows = by_length[firsts[_spread(len(firsts), EXAMPLES - 1)]]
    rest = by_length[~np.isin(by_length, rows)]
    rows = np.append(rows, rest[_spread(len(rest), EXAMPLES - 1 - len(rows))])
    chosen = [(texts, int(row)) for row in rows[np.argsort(texts.lengths[rows], kind="stable")]]
    for other in others:
        if len(other) and other.lengths.max() > chosen[-1][0].lengths[chosen[-1][1]]:
            chosen[-1] = other, int(other.lengths.argmax())
    return _end_to_end(chosen + _twin(chosen, (texts, *others)))


def _twin(chosen: Sequence[_Text], sets: Sequence[EncodedTexts]) -> list[_Text]:
    """Another text as long as a chosen one, of middling length if possible: in batches of equal lengths they meet."""
    lengths = [texts.lengths[row] for texts, row in chosen]
    for texts in sets:
        taken = [row for of, row in chosen if of is texts]
        fits = np.isin(texts.lengths, lengths) & ~np.isin(np.arange(len(texts)), taken)
        if fits.any():
            candidates = np.flatnonzero(fits)[np.argsort(texts.lengths[fits], kind="stable")]
            return [(texts, int(candidates[len(candidates) // 2]))]
    return []


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """At most so many of n numbers, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def _end_to_end(chosen: Sequence[_Text]) -> EncodedTexts:
    def joined(values: Sequence[NDArray[np.int32] | None]) -> NDArray[np.int32] | None:
        parts = [
            part[texts.offsets[row] : texts.offsets[row + 1]]
            for part, (texts, row) in zip(values, chosen, strict=True)
            if part is not None
        ]
        return np.concatenate(parts) if len(parts) == len(chosen) else None

    input_ids = joined([texts.input_ids for texts, _ in chosen])
    assert input_ids is not None, "every text has tokens"
    lengths = [texts.lengths[row] for texts, row in chosen]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return EncodedTexts(input_ids, offsets, joined([texts.token_type_ids for texts, _ in chosen]), 0)


class _Expected(NamedTuple):
    """What the module's own forward gives, one unpadded example at a time.

    Attributes:
        logits: Shape (n, K).
        gradients: Of :func:`_signed` logits, by the name of each trained parameter that has one.
    """

    logits: NDArray[np.float32]
    gradients: dict[str, Tensor]

    @classmethod
    def of(cls, module: nn.Module, sample: EncodedTexts, pad_id: int, device: torch.device) -> _Expected:
        try:
            return cls(*_with_gradients(module, _own(module, pad_id, device), sample, alone=True))
        except Exception as error:
            raise ModelError(
                f"{_named(module)} fails on a single example by its own forward: {_line(error)} Nothing can be trained "
                "with it; check its configuration and tokenizer, or choose another checkpoint."
            ) from error

    @property
    def unit(self) -> float:
        """The largest logit, 1 at least."""
        return max(1.0, float(np.abs(self.logits).max()))

    def difference(self, logits: NDArray[np.float32]) -> float:
        """The largest difference of a logit; infinite where one is not a number."""
        largest = float(np.abs(logits - self.logits).max())
        return largest if np.isfinite(largest) else float("inf")

    def gradient_difference(self, gradients: dict[str, Tensor]) -> float:
        """Difference of all gradients together, relative to them."""
        squares = distance = 0.0
        for name in self.gradients.keys() | gradients.keys():
            mine, other = self.gradients.get(name), gradients.get(name)
            squares += 0.0 if mine is None else float(mine.square().sum())
            apart = other if mine is None else mine if other is None else mine - other
            distance += 0.0 if apart is None else float(apart.square().sum())
        return float(np.sqrt(distance / squares)) if squares else float(np.sqrt(distance))


class _Trial(NamedTuple):
    """What an engine gave.

    Attributes:
        difference: Largest difference of a logit.
        problem: What is wrong with it, or empty.
        merges: Whether adapters were merged meanwhile.
    """

    difference: float
    problem: str
    merges: bool


def _first(
    module: nn.Module,
    sample: EncodedTexts,
    expected: _Expected,
    names: Sequence[EngineName],
    *,
    pad_id: int,
    device: torch.device,
) -> Proven:
    """The first engine that gives what is expected."""
    attention = attention_name(base_model(module))
    problems: dict[str, str] = {}
    known = looks_across(module)
    for name, keyed in ((name, keyed) for name in names for keyed in (True, False)):
        if not keyed and (name == "packed" or attention_name(base_model(module)) == attention):
            continue  # nothing of its attention was replaced
        set_attention(base_model(module), attention)
        engine = make_engine(module, pad_id=pad_id, device=device, name=name, keyed_attention=keyed)
        trial = _tried(module, engine, sample, expected)
        if not trial.problem:
            because = "; ".join([known] * bool(known) + [each for of, each in problems.items() if of != name])
            return Proven(engine, name, because, trial.difference, len(sample), trial.merges, keyed)
        problems.setdefault(name, f"{_WAYS[name]} {trial.problem}")
    raise ModelError(
        f"{_named(module)} cannot be trained: no way to compute batches gives the logits of its own forward for one "
        f"unpadded example at a time, to {TOLERANCE['float32']:g}. Choose another method or checkpoint.",
        list(problems.values()),
    )


def _tried(module: nn.Module, engine: PackedEngine | PaddedEngine, sample: EncodedTexts, expected: _Expected) -> _Trial:
    """Hold an engine against what is expected: merged and not, if there is anything to merge."""
    merging = any(isinstance(part, LoraLayer | IA3Layer) for part in module.modules())
    trial = _held(module, engine, sample, expected, merge=merging)
    if merging and trial.problem:
        unmerged = _held(module, engine, sample, expected, merge=False)
        return trial if unmerged.problem else unmerged
    return trial._replace(merges=True)


def _held(
    module: nn.Module, engine: PackedEngine | PaddedEngine, sample: EncodedTexts, expected: _Expected, *, merge: bool
) -> _Trial:
    most = TOLERANCE["float32"] * expected.unit
    try:
        alone, together = (track(engine, module, sample, batch_size=n, merge=merge) for n in (1, len(sample)))
        training, gradients = _with_gradients(module, engine, sample)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return _Trial(float("inf"), f"it fails: {_line(error)}", merge)
    difference = max(map(expected.difference, (alone, together, training)))
    problem = f"its logits differ from those of the text alone by up to {difference:.2g}" if difference > most else ""
    apart = expected.gradient_difference(gradients)
    if not problem and not apart <= _GRADIENTS:
        problem = f"its gradients differ from those of the texts alone by {apart:.2g} of their length"
    return _Trial(difference, problem, merge)


def _with_gradients(
    module: nn.Module, engine: PackedEngine | PaddedEngine, sample: EncodedTexts, *, alone: bool = False
) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
    """Logits with their graph in eval mode, by the way of training, and gradients of every trained parameter."""
    parameters, key = trained_parameters(module), DropoutKey(0, 0)
    rows = np.arange(len(sample))
    batches = np.array_split(rows, len(sample)) if alone else [rows]
    found: dict[str, Tensor] = {}
    logits = []
    keys = None if alone else engine.keys
    with probing(module, mode="eval", seed=0), contextlib.nullcontext() if keys is None else keys.as_in_training():
        for batch in batches:
            outputs = engine.logits(sample, batch, None if alone else key)
            logits.append(outputs.detach().cpu().numpy())
            if outputs.requires_grad:
                gradients = torch.autograd.grad(_signed(outputs), list(parameters.values()), allow_unused=True)
                for name, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        gradient = at_least_float32(gradient)
                        found[name] = gradient if name not in found else found[name].add_(gradient)
    return np.concatenate(logits), found


def _signed(logits: Tensor) -> Tensor:
    """An alternating sum, whose gradient no softmax drowns."""
    return logits[:, ::2].sum() - logits[:, 1::2].sum()


def _own(module: nn.Module, pad_id: int, device: torch.device) -> PaddedEngine:
    """The module's own forward, nothing of it replaced."""
    return PaddedEngine(module, pad_id=pad_id, device=device, piece_size=1, keyed=False)


@contextlib.contextmanager
def _moved(module: nn.Module, sample: EncodedTexts, pad_id: int, device: torch.device) -> Iterator[None]:
    """Move the weights of adapters until it shows, and put them back bit for bit."""
    adapters = _adapter_weights(module)
    kept = [weight.detach().clone() for weight in adapters]
    try:
        if adapters:
            _move(module, adapters, kept, _own(module, pad_id, device), sample)
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(adapters, kept, strict=True):
                weight.copy_(before)


def _move(
    module: nn.Module, adapters: Sequence[Tensor], kept: Sequence[Tensor], own: Engine, sample: EncodedTexts
) -> None:
    rows = np.arange(len(sample))
    with inference_mode(module):
        before = own.logits(sample, rows)
        for size in _MOVES:
            generator = torch.Generator().manual_seed(0)
            for weight, start in zip(adapters, kept, strict=True):
                noise = torch.randn(weight.shape, generator=generator).to(weight.device, weight.dtype)
                weight.copy_(start).add_(noise, alpha=size)
            change = float((own.logits(sample, rows) - before).abs().max())
            if not change < _VISIBLE:
                return


def _adapter_weights(module: nn.Module) -> list[Tensor]:
    """Trained weights of PEFT's that are not the head's, which is random from the start."""
    if not hasattr(module, "peft_config"):
        return []
    named: Any = module.named_parameters()
    return [
        weight
        for name, weight in named
        if weight.requires_grad and weight.is_floating_point() and ".modules_to_save." not in name
    ]


def _rounding(module: nn.Module, engine: Engine, sample: EncodedTexts, expected: _Expected, precision: str) -> float:
    """What half precision changes, which must be no more than rounding."""
    difference, most = expected.difference(track(engine, module, sample, batch_size=len(sample))), TOLERANCE[precision]
    if difference > most * expected.unit:
        raise ModelError(
            f"In {precision} the logits of {_named(module)} differ by {difference:.2g} from those in float32, which is "
            f"more than rounding (at most {most * expected.unit:.2g}). Train it with training.precision=float32."
        )
    return difference


def _named(module: nn.Module) -> str:
    return type(base_model(module)).__name__


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + lines[0] if lines else ''}"
