"""The alert inside a real Trainer, and what its trackers are told, against the folder that it leaves."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy import stats
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import contested as ct
from contested.analysis import run_alerts
from contested.analysis.live import Alarm

# 120 tracked texts; trained towards one class at a rate so high that losses rise: 12 steps.
STEPS = [0, 2, 4, 6, 8, 10, 12]


class World:
    """A tiny encoder that unlearns what 120 tracked examples are."""

    def __init__(self, folder: Path, annotated: ct.Annotations, out: Path) -> None:
        self.folder, self.annotated, self.out = folder, annotated, out
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = tokenizer(*(list(annotated.fields[name]) for name in ("premise", "hypothesis")))
        self.tracked = {**encoded, "labels": annotated.majority.tolist(), "id": list(annotated.example_ids)}
        self.train = Dataset.from_dict({**encoded, "labels": [1] * len(annotated.majority)})
        self.tokenizer = tokenizer

    def trainer(self, *callbacks: TrainerCallback, name: str = "trainer", **options: Any) -> Trainer:
        numbers: dict[str, Any] = {
            **{"max_steps": 12, "per_device_train_batch_size": 8, "learning_rate": 3e-2, "report_to": []},
            **{"save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "logging_steps": 3},
        }
        set_seed(3)
        names = dict(enumerate(self.annotated.label_names))
        model = AutoModelForSequenceClassification.from_pretrained(self.folder, num_labels=3, id2label=names)
        arguments = TrainingArguments(str(self.out / name), **{**numbers, **options})
        return Trainer(
            model, arguments, train_dataset=self.train, processing_class=self.tokenizer, callbacks=list(callbacks)
        )

    def callback(self, name: str = "run", **options: Any) -> ct.TrajectoryCallback:
        return ct.TrajectoryCallback(
            self.tracked, self.out / name, annotations=self.annotated, **{"every": 2, **options}
        )

    def load(self, name: str = "run") -> ct.Trajectory:
        return ct.Trajectory.load(self.out / name)


@pytest.fixture
def world(checkpoint: Callable[[str], Path], annotated_of: Callable[[int], ct.Annotations], tmp_path: Path) -> World:
    return World(checkpoint("bert"), annotated_of(120), tmp_path)


def raised(run: ct.Trajectory) -> list[tuple[str, int]]:
    return [(alarm["category"], alarm["step"]) for alarm in run.manifest["alarms"]]


@pytest.mark.filterwarnings("ignore:The loss of clean examples is not watched")
def test_alarms_are_told_once_and_are_those_of_the_folder(world: World) -> None:
    told: list[Alarm] = []
    with pytest.warns(UserWarning, match="rose above its start") as warned:
        world.trainer(world.callback(on_alert=told.append)).train()
    run = world.load()
    found = run_alerts(run)
    expected = [(name, alert.first) for name, alert in found.items() if alert.first is not None]
    assert raised(run) == [(alarm.category, alarm.step) for alarm in told] == expected
    assert [name for name, _ in expected] == ["ambiguous", "contested"]
    assert run.steps.tolist() == STEPS
    assert [warning.message.args[0] for warning in warned][-2:] == [alarm.message for alarm in told]
    assert run.manifest["alarms"] == [alarm._asdict() for alarm in told]
    assert run.manifest["planned_steps"] == 12
    # Beside it stands the folder, not a line of somebody's code.
    assert {Path(warning.filename) for warning in warned if "rose" in str(warning.message)} == {run.path}


def test_what_is_not_watched_is_told_at_the_start(world: World) -> None:
    with pytest.warns(UserWarning, match="clean examples is not watched: 12 independent examples: too few"):
        world.trainer(world.callback(), max_steps=1).train()


@pytest.mark.filterwarnings("ignore:.*(rose above its start|is not watched)")
def test_an_alarm_may_end_training_where_it_is_raised(world: World) -> None:
    trainer = world.trainer(world.callback(stop=True), learning_rate=5e-3, max_steps=12)
    trainer.train()
    run = world.load()
    step = run.manifest["alarms"][0]["step"]
    assert 2 <= step < 12
    assert trainer.state.global_step == step == run.steps[-1]
    assert (run.status, run.manifest["ended_by"], run.manifest["planned_steps"]) == ("complete", "alert", 12)


@pytest.mark.filterwarnings("ignore:.*(rose above its start|is not watched)")
@pytest.mark.parametrize("saving", [{"save_strategy": "steps", "save_steps": 100}, {"save_strategy": "no"}], ids=str)
def test_the_model_that_an_alarm_leaves_is_saved_where_any_is(world: World, saving: dict[str, Any]) -> None:
    trainer = world.trainer(world.callback(stop=True), learning_rate=5e-3, **saving)
    trainer.train()
    saved = [f"checkpoint-{trainer.state.global_step}"] if saving["save_strategy"] == "steps" else []
    assert [folder.name for folder in (world.out / "trainer").glob("checkpoint-*")] == saved


class Killed(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("killed")


@pytest.mark.filterwarnings("ignore:.*(rose above its start|is not watched)")
def test_what_shares_a_text_and_which_rise_counts_are_in_the_manifest(world: World) -> None:
    world.tracked["premise"] = [f"premise {row // 2}" for row in range(120)]
    world.trainer(world.callback(text_columns=["premise"], margin=50.0)).train()
    run = world.load()
    used = {"level": 0.05, "margin": 50.0, "clusters": None, "shared_texts": ["premise"], "n_clusters": 60}
    assert run.manifest["alert"] == used
    # Which is more than the loss rises by, where without it the mean of contested examples rose.
    assert raised(run) == []
    assert run_alerts(run, margin=0.02)["contested"].first is not None
    with pytest.raises(ct.ConfigError, match="margin is -1; expected nats from 0"):
        world.callback("other", margin=-1)


@pytest.mark.filterwarnings("ignore:.*(rose above its start|is not watched)")
def test_what_is_resumed_raises_what_it_has_not_raised_before(world: World) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3, "learning_rate": 5e-4}
    world.trainer(world.callback("whole", every=4), name="whole", **saving).train()
    whole = world.load("whole")
    assert {step for _, step in raised(whole)} == {4}
    for saved, known in ((3, 0), (6, 2)):
        name = f"from-{saved}"
        before: list[Alarm] = []
        with pytest.raises(RuntimeError, match="killed"):
            world.trainer(world.callback(name, every=4, on_alert=before.append), Killed(7), name=name, **saving).train()
        assert len(before) == 2
        after: list[Alarm] = []
        # A warning repeats what was known; who is called is called once.
        with pytest.warns(UserWarning, match="contested examples rose above its start"):
            world.trainer(world.callback(name, every=4, on_alert=after.append), name=name, **saving).train(
                resume_from_checkpoint=str(world.out / name / f"checkpoint-{saved}")
            )
        assert len(after) == 2 - known
        assert world.load(name).manifest["alarms"] == whole.manifest["alarms"]
        np.testing.assert_array_equal(world.load(name).required("losses"), whole.required("losses"))


@pytest.mark.filterwarnings("ignore:.*(rose above its start|is not watched)")
def test_training_does_not_notice_alert_and_trackers(world: World) -> None:
    ends = []
    for callbacks, report_to in (([], []), ([world.callback()], ["tensorboard"])):
        trainer = world.trainer(*callbacks, report_to=report_to)
        trainer.train()
        ends.append((trainer.model.state_dict(), torch.get_rng_state()))
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())
    assert torch.equal(ends[0][1], ends[1][1])


def test_what_belongs_together_may_be_a_column_of_either_table(world: World) -> None:
    # Two genres, of the annotated examples alone, are two independent examples: of nothing is anything said.
    with pytest.warns(UserWarning, match="2 independent examples: too few to test"):
        world.trainer(world.callback(clusters="genre")).train()
    run = world.load()
    assert raised(run) == []
    assert run.examples["genre"].tolist() == world.annotated.fields["genre"].tolist()
    world.tracked["author"] = [f"author {row // 4}" for row in range(120)]
    with pytest.warns(UserWarning, match=r"contested .* 79 examples in 30 clusters"):
        world.trainer(world.callback("authors", clusters="author", alert=0.04)).train()
    found = run_alerts(world.load("authors"))["contested"]
    assert (found.n_clusters, found.level * found.shared_by) == (30, pytest.approx(0.04))
    used = {"level": 0.04, "margin": 0.02, "clusters": "author", "shared_texts": [], "n_clusters": 30}
    assert world.load("authors").manifest["alert"] == used
    with pytest.raises(ct.DataError) as caught:
        world.callback("other", clusters="writer")
    assert "the column writer is missing" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"alert": 5}, "alert is 5; expected a number between 0 and 0.5"),
        ({"alert": 0.0}, r"alert is 0.0; expected"),
        ({"alert": False, "stop": True}, "alert=False raises none"),
    ],
)
def test_options_without_a_meaning_are_refused(world: World, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ct.ConfigError, match=told):
        world.callback(**options)


def test_nothing_is_asked_where_nothing_is_wanted(world: World, recwarn: pytest.WarningsRecorder) -> None:
    world.trainer(world.callback(alert=False)).train()
    assert [warning for warning in recwarn if "examples" in str(warning.message)] == []
    assert "alarms" not in world.load().manifest


WANDB = """
import json
from types import SimpleNamespace
config, run = {}, None
def init(**given):
    global run
    run = SimpleNamespace(log=log, alert=lambda **given: log(given), summary={}, _label=lambda **given: None)
def log(values):
    with open("wandb.jsonl", "a") as file:
        file.write(json.dumps(values) + chr(10))
"""
SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from conftest import make_annotated
from test_watching import World
out = Path.cwd()
world = World(Path(sys.argv[3]), make_annotated(120), out)
trackers = ["tensorboard", "mlflow", "trackio", "wandb"]
world.trainer(world.callback(), report_to=trackers, run_name="r", project="p", max_steps=6).train()
"""

Found = dict[tuple[str, int], float]


def slow_aggregates(run: ct.Trajectory) -> Found:
    found: Found = {}
    losses = run.required("losses")
    groups = {name: run.categories == name for name in run.category_names} | {"overall": run.categories != ""}
    for row, step in enumerate(run.steps.tolist()):
        for name, rows in groups.items():
            found[f"contested/loss/{name}", step] = losses[row, rows].mean()
            found[f"contested/loss_change/{name}", step] = losses[row, rows].mean() - losses[0, rows].mean()
        aulc = losses[: row + 1].mean(axis=0)
        found["contested/rho", step] = stats.spearmanr(aulc, run.required("entropy")).statistic
    return found


def of_tensorboard(folder: Path) -> tuple[Found, list[str]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    found = {(name, event.step): event.value for name in events.Tags()["scalars"] for event in events.Scalars(name)}
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("contested/alert/text_summary")]
    return found, texts


def of_mlflow(file: Path) -> tuple[Found, list[str]]:
    with sqlite3.connect(file) as database:
        rows = database.execute("select key, step, value from metrics where key like 'contested/%'").fetchall()
        tags = database.execute("select value from tags where key like 'contested.alert.%' order by key").fetchall()
        assert database.execute("select count(*) from runs").fetchall() == [(1,)]
    return {(key, step): value for key, step, value in rows}, [text for (text,) in tags]


def of_lines(lines: list[dict[str, Any]]) -> Found:
    """What W&B and trackio keep: the Trainer's step is a value among the others."""
    return {
        (name, line["train/global_step"]): value
        for line in lines
        for name, value in line.items()
        if name.startswith("contested/")
    }


def of_trackio(file: Path) -> tuple[Found, list[str]]:
    with sqlite3.connect(file) as database:
        lines = [json.loads(text) for (text,) in database.execute("select metrics from metrics order by id")]
        alerts = database.execute("select title, text from alerts order by rowid").fetchall()
    assert alerts[1][0] == "Loss has risen: contested"
    return of_lines(lines), [text for _, text in alerts]


def of_wandb(file: Path) -> tuple[Found, list[str]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return of_lines([line for line in lines if "text" not in line]), [line["text"] for line in lines if "text" in line]


def test_trackers_hold_what_the_folder_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard, MLflow and trackio as they are, in local files; a stand-in for W&B, which needs an account."""
    # In a process of its own: trackio takes its folder from the environment when it is first imported.
    monkeypatch.setenv("TRACKIO_DIR", str(world.out / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{world.out}/mlflow.db")
    fake = world.out / "wandb" / "sdk" / "lib"
    fake.mkdir(parents=True)
    for folder in (fake, fake.parent):
        (folder / "__init__.py").write_text("")
    (fake / "config_util.py").write_text("class ConfigError(Exception): pass")
    (world.out / "wandb" / "__init__.py").write_text(WANDB)
    here = Path(__file__).parent
    command = [sys.executable, "-c", SCRIPT, str(here), str(here.parent), str(world.folder)]
    done = subprocess.run(command, cwd=world.out, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    run = world.load()
    assert run.steps.tolist() == [0, 2, 4, 6]
    messages = [alarm["message"] for alarm in run.manifest["alarms"]]
    assert len(messages) == 2
    for found, told in (
        of_tensorboard(world.out / "trainer" / "runs" / "contested"),
        of_mlflow(world.out / "mlflow.db"),
        of_trackio(world.out / "trackio" / "p.db"),
        of_wandb(world.out / "wandb.jsonl"),
    ):
        assert found == pytest.approx(slow_aggregates(run), rel=1e-5, abs=1e-6)
        assert told == messages
