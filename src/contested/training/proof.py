"""Before a run costs anything: does its engine give what the library gives, one example at a time?

An engine must give the logits of the module's own forward, of a few examples together and of each alone, and its
gradients, by the way that training takes (see :mod:`contested.training.reference`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from torch import nn

from contested.errors import ModelError
from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import (
    Engine,
    EngineName,
    PackedEngine,
    PaddedEngine,
    engine_names,
    looks_across,
    make_engine,
    reads_padding,
)
from contested.training.gradients import probing
from contested.training.padded import attention_name, set_attention
from contested.training.reference import (
    TOLERANCE,
    Beginning,
    Gradients,
    Reference,
    check_sight,
    error_line,
    largest_difference,
    module_name,
    moved_adapters,
    own_engine,
    unit,
)
from contested.training.samples import chosen_examples
from contested.training.stacked import StackedEngine
from contested.training.tracking import track

_GRADIENTS = 1e-3  # largest difference of all gradients together, relative to them

_WAYS: dict[EngineName, str] = {
    "packed": "packed",
    "padded": "with padding",
    "equal lengths": "in batches of equal lengths",
    "one by one": "one by one",
}

_Made = PackedEngine | PaddedEngine


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

    engine: _Made
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

    @property
    def facts(self) -> dict[str, Any]:
        """All but the engine, which holds its module."""
        return {name: value for name, value in self._asdict().items() if name != "engine"}


class _How(TypedDict):
    name: EngineName
    keyed_attention: bool


def proven_engine(
    module: nn.Module,
    begun: Beginning,
    *,
    pad_id: int,
    device: torch.device,
    precision: str = "float32",
    fastest: EngineName | None = None,
) -> Proven:
    """Find the fastest engine that gives a module's own logits; the module is left as it was found but for the engine.

    Args:
        module: A transformers or PEFT classifier, as it was built: no engine was made for it before.
        begun: What it gives a few examples.
        pad_id: The pad token.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        fastest: No faster one is tried, as where a run that resumes has taken a slower one before.

    Returns:
        The engine, and how near it is.

    Raises:
        ModelError: If there is none, with each engine's difference or error; or if the module's own forward fails.
    """
    sample, names = begun.sample, engine_names(module)
    names = names[names.index(fastest) :] if fastest in names else names
    with moved_adapters(module, begun, engine=own_engine(module, pad_id, device)):
        expected = Reference.of(module, sample, pad_id=pad_id, device=device)
        check_sight(module, sample, expected.logits, pad_id=pad_id, device=device)
        found = _first(module, sample, expected, names, pad_id=pad_id, device=device)
        if precision == "float32":
            return found
        # Casts frozen weights for good, so that all else was held against them as they were.
        engine = make_engine(module, pad_id=pad_id, device=device, precision=precision, **found.how)
        return found._replace(engine=engine, difference=_rounding(module, engine, sample, expected, precision))


def engine_like(
    proven: Mapping[str, Any],
    module: nn.Module,
    begun: Beginning,
    *,
    pad_id: int,
    device: torch.device,
    precision: str = "float32",
) -> Proven | None:
    """Make the engine that was proven for another module of the same making, and look whether it serves this one.

    Args:
        proven: :attr:`Proven.facts` of the other one.
        module: A transformers or PEFT classifier, as it was built: no engine was made for it before.
        begun: What it gives one example or more.
        pad_id: The pad token.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.

    Returns:
        The engine; None where it gives these examples other logits, the module being left as it was found but for its
        dropout, which its next engine takes over.
    """
    made: _How = {"name": proven["name"], "keyed_attention": proven["keyed_attention"]}
    attention = attention_name(base_model(module))
    try:
        engine = make_engine(module, pad_id=pad_id, device=device, **made)
        logits = track(engine, module, begun.sample, batch_size=len(begun.sample), merge=proven["merges"])
        serves = largest_difference(logits, begun.logits) <= TOLERANCE["float32"] * unit(begun.logits)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whoever proves it anew says what fails
        serves = False
    if not serves:
        set_attention(base_model(module), attention)
        return None
    if precision != "float32":
        engine = make_engine(module, pad_id=pad_id, device=device, precision=precision, **made)
    return Proven(engine, **proven)


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
    expected: Reference,
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
        why = reads_padding(module) if name == "padded" else ""
        problems.setdefault(name, f"{_WAYS[name]} {trial.problem}" + (f" ({why})" if why else ""))
    raise ModelError(
        f"{module_name(module)} cannot be trained: no way to compute batches gives the logits of its own forward for "
        f"one unpadded example at a time, to {TOLERANCE['float32']:g}. Choose another method or checkpoint.",
        list(problems.values()),
    )


def _tried(module: nn.Module, engine: _Made, sample: EncodedTexts, expected: Reference) -> _Trial:
    """Hold an engine against what is expected: merged and not, if there is anything to merge."""
    merging = any(isinstance(part, LoraLayer | IA3Layer) for part in module.modules())
    trial = _held(module, engine, sample, expected, merge=merging)
    if merging and trial.problem:
        unmerged = _held(module, engine, sample, expected, merge=False)
        return trial if unmerged.problem else unmerged
    return trial._replace(merges=True)


def _held(module: nn.Module, engine: _Made, sample: EncodedTexts, expected: Reference, *, merge: bool) -> _Trial:
    most = TOLERANCE["float32"] * expected.unit
    try:
        alone, together = (track(engine, module, sample, batch_size=n, merge=merge) for n in (1, len(sample)))
        training, gradients = _as_in_training(module, engine, sample)
        with probing(module, mode="train", seed=0), torch.no_grad():
            engine.logits(sample, np.arange(len(sample)), DropoutKey(0, 0))  # dropout must work at all
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return _Trial(float("inf"), f"it fails: {error_line(error)}", merge)
    difference = max(map(expected.difference, (alone, together, training)))
    problem = f"its logits differ from those of the text alone by up to {difference:.2g}" if difference > most else ""
    apart = expected.gradient_difference(gradients.by_name)
    if not problem and not apart <= _GRADIENTS:
        problem = f"its gradients differ from those of the texts alone by {apart:.2g} of their length"
    return _Trial(difference, problem, merge)


def _as_in_training(module: nn.Module, engine: _Made, sample: EncodedTexts) -> tuple[NDArray[np.float32], Gradients]:
    """Logits and gradients in eval mode, by the way of training."""
    keys = engine.keys
    with probing(module, mode="eval", seed=0), contextlib.nullcontext() if keys is None else keys.as_in_training():
        gradients = Gradients(module)
        return gradients.add(engine.logits(sample, np.arange(len(sample)), DropoutKey(0, 0))), gradients


def _rounding(module: nn.Module, engine: _Made, sample: EncodedTexts, expected: Reference, precision: str) -> float:
    """What half precision changes, which must be no more than rounding."""
    try:
        logits = track(engine, module, sample, batch_size=len(sample))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"In {precision} {module_name(module)} fails: {error_line(error)}. Train it with precision float32."
        ) from error
    difference, most = expected.difference(logits), TOLERANCE[precision]
    if difference > most * expected.unit:
        raise ModelError(
            f"In {precision} the logits of {module_name(module)} differ by {difference:.2g} from those in float32, "
            f"which is more than rounding (at most {most * expected.unit:.2g}). Train it with precision float32."
        )
    return difference


def split_difference(module: nn.Module, engine: Engine, sample: EncodedTexts, *, precision: str = "float32") -> str:
    """Hold the halves of a batch against the whole, in training: processes that train together compute such shares.

    Args:
        module: The module that is to train, left as it was found.
        engine: Its proven engine.
        sample: A few examples.
        precision: ``float32``, or ``bfloat16`` for autocast.

    Returns:
        How they differ, or an empty text.
    """
    rows, key = np.arange(len(sample)), DropoutKey(0, 0)

    def in_training(share: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        with probing(module, mode="train", seed=seed), torch.no_grad():
            return np.asarray(engine.logits(sample, share, key).cpu().numpy())

    begun = Beginning(sample, track(engine, module, sample, batch_size=len(sample)))
    with moved_adapters(module, begun, engine=engine):
        whole = in_training(rows, 0)
        halves = [whole[share] - in_training(share, 1) for share in (rows[::2], rows[1::2]) if len(share)]
    difference = float(np.abs(np.concatenate(halves)).max())
    if difference <= TOLERANCE[precision] * unit(whole):  # not so of NaN
        return ""
    return f"in training, half of a batch gives logits that differ by up to {difference:.2g} from those of the whole"


def stack_difference(
    modules: Sequence[nn.Module],
    engines: Sequence[Engine],
    texts: Sequence[EncodedTexts],
    *,
    device: torch.device,
    precision: str = "float32",
) -> str:
    """Hold runs that are to train together against each alone.

    Args:
        modules: One per run, as :class:`contested.training.StackedEngine` takes them.
        engines: The proven engine of each.
        texts: The tracked examples of each.
        device: Where the modules are.
        precision: ``float32``, or ``bfloat16`` for autocast.

    Returns:
        How they differ, or an empty text.
    """
    samples = [chosen_examples(each) for each in texts]
    with contextlib.ExitStack() as moved:
        for module, engine, sample in zip(modules, engines, samples, strict=True):
            begun = Beginning(sample, track(engine, module, sample, batch_size=len(sample)))
            moved.enter_context(moved_adapters(module, begun, engine=engine))
        alone = [
            track(engine, module, sample, batch_size=len(sample))
            for engine, module, sample in zip(engines, modules, samples, strict=True)
        ]
        together = StackedEngine(modules, device=device, precision=precision).as_they_are(samples)
    for one, other in zip(alone, together, strict=True):
        difference = largest_difference(one, other)
        if difference > TOLERANCE[precision] * unit(one):
            return f"together their logits differ by up to {difference:.2g} from those of each alone"
    return ""
