"""One process records a run, whatever happens to others and to itself in the middle of a write."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pytest

from contested.errors import DamagedRunError, RunError
from contested.files import atomic_folder, atomic_path, make_folder, remove
from contested.trajectories import (
    LeaseLostError,
    RunLockedError,
    RunWriter,
    held,
    holder,
    inspect_run,
    is_held,
    layout,
    lease,
    lease_chain,
    lease_silence,
    read_manifest,
)
from contested.trajectories.lease import check_lease
from contested.trajectories.lease_chain import TakenError, latest, release, take
from contested.trajectories.lease_owner import Owner, this_process

EXAMPLES = pd.DataFrame({"row_key": [0, 1], "example_id": ["a", "b"], "split": ["train", "train"]})
FACTS = {"head": True, "mode": "eval", "method": "layerwise", "notes": []}


def elsewhere(number: int = 1, period_s: float = 60.0) -> Owner:
    """A process of another machine."""
    return this_process(f"{number:016x}", period_s)._replace(host="far", boot="another")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other machines did is seen at once."""
    monkeypatch.setattr(lease_chain, "_VISIBLE_S", 0.2)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that keeps no locks: whoever asks for one gets it."""
    monkeypatch.setattr("fcntl.flock", lambda handle, operation: None)


def taken(run: Path, owner: Owner | None = None) -> Path:
    """Take a run from whoever holds it."""
    return take(run, latest(run), owner or elsewhere(7))


def do(code: str, *given: object) -> subprocess.Popen[str]:
    """Begin something in another process, which knows ``run`` and no locks."""
    begin = "import fcntl, os, pathlib, signal, sys, time; fcntl.flock = lambda *_: None\n"
    begin += "from contested.trajectories import *; from contested.trajectories import lease, lease_chain\n"
    begin += "run = pathlib.Path(sys.argv[1])\n"
    command = [sys.executable, "-c", begin + code, *map(str, given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(run: Path) -> dict[str, bytes]:
    found = (file for file in sorted(run.rglob("*")) if file.is_file() and ".lease" not in file.parts)
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in found if file.name != ".lock"}


def test_a_run_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    said = rf"by another process \(process {os.getpid()} on .*\)\. Wait for it, or choose"
    with held(tmp_path), pytest.raises(RunLockedError, match=said), held(tmp_path):
        pass
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)


def test_a_run_is_released_wherever_the_process_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    with held(Path("run")):
        monkeypatch.chdir("/")
    assert not is_held(tmp_path / "run")


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"Cannot lock .*: No such file"), held(tmp_path / "run"):
        pass
    with pytest.raises(FileNotFoundError):  # nor is it anybody's that goes meanwhile
        take(tmp_path / "run", None, elsewhere())
    assert not list(tmp_path.iterdir())


def test_a_disk_that_does_not_rename_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(RunError, match=r"Cannot lock .*: Operation not permitted"), held(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("there", [True, False])
def test_what_a_process_elsewhere_could_still_use_must_be_gone(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    taken(tmp_path, elsewhere(1) if there else this_process("1" * 16, 60.0))
    monkeypatch.setattr(lease_chain, "_LOOKS", 2)
    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(OSError, match="not empty") if there else contextlib.nullcontext():
        taken(tmp_path, elsewhere(2))


def test_a_lease_ends_with_its_process_at_once_and_what_it_left_goes(blind: None, tmp_path: Path) -> None:
    left = "kept = held(run); kept.__enter__(); s = next((run / '.lease').iterdir()); (s / 'half').touch(); os._exit(9)"
    assert do(left, tmp_path).wait(60) == 9
    found, prepared = holder(tmp_path), tmp_path / f".lease-{elsewhere().token}"
    assert found is not None
    assert (found.alive, is_held(tmp_path)) == (False, False)
    (prepared / f"000001-{elsewhere().token}").mkdir(parents=True)
    assert [path.name for path in lease_chain.staged(tmp_path)] == ["half", prepared.name]
    with held(tmp_path):
        (folder,) = (tmp_path / ".lease").iterdir()
        assert folder.name.startswith("000002-")
        assert {file.name for file in folder.iterdir()} == {"holder", "beat-0"}
        assert not prepared.exists()  # nor can a claimant that was stopped put it into the place of the lease
    (left_file,) = (tmp_path / ".lease").glob("*/*")
    assert left_file.name == "released-none"


RACE = """
start = time.monotonic() + 1.0
for number in range(12):
    if os.fork() == 0:
        time.sleep(max(0, start - time.monotonic()))
        log, won = open(run / "log", "ab", buffering=0), 0
        while won < 6:
            try:
                with held(run):
                    log.write(b"+")
                    time.sleep(0.001)
                    log.write(b"-")
                    won += 1
                    if number < 4 and won == 3:
                        os._exit(0)  # without a word
            except RunLockedError:
                time.sleep(0.002)
        os._exit(0)
for _ in range(12):
    os.wait()
"""


def test_of_many_processes_without_locks_one_holds_a_run(tmp_path: Path) -> None:
    assert do(RACE, tmp_path).wait(120) == 0
    log = (tmp_path / "log").read_bytes()
    assert log == b"+-" * (8 * 6 + 4 * 3)
    assert latest(tmp_path).number == 8 * 6 + 4 * 3  # type: ignore[union-attr]
    assert not is_held(tmp_path)


def begun(run: Path) -> RunWriter:
    made = RunWriter.create(run, header={"run_id": "made"}, examples=EXAMPLES, text_columns=[])
    made.write_baseline(losses=np.array([0.1, 0.2]), logits=None)
    record(made, 0)
    return made


def record(writer: RunWriter, step: int) -> None:
    writer.write_checkpoint(step=step, epoch=step / 10, losses=np.array([0.5, 0.7]) * step, logits=None)
    writer.write_metrics({"step": step})
    writer.write_alignment({"step": step, "groups": [], "counts": [], "norms": [], "cosines": [], **FACTS})
    writer.list_checkpoint(step=step, epoch=step / 10)


def put(path: Path, **options: Any) -> None:
    with atomic_folder(path, **options) as made:
        (made / "weights").write_text("new")


def cut(writer: RunWriter) -> None:
    with (writer.path / "metrics.jsonl").open("a") as file:
        file.write("more")
    RunWriter.resume(writer.path, step=0)


WRITES: dict[str, Callable[[RunWriter], object]] = {
    "a checkpoint": lambda writer: record(writer, 10),
    "the manifest": lambda writer: writer.finish("failed"),
    "a first line": lambda writer: writer._append("gradients/other.jsonl", "{}\n"),
    "weights": lambda writer: put(writer.path / "adapter"),
    "weights again": lambda writer: put(writer.path / "model", replace=True),
    "a removed file": lambda writer: remove(writer.path / "baseline.parquet"),
    "a removed folder": lambda writer: remove(writer.path / "model"),
    "a folder": lambda writer: make_folder(writer.path / "state"),
    "a cut": cut,
    "another begin": lambda writer: RunWriter.create(
        writer.path, header={"run_id": "made"}, examples=EXAMPLES, text_columns=[]
    ),
}


@pytest.mark.parametrize(("name", "other"), [("run", "link"), ("link", "run")])
@pytest.mark.parametrize("what", WRITES)
def test_whoever_loses_a_run_in_the_middle_of_a_write_changes_nothing(
    what: str, name: str, other: str, blind: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, after, run = os.replace, {}, tmp_path / "run"
    run.mkdir()
    (tmp_path / "link").symlink_to(run)
    with held(tmp_path / name):
        writer = begun(tmp_path / other)
        put(run / "model")

        def late(source: Any, target: Any) -> None:
            # Everything was looked at and decided: now the process stops, and another one takes the run.
            if not after:
                taken(run)
                after.update(files(run))
            rename(source, target)

        monkeypatch.setattr("os.replace", late)
        with pytest.raises(LeaseLostError, match=rf"Another process took .*: process {os.getpid()} on far\."):
            WRITES[what](writer)
        with pytest.raises(LeaseLostError):
            check_lease(run)
        with pytest.raises(LeaseLostError):
            writer.finish("interrupted")
    assert files(run) == after
    found = latest(run)
    # The lease of the other one is as it was: its end is none of the former owner's business.
    assert found is not None
    assert (found.token, found.left) == (elsewhere(7).token, None)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT, errno.ESTALE])
def test_a_disk_that_fails_for_a_moment_loses_no_lease(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    with held(tmp_path), monkeypatch.context() as patch:
        patch.setattr("os.scandir", fail)
        with contextlib.nullcontext() if number == errno.EIO else pytest.raises(LeaseLostError):
            check_lease(tmp_path)


def test_lines_of_a_former_owner_reach_no_file_of_the_next_one(blind: None, tmp_path: Path) -> None:
    with held(tmp_path):
        former = begun(tmp_path)
        descriptor = former._ledger._growing["metrics.jsonl"].descriptor
        taken(tmp_path)
    release(tmp_path, latest(tmp_path).folder)  # type: ignore[union-attr]
    with held(tmp_path):
        writer = RunWriter.resume(tmp_path, step=0)
        writer.write_metrics({"step": 10})
        os.write(descriptor, b"late\n")  # past every look
        writer.write_metrics({"step": 20})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 0}\n{"step": 10}\n{"step": 20}\n'


STOPPED = """
lease.PERIOD_S = 0.5
import numpy as np, pandas as pd
from contested.trajectories import RunWriter
renames, rename = 0, os.replace
def stop(source, target):
    global renames
    renames += 1
    if renames == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGSTOP)
    rename(source, target)
os.replace = stop
try:
    with held(run):
        examples = pd.DataFrame({"row_key": [0, 1], "example_id": ["a", "b"], "split": ["train", "train"]})
        writer = RunWriter.create(run, header={"run_id": "made"}, examples=examples, text_columns=[])
        for step in (0, 10, 20):
            writer.write_checkpoint(step=step, epoch=step / 10, losses=np.array([0.5, 0.7]) * step, logits=None)
            writer.write_metrics({"step": step})
            writer.list_checkpoint(step=step, epoch=step / 10)
        writer.finish("complete")
except RunLockedError as error:
    print(type(error).__name__, error)
"""


def undisturbed(run: Path, steps: tuple[int, ...] = (0, 10, 20), writer: RunWriter | None = None) -> None:
    writer = writer or RunWriter.create(run, header={"run_id": "made"}, examples=EXAMPLES, text_columns=[])
    for step in steps:
        writer.write_checkpoint(step=step, epoch=step / 10, losses=np.array([0.5, 0.7]) * step, logits=None)
        writer.write_metrics({"step": step})
        writer.list_checkpoint(step=step, epoch=step / 10)
    writer.finish("complete")


def test_a_process_that_was_stopped_in_a_write_and_goes_on_after_its_period_is_out(blind: None, tmp_path: Path) -> None:
    run, rng = tmp_path / "run", np.random.default_rng(3)
    undisturbed(tmp_path / "whole")
    for at in rng.choice(np.arange(4, 14), 3, replace=False):
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        process = do(STOPPED, run, at)
        assert os.waitpid(process.pid, os.WUNTRACED)[1] & 0xFF == 0x7F
        with pytest.raises(RunLockedError), held(run):
            pass
        while is_held(run):
            pass
        with held(run):
            known = layout.checkpoint_steps(run) if (run / "manifest.json").exists() else []
            listed = [entry["step"] for entry in read_manifest(run)["checkpoints"]] if known else []
            writer = RunWriter.resume(run, step=listed[-1]) if listed else None
            undisturbed(run, tuple(step for step in (0, 10, 20) if step not in listed), writer)
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=60)[0]
        assert said.startswith("LeaseLostError Another process took"), said
        assert inspect_run(run).damage == ()
        aside = "manifest.json"
        assert {**files(run), aside: b""} == {**files(tmp_path / "whole"), aside: b""}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The observer's own clock, which goes on as it is told."""
    now = [1000.0]
    monkeypatch.setattr(lease_silence, "time", type("", (), {"monotonic": staticmethod(lambda: now[0])}))

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_a_process_elsewhere_is_dead_once_its_period_is_over_by_many_looks(
    tmp_path: Path, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = taken(tmp_path, elsewhere(1, period_s=40.0))
    monkeypatch.setattr("time.time", lambda: 0.0)  # Whatever the wall clock says.
    assert is_held(tmp_path)
    for _ in range(4):  # 10 s each: a quarter of the period, though a week has gone
        clock(604800.0)
        assert is_held(tmp_path)
    assert lease_chain.beat(folder, 0)
    link = tmp_path / "link"  # a run is the same under any name
    link.symlink_to(tmp_path)
    for name in (tmp_path, link, tmp_path, link, tmp_path):
        assert is_held(name)
        assert holder(name).alive is None  # type: ignore[union-attr]
        clock(8.1)
    assert not is_held(tmp_path)  # 5 × 8.1 s
    assert holder(tmp_path).alive is False  # type: ignore[union-attr]
    monkeypatch.setattr(lease, "_SILENCES", lease_silence.Silences())  # another process has not watched it
    assert is_held(tmp_path)


def test_who_waits_takes_a_silent_run_and_leaves_one_that_shows_life(tmp_path: Path) -> None:
    folder = taken(tmp_path, elsewhere(1, period_s=0.4))
    assert lease_chain.beat(folder, 0)
    with held(tmp_path, wait=True):
        assert latest(tmp_path).number == 2  # type: ignore[union-attr]
    folder, looks = taken(tmp_path, elsewhere(2, period_s=3.0)), []

    def once(seconds: float) -> None:
        lease_chain.beat(folder, len(looks))
        looks.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contested.trajectories.lease.time", type("", (), {"sleep": staticmethod(once)}))
        with pytest.raises(RunLockedError, match="on far"), held(tmp_path, wait=True):
            pass
        taken(tmp_path, this_process("3" * 16, 3.0))  # one that is known to be alive is not watched at all
        with pytest.raises(RunLockedError, match=str(os.getpid())), held(tmp_path, wait=True):
            pass
    assert looks == [0.125]


def test_signs_of_life_are_given_until_the_end_and_end_with_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PERIOD_S", 0.12)
    with held(tmp_path):
        while latest(tmp_path).beats < 3:  # type: ignore[union-attr]
            pass
        taken(tmp_path)
        assert lease._HELD[tmp_path.resolve()].folder.exists() is False
        (heart,) = (thread for thread in threading.enumerate() if thread.name == "contested leases")
    heart.join(60)
    assert not heart.is_alive()


@pytest.mark.parametrize("nth", range(1, 4))
def test_a_claim_that_dies_on_its_way_is_followed_by_the_next_one(
    nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(tmp_path):
        pass
    calls, rename = [0], os.rename

    def die(source: Any, target: Any) -> None:
        calls[0] += 1
        if calls[0] == nth:
            raise SystemExit
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.rename", die)
        with contextlib.suppress(SystemExit):
            taken(tmp_path, elsewhere(1, period_s=0.01))
    while is_held(tmp_path):
        pass
    taken(tmp_path, elsewhere(2))
    (folder,) = (tmp_path / ".lease").iterdir()
    assert folder.name == f"{2 + (nth > 1):06d}-{elsewhere(2).token}"
    assert {file.name for file in folder.iterdir()} == {"holder", "beat-0"}


@pytest.mark.parametrize("nth", range(1, 8))
def test_an_answer_that_is_lost_changes_nothing(nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [0]

    def lossy(do: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def doing(source: Any, target: Any) -> None:
            calls[0] += 1
            do(source, target)
            if calls[0] == nth:  # A file server that is asked again finds nothing to rename any more.
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        return doing

    taken(tmp_path, elsewhere(1, period_s=0.01))
    for name in ("os.rename", "os.replace"):
        monkeypatch.setattr(name, lossy(getattr(os, name[3:])))
    folder = taken(tmp_path)
    assert lease_chain.beat(folder, 0)
    release(tmp_path, folder)
    with held(tmp_path), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert calls[0] >= 7


def test_who_was_overtaken_takes_nothing(tmp_path: Path) -> None:
    taken(tmp_path, elsewhere(1))
    stale = latest(tmp_path)
    taken(tmp_path, elsewhere(2))
    taken(tmp_path, elsewhere(3))
    for before in (None, stale):
        with pytest.raises(TakenError):
            take(tmp_path, before, elsewhere(4))
    assert [path.name for path in (tmp_path / ".lease").iterdir()] == [f"000003-{3:016x}"]


@pytest.mark.parametrize(("overtaken", "error"), [(True, LeaseLostError), (False, DamagedRunError)])
def test_who_was_overtaken_hears_that_and_not_what_it_made_of_the_other_ones_work(
    overtaken: bool, error: type[RunError], tmp_path: Path
) -> None:
    def resume() -> None:
        with held(tmp_path):
            if overtaken:
                taken(tmp_path, elsewhere())
            raise DamagedRunError("no snapshot of it is left")

    with pytest.raises(error, match="Another process took" if overtaken else "no snapshot"):
        resume()


def test_a_disk_whose_renames_put_folders_over_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def over(source: Any, target: Any) -> None:
        shutil.rmtree(target, ignore_errors=True)
        rename(source, target)

    monkeypatch.setattr("os.rename", over)
    with pytest.raises(RunError, match="renames a folder onto another one that is not empty"), held(tmp_path):
        pass


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs two disks")
def test_a_part_of_a_run_on_another_disk_is_refused(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"contested-{os.getpid()}"
    other.mkdir()
    try:
        (tmp_path / "checkpoints").symlink_to(other)
        with held(tmp_path), pytest.raises(RunError, match=r"checkpoints is on another disk than .* kept on one\."):
            begun(tmp_path)
        assert not list(other.iterdir())
    finally:
        shutil.rmtree(other)


def test_what_else_keeps_a_file_from_its_place_is_said_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with held(tmp_path):
        monkeypatch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="No space left"), atomic_path(tmp_path / "file"):
            pass


def test_a_lease_that_names_nobody_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".lease" / "claim-000002-0000000000000000").mkdir(parents=True)
    with pytest.raises(RunError, match=r"\.lease says of no process .* remove "), held(tmp_path):
        pass
    assert is_held(tmp_path)


def test_a_holder_that_cannot_be_read_is_waited_for(tmp_path: Path, clock: Callable[[float], None]) -> None:
    (taken(tmp_path) / "holder").write_bytes(b"\0" * 300)
    for _ in range(5):
        assert is_held(tmp_path)
        clock(15.1)
    assert not is_held(tmp_path)
    found = holder(tmp_path)
    assert found is not None
    assert (found.pid, found.alive) == (None, None)


def test_who_holds_a_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holder(tmp_path) is None
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with held(tmp_path):
        found = holder(tmp_path)
        assert found is not None
        assert (found.pid, found.silent_s, found.alive, found.job) == (os.getpid(), 0.0, True, "slurm 12_3")
        assert found.since is not None
        assert found.since.tzinfo is not None
        begun(tmp_path)
        assert read_manifest(tmp_path)["lease"] == {"generation": 1, "token": latest(tmp_path).token}  # type: ignore[union-attr]
    assert holder(tmp_path) is None
    taken(tmp_path, this_process("0" * 16, 60.0)._replace(boot="before", machine="same"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contested.trajectories.lease_owner._machine", lambda: (found.host, "same", "after"))
        again = holder(tmp_path)
        assert again is not None
        assert again.alive is False  # The machine was started again.


def test_a_run_that_an_earlier_version_locks_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*_: Any) -> None:
        raise TakenError

    with filelock.FileLock(tmp_path / ".lock"):
        assert is_held(tmp_path)
        found = holder(tmp_path)
        assert found is not None
        assert (found.host, found.alive) == ("", True)
        with pytest.raises(RunLockedError, match=r"by another process\. Wait for it"), held(tmp_path):
            pass
    with monkeypatch.context() as patch:
        patch.setattr(lease, "take", overtaken)
        with pytest.raises(RunLockedError) as quicker, held(tmp_path):
            pass
    with held(tmp_path), pytest.raises(filelock.Timeout), filelock.FileLock(tmp_path / ".lock", timeout=0):
        pass
    assert "by another process. Wait" in str(quicker.value)  # whose traceback kept the lock from being collected
    with filelock.FileLock(tmp_path / ".lock"):
        assert is_held(tmp_path)
        # One that is silent only may hold it as well: it is the lease that counts.
        taken(tmp_path, elsewhere(1, period_s=0.01))
        while is_held(tmp_path):
            pass
        with held(tmp_path):
            pass


def test_the_next_owner_from_another_machine_waits_for_the_manifest_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("before")
    folder = taken(tmp_path)
    (tmp_path / "manifest.json").write_text("after")
    release(tmp_path, folder)
    read, seen = Path.read_bytes, []

    def late(path: Path) -> bytes:
        if path.name != "manifest.json":
            return read(path)
        seen.append(path)
        return b"before" if len(seen) < 3 else read(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    monkeypatch.setattr(lease_chain, "_VISIBLE_S", 60.0)
    with held(tmp_path):
        assert len(seen) == 3


def test_an_owner_is_alive_while_it_waits_for_what_a_dead_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(tmp_path, elsewhere(1, period_s=0.01))
    while is_held(tmp_path):
        pass
    monkeypatch.setattr(lease, "PERIOD_S", 0.3)
    monkeypatch.setattr(lease_chain, "_VISIBLE_S", 0.6)
    with held(tmp_path):
        assert latest(tmp_path).beats >= 3  # type: ignore[union-attr]


def test_a_fork_of_the_owner_is_fenced_and_ends_nothing(tmp_path: Path) -> None:
    code = """
with held(run):
    if (child := os.fork()) == 0:
        from contested.files import make_folder, write_text
        write_text(run / "theirs", "x")
        lease.PERIOD_S = 0.1
        make_folder(run / "own")
        with held(run / "own"):
            while lease_chain.latest(run / "own").beats < 2:
                pass
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(lease_chain.latest(run).left, (run / "theirs").read_text())
"""
    process = do(code, tmp_path)
    assert process.communicate(timeout=60)[0] == "None x\n"
