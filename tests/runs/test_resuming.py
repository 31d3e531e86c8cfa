"""A run that has lost something is not resumed as if nothing were; one whose last snapshot is damaged ends the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contested as ct
from contested.errors import RunError
from contested.runs import Interrupted, Progress, session
from contested.runs.folder import Resumption, resume_step
from contested.training import loop
from contested.trajectories import RunLockedError, inspect_run, layout

# 32 tracked + 40 bulk = 72 examples, 9 steps an epoch: checkpoints at 0, 3, 6 and 9.
RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8},
    "tracking": {"every": 3},
    "probes": {"gradient_norms": "every", "every": 3},
    "execution": {"threads": 1},
}


Train = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(
    checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path_factory: pytest.TempPathFactory
) -> Train:
    """Trains a small run, and stops it after a step where one is given."""
    task = ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=40)
    cache = str(tmp_path_factory.mktemp("cache"))

    def train(out: Path, *, stop_at: int | None = None, **options: Any) -> Any:
        def stop(progress: Progress) -> None:
            if progress.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        method, given = options.pop("method", ct.LoRA(r=2)), {**RECIPE, **options}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONTESTED_CACHE", cache)
            return ct.train(str(checkpoint("bert")), method, task, out=out, max_length=60, on_progress=stop, **given)

    return train


@pytest.fixture(scope="module")
def pause(trained: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("paused") / "run"
    with pytest.raises(Interrupted):
        trained(run, stop_at=8)
    assert layout.snapshot_steps(run) == [6, 8]
    return run


@pytest.fixture(scope="module")
def whole(trained: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never stopped."""
    path: Path = trained(tmp_path_factory.mktemp("whole") / "run").path
    return path


@pytest.fixture
def train(trained: Train, tmp_path: Path) -> Train:
    return lambda **options: trained(tmp_path / "run", **options)


@pytest.fixture
def paused(pause: Path, tmp_path: Path) -> Path:
    """A run that was stopped after step 8: snapshots at 6 and 8, checkpoints at 0, 3 and 6."""
    return Path(shutil.copytree(pause, tmp_path / "run"))


@pytest.fixture
def complete(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def content(run: Path) -> dict[str, bytes]:
    """What must not depend on how a run came about: its files but for times, and the process that wrote them."""
    files = {file.relative_to(run).as_posix(): file for file in sorted(run.rglob("*")) if file.is_file()}
    return {
        name: file.read_bytes()
        for name, file in files.items()
        if name not in {"manifest.json", "metrics.jsonl", ".lock"} and not name.startswith(".lease")
    }


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_a_run_whose_last_snapshot_is_damaged_resumes_from_the_one_before(
    train: Train, paused: Path, whole: Path
) -> None:
    last = paused / "state" / layout.snapshot_name(8)
    flip(last, last.stat().st_size * 4)  # the middle
    with pytest.warns(UserWarning, match=r"step-00000008\.pt is not what was written .* from the snapshot .* step 6"):
        resumed = train()
    assert content(resumed.path) == content(whole)
    manifest = json.loads((resumed.path / "manifest.json").read_text())
    assert any("the run resumes from the snapshot before it, of step 6" in note for note in manifest["notes"])
    assert inspect_run(resumed.path).damage == ()


@pytest.mark.parametrize(
    ("where", "what"), [((session, "check_engines"), KeyboardInterrupt), ((loop, "track"), MemoryError)]
)
def test_a_run_that_something_else_stops_before_its_first_step_says_so(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str], what: type[BaseException]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise what

    monkeypatch.setattr(*where, stop)
    with pytest.raises(what):
        train()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "interrupted"


def test_a_run_that_is_resumed_with_something_else_says_what(
    train: Train, paused: Path, reseal: Any, recwarn: pytest.WarningsRecorder
) -> None:
    provenance = json.loads((paused / "manifest.json").read_text())["provenance"]
    provenance["packages"]["torch"] = "1.0"
    reseal(paused, provenance={**provenance, "threads": 3})
    resumed = train()
    notes = json.loads((resumed.path / "manifest.json").read_text())["notes"]
    version = torch.__version__
    said = f"The run is resumed with torch {version} instead of 1.0, threads 1 instead of 3: it may end in other bits"
    assert sum(note.startswith(said) for note in notes) == 1


def test_300_flips_of_a_snapshots_bits_are_noticed(paused: Path) -> None:
    rng, seen = random.Random(3), {6: 0, 8: 0}
    for _ in range(300):
        step = rng.choice([6, 8])
        file = paused / "state" / layout.snapshot_name(step)
        bit = rng.randrange(file.stat().st_size * 8)
        flip(file, bit)
        found = resume_step(paused)
        assert found is not None
        # Of the first of the two nobody asks while the second is whole.
        assert (found.step, len(found.notes)) == ((8, 0) if step == 6 else (6, 1))
        assert inspect_run(paused).damage
        flip(file, bit)
        seen[step] += 1
    assert min(seen.values()) > 100
    assert resume_step(paused) == Resumption(8, ())


def test_a_run_without_a_whole_snapshot_begins_again_only_when_told(train: Train, paused: Path, whole: Path) -> None:
    for step in (6, 8):
        flip(paused / "state" / layout.snapshot_name(step), 4000)
    with pytest.raises(RunError, match=r"cannot be resumed: no snapshot of it is left\. 3 of 3 checkpoints") as caught:
        train()
    assert "--from-start" in caught.value.message
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "state/step-00000008.pt",
        "state/step-00000006.pt",
    ]
    assert ct.Trajectory.load(paused).steps.tolist() == [0, 3, 6]
    again = train(from_start=True)
    assert content(again.path) == content(whole)


def test_a_run_of_a_newer_version_does_not_begin_again(train: Train, complete: Path, reseal: Any) -> None:
    reseal(complete, schema_version=layout.SCHEMA_VERSION + 1)
    left = content(complete)
    with pytest.raises(RunError, match="Upgrade contested"):
        train(from_start=True)
    assert content(complete) == left


@pytest.mark.parametrize(
    ("lose", "wanted"),
    [
        (lambda run: shutil.rmtree(run / "state"), "no snapshot of it is left"),
        (lambda run: (run / "checkpoints" / layout.checkpoint_name(3)).unlink(), "step-00000003.parquet is missing"),
        (lambda run: (run / "metrics.jsonl").unlink(), "metrics.jsonl is missing"),
        (lambda run: shutil.rmtree(run / "gradients"), "gradients/alignment.jsonl is missing"),
        (lambda run: (run / "manifest.json").unlink(), "its manifest is gone"),
        (lambda run: (run / "manifest.json").write_text("{"), "manifest.json is damaged"),
    ],
    ids=["snapshots", "a checkpoint", "metrics", "gradients", "manifest", "half a manifest"],
)
def test_nothing_that_was_recorded_is_forgotten(
    train: Train, paused: Path, lose: Callable[[Path], Any], wanted: str
) -> None:
    lose(paused)
    left = content(paused)
    with pytest.raises(RunError) as caught:
        train()
    assert wanted in str(caught.value)
    assert content(paused) == left
    assert train(from_start=True).trained
    assert inspect_run(paused).damage == ()


def test_a_complete_run_that_is_damaged_is_not_taken_for_complete(train: Train, complete: Path) -> None:
    flip(next((complete / "adapter").glob("*.safetensors")), 5000)
    with pytest.raises(RunError, match=r"holds this run, complete, but not as it was written\. 4 of 4 checkpoints"):
        train()
    assert train(from_start=True).trained
    assert not train().trained


def test_what_a_kill_at_the_very_end_leaves_of_a_complete_run_goes_with_the_next_call(
    train: Train, complete: Path
) -> None:
    (complete / "state").mkdir()
    (complete / "state" / "step-00000024.pt").write_bytes(b"a snapshot that the manifest no longer lists")
    (complete / ".manifest.json.0123456789abcdef.contested-tmp").write_text("left by a dead process")
    assert not train().trained
    assert not (complete / "state").exists()
    assert inspect_run(complete).leftovers == ()


def test_from_start_removes_no_other_run(train: Train, complete: Path) -> None:
    before = content(complete)
    with pytest.raises(RunError, match=r"holds another run .*\n.*seed: the folder has 42, now given 7"):
        train(from_start=True, seed=7)
    assert content(complete) == before


@pytest.mark.parametrize("how", ["removed", "taken"])
def test_a_lease_that_is_gone_stops_its_owner_before_the_next_write(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    from contested.trajectories.lease_chain import latest, release, take
    from contested.trajectories.lease_owner import this_process

    run, before, track = tmp_path / "run", {}, loop.track

    def vanish(*given: Any, **options: Any) -> Any:
        if layout.checkpoint_steps(run) == [0, 3] and not before:
            if how == "removed":
                shutil.rmtree(run / ".lease")
            else:
                release(run, take(run, latest(run), this_process("0" * 16, 60.0)))
            before.update(content(run))
        return track(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "track", vanish)
        with pytest.raises(RunLockedError, match=r"was removed while|Another process took .* while this one recorded"):
            train()
    assert {name: data for name, data in content(tmp_path / "run").items() if "gradients" not in name} == {
        name: data for name, data in before.items() if "gradients" not in name
    }
    assert train().status == "complete"


def test_a_snapshot_runs_no_code(train: Train, paused: Path, make_former: Any, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    make_former(paused)
    for step in (6, 8):
        (paused / "state" / layout.snapshot_name(step)).unlink()
    torch.save({"step": 8, "weights": Evil()}, paused / "state" / "snapshot.pt")
    with pytest.raises(RunError, match=r"Cannot read the snapshot .*snapshot\.pt"):
        train()
    assert not (tmp_path / "ran").exists()


def test_the_snapshot_of_an_earlier_version_is_resumed(
    train: Train, paused: Path, whole: Path, make_former: Any
) -> None:
    """It had NumPy's random state as an array, and one name."""
    make_former(paused)
    (paused / "state" / layout.snapshot_name(6)).unlink()
    newest = paused / "state" / layout.snapshot_name(8)
    state = torch.load(newest, weights_only=True)
    state["random"]["numpy"] = np.random.get_state()
    torch.save(state, paused / "state" / "snapshot.pt")
    newest.unlink()
    resumed = train()
    assert content(resumed.path) == content(whole)
    assert inspect_run(resumed.path).verified


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_rights_follow_the_umask(train: Train, umask: int) -> None:
    before = os.umask(umask)
    try:
        run = train(training={**RECIPE["training"], "epochs": 1}).path
    finally:
        os.umask(before)
    rights = {path.relative_to(run).as_posix(): path.stat().st_mode & 0o777 for path in [run, *run.rglob("*")]}
    wrong = {name: oct(found) for name, found in rights.items() if found != _wanted(run / name, umask)}
    assert not wrong


def _wanted(path: Path, umask: int) -> int:
    return (0o777 if path.is_dir() else 0o666) & ~umask


def test_the_names_that_an_adapter_adapts_are_in_one_order(train: Train) -> None:
    """PEFT writes a set in the order that the hashes of the process have it."""
    modules = ["value", "query", "key", "attention.output.dense", "intermediate.dense", "output.dense"]
    run = train(method=ct.LoRA(r=2, target_modules=modules))
    written = json.loads((run.path / "adapter" / "adapter_config.json").read_text())
    assert written["target_modules"] == sorted(modules)
    assert list(written) == sorted(written)
