from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from contested.cli import main
from contested.trajectories import Trajectory, read_manifest

Reseal = Callable[..., dict[str, Any]]


@pytest.fixture
def run(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A complete run without probes."""
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_a_finished_run_is_probed_once(run: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(run)
    assert main(["probe", str(run), "--no-alignment"]) == 0
    assert f"recorded norms at step 9: {run}" in capsys.readouterr().out
    found = Trajectory.load(run).gradients
    assert found is not None
    assert (found.steps.tolist(), found.head, found.mode) == ([9], True, "eval")
    assert found.alignment.empty
    assert main(["probe", str(run)]) == 0
    assert f"recorded alignment at step 9: {run}" in capsys.readouterr().out
    written = {file.name: file.read_bytes() for file in (run / "gradients").iterdir()}
    assert main(["probe", str(run)]) == 0
    assert f"had already been probed at step 9: {run}" in capsys.readouterr().out
    assert {file.name: file.read_bytes() for file in (run / "gradients").iterdir()} == written
    # It is the same run as before, and as complete.
    now = read_manifest(run)
    added = {"gradients/alignment.jsonl", "gradients/step-00000009.parquet"}
    assert now["files"].keys() == manifest["files"].keys() | added
    aside = {"files": 0, "digest": 0, "lease": 0}
    assert {**now, **aside} == {**manifest, **aside}
    assert main(["train", str(config), "--out", str(run)]) == 0
    assert "was already complete" in capsys.readouterr().out


def test_weights_that_are_not_those_of_the_last_checkpoint_are_not_probed(
    run: Path, fails: Callable[..., str], reseal: Reseal
) -> None:
    file = run / "adapter" / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name: value + 0.1 for name, value in weights.items()}, file, metadata={"format": "pt"})
    reseal(run)
    said = fails("probe", run)
    assert "trained weights are not those of its last checkpoint: loaded, they give logits that differ by up to" in said
    assert not (run / "gradients").exists()


def test_probes_of_another_kind_are_refused(run: Path, fails: Callable[..., str], capsys: object) -> None:
    assert main(["probe", str(run), "--no-head", "--mode", "train", "--no-norms"]) == 0
    assert isinstance(capsys, pytest.CaptureFixture)
    capsys.readouterr()
    wanted = "holds gradients without the head in mode train, and these would be with the head in mode eval"
    assert wanted in fails("probe", run)
    assert len((run / "gradients" / "alignment.jsonl").read_text().splitlines()) == 1
    assert not list((run / "gradients").glob("*.parquet"))


def test_what_cannot_be_probed(run: Path, fails: Callable[..., str], tmp_path: Path, reseal: Reseal) -> None:
    assert "does not exist" in fails("probe", tmp_path / "none")
    assert "is not a run folder" in fails("probe", tmp_path)
    assert "Nothing to probe" in fails("probe", run, "--no-norms", "--no-alignment")
    assert "'median' is not one of 'eval', 'train'" in fails("probe", run, "--mode", "median")
    assert "expected auto, cpu, cuda, cuda:N or mps" in fails("probe", run, "--device", "gpu")
    reseal(run, status="cancelled")
    assert "is not complete (status interrupted)" in fails("probe", run)
    reseal(run, status="complete")
    weights = run / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "The trained weights of this run are not as they were written" in fails("probe", run)
    reseal(run)
    assert "Cannot load the trained weights" in fails("probe", run)
    assert not (run / "gradients").exists()


def test_other_data_or_another_backbone_are_named(
    run: Path, fails: Callable[..., str], tmp_path: Path, reseal: Reseal
) -> None:
    identity = read_manifest(run)["identity"]
    reseal(run, identity={**identity, "model": "sha256:0"})
    text = fails("probe", run)
    assert "model: the run has 'sha256:0', now found 'sha256:" in text
    assert "data:" not in text
    reseal(run, identity=identity)
    lines = (tmp_path / "people.jsonl").read_text().splitlines()
    changed = json.loads(lines[0])
    changed["premise"] += " red"
    (tmp_path / "people.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
    text = fails("probe", run)
    assert "data: the run has '" in text
    assert "model:" not in text
    (tmp_path / "people.jsonl").unlink()
    assert "no such file: " in fails("probe", run)
    assert not (run / "gradients").exists()
