"""The recipes of CONTRIBUTING.md, run as they are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from contested.analysis.measures import Measure
from contested.annotations.readers import _cells, _format
from contested.errors import DataError
from contested.exchange import collect, exchange, table_columns, table_files
from contested.exchange import format as exchange_format
from contested.report.declarations import FigureSpec
from contested.rows import read_table

RECIPES = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Recipes")[1]


def recipe(title: str, **given: Any) -> dict[str, Any]:
    """What the code under a heading makes, with the names that its module would import."""
    section = RECIPES.split(f"### {title}")[1].split("\n### ")[0]
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        # The last statement of a recipe may be the entry of a tuple: keep it under a name.
        exec(re.sub(r"^(Measure|FigureSpec)\(", r"entry = \1(", code, flags=re.MULTILINE), given)
    return given


@pytest.fixture(scope="module")
def reader() -> dict[str, Any]:
    given = {name: getattr(_format, name) for name in dir(_format) if not name.startswith("__")}
    given |= {"as_count": _cells.as_count, "np": np, "dataclasses": dataclasses}
    return recipe("A reader of annotated files", **given)


def test_a_reader_of_columns(reader: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("id,yes_votes,no_votes\na,3,2\nb,0,5\n")
    table = read_table(file)
    assert reader["matches"](table, _format.Options())
    read = reader["read"](table, _format.Options())
    assert (read.example_ids, read.label_counts.tolist()) == (("a", "b"), [[3, 2], [0, 5]])


def test_a_reader_of_lines_without_a_header_skips_blank_ones_and_keeps_line_numbers(
    reader: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "votes.txt"
    file.write_text("a 3 2\n\n  \nb 0 5\n")
    read = reader["read_lines"](read_table(file, lines=True), _format.Options())
    assert (read.example_ids, read.label_counts.tolist()) == (("a", "b"), [[3, 2], [0, 5]])
    file.write_text("a 3 2\n\nb 0 x\n")
    with pytest.raises(DataError) as caught:
        reader["read_lines"](read_table(file, lines=True), _format.Options())
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 3"]
    # There are no columns to name in such a file.
    assert "Fix the file, or name another format; nothing was loaded." in caught.value.message
    file.write_text("a 3 2\n\nb 0\n")
    with pytest.raises(DataError, match="1 problem") as caught:
        reader["read_lines"](read_table(file, lines=True), _format.Options())
    assert caught.value.problems == ("line 3: has 2 words; expected 3: an id, yes votes and no votes",)


def test_a_statistic() -> None:
    entry = recipe("A statistic of each example", Measure=Measure)["entry"]
    block = type("Block", (), {"losses": np.array([[1.0, 2.0], [3.0, 1.5]])})
    assert entry.of_block(block).tolist() == [2.0, 0.5]


def test_a_figure_has_a_panel_for_each_run_and_its_categories_in_order(
    overlapping: Callable[[Any], list[str]],
) -> None:
    entry: FigureSpec = recipe("A figure", pd=pd, np=np, Figure=Figure, FigureSpec=FigureSpec)["entry"]
    rng = np.random.default_rng(0)
    entropy = np.tile(rng.uniform(0, 1.09, 60), 2)
    examples = pd.DataFrame(
        {
            "of": np.repeat(["lora", "full"], 60),
            "entropy": entropy,
            "category": np.where(entropy < 0.4, "clean", np.where(entropy < 0.7, "ambiguous", "contested")),
            "loss_change": rng.normal(0, 1, 120),
        }
    ).sort_values("category", ascending=False)
    figure = entry.draw(examples)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(dict.fromkeys(examples["of"]))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["clean", "ambiguous", "contested"]
    edges = [sorted({x for patch in axes.patches for x in patch.get_xy()[:, 0]}) for axes in figure.axes]
    assert edges[0] == edges[1]
    assert len(edges[0]) == 41
    assert overlapping(figure) == []


def test_a_format_of_another_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = (collect, exchange_format, table_columns, table_files)
    given = {name: getattr(module, name) for module in modules for name in dir(module) if not name.startswith("__")}
    made = recipe("A format of another tool", **given)
    monkeypatch.setattr(exchange, "FORMATS", (*exchange.FORMATS, made["FORMAT"]))
    file = tmp_path / "votes.csv"
    file.write_text("key,iteration,no,yes\na,10,0.5,1.5\nb,10,1,2\nb,20,3,4\na,20,0,1\n")
    run, _ = exchange.import_run("votes", file)
    assert run.label_names == ("no", "yes")
    assert run.required("logits").tolist() == [[[0.5, 1.5], [1, 2]], [[0, 1], [3, 4]]]
    file.write_text("key,iteration,no,yes\na,10,0.5,high\nb,10,1\n")
    with pytest.raises(DataError) as caught:
        exchange.import_run("votes", file)
    assert caught.value.problems == (
        "row 1: yes is 'high', expected a number",
        "row 2: has 3 cells; the header has 4",
    )
