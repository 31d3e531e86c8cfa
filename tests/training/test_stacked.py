from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contested import models
from contested.runs import encode_task
from contested.tasks import NLITask
from contested.training import Interrupted, Recipe, StackedEngine, TrainingLoop, fit_stacked, make_engine, stack_problem

CPU = torch.device("cpu")
# Runs of another rank, seed, rate, length and data order each; the third has noisy labels.
RUNS: list[dict[str, Any]] = [
    {"r": 4, "seed": 1, "rate": 1e-2, "epochs": 2},
    {"r": 2, "seed": 2, "rate": 5e-3, "epochs": 2},
    {"r": 8, "seed": 3, "rate": 2e-2, "epochs": 1, "noise": {"share": 0.5}},
]


class Kept:
    def __init__(self) -> None:
        self.losses: dict[int, Any] = {}
        self.listed: list[int] = []
        self.metrics: list[dict[str, Any]] = []

    def write_checkpoint(self, *, step: int, epoch: float, losses: Any, logits: Any) -> None:
        self.losses[step] = losses

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        self.listed.append(step)

    def write_metrics(self, values: Any) -> None:
        self.metrics.append(dict(values))


@pytest.fixture
def loops(checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path: Path) -> Callable[..., Any]:
    def make(kind: str = "bert", runs: Any = RUNS, states: str = "") -> tuple[list[TrainingLoop], list[Kept]]:
        made, records = [], []
        for index, run in enumerate(runs):
            task = NLITask(
                annotated=annotated, bulk=bulk, bulk_size=60, noise=run.get("noise"), intervention_seed=run["seed"]
            ).prepare()
            options = {"r": run["r"], "lora_alpha": 2 * run["r"], "lora_dropout": run.get("dropout", 0.1)}
            model = models.build(
                str(checkpoint(kind)), label_names=task.label_names, method="lora", options=options, seed=run["seed"]
            )
            recipe = Recipe(learning_rate=run["rate"], epochs=run["epochs"], batch_size=16, every=3, seed=run["seed"])
            records.append(Kept())
            made.append(
                TrainingLoop(
                    model.module,
                    make_engine(model.module, pad_id=model.tokenizer.pad_token_id, device=CPU),
                    encode_task(task, model, 64),
                    recipe,
                    recorder=records[-1],
                    state=tmp_path / f"{states}{index}" if states else None,
                )
            )
        return made, records

    return make


@pytest.mark.parametrize("layout", [{}, {"single_group": True, "bucket": 64}])
@pytest.mark.parametrize("kind", ["bert", "roberta", "qwen2", pytest.param("gemma3_text", marks=pytest.mark.slow)])
def test_stacked_runs_equal_single_runs(loops: Callable[..., Any], kind: str, layout: dict[str, Any]) -> None:
    alone, apart = loops(kind)
    for loop in alone:
        loop.fit()
    stacked, together = loops(kind)
    fit_stacked(stacked, device=CPU, **layout)
    for one, other, a, b in zip(apart, together, alone, stacked, strict=True):
        assert one.listed == other.listed
        for step in one.listed:
            np.testing.assert_allclose(other.losses[step], one.losses[step], rtol=1e-4, atol=1e-5)
        assert [m["val_accuracy"] for m in one.metrics] == [m["val_accuracy"] for m in other.metrics]
        np.testing.assert_allclose(
            [m["train_loss"] or 0 for m in other.metrics], [m["train_loss"] or 0 for m in one.metrics], rtol=1e-5
        )
        for (name, p), q in zip(a.module.named_parameters(), b.module.parameters(), strict=True):
            assert p.requires_grad == q.requires_grad
            if not p.requires_grad:
                assert torch.equal(p, q), name


def test_gradients_of_a_stacked_step_are_those_of_single_steps(loops: Callable[..., Any]) -> None:
    stacked, _ = loops()
    stack = StackedEngine([t.module for t in stacked], device=CPU)
    parts = [loop.run_batch(0) for loop in stacked]
    rows = [torch.from_numpy(part.rows) for part in parts]
    losses = [t.loss(x, own) for t, x, own in zip(stacked, stack.logits(parts), rows, strict=True)]
    torch.autograd.backward(losses)
    alone, _ = loops()
    for one, other, own, loss in zip(alone, stacked, rows, losses, strict=True):
        one.module.train()
        single = one.loss(one.engine.logits(*one.run_batch(0)), own)
        single.backward()
        torch.testing.assert_close(loss, single, rtol=1e-5, atol=0)
        for (name, p), q in zip(one.module.named_parameters(), other.module.parameters(), strict=True):
            if p.grad is not None:
                assert (p.grad - q.grad).norm() <= 1e-5 * p.grad.norm() + 1e-9, name


def test_equally_long_runs_share_two_products_and_give_the_same(
    loops: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs over the same rows, so that token counts are equal; ranks 4, 2 and 8 are filled up with zeros."""
    found = []
    for limit in (64, 0):
        monkeypatch.setattr("contested.training.stacked._ONE_PRODUCT", limit)
        stacked, _ = loops()
        for loop in stacked:
            for name, p in loop.module.named_parameters():
                if "lora_B" in name:
                    p.data.normal_(generator=torch.Generator().manual_seed(0))
        stack = StackedEngine([t.module for t in stacked], device=CPU)
        logits = stack.logits([t.run_batch(0)._replace(rows=np.arange(16)) for t in stacked])
        torch.stack(logits).square().sum().backward()
        found.append((torch.stack(logits).detach(), [p.grad for t in stacked for p in t.module.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_a_stack_is_captured_and_replayed(loops: Callable[..., Any], tapes: Any, kind: str) -> None:
    eager, apart = loops(kind)
    fit_stacked(eager, device=CPU, bucket=64)
    stacked, together = loops(kind)
    stacked[0].capture = tapes
    fit_stacked(stacked, device=CPU, bucket=64)
    assert tapes.replayed >= 4
    for one, other in zip(apart, together, strict=True):
        assert one.listed == other.listed
        for step in one.listed:
            np.testing.assert_allclose(other.losses[step], one.losses[step], rtol=1e-4, atol=1e-5)


def test_a_run_that_fails_leaves_the_stack(loops: Callable[..., Any]) -> None:
    alone, apart = loops()
    for index in (0, 2):
        alone[index].fit()
    stacked, together = loops()

    def spoil(step: Any) -> None:
        if step.step == 4:
            with torch.no_grad():
                next(p for p in stacked[1].module.parameters() if p.requires_grad).fill_(float("nan"))

    stacked[1].observer = spoil
    failed: dict[int, str] = {}
    fit_stacked(stacked, device=CPU, on_failure=lambda index, error: failed.update({index: str(error)}))
    assert list(failed) == [1]
    assert "became nan at step 5" in failed[1]
    assert together[1].listed == [0, 3]
    for index in (0, 2):
        assert together[index].listed == apart[index].listed
        for step in apart[index].listed:
            np.testing.assert_allclose(together[index].losses[step], apart[index].losses[step], rtol=1e-4, atol=1e-5)


def test_an_interrupted_stack_goes_on_alone_or_together(loops: Callable[..., Any]) -> None:
    _, whole = done = loops()
    fit_stacked(done[0], device=CPU)
    begun, kept = loops(states="s")

    def interrupt(step: Any) -> None:
        if step.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    begun[1].observer = interrupt
    with pytest.raises(Interrupted):
        fit_stacked(begun, device=CPU)
    again, rest = loops(states="s")
    again[0].fit(resume=True)  # one alone, two together
    fit_stacked(again[1:], resume=[True, True], device=CPU)
    for full, before, after in zip(whole, kept, rest, strict=True):
        assert sorted({*before.losses, *after.losses}) == full.listed
        last = full.listed[-1]
        np.testing.assert_allclose({**before.losses, **after.losses}[last], full.losses[last], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_stacked_says_why(
    parts: Callable[..., Any], loops: Callable[..., Any], checkpoint: Callable[[str], Path]
) -> None:
    assert "trains, which is neither LoRA's nor the head's" in stack_problem(parts("bert", "full").model.module)
    assert "relative positions" in stack_problem(parts("deberta-v2").model.module)
    assert "no packed forward" in stack_problem(parts("albert", "full").model.module)
    assert stack_problem(parts("bert").model.module) == ""
    for option in ("use_dora", "lora_bias"):
        model = models.build(
            str(checkpoint("bert")), label_names=("e", "n", "c"), method="lora", options={"r": 2, option: True}
        )
        assert "not a plain one" in stack_problem(model.module)
    made, _ = loops()
    with torch.no_grad():
        next(p for p in made[1].module.parameters() if not p.requires_grad).add_(1)
    with pytest.raises(ValueError, match=r"The frozen weight .* is not the same in all models"):
        StackedEngine([t.module for t in made], device=CPU)


def test_a_stack_in_bfloat16_is_near_single_runs_and_trains_in_float32(loops: Callable[..., Any]) -> None:
    exact, _ = loops()
    parts = [loop.run_batch(0) for loop in exact]
    wanted = [loop.engine.logits(*part) for loop, part in zip(exact, parts, strict=True)]
    rough, _ = loops()
    found = StackedEngine([loop.module for loop in rough], device=CPU, precision="bfloat16").logits(parts)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        # bf16 keeps 8 bits: 0.4 % a rounding, a few times that after two layers.
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)
        assert not torch.allclose(one, other, rtol=1e-5)
    torch.cat(found).square().sum().backward()
    for loop in rough:
        trained = [p for p in loop.module.parameters() if p.requires_grad]
        assert {p.dtype for p in trained} == {p.grad.dtype for p in trained} == {torch.float32}
        assert any(p.dtype == torch.bfloat16 for p in loop.module.parameters())
