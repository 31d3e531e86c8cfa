"""A run folder that is not as it was written is never read as if it were; what is damaged or left over is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from contested.errors import RunError
from contested.trajectories import RunWriter, Trajectory, inspect_run, layout, remove_leftovers
from contested.trajectories.manifest import read_manifest, sealed, write_manifest

FACTS = {"head": True, "mode": "eval", "method": "layerwise", "notes": []}
STEPS = (0, 10, 20)


def record(writer: RunWriter, step: int) -> None:
    rng = np.random.default_rng(step)
    groups = {"groups": ["low", "high"], "counts": [6, 6], "norms": [1.5, 2.5], "cosines": [[1.0, 0.5], [0.5, 1.0]]}
    writer.write_gradient_norms(step=step, norms=rng.random(12), facts=FACTS)
    writer.write_alignment({"step": step, **groups, **FACTS})
    writer.write_checkpoint(step=step, epoch=step / 10, losses=rng.random(12), logits=rng.normal(size=(12, 3)))
    writer.write_metrics({"step": step, "train_loss": rng.random()})
    state = writer.path / "state"
    state.mkdir(exist_ok=True)
    (state / layout.snapshot_name(step)).write_bytes(rng.bytes(500))
    writer.list_checkpoint(step=step, epoch=step / 10)


def begin(path: Path) -> RunWriter:
    rng = np.random.default_rng(1)
    examples = pd.DataFrame(
        {
            "row_key": range(12),
            "example_id": [f"item {i}" for i in range(12)],
            "text": [" ".join(rng.choice(["birds", "sing", "at", "dawn"], 6)) for _ in range(12)],
            "gold": [i % 3 for i in range(12)],
            "label_counts": [np.array([i, 2, 3]) for i in range(12)],
            "entropy": rng.random(12),
            "category": ["low", "high"] * 6,
            "split": "train",
        }
    )
    header = {"run_id": "made", "label_names": ["x", "y", "z"], "category_names": ["low", "high"], "planned_steps": 20}
    writer = RunWriter.create(path, header=header, examples=examples, text_columns=["text"])
    writer.write_baseline(losses=rng.random(12), logits=rng.normal(size=(12, 3)))
    return writer


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    """Writes a run with a file of every kind, which trains yet."""
    made = begin(tmp_path / "run")
    for step in STEPS:
        record(made, step)
    return made


@pytest.fixture
def run(writer: RunWriter) -> Path:
    """The same run, complete, with its weights."""
    (writer.path / "adapter").mkdir()
    (writer.path / "adapter" / "weights.safetensors").write_bytes(bytes(range(200)))
    writer.list_weights("adapter")
    writer.finish("complete")
    return writer.path


def told(run: Path) -> dict[str, Any]:
    """All that a reader is told by a run."""
    read = Trajectory.load(run)
    gradients = read.gradients
    assert gradients is not None
    assert read.losses is not None
    assert read.logits is not None
    assert read.baseline_losses is not None
    return {
        "losses": read.losses.tobytes() + read.logits.tobytes() + read.baseline_losses.tobytes(),
        "examples": read.examples.to_json(),
        "metrics": read.metrics.to_json(),
        "gradients": gradients.norms.tobytes() + gradients.alignment.to_json().encode(),
        "said": (read.run_id, read.status, read.steps.tolist(), read.epochs.tolist(), read.label_names),
        "manifest": {key: value for key, value in read.manifest.items() if key not in {"files", "digest"}},
    }


def files_of(run: Path) -> list[str]:
    found = (file for file in run.rglob("[!.]*") if file.is_file() and ".lease" not in file.parts)
    return sorted(file.relative_to(run).as_posix() for file in found)


def test_every_file_of_a_run_is_in_its_manifest(run: Path) -> None:
    listed = read_manifest(run)["files"]
    assert sorted(listed) == [name for name in files_of(run) if name != "manifest.json"]
    assert {name: entry["bytes"] for name, entry in listed.items()} == {
        name: (run / name).stat().st_size for name in listed
    }
    health = inspect_run(run)
    assert (health.run_id, health.status, health.damage, health.leftovers) == ("made", "complete", (), ())
    assert health.verified
    assert health.readable == (
        "3 of 3 checkpoints can be read.",
        "Examples, metrics and baseline can be read.",
        "4 of 4 files of gradients can be read.",
        "1 of 1 files in adapter/ can be read.",
    )


def flips(run: Path, rng: random.Random, n_flips: int, n_cuts: int) -> dict[str, int]:
    """Flip single bits and cut ends, and see what is noticed by whom."""
    right, names = told(run), files_of(run)
    seen = {"refused": 0, "same": 0, "silent": 0, "missed": 0}
    for number in range(n_flips + n_cuts):
        name = names[number % len(names)]
        file, whole = run / name, (run / name).read_bytes()
        if number < n_flips:
            bit, content = rng.randrange(len(whole) * 8), bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
        else:
            content = bytearray(whole[: rng.randrange(len(whole))])
        file.write_bytes(content)
        try:
            seen["same" if told(run) == right else "silent"] += 1
        except RunError:
            seen["refused"] += 1
        # White space of the manifest may be another one: it says the same.
        seen["missed"] += not inspect_run(run).damage and name != "manifest.json"
        file.write_bytes(whole)
    return seen


def test_no_flip_of_a_bit_and_no_lost_end_is_read_in_silence(run: Path) -> None:
    seen = flips(run, random.Random(5), n_flips=120, n_cuts=40)
    assert (seen["silent"], seen["missed"]) == (0, 0)
    # All but what is in no file that is read: the adapter.
    assert seen["refused"] > 130


@pytest.mark.slow
def test_no_flip_of_1000_and_no_lost_end_of_200_is_read_in_silence(run: Path) -> None:
    seen = flips(run, random.Random(6), n_flips=1000, n_cuts=200)
    assert (seen["silent"], seen["missed"]) == (0, 0)


def test_a_flip_that_makes_a_manifest_one_of_an_older_schema_is_noticed(run: Path) -> None:
    text = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(text.replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(RunError, match="is damaged: its content is not what its digest was taken of"):
        Trajectory.load(run)
    (run / "manifest.json").write_text(text.replace('"digest"', '"dagest"').replace('"files"', '"filos"'))
    with pytest.raises(RunError, match="is damaged"):
        Trajectory.load(run)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "is damaged"),
        (b"null", "it holds None, expected an object"),
        (b"\xff\xfe{}", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "is damaged"),
        (b'{"schema_version": "=1+1", "run_id": 1, "status": 1, "checkpoints": []}', "schema_version is '=1\\+1'"),
        (b'{"schema_version": true, "run_id": 1, "status": 1, "checkpoints": []}', "schema_version is True"),
        (b'{"schema_version": 3, "run_id": NaN, "status": 1, "checkpoints": []}', "is damaged"),
    ],
)
def test_whatever_a_manifest_holds_is_one_error(run: Path, content: bytes, wanted: str) -> None:
    (run / "manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=wanted):
        Trajectory.load(run)
    health = inspect_run(run)
    assert (health.run_id, health.verified, [damage.kind for damage in health.damage]) == (None, False, ["damaged"])
    assert health.readable == ("Without its manifest nothing of it is read; 3 files of checkpoints lie there.",)


def test_what_is_wrong_and_what_is_whole_are_named(run: Path) -> None:
    (run / "checkpoints" / layout.checkpoint_name(10)).unlink()
    norms = run / "gradients" / layout.checkpoint_name(20)
    norms.write_bytes(norms.read_bytes()[:-3])
    (run / "metrics.jsonl").write_text("")
    weights = run / "adapter" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    (run / "checkpoints" / layout.checkpoint_name(5)).write_bytes(b"of another run")
    health = inspect_run(run)
    assert {damage.path.relative_to(run).as_posix(): damage.kind for damage in health.damage} == {
        "adapter/weights.safetensors": "damaged",
        "checkpoints/step-00000005.parquet": "unlisted",
        "checkpoints/step-00000010.parquet": "missing",
        "gradients/step-00000020.parquet": "damaged",
        "metrics.jsonl": "damaged",
    }
    said = " ".join(damage.what for damage in health.damage)
    assert "checkpoints/step-00000010.parquet is missing. Restore it from a copy." in said
    assert "adapter/weights.safetensors is not what was written (its checksum is another one)." in said
    assert health.readable == (
        "2 of 3 checkpoints can be read.",
        "Examples and baseline can be read.",
        "3 of 4 files of gradients can be read.",
        "0 of 1 files in adapter/ can be read.",
    )
    with pytest.raises(RunError, match=r"Cannot read .*step-00000010\.parquet: No such file .*contested verify"):
        Trajectory.load(run)


def test_what_is_left_over_is_removed_and_nothing_else(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in files_of(run)}
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "tr')
    (run / "checkpoints" / layout.checkpoint_name(30)).write_bytes(b"half")
    (run / "checkpoints" / ".step-00000040.parquet.0123.contested-tmp").write_bytes(b"half")
    (run / ".manifest.json.ab12.tmp").write_bytes(b"of an earlier version")
    (run / "state").mkdir()
    (run / "state" / layout.snapshot_name(20)).write_bytes(b"of no use")
    (run / "notes of mine.txt").write_text("keep")
    health = inspect_run(run)
    assert not health.damage
    assert {path.relative_to(run).as_posix() for path in health.leftovers} == {
        ".manifest.json.ab12.tmp",
        "checkpoints/.step-00000040.parquet.0123.contested-tmp",
        "checkpoints/step-00000030.parquet",
        "metrics.jsonl",
        "state/step-00000020.pt",
    }
    assert remove_leftovers(run) == health.leftovers
    assert {name: (run / name).read_bytes() for name in files_of(run)} == {**before, "notes of mine.txt": b"keep"}
    assert remove_leftovers(run) == ()


def test_what_is_forgotten_is_no_leftover(run: Path) -> None:
    manifest = read_manifest(run)
    name = f"checkpoints/{layout.checkpoint_name(10)}"
    manifest["checkpoints"] = [listed for listed in manifest["checkpoints"] if listed["step"] != 10]
    del manifest["files"][name]
    write_manifest(run, manifest)
    (damage,) = inspect_run(run).damage
    assert (damage.kind, damage.path) == ("unlisted", run / name)
    assert remove_leftovers(run) == ()
    assert (run / name).exists()


def test_a_folder_without_checksums_says_so_and_what_cannot_be_read(run: Path, make_former: Any) -> None:
    make_former(run)
    health = inspect_run(run)
    assert (health.damage, health.verified, health.run_id) == ((), False, "made")
    (run / "examples.parquet").write_bytes(b"PAR1")
    (run / "metrics.jsonl").write_text('{"step": 0}\nnot JSON\n')
    (run / "checkpoints" / layout.checkpoint_name(10)).unlink()
    kinds = {damage.path.name: damage.kind for damage in inspect_run(run).damage}
    assert kinds == {"examples.parquet": "damaged", "metrics.jsonl": "damaged", "step-00000010.parquet": "missing"}


@pytest.mark.parametrize("line", [b"\xff", b"nonsense", b"[1]", b"1.5", b'{"stop": 1}', b"[" * 50_000])
@pytest.mark.parametrize("name", ["metrics.jsonl", "gradients/alignment.jsonl"])
def test_a_line_that_is_none_is_named_in_a_folder_without_checksums(
    run: Path, make_former: Any, name: str, line: bytes
) -> None:
    make_former(run)
    with (run / name).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(RunError, match=r"jsonl is damaged(.|\n)*line 4: ") as caught:
        Trajectory.load(run)
    assert len(caught.value.problems) == 1


def test_pages_have_checksums_of_their_own(run: Path) -> None:
    """Whoever reads a file without the manifest can ask for them."""
    file = run / "checkpoints" / layout.checkpoint_name(0)
    content = bytearray(file.read_bytes())
    column = pq.read_metadata(file).row_group(0).column(3)
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 4] ^= 1
    file.write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(file, page_checksum_verification=True)


def test_lines_count_with_the_next_checkpoint(writer: RunWriter) -> None:
    writer.write_metrics({"step": 25, "skipped": True})
    assert Trajectory.load(writer.path).metrics["step"].tolist() == [0, 10, 20]
    record(writer, 30)
    assert Trajectory.load(writer.path).metrics["step"].tolist() == [0, 10, 20, 25, 30]


def test_the_last_two_snapshots_stay_until_the_run_is_complete(writer: RunWriter) -> None:
    assert layout.snapshot_steps(writer.path) == [10, 20]
    assert [name for name in read_manifest(writer.path)["files"] if "state/" in name] == [
        "state/step-00000010.pt",
        "state/step-00000020.pt",
    ]
    writer.finish("interrupted")
    assert layout.snapshot_steps(writer.path) == [10, 20]
    writer.finish("complete")
    assert not (writer.path / "state").exists()


def test_a_reader_takes_the_manifest_that_came_meanwhile(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is resumed while it is read: what the first manifest listed goes between two files."""
    from contested.trajectories.reading import SharedExamples

    read, reads = SharedExamples.read, []

    def while_resumed(*given: Any) -> pd.DataFrame:
        if not reads:
            RunWriter.resume(writer.path, step=10)
        reads.append(given)
        return read(*given)

    monkeypatch.setattr(SharedExamples, "read", while_resumed)
    assert Trajectory.load(writer.path).steps.tolist() == [0, 10]
    assert len(reads) == 2


def test_a_file_that_something_else_has_changed_is_not_appended_to(writer: RunWriter) -> None:
    with (writer.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20}\n')
    with pytest.raises(RunError, match="something else has changed it while this run was recorded"):
        writer.write_metrics({"step": 21})


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda run: (run / "checkpoints" / layout.checkpoint_name(10)).unlink(), "step-00000010.parquet is missing"),
        (lambda run: (run / "gradients" / layout.checkpoint_name(10)).unlink(), "step-00000010.parquet is missing"),
        (lambda run: (run / "metrics.jsonl").write_text(""), "metrics.jsonl has 0 bytes of the"),
        (lambda run: (run / "gradients/alignment.jsonl").unlink(), "gradients/alignment.jsonl is missing"),
        (lambda run: (run / "baseline.parquet").unlink(), "baseline.parquet is missing"),
        (lambda run: (run / "examples.parquet").write_bytes(b"PAR1"), "examples.parquet has 4 bytes of the"),
        (
            lambda run: shutil.copy(
                run / "checkpoints" / layout.checkpoint_name(0), run / "checkpoints" / layout.checkpoint_name(5)
            ),
            "checkpoints/step-00000005.parquet is there, but the manifest does not list it",
        ),
    ],
)
def test_a_run_that_has_lost_something_is_not_resumed(
    writer: RunWriter, spoil: Callable[[Path], Any], wanted: str
) -> None:
    run = writer.path
    spoil(run)
    left = {name: (run / name).read_bytes() for name in files_of(run)}
    with pytest.raises(RunError) as caught:
        RunWriter.resume(run, step=20)
    assert wanted in " ".join(caught.value.problems)
    assert "what it recorded up to step 20 is not whole" in caught.value.message
    assert "of 3 checkpoints can be read." in caught.value.message
    assert "begin this run again with --from-start of the same command" in caught.value.message
    assert {name: (run / name).read_bytes() for name in files_of(run)} == left


def test_what_is_later_than_the_snapshot_may_be_lost(writer: RunWriter) -> None:
    (writer.path / "checkpoints" / layout.checkpoint_name(20)).unlink()
    (writer.path / "gradients" / layout.checkpoint_name(20)).write_bytes(b"")
    RunWriter.resume(writer.path, step=10)
    assert inspect_run(writer.path).damage == ()
    assert Trajectory.load(writer.path).steps.tolist() == [0, 10]


@pytest.mark.parametrize("stopped_at", range(12))
def test_a_process_that_is_stopped_while_it_resumes_loses_nothing(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """Stopped before any of the operations that remove something: the next one resumes."""
    import os

    done = []

    def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            if len(done) == stopped_at:
                raise KeyboardInterrupt
            done.append(given)
            return operation(*given, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted(os.replace))
        patch.setattr(os, "truncate", counted(os.truncate))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        try:
            RunWriter.resume(writer.path, step=10)
        except KeyboardInterrupt:
            assert len(done) == stopped_at
    assert inspect_run(writer.path).damage == ()
    resumed = RunWriter.resume(writer.path, step=10)
    assert inspect_run(writer.path).leftovers == ()
    record(resumed, 20)
    assert Trajectory.load(writer.path).steps.tolist() == list(STEPS)


def test_an_older_folder_is_taken_up_with_the_checkpoint_after_its_manifest(
    writer: RunWriter, make_former: Any
) -> None:
    """An earlier version was stopped between its snapshot of step 20 and its manifest."""
    run = writer.path
    make_former(run, checkpoints=[{"step": 0, "epoch": 0.0}, {"step": 10, "epoch": 1.0}])
    (run / "state" / layout.snapshot_name(20)).rename(run / "state" / "snapshot.pt")
    (run / "state" / layout.snapshot_name(10)).unlink()
    RunWriter.resume(run, step=20)
    manifest = read_manifest(run)
    assert manifest["schema_version"] == 3
    assert manifest["checkpoints"] == [{"step": step, "epoch": step / 10} for step in STEPS]
    assert layout.snapshot_steps(run) == [20]
    health = inspect_run(run)
    assert (health.damage, health.leftovers, health.verified) == ((), (), True)


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda run: (run / "checkpoints" / layout.checkpoint_name(10)).unlink(), "step-00000010.parquet is missing"),
        (lambda run: (run / "metrics.jsonl").write_text('{"step": 0}\n'), "has no line of 2 of 3 checkpoints"),
        (lambda run: (run / "metrics.jsonl").unlink(), "has no line of 3 of 3 checkpoints"),
    ],
)
def test_an_older_folder_that_has_lost_something_is_not_resumed(
    writer: RunWriter, make_former: Any, spoil: Callable[[Path], Any], wanted: str
) -> None:
    make_former(writer.path)
    spoil(writer.path)
    with pytest.raises(RunError) as caught:
        RunWriter.resume(writer.path, step=20)
    assert wanted in str(caught.value)
    assert "--from-start" in str(caught.value)


def test_the_digest_does_not_depend_on_the_order_of_the_keys() -> None:
    assert sealed({"a": 1, "b": {"c": 2, "d": 3}})["digest"] == sealed({"b": {"d": 3, "c": 2}, "a": 1})["digest"]
    assert sealed({"a": 1})["digest"] != sealed({"a": 2})["digest"]
    text = json.dumps(sealed({"a": "ä\ud800"}))
    assert sealed(json.loads(text)) == json.loads(text)


def test_a_folder_that_begins_again_keeps_nothing_of_the_run_before(writer: RunWriter) -> None:
    (writer.path / "notes of mine.txt").write_text("keep")
    begin(writer.path)
    assert files_of(writer.path) == [
        *("baseline.parquet", "examples.parquet", "manifest.json", "metrics.jsonl", "notes of mine.txt")
    ]
    assert (writer.path / "metrics.jsonl").read_text() == ""
