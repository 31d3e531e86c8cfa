"""The tracking pass: every tracked example's logits, without touching the training around it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from torch import nn

from contested.tasks import EncodedTexts
from contested.training.engine import Engine, PackedEngine, is_sharded
from contested.training.preserving import preserved, set_modes
from contested.training.processes import ALONE, Processes

_FEWEST = 16
"""Examples that a batch has at least to be computed beside others."""


@contextlib.contextmanager
def inference_mode(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; modes, buffers and random states are put back."""
    with preserved(module, seed=0), torch.no_grad():
        set_modes(module, training=False)
        yield


@contextlib.contextmanager
def merged_adapters(module: nn.Module) -> Iterator[None]:
    """LoRA and IA3 folded into the weights they adapt, which are put back bit for bit; in float32 alone.

    A weight that other layers use too, as with LoRA's ``layer_replication``, cannot hold the adapter of one: such
    layers compute with theirs beside it.

    Args:
        module: A model, adapted by PEFT or not.

    Yields:
        Nothing.
    """
    layers = [part for part in module.modules() if isinstance(part, LoraLayer | IA3Layer) and not part.merged]
    if is_sharded(module):
        layers = []  # a share of a weight takes no adapter
    uses = Counter(id(weight) for part in module.modules() for weight in part._parameters.values())
    kept: list[tuple[nn.Parameter, torch.Tensor]] = []
    done = []
    try:
        for layer in layers:
            weights = list(layer.get_base_layer().parameters())
            # A merged weight in half precision would lose small adapters to rounding.
            if any(weight.dtype != torch.float32 or uses[id(weight)] > 1 for weight in weights):
                continue
            kept += [(weight, weight.data.clone()) for weight in weights]
            done.append(layer)
            layer.merge()
        yield
    finally:
        for weight, before in kept:
            weight.data.copy_(before)
        for layer in done:
            layer.merged_adapters.clear()


def track(
    engine: Engine,
    module: nn.Module,
    texts: EncodedTexts,
    *,
    batch_size: int,
    merge: bool = True,
    processes: Processes = ALONE,
) -> NDArray[np.float32]:
    """Compute the logits of every text in eval mode.

    Args:
        engine: Computes logits with ``module``.
        module: The module whose mode is changed and restored.
        texts: The tracked examples, N of them.
        batch_size: Examples at work at once; the result does not depend on it beyond rounding. On a CPU they are
            computed in several smaller batches side by side, which uses its cores better than one batch on all.
        merge: Whether adapters are meanwhile merged into the weights that they adapt.
        processes: Those among whom the texts are shared.

    Returns:
        Logits, shape (N, K), in the order of ``texts``.
    """
    # Long ones first: the memory that is needed at most is needed at once, and no core ends long after the others.
    by_length = np.argsort(texts.lengths, kind="stable")[::-1]
    answers, order = processes.gathered(
        len(texts),
        lambda share: _logits(engine, module, texts, by_length[share], batch_size=batch_size, merge=merge),
    )
    logits = np.concatenate(answers)[order]
    restored = np.empty_like(logits)
    restored[by_length] = logits
    return restored


def _logits(
    engine: Engine,
    module: nn.Module,
    texts: EncodedTexts,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    merge: bool,
) -> NDArray[np.float32]:
    """Logits of some texts, shape (len(rows), K), in the order of ``rows``."""
    threads = torch.get_num_threads()
    most = min(batch_size, len(rows))
    at_once = min(threads, max(1, most // _FEWEST)) if _shares_cores(engine, module) else 1
    size = -(-most // at_once)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]

    def logits_of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(engine.logits(texts, rows).cpu().numpy())

    folded = merged_adapters(module) if merge else contextlib.nullcontext()
    with inference_mode(module), folded, _cores(at_once, threads // at_once) as compute:
        return np.concatenate(list(compute(logits_of, batches)))


def _shares_cores(engine: Engine, module: nn.Module) -> bool:
    """Whether batches can be computed side by side: on a CPU, by an engine whose eval mode holds no state."""
    return isinstance(engine, PackedEngine) and next(module.parameters()).device.type == "cpu"


@contextlib.contextmanager
def _cores(at_once: int, threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Gives a ``map`` that computes so many batches at once, each on so many threads."""
    if at_once == 1:
        yield map
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            yield pool.map
    finally:
        # What a thread sets for itself is also what later threads begin with.
        torch.set_num_threads(before)
