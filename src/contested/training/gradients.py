"""Gradients of single examples and of groups of them, without a trace left in the model that is training.

The loss is the objective's loss of one example; for a classification the unweighted cross-entropy against the gold
label, in nats. The gradient of a group is the mean over its examples.
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import Engine, PackedEngine, equal_length_batches
from contested.training.layerwise import LayerwiseNorms, UnfitError
from contested.training.objective import Classification, Objective
from contested.training.precision import at_least_float32
from contested.training.preserving import preserved, set_modes
from contested.training.processes import ALONE, Processes

Mode = Literal["eval", "train"]

_CLASSIFICATION = Classification()

# A padded engine runs so few in one piece; a layer is then called once.
_NORM_BATCH = 16
_GROUP_BATCH = 32
_CHUNK = 1 << 22


class GradientNorms(NamedTuple):
    """Per-example gradient norms.

    Attributes:
        norms: Euclidean norm of each example's gradient over the chosen parameters, shape (N,), float64.
        method: ``layerwise`` (batches, see :mod:`contested.training.layerwise`) or ``one-by-one``.
        note: Why not layer by layer, or empty.
    """

    norms: NDArray[np.float64]
    method: Literal["layerwise", "one-by-one"]
    note: str


class Alignment(NamedTuple):
    """Mean gradients of G groups, compared.

    Attributes:
        groups: Names, length G.
        counts: Examples of each group, shape (G,).
        norms: Norm of each group's mean gradient, shape (G,); NaN for a group without examples.
        cosines: Shape (G, G); NaN where a gradient is exactly zero or a group empty.
        notes: One sentence for each such group.
    """

    groups: tuple[str, ...]
    counts: NDArray[np.int64]
    norms: NDArray[np.float64]
    cosines: NDArray[np.float64]
    notes: tuple[str, ...]


def trained_parameters(module: nn.Module, *, without: Sequence[str] = ()) -> dict[str, nn.Parameter]:
    """The trainable parameters, by name.

    Args:
        module: The model.
        without: Names of modules, such as those of the head, whose parameters are left out.

    Returns:
        Name and parameter, in the model's order.
    """
    return {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and not any(f".{part}." in f".{name}" for part in without)
    }


def gradient_norms(
    module: nn.Module,
    engine: Engine,
    texts: EncodedTexts,
    targets: NDArray[Any],
    parameters: Mapping[str, nn.Parameter],
    *,
    objective: Objective = _CLASSIFICATION,
    mode: Mode = "eval",
    seed: int = 0,
    processes: Processes = ALONE,
) -> GradientNorms:
    """Norm of every example's own gradient.

    Args:
        module: The model; its mode, gradients, hooks and every random state are left as they were.
        engine: Computes logits with it.
        texts: The examples, N of them.
        targets: What their losses are against, shape (N, …).
        parameters: Those whose gradients count, by name.
        objective: Gives each example's loss.
        mode: ``train`` has dropout on.
        seed: Of the dropout.
        processes: Those among whom the examples are shared.

    Returns:
        The norms, in the order of ``texts``.
    """
    if not parameters:
        return GradientNorms(np.zeros(len(texts)), "one-by-one", "no parameter is left")
    losses = _Losses(engine, texts, targets, objective=objective, device=next(module.parameters()).device, seed=seed)
    answers, order = processes.gathered(
        len(texts), lambda rows: _norms(module, losses, rows, parameters, mode=mode, seed=seed)
    )
    said = next((answer for answer in answers if answer.note), answers[0])
    return said._replace(norms=np.concatenate([answer.norms for answer in answers])[order])


def group_alignment(
    module: nn.Module,
    engine: Engine,
    texts: EncodedTexts,
    targets: NDArray[Any],
    parameters: Mapping[str, nn.Parameter],
    groups: Mapping[str, NDArray[np.int64]],
    *,
    objective: Objective = _CLASSIFICATION,
    mode: Mode = "eval",
    seed: int = 0,
    processes: Processes = ALONE,
) -> Alignment:
    """Norms and cosines of the groups' mean gradients: an ordinary backward per batch, summed up by group.

    Args:
        module: The model; its mode, gradients, hooks and every random state are left as they were.
        engine: Computes logits with it.
        texts: The examples.
        targets: What their losses are against, shape (N, …).
        parameters: Those whose gradients count, by name.
        groups: Name and rows of each group.
        objective: Gives each example's loss.
        mode: ``train`` has dropout on.
        seed: Of the dropout.
        processes: Those among whom the examples are shared.

    Returns:
        The comparison. It takes the memory of G gradients.
    """
    losses = _Losses(engine, texts, targets, objective=objective, device=next(module.parameters()).device, seed=seed)
    with probing(module, mode=mode, seed=seed):
        shares = [rows[processes.rank :: processes.size] for rows in groups.values()]
        sums = [processes.summed(_sum_of_gradients(losses, rows, list(parameters.values()))) for rows in shares]
    counts = np.array([len(rows) for rows in groups.values()], np.int64)
    return _compare(tuple(groups), counts, _gram(sums))


@contextlib.contextmanager
def probing(module: nn.Module, *, mode: Mode, seed: int) -> Iterator[None]:
    """A mode with gradients on, on an own random state; modes, buffers and random states are put back.

    Args:
        module: The model.
        mode: ``train`` has dropout on.
        seed: Of what is drawn meanwhile.

    Yields:
        Nothing.
    """
    with preserved(module, seed=seed), torch.enable_grad():
        set_modes(module, training=mode == "train")
        yield


class _Losses:
    """The examples' outputs and losses, on demand, with their graph."""

    def __init__(
        self,
        engine: Engine,
        texts: EncodedTexts,
        targets: NDArray[Any],
        *,
        objective: Objective,
        device: torch.device,
        seed: int,
    ) -> None:
        self._engine = engine
        self._texts = texts
        self._targets = torch.tensor(targets, device=device)
        self._objective = objective.to(device)
        # Below zero, where no run's seed is.
        self._key = DropoutKey(-1 - seed, 0)
        self.lengths = engine.lengths(texts) if isinstance(engine, PackedEngine) else texts.lengths

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """Losses of ``rows``, shape (len(rows),)."""
        outputs = self.outputs(rows)
        return self._objective.example_losses(outputs, self._targets[torch.from_numpy(rows).to(outputs.device)])

    def signs(self, rows: NDArray[np.int64]) -> Tensor:
        """Alternating sums of the outputs: their gradients, unlike a sure example's loss, never drown in rounding."""
        outputs = self.outputs(rows).flatten(1)
        return outputs[:, ::2].sum(1) - outputs[:, 1::2].sum(1)

    def outputs(self, rows: NDArray[np.int64]) -> Tensor:
        """What the engine gives for ``rows``, shape (len(rows), …)."""
        return self._engine.logits(self._texts, rows, self._key)


def _norms(
    module: nn.Module,
    losses: _Losses,
    rows: NDArray[np.int64],
    parameters: Mapping[str, nn.Parameter],
    *,
    mode: Mode,
    seed: int,
) -> GradientNorms:
    """Norms of some of the examples, in the order of ``rows``."""
    try:
        layers = LayerwiseNorms(module, parameters)
        with probing(module, mode="eval", seed=seed):
            _check(layers, losses, parameters)
        with probing(module, mode=mode, seed=seed):
            return GradientNorms(_in_batches(layers, losses, rows), "layerwise", "")
    except UnfitError as error:
        reason = str(error)
    with probing(module, mode=mode, seed=seed):
        squares = [math.fsum(_squares(losses(np.array([row])), parameters).values()) for row in rows]
    return GradientNorms(np.sqrt(squares), "one-by-one", reason)


def _in_batches(layers: LayerwiseNorms, losses: _Losses, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    squares = np.empty(len(rows))
    for places in equal_length_batches(losses.lengths[rows], _NORM_BATCH):
        batch = rows[places]
        length = int(losses.lengths[batch[0]])
        found = layers.squares(lambda batch=batch: losses(batch), n_examples=len(batch), length=length)  # type: ignore[misc]
        squares[places] = found.numpy()
    return np.sqrt(squares)


def _check(layers: LayerwiseNorms, losses: _Losses, parameters: Mapping[str, nn.Parameter]) -> None:
    """Hold the norms of two examples of equal length, layer by layer, against the same examples one by one."""
    pairs = [rows[:2] for rows in equal_length_batches(losses.lengths, _NORM_BATCH) if len(rows) > 1]
    pair = pairs[-1] if pairs else np.repeat(np.argmax(losses.lengths), 2)
    found = layers.trace(lambda: losses.signs(pair), length=int(losses.lengths[pair[0]]))
    # Under bfloat16 the two ways round differently; a gradient that is left out shows beyond either tolerance.
    tolerance = 0.1 if layers.rounded else 1e-3
    for index, row in enumerate(pair):
        expected: dict[str, float] = defaultdict(float)
        for name, square in _squares(losses.signs(np.array([row])), parameters).items():
            expected[name.rpartition(".")[0]] += square
        least = 0.01 * tolerance * math.sqrt(math.fsum(expected.values()))
        for layer in expected.keys() | found.keys():
            norm, wanted = math.sqrt(float(found[layer][index]) if layer in found else 0), math.sqrt(expected[layer])
            if not math.isclose(norm, wanted, rel_tol=tolerance, abs_tol=least):
                raise UnfitError(f"hooks find a gradient norm of {norm:g} in {layer}, autograd one of {wanted:g}")


def _squares(loss: Tensor, parameters: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """Squared gradient norm by parameter; one without a gradient is left out."""
    gradients = torch.autograd.grad(loss.sum(), list(parameters.values()), allow_unused=True)
    found = zip(parameters, gradients, strict=True)
    return {name: float(torch.linalg.vector_norm(at_least_float32(g))) ** 2 for name, g in found if g is not None}


def _sum_of_gradients(losses: _Losses, rows: NDArray[np.int64], parameters: list[nn.Parameter]) -> list[Tensor]:
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    by_length = rows[np.argsort(losses.lengths[rows], kind="stable")]
    for start in range(0, len(rows) if parameters else 0, _GROUP_BATCH):
        total = losses(by_length[start : start + _GROUP_BATCH]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        for kept, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                kept.add_(gradient)
    return sums


def _gram(sums: list[list[Tensor]]) -> NDArray[np.float64]:
    """Inner products of gradients, shape (G, G), in float64 a piece at a time."""
    gram = np.zeros((len(sums), len(sums)))
    for parts in zip(*sums, strict=True):
        for pieces in zip(*(part.flatten().split(_CHUNK) for part in parts), strict=True):
            rows = torch.stack(pieces).cpu().double()
            gram += (rows @ rows.T).numpy()
    return gram


def _compare(groups: tuple[str, ...], counts: NDArray[np.int64], gram: NDArray[np.float64]) -> Alignment:
    lengths = np.sqrt(np.diag(gram))
    none = np.full(len(groups), math.nan)
    norms = np.divide(lengths, counts, out=none.copy(), where=counts > 0)
    usable = np.where(lengths > 0, lengths, math.nan)
    notes = [
        f"{name}: {'no examples' if count == 0 else 'its gradient is exactly zero'}"
        for name, count, length in zip(groups, counts, lengths, strict=True)
        if length == 0
    ]
    return Alignment(groups, counts, norms, (gram / np.outer(usable, usable)).clip(-1, 1), tuple(notes))
