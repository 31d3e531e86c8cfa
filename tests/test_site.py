"""The site of the documentation: its reference lacks nothing public; its page of commands shows them as they are."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import contested as ct

pytest.importorskip("sphinx")
ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture
def from_code(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    return importlib.import_module("from_code")


def test_the_reference_has_a_page_for_every_subpackage_that_a_user_imports() -> None:
    pages = {name for file in REFERENCE.glob("*.md") for name in re.findall(r"automodule:: (\S+)", file.read_text())}
    public = {ct._HOME[name].removesuffix(".probe") for name in ct._HOME} - {"contested.config"}
    assert public <= pages
    listed = re.findall(r"^(\w+)$", (REFERENCE / "subpackages.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.removeprefix("contested.").replace(".", "_") for name in pages} == set(listed)


def test_the_page_of_commands_tells_each_with_its_usage_options_and_example(from_code: Any) -> None:
    source = ["before\n" + from_code.COMMANDS]
    from_code.commands_are_filled_in(None, "commands", source)
    sections = dict(zip(*[iter(re.split(r"^## (.+)$", source[0], flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert {"contested demo", "contested entropy", "contested study run", "contested import"} <= set(sections)
    demo = sections["contested demo"]
    assert "```text\ncontested demo [OPTIONS]\n```" in demo
    assert "```sh\ncontested demo --out contested-demo\n```" in demo
    assert "| `--seed <int range>` | Seed of the two runs.  [default: 42; x>=0] |" in demo


def test_a_colon_in_a_returned_sentence_begins_no_type(from_code: Any) -> None:
    lines = ["Count.", "", "Returns:", "    Tables by name: one each.", "    More: of it."]
    from_code.returns_are_sentences(None, "function", "count", None, None, lines)
    assert lines[3:] == ["    : Tables by name: one each.", "    More: of it."]


def test_arrays_in_signatures_are_short(from_code: Any) -> None:
    array = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.object_]]"
    told = from_code.arrays_are_short(
        None, "class", "Run", None, None, f"(ids: {array}, extra: dict = <factory>)", None
    )
    assert told == ("(ids: NDArray[object], extra: dict = ...)", None)


def test_a_protocol_is_shown_without_the_arguments_of_a_class_that_is_made(from_code: Any) -> None:
    from contested.studies import Executor

    told = "(*args, **kwargs)"
    assert from_code.arrays_are_short(None, "class", "Executor", Executor, None, told, None) == ("", None)
    assert from_code.arrays_are_short(None, "function", "any", dict, None, told, None) == (told, None)


def test_names_stand_for_objects_however_they_are_reached(from_code: Any) -> None:
    assert from_code._object("contested.trajectories.trajectory.Trajectory") is ct.Trajectory
    assert from_code._object("contested.Trajectory.load") == ct.Trajectory.load
    assert from_code._object("contested.nowhere.Trajectory") is None


def test_a_gallery_that_was_not_made_has_no_links_and_says_so(from_code: Any, tmp_path: Path) -> None:
    app = SimpleNamespace(srcdir=tmp_path / "docs")
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    without, made = [page], [page]
    from_code.gallery_as_it_is(app, "gallery", without)
    assert from_code.NO_GALLERY in without[0]
    assert "A map of 300 annotated items" in without[0]
    assert not re.search(r"<a |<img ", without[0])
    (tmp_path / "build" / "gallery").mkdir(parents=True)
    from_code.gallery_as_it_is(app, "gallery", made)
    assert made == [page]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "site" / "reference" / "python.html").read_text(encoding="utf-8")
    assert 'href="annotations.html#contested.annotations.Summary"' in page
