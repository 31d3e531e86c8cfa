import math

import pandas as pd
import pytest

from contested.report.tables import escape_latex, to_cells, to_csv, to_latex, to_markdown, write_tables

UNLEARNING = pd.DataFrame(
    {
        "category": ["clean", "contested", "empty"],
        "n": [1211, 7, 0],
        "mean": [-0.12345678, 0.5, math.nan],
        "low": [-0.2, -0.0001, math.nan],
        "high": [-0.1, 1.0, math.nan],
        "note": ["", "", "no examples"],
    }
)


def test_markdown_is_padded_and_puts_the_interval_beside_its_number() -> None:
    assert to_markdown(UNLEARNING, "unlearning") == (
        "| category  |     n |          mean Δℓ (nats) | note        |\n"
        "| --------- | ----: | ----------------------: | ----------- |\n"
        "| clean     | 1,211 | −0.123 [−0.200, −0.100] |             |\n"
        "| contested |     7 | +0.500 [+0.000, +1.000] |             |\n"
        "| empty     |     0 |                       – | no examples |\n"
    )


def test_csv_keeps_every_digit_and_leaves_missing_numbers_empty() -> None:
    assert to_csv(UNLEARNING.drop(columns="note")) == (
        "category,n,mean,low,high\nclean,1211,-0.12345678,-0.2,-0.1\ncontested,7,0.5,-0.0001,1.0\nempty,0,,,\n"
    )


def test_latex_is_booktabs_and_escaped() -> None:
    table = pd.DataFrame({"run": ["a_b & 100% #1 {x} ~^\\"], "p_value": [1e-9], "rho": [-0.25]})
    assert to_latex(table) == (
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        "run & p & $\\rho$ \\\\\n"
        "\\midrule\n"
        "a\\_b \\& 100\\% \\#1 \\{x\\} \\textasciitilde{}\\textasciicircum{}\\textbackslash{}"
        " & $<$ 0.001 & $-$0.250 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_latex_keeps_a_dollar_sign_before_mathematics() -> None:
    assert escape_latex("$−1") == "\\$$-$1"


def test_markdown_escapes_bars_and_tags_but_not_comparisons() -> None:
    table = pd.DataFrame({"category": ["a|b", "<script>"], "p_value": [0.0421, 0.00001]})
    assert to_markdown(table).splitlines()[2:] == [
        "| a\\|b      |   0.042 |",
        "| \\<script> | < 0.001 |",
    ]


def test_latex_groups_the_columns_of_runs() -> None:
    columns = {("", "category"): ["clean"], ("r_1", "n"): [3], ("r_1", "change"): [0.5], ("r2", "n"): [4]}
    text = to_latex(pd.DataFrame(columns))
    assert " & \\multicolumn{2}{c}{r\\_1} & r2 \\\\" in text
    assert "category & n & $\\Delta\\ell$ (nats) & n \\\\" in text
    assert to_cells(pd.DataFrame(columns)).groups == [("", 1), ("r_1", 2), ("r2", 1)]


def test_a_note_column_without_notes_is_not_shown() -> None:
    cells = to_cells(UNLEARNING.assign(note=""), "unlearning")
    assert cells.names == ("category", "n", "mean Δℓ (nats)")


@pytest.mark.parametrize(("name", "endings"), [("unlearning", {".csv", ".md", ".tex"}), ("curves", {".csv"})])
def test_files_are_written_and_rewritten_alike(tmp_path, name, endings) -> None:
    first = {path: path.read_bytes() for path in write_tables({name: UNLEARNING}, tmp_path)}
    second = {path: path.read_bytes() for path in write_tables({name: UNLEARNING}, tmp_path)}
    assert first == second
    assert {path.suffix for path in first} == endings
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in first)
