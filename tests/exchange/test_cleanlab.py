"""What is written for cleanlab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from contested.errors import ConfigError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory


def test_probabilities_and_labels_of_the_last_checkpoint(run: Trajectory, tmp_path: Path) -> None:
    (note,) = export_run("cleanlab", run, tmp_path / "last.npz")
    assert "step 100" in note
    assert "in-sample" in note
    expected = special.softmax(run.required("logits")[-1].astype(float), axis=1)
    with np.load(tmp_path / "last.npz") as found:
        assert np.allclose(found["pred_probs"], expected, atol=1e-12)
        assert np.allclose(found["pred_probs"].sum(axis=1), 1)
        assert found["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert found["example_ids"].tolist() == run.example_ids.tolist()
        assert found["label_names"].tolist() == list(run.label_names)
    export_run("cleanlab", run, tmp_path / "last.csv")
    table = pd.read_csv(tmp_path / "last.csv", dtype={"example_id": str})
    assert list(table) == ["example_id", "label", "prob_entailment", "prob_neutral", "prob_contradiction"]
    assert np.allclose(table.iloc[:, 2:], expected, atol=1e-12)
    assert table["example_id"].tolist() == run.example_ids.tolist()


def test_what_it_is_not(run: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.npz or \.csv"):
        export_run("cleanlab", run, tmp_path / "last.json")
    with pytest.raises(ConfigError, match="No format 'cleanlab' can be read"):
        import_run("cleanlab", tmp_path / "last.npz")
