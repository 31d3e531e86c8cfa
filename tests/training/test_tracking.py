from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from contested.tasks import EncodedTexts
from contested.tasks.encoding import single_texts
from contested.training import PaddedEngine, cross_entropy, track
from contested.training.attention import Groups
from contested.training.tracking import inference_mode, merged_adapters

FAMILIES = ["bert", "roberta", "distilbert", "deberta-v2", "qwen2"]


def one_at_a_time(parts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Obviously correct, but slow: tokenise one example, run it alone without padding, take its loss."""
    task, model = parts.task, parts.model
    rows = task.examples[: task.n_tracked]
    texts = rows[list(task.text_columns)]
    inputs = [(text,) for text in single_texts(texts)] if model.family.template else list(texts.itertuples(index=False))
    logits, losses = [], []
    model.module.eval()
    with torch.no_grad():
        for pair, gold in zip(inputs, rows["gold"], strict=True):
            out = model.module(**model.tokenizer(*pair, return_tensors="pt")).logits
            logits.append(out[0].numpy())
            losses.append(F.cross_entropy(out.double(), torch.tensor([gold])).item())
    model.module.train()
    return np.array(logits), np.array(losses)


@pytest.mark.parametrize(
    ("family", "padded"), [*((family, False) for family in FAMILIES), ("bert", True), ("roberta", True)]
)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_equal_the_one_at_a_time_reference(
    parts: Callable[..., Any], family: str, padded: bool, method: str
) -> None:
    made = parts(family, method, padded=padded)
    made.model.module.double()
    logits = track(made.engine, made.model.module, made.data.tracked, batch_size=16)
    expected_logits, expected = one_at_a_time(made)
    assert np.abs(expected_logits).max() > 0.05  # not logits so near zero that everything is ln 3
    found = cross_entropy(logits, made.data.tracked_targets)
    # Qwen2 normalises in float32 whatever the weights are: one rounding of a logit of 10 is 1e-6.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=3e-6 if family == "qwen2" else 0)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "qwen2"])
def test_losses_do_not_depend_on_batch_size(parts: Callable[..., Any], family: str) -> None:
    losses = []
    for batch_size, options in [
        (1, {}),
        (7, {}),
        (1000, {}),
        (1, {"padded": True, "piece_size": 1}),
        (7, {"padded": True, "piece_size": 3}),
        (1000, {"padded": True, "piece_size": 1000}),
    ]:
        made = parts(family, **options)
        made.model.module.double()
        logits = track(made.engine, made.model.module, made.data.tracked, batch_size=batch_size)
        losses.append(cross_entropy(logits, made.data.tracked_targets))
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-6, atol=3e-6 if family == "qwen2" else 0)


def test_losses_do_not_depend_on_order(parts: Callable[..., Any]) -> None:
    made = parts()
    texts = made.data.tracked
    order = np.random.default_rng(0).permutation(len(texts))
    pieces = [slice(texts.offsets[i], texts.offsets[i + 1]) for i in order]
    shuffled = EncodedTexts(
        np.concatenate([texts.input_ids[piece] for piece in pieces]),
        np.concatenate([[0], np.cumsum(texts.lengths[order])]),
        np.concatenate([texts.token_type_ids[piece] for piece in pieces]),
        0,
    )
    straight = track(made.engine, made.model.module, texts, batch_size=8)
    np.testing.assert_allclose(
        track(made.engine, made.model.module, shuffled, batch_size=8), straight[order], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("options", [{}, {"padded": True, "piece_size": 1000}])
def test_one_example_does_not_move_another(parts: Callable[..., Any], options: dict[str, Any]) -> None:
    made = parts("bert", **options)
    texts = made.data.tracked
    changed_ids = texts.input_ids.copy()
    changed_ids[texts.offsets[3] + 1] = 6 if changed_ids[texts.offsets[3] + 1] != 6 else 7
    changed = EncodedTexts(changed_ids, texts.offsets, texts.token_type_ids, 0)
    before = track(made.engine, made.model.module, texts, batch_size=1000)
    after = track(made.engine, made.model.module, changed, batch_size=1000)
    others = np.arange(len(texts)) != 3
    np.testing.assert_allclose(after[others], before[others], atol=1e-6)
    assert np.abs(after[3] - before[3]).max() > 1e-3


def test_a_pass_leaves_modes_and_random_states_alone(parts: Callable[..., Any]) -> None:
    made = parts()
    module = made.model.module
    first = next(module.modules())
    frozen = [part for part in module.modules() if part is not first][5]
    module.train()
    frozen.eval()  # a part that the user keeps in eval mode stays so
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    track(made.engine, module, made.data.tracked, batch_size=8)
    assert torch.equal(torch.rand(4), expected)
    assert module.training
    assert not frozen.training


def test_a_pass_runs_in_eval_mode(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")  # dropout 0.1: two training-mode passes would differ
    once = track(made.engine, made.model.module, made.data.tracked, batch_size=8)
    torch.manual_seed(99)
    assert np.array_equal(once, track(made.engine, made.model.module, made.data.tracked, batch_size=8))


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads of one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_side_by_side_give_what_one_after_the_other_gives(
    parts: Callable[..., Any], threads: Callable[[int], None], family: str
) -> None:
    made = parts(family)
    made.model.module.double()
    threads(1)
    expected = track(made.engine, made.model.module, made.data.tracked, batch_size=32)
    threads(2)
    found = track(made.engine, made.model.module, made.data.tracked, batch_size=32)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=3e-6 if family == "qwen2" else 1e-7)


@pytest.mark.parametrize("batch_size", [32, 1000])
def test_a_batch_is_shared_by_the_cores_of_a_cpu(
    parts: Callable[..., Any], threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    made = parts()
    threads(4)
    both = threading.Barrier(2)  # whoever computes alone waits in vain
    seen = []

    def logits(texts: EncodedTexts, rows: np.ndarray) -> torch.Tensor:
        both.wait(timeout=60)
        seen.append((len(rows), torch.get_num_threads(), torch.is_grad_enabled()))
        return torch.zeros(len(rows), 3)

    monkeypatch.setattr(made.engine, "logits", logits)
    assert track(made.engine, made.model.module, made.data.tracked, batch_size=batch_size).shape == (32, 3)
    assert seen == [(16, 2, False)] * 2  # 32 examples // 16 = 2 at once, each on 4 // 2 threads
    assert torch.get_num_threads() == 4


def test_an_error_beside_others_is_raised_and_leaves_the_cores_alone(
    parts: Callable[..., Any], threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts()
    threads(2)

    def logits(texts: EncodedTexts, rows: np.ndarray) -> torch.Tensor:
        raise MemoryError("no room for the batch")

    monkeypatch.setattr(made.engine, "logits", logits)
    made.model.module.train()
    with pytest.raises(MemoryError, match="no room"):
        track(made.engine, made.model.module, made.data.tracked, batch_size=32)
    assert torch.get_num_threads() == 2
    assert made.model.module.training


def test_cross_entropy_is_torchs_and_survives_large_logits() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [0.3, -2.0, 1.5]], np.float32)
    labels = np.array([1, 2])
    expected = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(cross_entropy(logits, labels), expected.numpy(), rtol=1e-12)


def test_padding_goes_to_the_right_of_decoders_too(parts: Callable[..., Any]) -> None:
    for family in ("bert", "qwen2"):
        made = parts(family, padded=True)
        engine = made.engine
        assert isinstance(engine, PaddedEngine)
        lengths = made.data.tracked.lengths
        rows = np.array([lengths.argmin(), lengths.argmax()])
        mask = engine._pad(made.data.tracked, rows)["attention_mask"]
        assert mask[0, -1] == 0
        assert mask.sum(1).tolist() == lengths[rows].tolist()


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_a_pass_with_merged_adapters_gives_the_same_and_leaves_no_trace(parts: Callable[..., Any], method: str) -> None:
    made = parts("bert", method)
    module = made.model.module
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with inference_mode(module):
        apart = made.engine.logits(made.data.tracked, np.arange(len(made.data.tracked))).numpy()
    together = track(made.engine, module, made.data.tracked, batch_size=8)
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    with inference_mode(module):
        again = made.engine.logits(made.data.tracked, np.arange(len(made.data.tracked))).numpy()
    assert np.array_equal(again, apart)


@pytest.mark.parametrize(("precision", "alike"), [("float32", False), ("bfloat16", True)])
def test_half_precision_weights_are_never_merged(parts: Callable[..., Any], precision: str, alike: bool) -> None:
    """Rounded to 8 bits, a merged weight would lose the adapter: it stays beside the weight."""
    made = parts("bert", "lora", precision=precision)
    module = made.model.module
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(1e-2)
    bases = {name: value for name, value in module.named_parameters() if name.endswith("query.base_layer.weight")}
    assert {str(value.dtype) for value in bases.values()} == {f"torch.{precision}"}
    before = {name: value.detach().clone() for name, value in bases.items()}
    with merged_adapters(module):
        inside = [torch.equal(before[name], value) for name, value in bases.items()]
    assert inside == [alike] * 2
    assert all(torch.equal(before[name], value) for name, value in bases.items())


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_last_layer_without_keys_and_values_gives_the_same(
    parts: Callable[..., Any],
    enliven: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    method: str,
) -> None:
    made = parts(family, method)
    module = made.model.module
    enliven(module)
    for name, bias in module.named_parameters():
        if name.endswith("bias"):
            bias.data += torch.linspace(-0.5, 0.5, len(bias))  # fresh models have none to forget
    attend_pooled = Groups.attend_pooled
    taken = []
    monkeypatch.setattr(Groups, "attend_pooled", lambda *given: taken.append(True) or attend_pooled(*given))
    short = track(made.engine, module, made.data.tracked, batch_size=8)
    assert taken == [True] * 4  # batches of the 32 examples

    watched = [
        part for name, part in module.named_modules() if name.endswith(("attention.self.key", "attention.k_lin"))
    ]
    rows = []
    watching = watched[-1].register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    long = track(made.engine, module, made.data.tracked, batch_size=8)
    assert len(taken) == 4
    assert sum(rows) == made.data.tracked.lengths.sum()  # the keys of every token, for who wants to see them
    np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-5)

    watching.remove()
    module.train()
    with torch.no_grad():  # dropout needs each token's probabilities
        made.engine.logits(made.data.tracked, np.arange(4))
    assert len(taken) == 4
