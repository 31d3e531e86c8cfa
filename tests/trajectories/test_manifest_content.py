"""Manifests and lines whose values are of another kind than expected: one RunError, whatever wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contested import Trajectory
from contested.cli import main
from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.manifest import sealed
from contested.trajectories.manifest_content import content_problems
from contested.trajectories.writer import NORM_SCHEMA

ALIGNED: dict[str, Any] = {
    "step": 1, "groups": ["a", "b"], "counts": [2, 2], "norms": [1.0, None], "cosines": [[1.0, 0.5], [0.5, 1.0]],
    "notes": ["a: few"], "head": True, "mode": "eval", "method": "summed",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of an older schema, which knows no checksums: nothing but the values themselves can be checked."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 4, 2))
    Trajectory.from_arrays(logits=logits, gold=[0, 1, 0, 1], label_counts=[[3, 1]] * 4).save(tmp_path / "run")
    change(tmp_path / "run", {"schema_version": 2}, seal=False)
    return tmp_path / "run"


def change(run: Path, values: dict[str, Any], *, seal: bool) -> None:
    manifest = json.loads((run / layout.MANIFEST).read_text())
    for key, value in values.items():
        holder = manifest
        *parents, last = key.split(".")
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[last] = value
    if not seal:
        manifest = {key: value for key, value in manifest.items() if key not in {layout.FILES, layout.DIGEST}}
    (run / layout.MANIFEST).write_text(json.dumps(sealed(manifest) if seal else manifest))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("run_id", 10**30, "run_id: expected a text that is not empty, got 1000"),
        ("run_id", "", "run_id: expected a text that is not empty, got ''"),
        ("status", "done", "status: expected one of running, complete, failed, interrupted, got 'done'"),
        ("status", ["complete"], "status: expected one of"),
        ("identity", "", "identity: expected keys and values, got ''"),
        ("identity", None, "identity: expected keys and values, got None"),
        ("identity.version", "2", "identity.version: expected a whole number from 0, got '2'"),
        ("identity.config", [1], "identity.config: expected keys and values, got [1]"),
        ("config.method", "lora", "config.method: expected keys and values, got 'lora'"),
        ("counts", True, "counts: expected keys and values, got True"),
        ("counts.total_params", "many", "counts.total_params: expected a number, got 'many'"),
        ("label_names", [1, 2], "label_names: expected a list of texts, got [1, 2]"),
        ("label_names", None, "label_names: expected a list of texts, got None"),
        ("text_columns", "premise", "text_columns: expected a list of texts, got 'premise'"),
        ("category_names", {"a": 1}, "category_names: expected a list of texts"),
        ("step_unit", "steps", "step_unit: expected step or epoch, got 'steps'"),
        ("origin", [], "origin: expected keys and values, got []"),
        ("origin.not_recorded", "x", "origin.not_recorded: expected a whole number from 0, got 'x'"),
        ("planned_steps", 1.5, "planned_steps: expected a whole number from 0, got 1.5"),
        ("alert", "yes", "alert: expected keys and values, got 'yes'"),
        ("alert.margin", None, "alert.margin: expected a number, got None"),
        ("alarms", [{"at": 1}], "alarms[0]: expected an object with a step, got {'at': 1}"),
        ("notes", "a", "notes: expected a list of texts, got 'a'"),
        ("checks", [], "checks: expected keys and values, got []"),
        ("checkpoints", {"step": 1}, "checkpoints: expected a list, got {'step': 1}"),
        ("checkpoints", [1], "checkpoints[0]: expected an object with a step, got 1"),
        ("checkpoints", [{"step": "1", "epoch": 1}], "checkpoints[0]: expected an object with a step"),
        ("checkpoints", [{"step": True, "epoch": 1}], "checkpoints[0]: expected an object with a step"),
        ("checkpoints", [{"step": 10**400, "epoch": 1}], "checkpoints[0]: expected an object with a step"),
        ("checkpoints", [{"step": 1}], "checkpoints[0].epoch: expected a number, got 'nothing'"),
        ("checkpoints", [{"step": 1, "epoch": "x"}], "checkpoints[0].epoch: expected a number, got 'x'"),
        ("checkpoints", [{"step": 2, "epoch": 1}] * 2, "checkpoints[1].step: expected more than 2, got 2"),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_told_with_their_key(run: Path, key: str, value: Any, said: str) -> None:
    Trajectory.load(run)
    change(run, {key: value}, seal=False)
    with pytest.raises(RunError) as caught:
        Trajectory.load(run)
    assert "manifest.json is damaged" in str(caught.value)
    assert said in str(caught.value)


def test_all_values_are_told_at_once_and_what_is_unknown_is_left_alone(run: Path) -> None:
    change(run, {"counts": 1, "notes": 2, "label_names": 3, "later": {"x": [1]}}, seal=False)
    with pytest.raises(RunError, match="3 values of another kind") as caught:
        Trajectory.load(run)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "a\0b", "", "."])
def test_files_outside_the_folder_are_refused(run: Path, path: str) -> None:
    listed = {"files": {path: {"bytes": 1, "sha256": "0" * 64}}}
    change(run, {"schema_version": 3, **listed}, seal=True)
    with pytest.raises(RunError, match="files: expected paths within the folder"):
        Trajectory.load(run)


@pytest.mark.parametrize(
    "entry", [None, [], {"bytes": "1", "sha256": "0" * 64}, {"bytes": 1, "sha256": "x"}, {"bytes": 1}]
)
def test_what_a_manifest_says_of_a_file_has_a_kind(entry: Any) -> None:
    manifest = {"run_id": "a", "status": "complete", "checkpoints": [], "files": {"a": entry}}
    assert content_problems(manifest)[0].startswith("files.a: expected bytes and sha256, got ")


@pytest.mark.parametrize("command", ["analyze", "report"])
def test_a_command_says_it_in_one_message(run: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, {"label_names": "abc"}, seal=False)
    assert main([command, str(run)]) == 2
    said = capsys.readouterr().err
    assert "label_names: expected a list of texts, got 'abc'" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"0x10"', "line 2: expected an object with a step"),
        ('{"step": "1"}', "line 2: expected an object with a step"),
        ('{"step": -1}', "line 2: expected an object with a step"),
        ('{"step": 1, "train_loss": "low"}', "line 2, train_loss: expected a number, got 'low'"),
        ('{"step": 1, "lr": [1]}', "line 2, lr: expected a number, got [1]"),
        ('{"step": 1, "seconds": NaN}', "line 2, seconds: expected a number, got nan"),
        ('{"step": 1, "other": {}}', "line 2, other: expected a number, got {}"),
        ('{"step": 1', "line 2: "),
    ],
)
def test_lines_of_metrics(run: Path, line: str, said: str) -> None:
    good = '{"step": 0, "epoch": 0.0, "train_loss": null, "lr": 0.1, "remark": "a text", "skipped": 2}\n'
    (run / layout.METRICS).write_text(good)
    assert len(Trajectory.load(run).metrics) == 1
    (run / layout.METRICS).write_text(f"{good}{line}\n")
    with pytest.raises(RunError) as caught:
        Trajectory.load(run)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", None), ("groups", "ab"), ("groups", [1, 2]), ("counts", "\ud800"), ("counts", [2]),
        ("counts", [2, -1]),
        ("norms", [1.0, "\0"]), ("norms", None), ("norms", [[1.0], [2.0]]), ("cosines", [[1.0, 0.5]]),
        ("cosines", [[1.0], [0.5, 1.0]]), ("cosines", [1.0, 0.5]), ("notes", 3), ("head", "yes"), ("mode", 1),
    ],
)  # fmt: skip
def test_lines_of_alignment(run: Path, key: str, value: Any) -> None:
    (run / layout.GRADIENTS).mkdir()
    file = run / layout.GRADIENTS / layout.ALIGNMENT
    file.write_text(json.dumps(ALIGNED) + "\n")
    assert Trajectory.load(run).gradients is not None
    for changed in ({**ALIGNED, key: value}, {name: part for name, part in ALIGNED.items() if name != key}):
        file.write_text(json.dumps(changed) + "\n")
        with pytest.raises(RunError, match=rf"(?s)damaged.*line 1.*{key}"):
            Trajectory.load(run)


@pytest.mark.parametrize("facts", [None, b"[]", b"{", b'{"head": 1, "mode": "eval"}', b'{"head": true}'])
def test_what_a_file_of_norms_says_of_its_probe(run: Path, facts: bytes | None) -> None:
    (run / layout.GRADIENTS).mkdir()
    keys = pq.read_table(run / layout.CHECKPOINTS / layout.checkpoint_name(1))["row_key"]
    schema = NORM_SCHEMA.with_metadata(None if facts is None else {layout.NORM_FACTS: facts})
    columns = [pa.array(keys.to_pylist()), pa.array([1] * 4, pa.int32()), pa.array([1.0] * 4)]
    table = pa.Table.from_arrays(columns, schema=schema)
    pq.write_table(table, run / layout.GRADIENTS / layout.checkpoint_name(1))
    with pytest.raises(RunError, match="does not say what was measured"):
        Trajectory.load(run)
