"""docs/statistics.md names code and tests that exist, and every statistic has its entry."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import contested.analysis

ROOT = Path(__file__).parents[2]
PAGE = re.sub(r"\n +(?![ -])", " ", (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8"))
# "- **name**: formula", and below it "  - Source: … Code: … Oracle: …"
ROWS = re.findall(r"^- \*\*(.+)\*\*: (.+)\n  - Source: (.+)\. Code: (.+)\. Oracle: (.+)\.$", PAGE, re.MULTILINE)
# They put statistics together or write them out; their parts have rows.
NOT_STATISTICS = {"alert_sentence", "analyze", "compare", "run_alerts", "statements", "statements_by_topic", "watched"}


def test_no_quantity_lacks_a_part():
    assert len(ROWS) == PAGE.count("\n  - ")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_leads_to_code_and_to_a_test_that_uses_it(row):
    code, oracle = row[3], row[4]
    tests = re.findall(r"`((?:\w+/)+test_\w+\.py)`", oracle)
    assert tests
    for path in re.findall(r"`([\w.]+)`", code):
        module, name = path.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(f"contested.{module}"), name))
        assert all(name in (ROOT / "tests" / test).read_text(encoding="utf-8") for test in tests)


def test_every_statistic_of_the_library_has_a_row():
    named = {path.rsplit(".", 1)[1] for row in ROWS for path in re.findall(r"`([\w.]+)`", row[3])}
    functions = {name for name in contested.analysis.__all__ if inspect.isfunction(getattr(contested.analysis, name))}
    assert functions - named == NOT_STATISTICS
