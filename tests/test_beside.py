"""Work beside a process: in processes of its own, which need what a test's process with its threads cannot give."""

import gc
import subprocess
import sys
import threading

import pytest

from contested import beside
from contested.beside import import_to_stay

_SCRIPT = """
import os, signal, sys, time
import contested.beside
from contested.beside import beside
contested.beside.processes = lambda: 2
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _SCRIPT + script], capture_output=True, text=True, timeout=60)


def test_results_come_in_order_from_other_processes_while_this_one_goes_on() -> None:
    # Each item waits for the other one, and the first for this process: one after the other none would end.
    done = run("""
pipes = [os.pipe() for _ in range(3)]
def wait(item):
    if item < 2:
        os.write(pipes[item][1], b"x")
        os.read(pipes[1 - item][0], 1)
    if item == 0:
        os.read(pipes[2][0], 1)
    return item, os.getpid()
with beside(wait, [1, 0, 2]) as results:
    os.write(pipes[2][1], b"x")
    found = results()
print([item for item, _ in found], len({process for _, process in found}), os.getpid() in dict(found).values())
""")
    assert done.stdout == "[1, 0, 2] 2 False\n", done.stderr


def test_many_small_items_are_done_some_at_a_time_in_order() -> None:
    done = run("""
from contested.beside import each_beside
found = each_beside(lambda item: (item * item, os.getpid()), range(10), 3)
here = each_beside(lambda item: os.getpid(), range(3), 3)
print([square for square, _ in found], os.getpid() in {process for _, process in found}, set(here) == {os.getpid()})
""")
    assert done.stdout == f"{[number**2 for number in range(10)]} False True\n", done.stderr


def test_what_the_function_raises_is_raised_here() -> None:
    done = run("""
try:
    with beside(lambda item: 1 / item, [1, 0]) as results:
        results()
except ZeroDivisionError as error:
    print(error)
""")
    assert done.stdout == "division by zero\n", done.stderr


def test_a_killed_process_is_named_and_the_others_end() -> None:
    done = run("""
from contested.errors import RunError
def die(item):
    os.kill(os.getpid(), signal.SIGKILL) if item else time.sleep(60)
try:
    with beside(die, [1, 1]) as results:
        results()
except RunError as error:
    print(error)
""")
    assert "ended before its work was done (exit code -9;" in done.stdout, done.stderr


def test_processes_end_where_their_parent_was_killed() -> None:
    # They have this script's output, which so comes to an end no sooner than they do.
    done = run("""
with beside(lambda item: time.sleep(0.1), range(6)) as results:
    os.kill(os.getpid(), signal.SIGKILL)
""")
    assert done.returncode == -9


def test_interrupts_end_them_too() -> None:
    done = run("""
try:
    with beside(lambda item: time.sleep(60), range(2)) as results:
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("interrupted")
""")
    assert done.stdout == "interrupted\n", done.stderr


def test_an_interrupt_asks_the_first_process_alone() -> None:
    done = run("""
begun = os.pipe()
def work(item):
    os.write(begun[1], b"x")
    time.sleep(0.3)
    return item
with beside(work, [1, 2]) as results:
    assert os.read(begun[0], 1) + os.read(begun[0], 1) == b"xx"
    for process in contested.beside.multiprocessing.active_children():
        os.kill(process.pid, signal.SIGINT)
    print(results())
""")
    assert done.stdout == "[1, 2]\n", done.stderr


def test_a_process_that_cannot_be_split_does_all_itself(monkeypatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(beside.os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert beside.processes() == 3
    with monkeypatch.context() as one_core:
        one_core.setattr(beside.os, "sched_getaffinity", lambda process: {0}, raising=False)
        assert beside.processes() == 0
    with monkeypatch.context() as threads:
        threads.setattr(threading, "active_count", lambda: 2)
        assert beside.processes() == 0
        with beside.beside(lambda item: (item, threading.get_ident()), [1, 2]) as results:
            assert results() == [(1, threading.get_ident()), (2, threading.get_ident())]
    with monkeypatch.context() as torch:
        torch.setitem(sys.modules, "torch", object())
        assert beside.processes() == 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, 4),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "3"}, 2),
        ({"SLURM_CPUS_ON_NODE": "3"}, 3),
        ({"SLURM_CPUS_ON_NODE": "8"}, 4),  # more than it is kept to
        ({"SLURM_CPUS_PER_TASK": "0"}, 4),
        ({"SLURM_CPUS_PER_TASK": "2(x2)"}, 4),
    ],
)
def test_a_job_of_slurm_uses_the_cores_that_it_was_given(given, wanted, monkeypatch) -> None:
    monkeypatch.setattr(beside.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    assert beside.cores() == wanted


@pytest.mark.parametrize("items", [[], [3], [1, 2, 3]])
def test_nothing_is_split_for_less_than_two_items_or_more_than_a_pipe_holds(items, monkeypatch) -> None:
    monkeypatch.setattr(beside, "processes", lambda: 4)
    monkeypatch.setattr(beside, "_MOST_ITEMS", 2)
    here = threading.get_ident()
    with beside.beside(lambda item: (item, threading.get_ident()), items) as results:
        assert results() == [(item, here) for item in items]


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_paused_and_then_as_it_was_also_after_an_error(collects: bool) -> None:
    def fail() -> None:
        with beside.collector_paused():
            assert not gc.isenabled()
            raise KeyError

    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(KeyError):
            fail()
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()


def test_what_is_imported_to_stay_is_not_looked_through_for_garbage(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kept_here.py").write_text("import gc\nSEEN, KEPT = gc.isenabled(), [[] for _ in range(500)]\n")
    (tmp_path / "broken_here.py").write_text("raise ModuleNotFoundError('a part')\n")
    before = gc.get_freeze_count()
    import_to_stay("kept_here")
    after = gc.get_freeze_count()
    kept = sys.modules.pop("kept_here")
    assert (kept.SEEN, len(kept.KEPT), gc.isenabled()) == (False, 500, True)
    assert after >= before + 500
    with pytest.raises(ModuleNotFoundError, match="a part"):
        import_to_stay("broken_here")
    import_to_stay("gc")  # is there already
    assert gc.isenabled()
    assert gc.get_freeze_count() <= after
