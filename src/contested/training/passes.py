"""Tracking passes of a foreign module, which is left exactly as it was found."""

from __future__ import annotations

import sys
import warnings
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules import module as registry

from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import Engine, PackedEngine, PaddedEngine, looks_across, packs
from contested.training.families import pad_id_of
from contested.training.reference import TOLERANCE, largest_difference, unit
from contested.training.samples import chosen_examples
from contested.training.tracking import inference_mode, track

_LIBRARIES = frozenset({"torch", "transformers", "peft"})
_TEXT, _TOLERANCE = 16, 1e-3  # tokens and relative difference of the comparison with the module's own forward
_FEW = 16
_PASSES: WeakKeyDictionary[nn.Module, tuple[int, int]] = WeakKeyDictionary()
"""How many passes each module has seen, and how many engines were found to be wrong for it."""


def tracking_pass(
    module: nn.Module, texts: EncodedTexts, *, pad_id: int | None = None, batch_size: int = 64
) -> NDArray[np.float32]:
    """Compute the logits of every text with a foreign module.

    The module is afterwards as it was found, bit for bit: weights, buffers, gradients, modes of each part, hooks,
    attention, random states and autocast. Nothing of it is replaced meanwhile; where adapters are folded into weights,
    these are copies.

    Args:
        module: A classifier on any device, in any mode: a transformers one, PEFT's over one, or any other whose
            forward takes ``input_ids`` and ``attention_mask`` and returns an object with ``logits`` (B, K).
        texts: The tracked examples, N of them.
        pad_id: Pads shorter texts of a module without a configuration that names its pad token; where neither does,
            examples run one at a time.
        batch_size: Examples at work at once.

    Returns:
        Logits, shape (N, K), in the order of ``texts``.
    """
    engine = PassEngine(module, pad_id=pad_id).proven_for(texts)
    return track(engine, module, texts, batch_size=batch_size, merge=False)


class PassEngine:
    """Computes logits of a module and changes nothing of it (see :class:`contested.training.Engine`).

    The module is looked at once, when the engine is made: it runs packed where its family allows and every part is
    the libraries' own and free of hooks, else by its own forward on batches sorted by length. Modes and random states
    are the caller's affair.

    Args:
        module: A classifier; see :func:`tracking_pass`.
        pad_id: See :func:`tracking_pass`.

    Attributes:
        unpacked_because: Why it does not run packed, or empty.
    """

    def __init__(self, module: nn.Module, *, pad_id: int | None = None) -> None:
        self._module = module
        model = base_model(module)
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        known = pad_id_of(model)
        # A classifier whose configuration names no pad token may refuse more than one example at once.
        self._alone = known is None and (pad_id is None or hasattr(model, "config"))
        self._pad_id, self._device = (known if known is not None else pad_id) or 0, device
        self._own = self._as_own(piece_size=_piece_size(device, alone=self._alone))
        self.unpacked_because = packing_problem(module)
        self._packed: PackedEngine | None = None
        if not self.unpacked_because:
            packed = PackedEngine(module, device=device, keyed=False)
            if self._agree(packed, known, model.config.get_text_config().vocab_size):
                self._packed = packed
            else:
                self.unpacked_because = "its own forward gives other logits than the packed one"

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None = None) -> Tensor:
        """See :class:`contested.training.Engine`; in training mode PyTorch's generator decides what is dropped."""
        return self.suited_to(texts).logits(texts, rows)

    def suited_to(self, texts: EncodedTexts) -> Engine:
        """What computes the logits of these texts: the packed engine, or the module's own forward."""
        return self._own if self._packed is None or not len(texts) else self._packed

    def proven_for(self, texts: EncodedTexts) -> Engine:
        """The fastest engine that gives a few of these texts the logits of each alone.

        A module is asked at its first, second, fourth, eighth, … pass: what an adapter does to a batch may not show
        before it has learned. It never goes back to a faster engine.

        Args:
            texts: The texts of a pass.

        Returns:
            The engine.
        """
        passes, slowest = _PASSES.get(self._module, (0, 0))
        _PASSES[self._module] = passes + 1, slowest
        ladder = self._ladder(texts)
        if not len(texts) or slowest >= len(ladder) - 1 or passes & (passes + 1):
            return ladder[min(slowest, len(ladder) - 1)][1]
        sample = chosen_examples(texts)
        rows = np.arange(len(sample))
        with inference_mode(self._module):
            expected = ladder[-1][1].logits(sample, rows).float().cpu().numpy()
            for rung, (name, engine) in enumerate(ladder[slowest:-1], slowest):
                found = engine.logits(sample, rows).float().cpu().numpy()
                difference = largest_difference(found, expected)
                if difference <= self._tolerance * unit(expected):
                    break
                warnings.warn(
                    f"Tracked examples are computed in another way from now on, which takes longer: {name}, logits "
                    f"differ from those of each example alone by up to {difference:.2g}.",
                    stacklevel=2,
                )
                slowest = rung + 1
        _PASSES[self._module] = passes + 1, slowest
        return ladder[slowest][1]

    def _ladder(self, texts: EncodedTexts) -> list[tuple[str, Engine]]:
        """Engines from fast to slow, with what is said of each but the last, which is right."""
        alone = ("one by one", self._as_own(piece_size=1))
        if looks_across(self._module) or self._alone:
            return [alone]
        equal = ("in batches of equal lengths", self._as_own(piece_size=_FEW, equal_lengths=True))
        packed = self.suited_to(texts)
        faster: list[tuple[str, Engine]] = [] if packed is self._own else [("packed", packed)]
        return [*faster, ("with padding", self._own), equal, alone]

    def _as_own(self, **pieces: Any) -> PaddedEngine:
        return PaddedEngine(self._module, pad_id=self._pad_id, device=self._device, keyed=False, **pieces)

    @property
    def _tolerance(self) -> float:
        """That of half precision where weights are in it or autocast is on."""
        exact = all(p.dtype in {torch.float32, torch.float64} for p in self._module.parameters())
        return TOLERANCE["float32" if exact and not torch.is_autocast_enabled(self._device.type) else "bfloat16"]

    def _agree(self, packed: PackedEngine, pad_id: int | None, vocabulary: int) -> bool:
        """Hold the packed forward against the module's own on one made-up text: a module may be more than its parts."""
        ids = np.array([token for token in range(min(vocabulary, _TEXT + 1)) if token != pad_id], np.int32)
        text, row = EncodedTexts(ids, np.array([0, len(ids)]), None, 0), np.array([0])
        with inference_mode(self._module):
            expected, found = self._own.logits(text, row), packed.logits(text, row)
        most = _TOLERANCE * max(1.0, float(expected.abs().max()))
        return expected.shape == found.shape and bool((expected - found).abs().max() <= most)


def _piece_size(device: torch.device, *, alone: bool) -> int:
    """Examples that a module's own forward gets at once: on a CPU padding is dear, elsewhere every call is."""
    if alone:
        return 1
    return _FEW if device.type == "cpu" else sys.maxsize


def packing_problem(module: nn.Module) -> str:
    """Why the packed forward might not be that of a module as it stands; it calls the parts, not the whole.

    Args:
        module: Any module.

    Returns:
        The reason, or an empty text where it can run packed.
    """
    if not hasattr(base_model(module), "config") or not packs(module):
        return "it has no packed forward"
    for name, part in module.named_modules():
        home = type(part).__module__.partition(".")[0]
        if home not in _LIBRARIES:
            return f"{name or 'the module'} is a {type(part).__name__} of {home}"
        if part._forward_hooks or part._forward_pre_hooks:
            return f"{name or 'the module'} has hooks"
        if "forward" in vars(part):
            return f"the forward of {name or 'the module'} was replaced"
    if registry._global_forward_hooks or registry._global_forward_pre_hooks:
        return "there are hooks on all modules"
    dtypes = {parameter.dtype for parameter in module.parameters()}
    if not dtypes <= {torch.float32, torch.float64}:
        return f"its weights are in {', '.join(sorted(map(str, dtypes)))}"
    devices = {parameter.device.type for parameter in module.parameters()}
    return "autocast is on" if any(torch.is_autocast_enabled(device) for device in devices) else ""
