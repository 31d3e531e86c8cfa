from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from contested.errors import RunError, TrainingError
from contested.training import Interrupted, Recipe, learning_rate
from contested.training.recipe import data_order

NUMBERS: dict[str, Any] = {"learning_rate": 5e-3, "epochs": 2, "batch_size": 16, "every": 3, "seed": 11}
RECIPE = Recipe(**NUMBERS)


class Kept:
    """Records in memory, in the order of the calls."""

    def __init__(self) -> None:
        self.losses: dict[int, Any] = {}
        self.logits: dict[int, Any] = {}
        self.listed: list[int] = []
        self.metrics: list[dict[str, Any]] = []

    def write_checkpoint(self, *, step: int, epoch: float, losses: Any, logits: Any) -> None:
        self.losses[step] = losses
        self.logits[step] = logits

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        self.listed.append(step)

    def write_metrics(self, values: Any) -> None:
        self.metrics.append(dict(values))


def weights(parts: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in parts.model.module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_final_weights_are_bit_identical_with_and_without_tracking(parts: Callable[..., Any], method: str) -> None:
    kept = Kept()
    tracked, plain = parts("bert", method), parts("bert", method)
    tracked.loop(RECIPE, recorder=kept).fit()
    plain.loop(RECIPE).fit()
    start = weights(parts("bert", method))
    ends = weights(tracked), weights(plain)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert any(not torch.equal(ends[0][name], start[name]) for name in start)
    assert len(kept.listed) > 3


def test_the_loop_is_the_recipe_written_out(parts: Callable[..., Any]) -> None:
    """An obvious loop in plain PyTorch, dropout off, one padded batch a step, ends in the same weights."""
    # A decay of 0.5 takes about 2 % off every weight over these steps, far more than the tolerance below.
    recipe = Recipe(**NUMBERS, weight_decay=0.5)
    made, plain = parts("bert", "full"), parts("bert", "full")
    for part in (made, plain):
        for module in part.model.module.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    made.loop(recipe).fit()

    module, tokenizer, task = plain.model.module, plain.model.tokenizer, plain.task
    premises, hypotheses = (list(task.train_texts[name]) for name in task.text_columns)
    labels = torch.tensor(task.train_labels)
    class_weights = torch.tensor(task.class_weights, dtype=torch.float32)
    optimizer = torch.optim.AdamW(module.parameters(), lr=recipe.learning_rate, weight_decay=0.5, foreach=False)
    step, total = 0, -(-len(labels) // 16) * 2
    for epoch in range(2):
        order = data_order(len(labels), seed=11, epoch=epoch)
        for start in range(0, len(labels), 16):
            rows = order[start : start + 16]
            batch = tokenizer(
                [premises[i] for i in rows], [hypotheses[i] for i in rows], padding=True, return_tensors="pt"
            )
            optimizer.param_groups[0]["lr"] = learning_rate(recipe, step, total)
            optimizer.zero_grad()
            loss = F.cross_entropy(module(**batch).logits, labels[rows], weight=class_weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            step += 1
    assert step == total
    ends = weights(made), weights(plain)
    for name in ends[0]:
        # The true gradient of a key bias is zero; Adam turns its rounding noise into steps.
        if "key.bias" not in name:
            torch.testing.assert_close(ends[0][name], ends[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_packed_and_padded_runs_stay_together_for_two_hundred_steps(parts: Callable[..., Any], family: str) -> None:
    """Dropout on: the masks are the same, so only rounding differs."""
    packed, padded = Kept(), Kept()
    recipe = Recipe(learning_rate=2e-3, epochs=34, batch_size=16, every=50, epoch_ends=False, seed=3)
    parts(family).loop(recipe, recorder=packed).fit()
    parts(family, padded=True, piece_size=5).loop(recipe, recorder=padded).fit()
    assert packed.listed[-1] >= 200
    for step in packed.listed:
        np.testing.assert_allclose(packed.losses[step], padded.losses[step], rtol=1e-4, atol=1e-4)
    # They went somewhere: what is compared is not the start.
    assert np.abs(packed.losses[packed.listed[-1]] - packed.losses[0]).mean() > 0.05


def test_a_resumed_run_equals_an_uninterrupted_one(parts: Callable[..., Any], tmp_path: Path) -> None:
    whole = Kept()
    straight = parts()
    straight.loop(RECIPE, recorder=whole, state=tmp_path / "a").fit()

    kept = Kept()

    def interrupt(state: Any) -> None:
        if state.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="after step 4"):
        parts().loop(RECIPE, recorder=kept, state=tmp_path / "b", observer=interrupt).fit()
    assert max(kept.listed) == 3
    torch.rand(100)  # whatever was drawn in between does not matter
    resumed = parts()
    resumed.loop(RECIPE, recorder=kept, state=tmp_path / "b").fit(resume=True)

    assert kept.listed == whole.listed
    assert all(np.array_equal(kept.logits[step], whole.logits[step]) for step in whole.listed)
    ends = weights(straight), weights(resumed)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert [line["train_loss"] for line in kept.metrics] == [line["train_loss"] for line in whole.metrics]


def test_ctrl_c_is_an_ordinary_ctrl_c_again_afterwards(parts: Callable[..., Any]) -> None:
    before = signal.getsignal(signal.SIGINT)
    parts().loop(RECIPE).fit()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_non_finite_loss_stops_the_run(parts: Callable[..., Any]) -> None:
    kept = Kept()
    made = parts("bert", "full")
    loop = made.loop(RECIPE, recorder=kept)
    update, first = loop.update, next(made.model.module.parameters())

    def poisoned() -> None:
        update()
        if loop.optimizer.state[first]["step"] == 5:
            with torch.no_grad():
                first.fill_(float("nan"))

    loop.update = poisoned  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"loss became nan at step 6 of .* Lower the learning rate"):
        loop.fit()
    assert kept.listed == [0, 3]


def test_bfloat16_trains_and_stays_near_float32(parts: Callable[..., Any]) -> None:
    exact, rough = Kept(), Kept()
    parts().loop(RECIPE, recorder=exact).fit()
    parts("bert", "lora", precision="bfloat16").loop(RECIPE, recorder=rough).fit()
    # bf16 keeps 8 bits: 0.4 % a rounding, a few times that after two layers.
    np.testing.assert_allclose(rough.losses[0], exact.losses[0], rtol=0.05, atol=0.02)
    assert not np.array_equal(rough.losses[0], exact.losses[0])


def test_metrics_name_their_figures(parts: Callable[..., Any]) -> None:
    kept = Kept()
    parts().loop(RECIPE, recorder=kept).fit()
    assert kept.metrics[0]["train_loss"] is None
    assert {"step", "epoch", "train_loss", "lr", "val_accuracy", "seconds"} <= set(kept.metrics[-1])
    assert 0 <= kept.metrics[-1]["val_accuracy"] <= 1
    assert kept.metrics[-1]["epoch"] == 2


def test_metrics_are_means_rates_and_shares_by_hand(parts: Callable[..., Any]) -> None:
    kept, seen = Kept(), []
    made = parts()
    data = replace(made.data, validation=made.data.tracked, validation_targets=made.data.tracked_targets)
    made = made._replace(data=data)
    # 32 tracked and 60 bulk examples in batches of 16: 6 steps per epoch, 12 in all, half of them warm-up.
    other: dict[str, Any] = {
        "schedule": "linear",
        "warmup_fraction": 0.5,
        "min_lr_fraction": 0.0,
        "learning_rate": 6e-3,
    }
    recipe = Recipe(**{**NUMBERS, **other})
    made.loop(recipe, recorder=kept, observer=seen.append).fit()
    # Rises by a thousandth a step from 0, then falls by a thousandth a step from 6 thousandths.
    rates = [0, 1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 5e-3, 4e-3, 3e-3, 2e-3, 1e-3]
    assert [state.learning_rate for state in seen] == pytest.approx(rates)
    # The rate logged at a checkpoint is that of the step before it.
    assert [line["step"] for line in kept.metrics] == [0, 3, 6, 9, 12]
    assert [line["lr"] for line in kept.metrics] == pytest.approx([0, 2e-3, 5e-3, 4e-3, 1e-3])
    losses = [state.loss for state in seen]
    assert [line["train_loss"] for line in kept.metrics[1:]] == pytest.approx(
        [np.mean(losses[first : first + 3]) for first in (0, 3, 6, 9)]
    )
    model, task = made.model, made.task
    texts = task.examples[: task.n_tracked]
    model.module.eval()
    right = 0
    for premise, hypothesis, gold in texts[[*task.text_columns, "gold"]].itertuples(index=False):
        with torch.no_grad():
            logits = model.module(**model.tokenizer(premise, hypothesis, return_tensors="pt")).logits
        right += int(logits.argmax()) == gold
    assert 0 < right < len(texts) == 32
    assert right != 16  # or the share of wrong answers would be the same
    assert kept.metrics[-1]["val_accuracy"] == right / 32


def test_a_non_finite_tracked_loss_stops_the_run(parts: Callable[..., Any]) -> None:
    kept = Kept()
    made = parts("bert", "full")

    def spoil(state: Any) -> None:
        # The training loss of the step is known and finite; what is measured after it is not.
        if state.step == 3:
            with torch.no_grad():
                next(made.model.module.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingError, match="After step 3 the losses of 32 tracked examples are not finite"):
        made.loop(RECIPE, recorder=kept, observer=spoil).fit()
    assert kept.listed == [0]
    assert list(kept.losses) == [0]


@pytest.mark.parametrize(("before", "after"), [("lora", "full"), ("full", "lora")])
def test_a_snapshot_of_another_model_is_refused(
    parts: Callable[..., Any], tmp_path: Path, before: str, after: str
) -> None:
    parts("bert", before).loop(Recipe(**{**NUMBERS, "epochs": 1}), recorder=Kept(), state=tmp_path).fit()
    with pytest.raises(
        RunError, match=r"step-00000006\.pt is of another model: \d+ weights, expected \d+; first difference"
    ):
        parts("bert", after).loop(RECIPE, recorder=Kept(), state=tmp_path).fit(resume=True)


class Restless(torch.nn.Module):
    """Part of a foreign model that draws from every generator a library may draw from."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return given
        drawn = random.random() + np.random.rand() + torch.rand(())
        return given * (0.5 + drawn / 3)


def restless(parts: Callable[..., Any]) -> Any:
    made = parts("albert", "full", padded=True)
    module = made.model.module
    module.classifier = torch.nn.Sequential(Restless(), module.classifier)
    return made


def test_resuming_puts_every_random_state_back(parts: Callable[..., Any], tmp_path: Path) -> None:
    def seed() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    def interrupt(state: Any) -> None:
        if state.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    whole, kept = Kept(), Kept()
    seed()
    restless(parts).loop(RECIPE, recorder=whole).fit()
    seed()
    with pytest.raises(Interrupted):
        restless(parts).loop(RECIPE, recorder=kept, state=tmp_path, observer=interrupt).fit()
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    restless(parts).loop(RECIPE, recorder=kept, state=tmp_path).fit(resume=True)
    assert kept.listed == whole.listed
    assert all(np.array_equal(kept.losses[step], whole.losses[step]) for step in whole.listed)


def test_what_a_model_draws_from_torch_depends_on_the_recipes_seed_alone(
    parts: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    monkeypatch.setattr(np.random, "rand", lambda: 0.5)
    found = []
    for drawn_before in (1, 2):
        kept = Kept()
        made = restless(parts)
        torch.manual_seed(drawn_before)
        made.loop(RECIPE, recorder=kept).fit()
        found.append(kept.losses[12])
    assert np.array_equal(found[0], found[1])


def test_a_full_disk_at_a_snapshot_is_one_clear_error(
    parts: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    loop = parts().loop(RECIPE, recorder=kept, state=tmp_path / "state")
    save = torch.save

    def full(state: Any, file: Any) -> None:
        if state["step"] == 6:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 15552 vs 15440")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match=r"step-00000006\.pt: writing broke off \(.* MB are free there\)\. Everything"):
        loop.fit()
    assert kept.listed == [0, 3]
    monkeypatch.undo()
    parts().loop(RECIPE, recorder=kept, state=tmp_path / "state").fit(resume=True)
    assert kept.listed[:3] == [0, 3, 6]
