import dataclasses

import numpy as np
import pandas as pd
import pytest

from contested.analysis.learned import at_chance, learned_little
from contested.trajectories import Trajectory


def run(*, right: int, moved: float = 1.0, val_accuracy: float | None = None) -> Trajectory:
    """A run of three classes over 20 examples, of which the last checkpoint gets some right."""
    gold = np.zeros(20, int)
    logits = np.zeros((2, 20, 3), np.float32)
    logits[1, :, 1] = 1.0
    logits[1, :right, 0] = 2.0
    losses = np.ones((2, 20))
    losses[1] += moved * np.where(np.arange(20) % 2, 1.0, -1.0)
    metrics = pd.DataFrame({"step": [0, 1]} | ({} if val_accuracy is None else {"val_accuracy": [0.9, val_accuracy]}))
    return Trajectory(
        run_id="r",
        status="complete",
        steps=np.array([0, 10]),
        epochs=np.array([0.0, 1.0]),
        example_ids=np.array([str(i) for i in range(20)], object),
        losses=losses,
        logits=logits,
        examples=pd.DataFrame({"gold": gold}),
        label_names=("a", "b", "c"),
        text_columns=(),
        category_names=(),
        metrics=metrics,
        manifest={},
    )


def test_a_run_whose_loss_rose_did_something_whatever_it_learned() -> None:
    flat = run(right=7, moved=0.1)
    risen = dataclasses.replace(flat, losses=flat.losses + np.array([[0.0], [0.5]]))
    # By less than can be told from none: its standard error is 0.1 / sqrt(19) = 0.023.
    hardly = dataclasses.replace(flat, losses=flat.losses + np.array([[0.0], [0.05]]))
    assert [bool(learned_little(found)) for found in (flat, hardly, risen)] == [True, True, False]
    assert at_chance(risen) == (
        "last accuracy on tracked examples is 35.0%, and guessing one of 3 classes reaches 33.3%"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        # 1.15 / 3 = 38.3 %: 7 of 20 are 35 %, 8 are 40 %.
        ({"right": 7}, "stayed at chance: its last accuracy on tracked examples is 35.0%"),
        ({"right": 8}, ""),
        # Validation examples decide where there are any, whatever tracked ones say.
        ({"right": 20, "val_accuracy": 0.38}, "stayed at chance: its last accuracy on validation examples is 38.0%"),
        ({"right": 0, "val_accuracy": 0.39}, ""),
        # Half rise and half fall: the mean is zero, and yet every example moved.
        ({"right": 20, "moved": 0.021}, ""),
        ({"right": 20, "moved": 0.019}, "hardly moved: the loss of a tracked example changed by 0.019 nats"),
    ],
)
def test_a_run_at_chance_or_without_movement_is_named(given, said) -> None:
    found = learned_little(run(**given))
    assert found.startswith(said)
    assert bool(found) == bool(said)
