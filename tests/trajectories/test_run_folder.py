from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contested.errors import RunError
from contested.trajectories import RunWriter, Trajectory, layout

Reseal = Callable[..., dict[str, Any]]
HEADER = {
    "run_id": "r",
    "config": {"a": 1},
    "provenance": {},
    "label_names": ["x", "y", "z"],
    "category_names": ["clean", "ambiguous", "contested"],
}


def examples(n: int = 5, tracked: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_key": range(n),
            "example_id": [f"id-{i}" for i in range(n)],
            "text": [f"text {i}" for i in range(n)],
            "gold": [i % 3 for i in range(n)],
            "label_counts": [np.array([i, 2, 3]) for i in range(n)],
            "entropy": np.linspace(0.1, 1, n),
            "category": "clean",
            "split": ["train"] * tracked + ["validation"] * (n - tracked),
            "genre": "fiction",
        }
    )


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    return RunWriter.create(tmp_path / "run", header=HEADER, examples=examples(), text_columns=["text"])


def values(step: int) -> dict[str, Any]:
    rng = np.random.default_rng(step)
    return {"step": step, "epoch": step / 10, "losses": rng.random(3), "logits": rng.normal(size=(3, 3))}


def record(writer: RunWriter, step: int) -> dict[str, Any]:
    given = values(step)
    writer.write_checkpoint(**given)
    writer.write_metrics({"step": step, "train_loss": 0.5})
    writer.list_checkpoint(step=step, epoch=given["epoch"])
    return given


def test_what_is_written_is_read(writer: RunWriter) -> None:
    given = [record(writer, step) for step in (0, 100)]
    read = Trajectory.load(writer.path)
    assert read.steps.tolist() == [0, 100]
    assert read.epochs.tolist() == [0, 10]
    np.testing.assert_allclose(read.losses, [g["losses"] for g in given], rtol=1e-6)
    np.testing.assert_allclose(read.logits, [g["logits"] for g in given], rtol=1e-6)
    assert read.example_ids.tolist() == ["id-0", "id-1", "id-2"]
    assert read.label_counts.tolist() == [[0, 2, 3], [1, 2, 3], [2, 2, 3]]
    assert read.gold.tolist() == [0, 1, 2]
    assert read.status == "running"
    assert read.metrics["train_loss"].tolist() == [0.5, 0.5]
    assert read.text_columns == ("text",)


def test_each_file_is_flushed_once_and_its_folder_before_the_manifest_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        flushed.append(name.removeprefix(".").split(".json")[0].split(".parquet")[0])
        sync(handle)

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "fsync", noted)
    writer = RunWriter.create(tmp_path / "run", header=HEADER, examples=examples(), text_columns=["text"])
    assert flushed == ["manifest", "run", "examples", "metrics", "run", "manifest", "run"]
    flushed.clear()
    record(writer, 100)
    assert flushed == ["step-00000100", "checkpoints", "metrics", "manifest", "run"]
    flushed.clear()
    writer.finish("complete")
    assert flushed == ["manifest", "run"]


def test_the_files_have_the_columns_and_types_of_the_contract(writer: RunWriter) -> None:
    record(writer, 100)
    shard = pq.read_schema(writer.path / "checkpoints" / "step-00000100.parquet")
    assert {field.name: str(field.type) for field in shard} == {
        "row_key": "int64",
        "step": "int32",
        "epoch": "double",
        "loss": "float",
        "logits": "list<element: float>",
    }
    table = {field.name: str(field.type) for field in pq.read_schema(writer.path / "examples.parquet")}
    assert table["row_key"] == "int64"
    assert table["label_counts"] == "list<element: int32>"
    assert table["entropy"] == "double"
    assert list(table) == [
        *["row_key", "example_id", "text", "gold", "label_counts", "entropy", "category", "split", "genre"]
    ]


def test_a_folder_of_schema_1_is_read_as_one_that_contested_trained(writer: RunWriter) -> None:
    record(writer, 0)
    manifest = json.loads((writer.path / "manifest.json").read_text())
    assert (manifest["schema_version"], manifest["origin"], manifest["step_unit"]) == (3, {"kind": "contested"}, "step")
    # Schema 1 had none of these keys, and every column.
    old = {key: value for key, value in manifest.items() if key not in {"origin", "step_unit", "files", "digest"}}
    (writer.path / "manifest.json").write_text(json.dumps({**old, "schema_version": 1}))
    read = Trajectory.load(writer.path)
    assert (read.origin, read.step_unit) == ({"kind": "contested"}, "step")
    assert read.has == {"losses", "logits", "classes", "gold", "annotators", "texts", "metrics"}


def test_a_run_may_lack_losses_logits_gold_and_annotators(tmp_path: Path) -> None:
    table = examples()[["row_key", "example_id", "split"]]
    header = {"run_id": "r", "label_names": [], "category_names": []}
    writer = RunWriter.create(tmp_path / "run", header=header, examples=table, text_columns=[])
    writer.write_checkpoint(step=0, epoch=None, losses=np.array([1.0, 2.0, 3.0]), logits=None)
    writer.list_checkpoint(step=0, epoch=None)
    shard = tmp_path / "run" / "checkpoints" / "step-00000000.parquet"
    assert pq.read_schema(shard).names == ["row_key", "step", "epoch", "loss"]
    read = Trajectory.load(tmp_path / "run")
    assert read.has == {"losses"}
    assert read.required("losses").tolist() == [[1.0, 2.0, 3.0]]
    assert (read.logits, read.gold, read.label_counts, read.entropy, read.categories) == (None,) * 5
    assert np.isnan(read.epochs).all()
    with pytest.raises(RunError, match=r"The run r has no annotators' label counts, and this needs them\."):
        read.required("label_counts")


def test_further_values_of_each_example_are_columns_of_a_checkpoint(writer: RunWriter) -> None:
    lengths = [np.array([1 / 3, 2, np.nan]), np.array([4.0, 5, 6])]
    for step, values_of in zip((0, 100), lengths, strict=True):
        writer.write_checkpoint(**values(step), extra={"tokens": values_of, "margin": -values_of})
        writer.list_checkpoint(step=step, epoch=None)
    shard = pq.read_schema(writer.path / "checkpoints" / "step-00000100.parquet")
    assert [(field.name, str(field.type)) for field in shard][-2:] == [("tokens", "double"), ("margin", "double")]
    read = Trajectory.load(writer.path)
    assert list(read.extra) == ["tokens", "margin"]
    np.testing.assert_array_equal(read.extra["tokens"], lengths)
    read.save(writer.path.parent / "copy")
    again = Trajectory.load(writer.path.parent / "copy")
    np.testing.assert_array_equal(again.extra["margin"], -np.array(lengths))


def test_further_values_of_another_shape_or_under_a_taken_name_are_refused(writer: RunWriter) -> None:
    with pytest.raises(RunError, match=r"gave tokens \(2,\) for 3 tracked examples"):
        writer.write_checkpoint(**values(0), extra={"tokens": np.zeros(2)})
    with pytest.raises(RunError, match="column loss has another meaning"):
        writer.write_checkpoint(**values(0), extra={"loss": np.zeros(3)})


def test_columns_of_other_types_are_left_alone(writer: RunWriter, reseal: Reseal) -> None:
    record(writer, 100)
    file = writer.path / "checkpoints" / "step-00000100.parquet"
    table = pq.read_table(file)
    pq.write_table(table.append_column("pred", pa.array([1, 0, 2], pa.int16())), file)
    reseal(writer.path)
    assert dict(Trajectory.load(writer.path).extra) == {}


def test_checkpoints_of_different_columns_are_refused(writer: RunWriter) -> None:
    record(writer, 0)
    writer.write_checkpoint(step=100, epoch=1, losses=np.zeros(3), logits=None)
    writer.list_checkpoint(step=100, epoch=1)
    with pytest.raises(RunError, match=r"step 100 .* other columns, than the first one"):
        Trajectory.load(writer.path)


def test_the_manifest_says_when_and_how_a_run_ended(writer: RunWriter) -> None:
    record(writer, 0)
    before = datetime.now(UTC).replace(microsecond=0)
    writer.finish("failed", error="nan")
    manifest = json.loads((writer.path / "manifest.json").read_text())
    assert (manifest["status"], manifest["error"]) == ("failed", "nan")
    assert before <= datetime.fromisoformat(manifest["finished_at"]) <= datetime.now(UTC)


def test_a_run_that_would_track_nothing_is_refused(tmp_path: Path) -> None:
    nothing = examples(tracked=0)
    with pytest.raises(RunError, match="no example has the split 'train', so nothing would be tracked"):
        RunWriter.create(tmp_path / "run", header=HEADER, examples=nothing, text_columns=["text"])


def test_a_checkpoint_counts_only_once_listed(writer: RunWriter) -> None:
    record(writer, 0)
    writer.write_checkpoint(**values(100))
    assert Trajectory.load(writer.path).steps.tolist() == [0]


def test_half_a_line_of_metrics_is_left_out(writer: RunWriter) -> None:
    record(writer, 0)
    with (writer.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 100, "train_l')
    assert Trajectory.load(writer.path).metrics["step"].tolist() == [0]


def test_resuming_drops_what_came_after_the_snapshot(writer: RunWriter) -> None:
    for step in (0, 100, 200):
        record(writer, step)
    writer.manifest |= {"alarms": [{"step": 100}, {"step": 200}], "ended_by": "alert"}
    writer.finish("failed", error="nan")
    resumed = RunWriter.resume(writer.path, step=100)
    read = Trajectory.load(writer.path)
    assert read.steps.tolist() == [0, 100]
    assert (read.manifest["alarms"], "ended_by" in read.manifest) == ([{"step": 100}], False)
    assert read.metrics["step"].tolist() == [0, 100]
    assert (read.status, "error" in read.manifest) == ("running", False)
    record(resumed, 200)
    assert Trajectory.load(writer.path).steps.tolist() == [0, 100, 200]


def test_resuming_removes_what_a_killed_process_was_writing(writer: RunWriter) -> None:
    written = {file for file in writer.path.rglob("*") if file.is_file()}
    for place in ("checkpoints/.step-00000006.parquet.a1b2.tmp", ".manifest.json.c3.tmp", ".adapter.d4.tmp/adapter/w"):
        leftover = writer.path / place
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.write_text("half")
    RunWriter.resume(writer.path, step=1000)
    assert {file for file in writer.path.rglob("*") if file.is_file()} == written


def test_a_checkpoint_that_was_not_listed_any_more_is_recorded_again(writer: RunWriter) -> None:
    # Killed between the checkpoint of step 100 and the manifest: what counts is the snapshot before.
    record(writer, 0)
    writer.write_checkpoint(**values(100))
    resumed = RunWriter.resume(writer.path, step=0)
    assert layout.checkpoint_steps(writer.path) == [0]
    record(resumed, 100)
    assert Trajectory.load(writer.path).steps.tolist() == [0, 100]


FACTS = {"head": False, "mode": "train", "method": "layerwise", "notes": []}


def aligned(step: int) -> dict[str, Any]:
    # contested has no examples: null, and a note that says so.
    cosines = [[1.0, step / 1000, None], [step / 1000, 1.0, None], [None, None, None]]
    return {
        "step": step,
        "groups": ["clean", "ambiguous", "contested"],
        "counts": [2, 1, 0],
        "norms": [1.5, 2.5, None],
        "cosines": cosines,
        "head": False,
        "mode": "train",
        "method": "summed",
        "notes": ["contested: no examples"],
    }


def test_gradients_are_read_as_they_were_written(writer: RunWriter) -> None:
    writer.write_alignment(aligned(0))
    record(writer, 0)
    writer.write_alignment(aligned(60))
    writer.write_gradient_norms(step=100, norms=np.array([0.1, 0.2, 0.3]), facts=FACTS)
    record(writer, 100)
    writer.write_alignment(aligned(120))  # does not count before a later checkpoint is listed
    found = Trajectory.load(writer.path).gradients
    assert found is not None
    assert found.steps.tolist() == [0, 60, 100]
    assert found.norms[2].tolist() == [0.1, 0.2, 0.3]
    assert np.isnan(found.norms[:2]).all()
    assert (found.head, found.mode) == (False, "train")
    assert len(found.alignment) == 6
    row = found.alignment.iloc[3]
    assert row[["step", "group", "reference", "cosine"]].tolist() == [60, "ambiguous", "clean", 0.06]
    assert row[["norm", "norm_reference", "n", "n_reference", "note"]].tolist() == [2.5, 1.5, 1, 2, ""]
    empty = found.alignment.query("group == 'contested' and reference == 'clean' and step == 60").iloc[0]
    assert np.isnan(empty["cosine"])
    assert empty["note"] == "contested: no examples"
    file = writer.path / "gradients" / "step-00000100.parquet"
    schema = {field.name: str(field.type) for field in pq.read_schema(file)}
    assert schema == {"row_key": "int64", "step": "int32", "norm": "double"}


def test_norms_alone_say_what_they_are_of(writer: RunWriter) -> None:
    writer.write_gradient_norms(step=0, norms=np.ones(3), facts=FACTS)
    record(writer, 0)
    found = Trajectory.load(writer.path).gradients
    assert found is not None
    assert (found.head, found.mode, len(found.alignment)) == (False, "train", 0)
    assert "cosine" in found.alignment


def test_a_run_without_probes_has_no_gradients(writer: RunWriter) -> None:
    record(writer, 0)
    assert Trajectory.load(writer.path).gradients is None
    with pytest.raises(RunError, match=r"gave \(2,\) gradient norms for 3 tracked examples"):
        writer.write_gradient_norms(step=0, norms=np.ones(2), facts=FACTS)


def test_resuming_drops_probes_after_the_snapshot_and_half_a_line(writer: RunWriter) -> None:
    for step in (0, 100):
        writer.write_alignment(aligned(step))
        writer.write_gradient_norms(step=step, norms=np.ones(3), facts=FACTS)
        record(writer, step)
    writer.write_alignment(aligned(150))
    writer.write_gradient_norms(step=150, norms=np.ones(3), facts=FACTS)
    with (writer.path / "gradients" / "alignment.jsonl").open("a") as file:
        file.write('{"step": 180, "gro')
    resumed = RunWriter.resume(writer.path, step=100)
    left = [json.loads(line)["step"] for line in (writer.path / "gradients" / "alignment.jsonl").open()]
    assert left == [0, 100]
    norms = sorted(file.name for file in (writer.path / layout.GRADIENTS).glob("step-*"))
    assert norms == [layout.checkpoint_name(0), layout.checkpoint_name(100)]
    resumed.write_alignment(aligned(150))
    record(resumed, 200)
    found = Trajectory.load(writer.path).gradients
    assert found is not None
    assert found.steps.tolist() == [0, 100, 150]


def test_a_full_disk_is_one_clear_error_and_loses_nothing(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    record(writer, 0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(RunError, match=r"No space left on device\. Everything recorded so far is intact"):
            writer.write_checkpoint(**values(100))
    assert Trajectory.load(writer.path).steps.tolist() == [0]
    assert not list((writer.path / "checkpoints").glob(".*"))


def test_wrong_shapes_are_refused(writer: RunWriter) -> None:
    with pytest.raises(RunError, match=r"logits \(2, 3\) .* for 3 tracked examples"):
        writer.write_checkpoint(step=0, epoch=0, losses=np.zeros(2), logits=np.zeros((2, 3)))


def test_duplicate_ids_and_missing_columns_are_refused(tmp_path: Path) -> None:
    twice = examples()
    twice.loc[1, "example_id"] = "id-0"
    with pytest.raises(RunError, match=r"the example_id 'id-0' is duplicated \(2 times\)"):
        RunWriter.create(tmp_path, header=HEADER, examples=twice, text_columns=["text"])
    with pytest.raises(RunError, match="the column split is missing"):
        RunWriter.create(tmp_path, header=HEADER, examples=examples().drop(columns="split"), text_columns=[])


@pytest.mark.parametrize(
    ("break_it", "wanted"),
    [
        (lambda run: (run / "manifest.json").unlink(), r"is not a run folder: it has no manifest\.json"),
        (lambda run: (run / "manifest.json").write_text("{"), "is damaged"),
        (lambda run: (run / "manifest.json").write_text("{}"), "lacks schema_version, run_id"),
        (lambda run: set_manifest(run, schema_version=99), "was written in format 99; .* Upgrade contested"),
        (lambda run: set_manifest(run, checkpoints=[]), "is damaged: its content is not what its digest was taken of"),
        (lambda run: (run / "checkpoints" / layout.checkpoint_name(0)).unlink(), "Cannot read .*step-00000000"),
        (lambda run: (run / "checkpoints" / layout.checkpoint_name(0)).write_bytes(b"PAR1"), "Cannot read"),
    ],
)
def test_damaged_folders_are_named(writer: RunWriter, break_it: Any, wanted: str) -> None:
    record(writer, 0)
    break_it(writer.path)
    with pytest.raises(RunError, match=wanted):
        Trajectory.load(writer.path)


def test_a_run_without_a_checkpoint_yet_says_so(writer: RunWriter) -> None:
    with pytest.raises(RunError, match=r"has no checkpoint yet \(status running\)"):
        Trajectory.load(writer.path)


def rewrite(run: Path, step: int, change: Callable[[pa.Table], pa.Table]) -> None:
    file = run / "checkpoints" / layout.checkpoint_name(step)
    pq.write_table(change(pq.read_table(file)), file)


def truncated(run: Path) -> None:
    file = run / "checkpoints" / layout.checkpoint_name(100)
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("break_it", "wanted"),
    [
        (truncated, "Cannot read .*step-00000100"),
        (
            lambda run: rewrite(run, 100, lambda table: table.take([1, 0, 2])),
            "step 100 of .* tracks other examples",
        ),
        (
            lambda run: rewrite(run, 100, lambda table: table.slice(0, 2)),
            "step 100 of .* tracks other examples",
        ),
        (
            lambda run: rewrite(
                run,
                100,
                lambda table: table.set_column(4, "logits", pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32()))),
            ),
            "step 100 has 6 logits of 3 examples, expected 3",
        ),
        (
            lambda run: [
                rewrite(run, step, lambda table: table.set_column(0, "row_key", pa.array([0, 1, 77])))
                for step in (0, 100)
            ],
            r"examples\.parquet lacks 1 tracked examples, first row_key 77",
        ),
        (
            lambda run: pq.write_table(
                pa.concat_tables([pq.read_table(run / "examples.parquet")] * 2), run / "examples.parquet"
            ),
            r"examples\.parquet has .*row_key",
        ),
    ],
    ids=["cut short", "another order", "fewer examples", "fewer classes", "unknown examples", "examples twice"],
)
def test_damaged_checkpoints_of_folders_without_checksums_are_named(
    writer: RunWriter, break_it: Any, wanted: str, make_former: Reseal
) -> None:
    for step in (0, 100):
        record(writer, step)
    make_former(writer.path)
    break_it(writer.path)
    with pytest.raises(RunError, match=wanted):
        Trajectory.load(writer.path)


def set_manifest(run: Path, **values: Any) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, **values}))


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        Trajectory.load(tmp_path / "nowhere")


def test_the_status_of_an_older_folder_has_its_name_of_now(writer: RunWriter, make_former: Reseal) -> None:
    record(writer, 0)
    make_former(writer.path, status="cancelled")
    assert Trajectory.load(writer.path).status == "interrupted"
    assert RunWriter.resume(writer.path, step=0).manifest["status"] == "running"
