"""What is submitted to SLURM, and what its script does; SLURM's commands are stand-ins that note their calls."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from contested.cli import main
from contested.errors import ConfigError
from contested.studies import folder, slurm
from contested.studies.folder import RunState
from contested.studies.slurm import SlurmError, script
from contested.studies.worker import HELD_ELSEWHERE

GOLDEN = """\
#!/bin/bash
# WHEN: contested study submit mine.yaml --to slurm
# Each task of this array trains runs of the study that nobody else trains, one after the other, until none is left.
# "sbatch slurm.sh" adds as many workers again.
#SBATCH --job-name=my-study
#SBATCH --array=0-7
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@120
#SBATCH '--output=/shared/my study/submit/%A_%a.log'
#SBATCH --gres=gpu:1
#SBATCH -p long
#SBATCH '--comment=two words'

# When this job ends. Versions of SLURM that do not say it give the job this many seconds from now.
until=${SLURM_JOB_END_TIME:-$(($(date +%s) + 14400))}
# Not the job's own number: that of an array's last task is the number of the whole array.
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}

# Who asks this job to stop asks the worker, which saves the state of its run.
# USR2 comes before the end of the time: the job is then queued again. After TERM, SLURM decides what becomes of it.
asked=
trap 'asked=USR2; kill -USR2 "$!" 2>/dev/null' USR2
trap 'asked=TERM; kill -TERM "$!" 2>/dev/null' TERM

# A worker that was killed, as for lack of memory, is started again; its run resumes from its last snapshot.
for attempt in 1 2 3; do
    /venv/bin/python -m contested study run '/shared/my study' --out '/shared/my study' --jobs 1 --until "$until" &
    wait "$!"
    code=$?
    # A signal to this script ends a wait before the worker ends.
    while kill -0 "$!" 2>/dev/null; do
        wait "$!"
        code=$?
    done
    if [ -n "$asked" ] || [ "$code" -le 128 ] || [ "$code" -eq 130 ]; then break; fi
    echo "The worker ended with exit code $code (attempt $attempt of 3)."
done

if [ "$asked" = TERM ]; then exit "$code"; fi
case $code in
    0) scancel --state=PENDING "$SLURM_ARRAY_JOB_ID" ;; # the study is complete: workers that wait have nothing to do
    3) exit 0 ;; # other workers hold what is left
    130) scontrol requeue "$task" ;; # out of time
    4) # out of time before the first step
        if [ "${SLURM_RESTART_COUNT:-0}" -ge 2 ]; then
            echo "This worker took no step in its time. Submit workers with more: contested study submit … --time"
            exit 1
        fi
        scontrol requeue "$task" ;;
    *) if [ "$asked" = USR2 ]; then scontrol requeue "$task"; else exit "$code"; fi ;;
esac
"""


def write(out: str = "/shared/study", **more: Any) -> str:
    given: dict[str, Any] = {
        "name": "mine",
        "workers": 2,
        "seconds": 14400,
        "options": (),
        "command": "contested study submit mine.yaml --to slurm",
    }
    return script(Path(out), python="/venv/bin/python", **{**given, **more})


def test_the_script() -> None:
    text = write(
        "/shared/my study", name="my study", workers=8, options=["--gres=gpu:1", "-p", "long", "--comment=two words"]
    )
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "WHEN", text) == GOLDEN
    assert HELD_ELSEWHERE == 3


def test_a_command_of_several_lines_stays_a_comment() -> None:
    text = write(command="contested study submit mine.yaml --set 'axes.seed=[1,\n2]'")
    assert ": contested study submit mine.yaml --set 'axes.seed=[1,\n# 2]'\n# Each task of this array" in text


def test_a_short_job_is_warned_later_than_at_its_beginning() -> None:
    assert "--time=00:10:00\n" in (text := write(seconds=600))
    assert "--signal=B:USR2@100\n" in text


@pytest.mark.parametrize(
    "options",
    [
        ["--array=0-3"],
        ["-a", "0-3"],
        ["-a0-3"],
        ["--time", "4"],
        ["-t4"],
        ["--no-requeue"],
        ["--signal=TERM"],
        ["-o", "x"],
        ["--wrap=ls"],
    ],
)
def test_options_that_the_script_sets_are_refused_by_name(options: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"^{options[0]} cannot be given to sbatch"):
        write(options=["--gres=gpu:1", *options])


def test_options_begin_with_an_option() -> None:
    with pytest.raises(ConfigError, match="'gpu' is no option of sbatch"):
        write(options=["gpu"])
    # Values that begin like one of ours, and long options that only begin like one, are others'.
    assert "#SBATCH --array-of=1\n#SBATCH -p time\n" in write(options=["--array-of=1", "-p", "time"])


class Stage:
    """A folder of programs that stand before others: SLURM's, and the Python that the script runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.calls = folder / "calls"

    def add(self, name: str, text: str = "") -> None:
        program = self.folder / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.calls}\n{text}\n')
        program.chmod(0o755)

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


@pytest.fixture
def job(stage: Stage, tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Starts the script as SLURM does; its Python does what is said."""
    for name in ("scontrol", "scancel"):
        stage.add(name)

    def start(worker: str) -> subprocess.Popen[str]:
        stage.add("python", worker)
        file = tmp_path / "slurm.sh"
        file.write_text(
            script(tmp_path, name="a", workers=2, seconds=60, options=(), command="c", python=f"{stage.folder}/python")
        )
        environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_END_TIME": "99"}
        return subprocess.Popen(
            ["bash", file], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return start


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=30)
    return process.returncode, said


@pytest.mark.parametrize(
    ("worker", "code", "then"),
    [
        (0, 0, ["scancel --state=PENDING 10"]),
        (3, 0, []),
        (130, 0, ["scontrol requeue 10_3"]),
        (1, 1, []),
        (2, 2, []),
    ],
)
def test_what_follows_the_end_of_a_worker(
    worker: int, code: int, then: list[str], job: Any, stage: Stage, tmp_path: Path
) -> None:
    assert end(job(f"exit {worker}"))[0] == code
    assert stage.called == [f"python -m contested study run {tmp_path} --out {tmp_path} --jobs 1 --until 99", *then]


@pytest.mark.parametrize(("restarts", "code", "then"), [(1, 0, ["scontrol requeue 10_3"]), (2, 1, [])])
def test_a_worker_whose_time_is_too_short_is_not_queued_for_ever(
    restarts: int, code: int, then: list[str], job: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    ended, said = end(job("exit 4"))
    assert (ended, "took no step in its time" in said) == (code, code == 1)
    assert stage.called[1:] == then


def test_a_killed_worker_is_started_again_twice(job: Any, stage: Stage) -> None:
    code, said = end(job("kill -9 $$"))
    assert code == 137
    assert [line.split()[0] for line in stage.called] == ["python"] * 3
    assert "exit code 137 (attempt 3 of 3)" in said


# A worker that takes a moment to save, and one that was only beginning.
SAVES = 'trap "sleep 0.3; exit 130" {0}; echo begun >> {1}; while :; do sleep 0.05; done'


@pytest.mark.parametrize(("name", "then", "code"), [("USR2", ["scontrol requeue 10_3"], 0), ("TERM", [], 130)])
def test_a_signal_goes_on_to_the_worker_and_only_a_warning_queues_the_job_again(
    name: str, then: list[str], code: int, job: Any, stage: Stage
) -> None:
    process = job(SAVES.format(name, stage.calls))
    wait_for(lambda: "begun" in stage.called)
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert end(process)[0] == code
    assert stage.called[2:] == then


def test_a_worker_that_is_warned_while_it_begins_is_queued_again(job: Any, stage: Stage) -> None:
    process = job(f"echo begun >> {stage.calls}; exec sleep 20")
    wait_for(lambda: "begun" in stage.called)
    process.send_signal(signal.SIGUSR2)
    assert end(process)[0] == 0
    assert stage.called[2:] == ["scontrol requeue 10_3"]


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def study(tmp_path: Path, checkpoint: Callable[[str], Path], write_task: Any) -> Path:
    content = {
        "name": "toy",
        "defaults": {"model": {"name": str(checkpoint("bert")), "max_length": 32}, "task": write_task(tmp_path)},
        "axes": {"seed": [1, 2, 3]},
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "toy.yaml"


def submit(file: Path, out: Path, *more: str) -> int:
    return main(["study", "submit", str(file), "--out", str(out), "--to", "slurm", *more])


def test_submit_cancel_and_status(
    study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    stage.add("sbatch", "echo '77;cluster'")
    by_hand = f"echo '78 PENDING {out}/submit/slurm.sh'"
    stage.add(
        "squeue", f"echo '77 RUNNING x'; echo '77 PENDING x'; echo '77 PENDING x'; echo '99 RUNNING y'; {by_hand}"
    )
    stage.add("scancel")
    assert submit(study, out, "--workers", "9", "--time", "90m", "--", "--gres=gpu:1") == 0
    said = capsys.readouterr().out
    assert "Submitted 3 workers for 3 of 3 runs as SLURM job 77" in said  # there are no more runs than three
    assert stage.called == [f"sbatch --parsable {out}/submit/slurm.sh"]
    text = (out / "submit" / "slurm.sh").read_text()
    assert f"contested study submit {study} --out {out} --to slurm --workers 3 --time 90m -- --gres=gpu:1\n" in text
    assert "#SBATCH --array=0-2\n#SBATCH --time=01:30:00\n" in text
    assert "#SBATCH --gres=gpu:1\n" in text

    assert main(["study", "status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "SLURM job 77 (3 workers): 1 running, 2 pending" in said
    assert "SLURM job 78 (1 worker): 1 pending" in said
    assert "1 running worker without a run: it takes up to a minute to begin" in said
    assert "3 missing, 0 workers now" in said
    assert main(["study", "cancel", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Cancelled SLURM job 77 (3 workers" in said
    assert "Cancelled SLURM job 78 (1 worker, submitted by hand)" in said
    assert stage.called[-1] == "scancel 77 78"
    stage.add("squeue", "echo '77 PENDING x'")
    assert main(["study", "status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "No worker is at work yet: the jobs wait in SLURM's queue. squeue --me --start says when" in said
    stage.add("squeue", "echo '99 RUNNING y'")
    assert main(["study", "status", str(out)]) == 0
    assert f"No worker is queued or at work, and runs are left. {out}/submit/*.log" in capsys.readouterr().out
    assert main(["study", "cancel", str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        "None of this study's workers is in SLURM's queue. Those on Ray end with their command: Ctrl-C there." in said
    )
    assert sum(call.startswith("scancel") for call in stage.called) == 1


def test_a_folder_is_a_study_too_and_a_dry_run_writes_nothing(
    study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert submit(study, out, "--time", "4h", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n")
    assert not out.exists()
    assert not stage.called
    stage.add("sbatch", "echo 5")
    assert submit(study, out, "--time", "4h") == 0
    assert main(["study", "submit", str(out), "--to", "slurm", "--time", "1h"]) == 0
    assert [made.job for made in slurm.submissions(out)] == ["5", "5"]
    assert "#SBATCH --time=01:00:00\n" in (out / "submit" / "slurm.sh").read_text()


def test_what_sbatch_refuses_is_shown_as_it_says_it(
    study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.add("sbatch", "echo 'sbatch: error: invalid partition specified: long' >&2; exit 1")
    assert submit(study, tmp_path / "out", "--time", "4h", "--", "-p", "long") == 2
    said = capsys.readouterr().err
    assert "sbatch ended with exit code 1: sbatch: error: invalid partition specified: long" in said
    assert "sinfo says what the cluster has. Nothing was submitted: the script and the study's file stay" in said
    assert slurm.submissions(tmp_path / "out") == []
    stage.add("sbatch", "echo hello")
    assert submit(study, tmp_path / "out", "--time", "4h") == 2
    assert "did not say the number of the job, but: 'hello'" in capsys.readouterr().err


def test_without_slurm_there_is_one_clear_error(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert submit(study, tmp_path / "out", "--time", "4h") == 2
    assert "sbatch is not here: this machine has no SLURM" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert submit(study, tmp_path / "out", "--time", "4h", "--dry-run") == 0


def test_what_cannot_run_is_not_submitted(
    study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.add("sbatch", "echo 5")
    (tmp_path / "people.jsonl").unlink()
    for more, wanted in [
        (["--time", "4h"], "people.jsonl"),
        (["--time", "4h", "--dry-run"], "people.jsonl"),
        ([], "Give --time"),
        (["--time", "soon"], "'soon' is no duration"),
    ]:
        assert submit(study, tmp_path / "out", *more) == 2
        assert wanted in capsys.readouterr().err
    assert main(["study", "submit", str(study), "--to", "slurm", "--time", "4h"]) == 2
    assert "Give the folder of its runs" in capsys.readouterr().err
    assert main(["study", "submit", str(study), "--out", "x", "--to", "pbs", "--time", "4h"]) == 2
    assert "--to is 'pbs'; expected: slurm" in capsys.readouterr().err
    assert main(["study", "cancel", str(tmp_path)]) == 2
    assert "is not a study's folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["study", "submit", str(tmp_path / "empty"), "--to", "slurm", "--time", "4h"]) == 2
    assert "is a folder and not a study's" in capsys.readouterr().err
    assert stage.called == []


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--scale", "mini"]])
def test_a_folder_of_other_things_is_refused(
    more: list[str], study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.add("sbatch", "echo 5")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".hidden").touch()
    (tmp_path / "out" / "thesis.tex").touch()
    assert submit(study, tmp_path / "out", "--time", "4h", *more) == 2
    assert "out is not empty and holds no study (it has thesis.tex). Give an empty or new folder" in (
        capsys.readouterr().err
    )
    assert submit(study, tmp_path / "out" / "thesis.tex", "--time", "4h", *more) == 2
    assert "thesis.tex: it is a file. Choose another --out." in capsys.readouterr().err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [".hidden", "thesis.tex"]
    (tmp_path / "out" / "runs").mkdir()  # a study's, as a copy of a part of it is
    assert submit(study, tmp_path / "out", "--time", "4h", "--dry-run") == 0


@pytest.mark.parametrize("option", ["--gres=gpu:1", "-p"])
def test_options_for_the_cluster_are_told_where_they_stand(
    option: str, study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(study, tmp_path / "out", "--time", "4h", option) == 2
    name = option.partition("=")[0]
    assert f"{name}. Options for sbatch or Ray stand after --, at the end: -- {name} …" in capsys.readouterr().err
    assert submit(study, tmp_path / "out", "--time") == 2
    assert "stand after" not in capsys.readouterr().err


def test_a_backbone_that_is_nowhere_is_not_submitted_and_a_gpu_need_not_be_here(
    study: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.add("sbatch", "echo 5")
    given = ["--time", "1m", "--set", "defaults.execution.device=cuda"]
    assert submit(study, tmp_path / "out", *given, "--set", "defaults.model.name=no/such") == 2
    assert "no/such" in capsys.readouterr().err
    assert stage.called == []
    assert submit(study, tmp_path / "out", *given) == 0
    assert "a worker takes up to a minute to begin; in 1m it may not come far" in capsys.readouterr().err


def test_a_complete_study_is_not_submitted(
    study: Path, tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.add("sbatch", "echo 5")
    complete = RunState("complete", 1.0, 2, 1.0, "")
    monkeypatch.setattr(
        folder, "StudyFolder", lambda *_: SimpleNamespace(states={1: complete, 2: complete, 3: complete})
    )
    assert submit(study, tmp_path / "out", "--time", "4h") == 0
    assert "All 3 runs are complete: nothing was submitted." in capsys.readouterr().out
    assert stage.called == []


def test_notes_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "submit").mkdir()
    (tmp_path / "submit" / "jobs.json").write_text("{")
    with pytest.raises(SlurmError, match=r"jobs\.json cannot be read"):
        slurm.submissions(tmp_path)
