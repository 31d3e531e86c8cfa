import json

import pytest
import typer
from typer.testing import CliRunner

from contested.cli.report import report
from contested.errors import RunError


@pytest.fixture
def run(undrawn):
    app = typer.Typer()
    app.command()(report)

    def invoke(*arguments: object):
        return CliRunner().invoke(app, [*map(str, arguments), "--resamples", "60"])

    return invoke


def test_it_prints_the_statements_and_every_path(run, run_folder, make, tmp_path) -> None:
    folder = run_folder(make(), tmp_path / "r4")
    result = run(folder)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "LoRA r4, roberta-base"
    assert lines[1].startswith("  - In this run (steps 0 to 200), ")
    assert lines[-1] == f"Open {folder / 'report' / 'report.html'}"
    assert str(folder / "report" / "tables" / "summary.tex") in lines
    assert (folder / "report" / "report.html").is_file()


def test_it_takes_several_runs_and_prints_json(run, run_folder, make, tmp_path) -> None:
    folders = [run_folder(make(name), tmp_path / name) for name in ("a", "b")]
    result = run(*folders, "--out", tmp_path / "out", "--title", "Two <runs>", "--json")
    printed = json.loads(result.output)
    assert printed["html"] == str(tmp_path / "out" / "report.html")
    assert list(printed["statements"]) == ["a", "b"]  # alike in all but their ids
    assert "Two &lt;runs&gt;" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_folder_without_runs_is_refused(run, tmp_path) -> None:
    assert isinstance(run(tmp_path).exception, RunError)
