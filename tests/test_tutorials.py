"""Tutorials and how-tos work as they stand: every command and every piece of Python on them is run, in order."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import contested as ct
from contested.cli import app, main, register
from contested.demo import files
from contested.report import write

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TUTORIALS = [*sorted((DOCS / "tutorials").glob("*.md")), *sorted((DOCS / "howto").glob("*.md"))]
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *TUTORIALS]


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each block of code."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Every command that a page shows, without comments and without what a shell does with its output."""
    lines = [line for kind, text in blocks(page) if kind == "sh" for line in text.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line.replace("…", "X"), comments=True) for line in lines]
    return [words[1:] for words in found if words[:1] == ["contested"]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``contested demo --files`` writes, small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "N_ANNOTATED", 60)
        patch.setattr(files, "N_BULK", 40)
        out = tmp_path_factory.mktemp("files") / "start"
        files.write_files(out)
    return out


@pytest.fixture
def place(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a file and two runs of one's own; trainings are short and pages have few pictures."""
    shutil.copytree(start, tmp_path / "start")
    shutil.copy(start / "votes.csv", tmp_path / "yours.csv")
    monkeypatch.setattr(files, "write_files", lambda out: {})
    monkeypatch.setattr(write, "FIGURES", write.FIGURES[:2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_page_works_from_top_to_bottom(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    for kind, text in blocks(page):
        if kind == "python" and "train.py" in page.read_text(encoding="utf-8"):
            (place / "train.py").write_text(text.replace("num_train_epochs=5", "max_steps=4"))
        elif kind == "python":
            exec(compile(text, page.name, "exec"), names)
        elif kind == "sh":
            for line in filter(None, text.splitlines()):
                words = shlex.split(line, comments=True)
                if words[:2] == ["python", "train.py"]:
                    runpy.run_path(str(place / "train.py"))
                elif words[:1] == ["contested"]:
                    short = ["training.epochs=1"] if words[1] == "train" else []
                    assert main([*words[1:], *short]) == 0, line
    for run in (place / "runs").glob("*"):
        assert ct.Trajectory.load(run).status == "complete"


def test_every_command_of_every_page_parses() -> None:
    register()
    top = typer.main.get_command(app)
    wrong = []
    for page in PAGES:
        for words in commands(page):
            command, rest = top, list(words)
            try:
                while hasattr(command, "commands"):
                    command = command.commands[rest.pop(0)]
                command.make_context(words[0], rest)
            except Exception as error:
                wrong.append(f"{page.name}: contested {shlex.join(words)}: {error}")
    assert not wrong


def test_the_data_of_the_tutorials_are_what_they_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files.write_files(tmp_path / "start")
    said = next(text for kind, text in blocks(DOCS / "tutorials" / "curator.md") if text.startswith("start/votes.csv"))
    assert main(["entropy", str(tmp_path / "start" / "votes.csv")]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    missing = [line for line in said.splitlines()[1:] if " ".join(line.split()) not in [*shown, "…"]]
    assert not missing
    yaml = next(text for kind, text in blocks(DOCS / "tutorials" / "researcher.md") if kind == "yaml")
    assert (tmp_path / "start" / "run.yaml").read_text().endswith(yaml)


def test_the_page_of_the_trainer_begins_with_a_script_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    from contested.demo import ENCODER_PATH, make_world

    monkeypatch.chdir(tmp_path)
    world = make_world(n_annotated=60, n_bulk=24, seed=0)
    letters = ("e", "n", "c")
    lines = [
        {"uid": name, "label_counter": dict(zip(letters, counts, strict=True)), "example": {"uid": name, **texts}}
        for name, counts, texts in zip(
            world.annotated.example_ids,
            world.annotated.label_counts.tolist(),
            world.annotated.fields[["premise", "hypothesis"]].to_dict("records"),
            strict=True,
        )
    ]
    (tmp_path / "chaosNLI_snli.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    texts = AutoTokenizer.from_pretrained(ENCODER_PATH)(list(world.bulk["premise"]), list(world.bulk["hypothesis"]))
    labels = [world.annotated.label_names.index(label) for label in world.bulk["label"]]
    page = (ROOT / "docs" / "trainer.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0].replace("roberta-base", str(ENCODER_PATH))
    code = code.replace('TrainingArguments("trainer")', 'TrainingArguments("trainer", max_steps=2, use_cpu=True)')
    exec(compile(code, "trainer.md", "exec"), {"train": Dataset.from_dict({**texts, "labels": labels})})
    run = ct.Trajectory.load(tmp_path / "runs" / "mine")
    assert (run.status, run.steps.tolist(), run.manifest["gold_agreement"]) == ("complete", [0, 2], 1.0)
    assert (run.text_columns, set(run.examples["split"])) == (("premise", "hypothesis"), {"validation"})
