from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contested.errors import TrainingError
from contested.training import GradientProbe, Interrupted, Recipe, groups_of

RECIPE = Recipe(learning_rate=5e-3, epochs=2, batch_size=16, every=3, seed=11)  # 92 examples: 12 steps


class Kept:
    """Records checkpoints and probes in memory."""

    def __init__(self) -> None:
        self.norms: dict[int, Any] = {}
        self.facts: dict[int, Any] = {}
        self.lines: dict[int, Any] = {}
        self.metrics: list[dict[str, Any]] = []

    def write_checkpoint(self, **_: Any) -> None:
        pass

    def list_checkpoint(self, **_: Any) -> None:
        pass

    def write_metrics(self, values: Any) -> None:
        self.metrics.append(dict(values))

    def write_gradient_norms(self, *, step: int, norms: Any, facts: Any) -> None:
        self.norms[step], self.facts[step] = norms, dict(facts)

    def write_alignment(self, values: Any) -> None:
        self.lines[values["step"]] = dict(values)


def probe(parts: Any, kept: Kept, **options: Any) -> GradientProbe:
    categories = parts.task.examples["category"].to_numpy(object)[: parts.task.n_tracked]
    return GradientProbe(
        parts.model.module,
        parts.engine,
        parts.data.tracked,
        parts.data.tracked_targets,
        objective=parts.data.objective,
        groups=groups_of(categories, parts.task.category_names),
        recorder=kept,
        head=parts.model.head,
        **options,
    )


def weights(parts: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in parts.model.module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(
    ("family", "method"), [("bert", "lora"), ("bert", "full"), ("roberta", "ia3"), ("deberta-v2", "lora")]
)
def test_final_weights_are_bit_identical_with_and_without_probes(
    parts: Callable[..., Any], family: str, method: str, mode: str
) -> None:
    kept = Kept()
    probed, plain = parts(family, method), parts(family, method)
    probed.loop(RECIPE, recorder=kept, probe=probe(probed, kept, norms="every", every=5, mode=mode)).fit()
    plain.loop(RECIPE).fit()
    ends = weights(probed), weights(plain)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert list(kept.norms) == list(kept.lines) == [0, 5, 10, 12]
    assert all("probe_seconds" in line for line in kept.metrics)


def test_norms_at_the_end_and_alignment_along_the_way(parts: Callable[..., Any]) -> None:
    kept = Kept()
    made = parts()
    made.loop(RECIPE, probe=probe(made, kept, norms="end", every=4, with_head=False)).fit()
    assert list(kept.norms) == [12]
    assert kept.norms[12].shape == (32,)
    assert kept.facts[12] == {"head": False, "mode": "eval", "method": "layerwise", "notes": []}
    assert list(kept.lines) == [0, 4, 8, 12]
    line = kept.lines[0]
    assert set(line) == {"step", "groups", "counts", "norms", "cosines", "notes", "head", "mode", "method"}
    assert line["groups"] == ["clean", "ambiguous", "contested"]
    assert sum(line["counts"]) == 32
    assert np.diag(line["cosines"]) == pytest.approx(1)
    assert kept.lines[0]["cosines"] != kept.lines[12]["cosines"]


def test_a_probe_in_a_resumed_run_is_the_same_again(parts: Callable[..., Any], tmp_path: Path) -> None:
    """Interrupted after step 4: the checkpoint of step 3 is behind, the probe of step 2 was no checkpoint."""
    whole, kept = Kept(), Kept()
    straight = parts()
    options = {"norms": "every", "every": 2, "mode": "train"}
    straight.loop(RECIPE, recorder=whole, probe=probe(straight, whole, **options)).fit()

    def interrupt(state: Any) -> None:
        if state.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    first = parts()
    stopped = first.loop(RECIPE, recorder=kept, state=tmp_path, observer=interrupt, probe=probe(first, kept, **options))
    with pytest.raises(Interrupted):
        stopped.fit()
    assert list(kept.lines) == [0, 2, 4]
    second = parts()
    second.loop(RECIPE, recorder=kept, state=tmp_path, probe=probe(second, kept, **options)).fit(resume=True)
    assert kept.lines == whole.lines
    assert all(np.array_equal(kept.norms[step], whole.norms[step]) for step in whole.norms)


def test_what_is_not_a_number_is_null_and_said(parts: Callable[..., Any]) -> None:
    kept = Kept()
    made = parts()
    looking = probe(made, kept, every=1)
    looking._groups = {"some": np.arange(4), "none": np.zeros(0, np.int64)}
    looking(0, 10)
    assert kept.lines[0]["norms"][1] is None
    assert kept.lines[0]["cosines"][0][1] is None
    assert kept.lines[0]["notes"] == ["none: no examples"]


def test_gradients_that_are_not_finite_stop_the_run(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    with torch.no_grad():
        made.model.module.classifier.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"After step 7 32 of 32 probed gradients are not finite"):
        probe(made, Kept(), norms="every", every=1)(7, 10)
