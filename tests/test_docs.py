"""The pages speak the truth: links, the annotated tree, commands, keys and the dependencies' pins."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

import contested as ct
from contested.cli import app, main, register

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_in_the_tree_of_the_site_once() -> None:
    docs = ROOT / "docs"
    listed = [
        ((page.parent / line).relative_to(docs)).as_posix()
        for page in (docs / "index.md", docs / "reference" / "subpackages.md")
        for tree in re.findall(r"^```{toctree}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for line in filter(None, tree.splitlines())
        if not line.startswith(":")
    ]
    assert sorted(listed) == sorted(
        {page.relative_to(docs).with_suffix("").as_posix() for page in docs.rglob("*.md")} - {"index"}
    )


def test_the_reference_has_every_public_name_once() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"auto\w+:: contested\.(\w+)", page)) == sorted(ct.__all__)


def test_the_annotated_tree_is_the_tree() -> None:
    tree = README.split("```text\n")[1].split("```")[0]
    inside = set(re.findall(r"^  (\S+)", tree, re.MULTILINE))
    package = ROOT / "src" / "contested"
    ignored = {"__pycache__", "__init__.py", "py.typed"}
    actual = {file.name + "/" * file.is_dir() for file in package.iterdir() if file.name not in ignored}
    assert inside == actual
    for folder in re.findall(r"^(\S+/) ", tree, re.MULTILINE):
        assert (ROOT / folder).is_dir()


def test_every_command_is_in_the_readme_or_its_help_and_none_is_made_up() -> None:
    register()
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    told = set(re.findall(r"^contested (\w+) ", README, re.MULTILINE))
    assert told <= known
    assert {"demo", "entropy", "train", "study", "analyze", "report"} <= known


def test_the_check_tells_pages_that_are_older_than_the_code_and_writing_them_fixes_it(tmp_path: Path) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / "document.py"))["main"]
    assert main(check=True, docs=tmp_path).startswith(
        "docs/claims.md, docs/configuration.md, docs/few_annotators.md, docs/measures.md, docs/models.md, "
        "docs/statistics.md: the code has changed"
    )
    assert main(check=False, docs=tmp_path) == ""
    assert main(check=True, docs=tmp_path) == ""
    page = tmp_path / "measures.md"
    assert "\n| `aulc` | AULC | nats | losses, course | mean | Mean loss over" in page.read_text(encoding="utf-8")
    assert "\n| `training.epochs` | `5` | Passes" in (tmp_path / "configuration.md").read_text(encoding="utf-8")
    page.write_text(page.read_text(encoding="utf-8").replace("AULC", "area"), encoding="utf-8")
    assert (
        main(check=True, docs=tmp_path) == "docs/measures.md: the code has changed since; write again with: make docs"
    )


def test_the_readmes_names_exist() -> None:
    code = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    assert {"TrajectoryCallback", "train"} <= set(re.findall(r"ct\.(\w+)", code))
    assert set(re.findall(r"ct\.(\w+)", code)) <= set(ct.__all__)
    for name in ct.__all__:
        assert getattr(ct, name) is not None


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in lines}
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").open() if "==" in line
    }
    assert names <= pinned


def test_neither_torch_nor_what_else_takes_long_is_loaded_to_read_a_run() -> None:
    import subprocess
    import sys

    code = (
        "import sys, contested as ct; ct.Trajectory, ct.analyze, ct.write_report, ct.read_annotations; "
        "bad = {'torch', 'transformers', 'peft', 'scipy.stats'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] == ct.__version__
    assert citation["license"] == project["license"]
    (paper,) = citation["references"]
    assert paper["title"] == "Annotation Entropy Predicts Per-Example Learning Dynamics in LoRA Fine-Tuning"


def test_a_public_host_runs_what_every_change_must_pass() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert job["strategy"]["matrix"]["python"][0] == oldest
    # The Makefile takes its interpreter from the environment.
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert job["steps"][-1]["env"]["PYTHON"] == "python${{ matrix.python }}"
    assert all(re.search(r"@v\d+$", step["uses"]) for step in job["steps"] if "uses" in step)


def test_the_changes_are_told_by_kind() -> None:
    kinds = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert kinds == ["Added", "Changed", "Fixed"]


def test_the_recipes_name_files_that_exist() -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Recipes")[1]
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", recipes))
    assert {"analysis/measures.py", "training/families.py", "tests/training/test_packed.py"} <= named
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "src/contested" / name).exists()] == []


def test_the_page_of_maps_shows_commands_and_code_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text(page.split("```csv\n")[1].split("```")[0], encoding="utf-8")
    commands = [line for part in page.split("```sh\n")[1:] for line in part.split("```")[0].splitlines()]
    assert len(commands) == 3
    for command in commands:
        assert main(command.removeprefix("contested ").split()) == 0, command
    files = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}
    assert {path.name + "/" * path.is_dir() for path in Path("labels-map").iterdir()} == files
    exec(page.split("```python\n")[1].split("```")[0], {"ct": ct})
