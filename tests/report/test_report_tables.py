import math
import re

import numpy as np
import pandas as pd
import pytest

from contested.formats import CHANGE, NATS, SHARE
from contested.report import Column, Table, tables
from contested.report.latex import escape_latex, to_latex
from contested.report.run_tables import tables_of
from contested.report.table_cells import rendered, to_cells
from contested.report.tables import to_csv, to_markdown, write_tables

MADE = Table(
    "made", "made", "runs", "50% of a_b", "In brackets: {confidence} intervals.",
    (
        Column("method", "method"),
        Column("rho", "ρ", CHANGE, "low", "high", "sd", "star", seeded=True),
        Column("note", "note"),
    ),
    needs="runs & more", number="Table 0",
)  # fmt: skip


def made(**columns) -> pd.DataFrame:
    row = {"method": "full", "rho": 0.25, "low": 0.1, "high": 0.4, "sd": 0.0158, "star": True, "note": ""}
    row |= {"run_ids": "full-42,full-123,full-456", "missing": "", "n_seeds": 3, "n_expected": 3}
    return pd.DataFrame([row | columns])


def cell(**columns) -> str:
    return to_cells(MADE.columns, made(**columns)).rows[0][1]


def test_a_standard_deviation_has_the_unit_of_its_number() -> None:
    column = Column("accuracy", "accuracy", SHARE, sd="sd")
    assert to_cells([column], pd.DataFrame({"accuracy": [0.262], "sd": [0.0177]})).rows == (("26.2% ± 1.8%",),)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({}, "+0.250 ± 0.016* [+0.100, +0.400]"),
        ({"star": False}, "+0.250 ± 0.016 [+0.100, +0.400]"),
        # One seed has no standard deviation.
        ({"sd": np.nan, "n_seeds": 1, "n_expected": 3}, "+0.250* [+0.100, +0.400] (1 of 3 seeds)"),
        ({"n_seeds": 2}, "+0.250 ± 0.016* [+0.100, +0.400] (2 of 3 seeds)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan, "sd": np.nan, "n_seeds": 0}, "– (0 of 3 seeds)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan, "n_seeds": 0, "n_expected": 1}, "– (run missing)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan}, "–"),
    ],
)
def test_a_cell_says_what_it_rests_on(columns, shown) -> None:
    assert cell(**columns) == shown


def test_the_papers_value_stands_beside_ours_where_it_is_known() -> None:
    table = pd.concat([made(rho_paper=0.308, rho_paper_sd=0.016), made(rho_paper=np.nan, rho_paper_sd=np.nan)])
    cells = to_cells(MADE.columns, table)
    assert cells.headings == ("method", "ρ", "ρ, paper")
    assert [row[2] for row in cells.rows] == ["+0.308 ± 0.016", "–"]
    assert to_cells(MADE.columns, made(rho_paper=np.nan)).headings == ("method", "ρ")


def test_the_foot_names_runs_gaps_and_the_papers_remarks() -> None:
    table = made(run_ids="full-42,full-123", missing="full-456", n_seeds=2, rho_paper=0.3, rho_paper_note="one seed")
    assert rendered(MADE, table, "95%").foot == (
        ("Runs", "full-{42,123}"),
        ("Missing runs", "full-456"),
        ("On the paper's values", "ρ: one seed"),
    )


def test_markdown_has_heading_caption_rows_and_runs() -> None:
    assert to_markdown(rendered(MADE, made(note="a|b"), "95%")) == (
        "**Table 0. 50% of a_b.** In brackets: 95% intervals.\n\n"
        "| method |                                ρ | note |\n"
        "| ------ | -------------------------------: | ---- |\n"
        "| full   | +0.250 ± 0.016* [+0.100, +0.400] | a\\|b |\n\n"
        "Runs: full-{42,123,456}\n"
    )


def test_an_empty_table_has_its_heading_and_the_reason(tmp_path) -> None:
    write_tables([MADE], {"made": made().iloc[:0]}, tmp_path, "95%")
    reason = "Empty: this table needs runs & more, and there is none."
    assert (tmp_path / "made.md").read_text().endswith(f"{reason}\n")
    assert reason.replace("&", "\\&") in (tmp_path / "made.tex").read_text()
    assert (tmp_path / "made.csv").read_text().startswith("method,rho,low")


def test_csv_is_unrounded_and_has_the_runs_of_each_row(tmp_path) -> None:
    write_tables([MADE], {"made": made(rho=1 / 3)}, tmp_path, "95%")
    header, row = (tmp_path / "made.csv").read_text().splitlines()
    assert "run_ids" in header.split(",")
    assert '"full-42,full-123,full-456"' in row
    assert "0.3333333333333333" in row


def test_run_ids_that_would_fill_a_disk_are_counted_in_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"run_ids": ["a-s1,a-s2", "b-s1", ""], "n": [1, 2, 3]})
    assert to_csv(frame) == 'run_ids,n\n"a-s1,a-s2",1\nb-s1,2\n,3\n'
    monkeypatch.setattr(tables, "_MOST_IDS", 10)
    assert to_csv(frame) == 'run_ids,n\n"2 runs, listed in results.json",1\nb-s1,2\n,3\n'


def test_a_table_of_many_rows_is_closed_at_first() -> None:
    table = Table("t", "t", "s", "Rows", columns=(Column("n", "n"),))
    assert [rendered(table, pd.DataFrame({"n": range(n)}), "95%").is_folded for n in (120, 121)] == [False, True]
    assert rendered(table._replace(folded=True), pd.DataFrame({"n": [1]}), "95%").is_folded


def test_latex_is_escaped_and_needs_booktabs_alone() -> None:
    bad = "a_b & 50% #1 {x} ~^\\ $y$ <z> | Δℓ ± τ"
    text = to_latex(rendered(MADE, made(method=bad, note=bad, run_ids="r_1,r_2"), "95%"))
    good = r"a\_b \& 50\% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \$y\$ $<$z$>$ $|$ "
    assert text.count(good + r"$\Delta\ell$ $\pm$ $\tau$") == 2
    assert r"\caption{50\% of a\_b. In brackets: 95\% intervals.}" in text
    assert r"Runs: r\_\{1,2\}." in text
    assert r"\toprule" in text
    # Environments are closed and braces balanced, where they are not escaped.
    assert re.findall(r"\\begin{(\w+)}", text) == ["table", "tabular", "minipage"]
    assert re.findall(r"\\end{(\w+)}", text) == ["tabular", "minipage", "table"]
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.isascii()


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_line_break() -> None:
    text = to_latex(rendered(MADE, pd.concat([made(), made(method="[x]")]), "95%"))
    assert "\n{}[x] & " in text


def test_a_long_table_is_cut_into_floats_that_fit_a_page() -> None:
    text = to_latex(rendered(MADE, pd.concat([made()] * 100), "95%"))
    assert text.count(r"\begin{table}") == 3
    assert "part 3 of 3" in text
    assert text.count("Runs:") == 1
    assert text.count("full & ") == 100


def unlearning() -> pd.DataFrame:
    """The changes of three categories, one of them without examples."""
    return pd.DataFrame(
        {
            "category": ["clean", "contested", "empty"],
            "n": [1211, 7, 0],
            "mean": [-0.12345678, 0.5, math.nan],
            "low": [-0.2, -0.0001, math.nan],
            "high": [-0.1, 1.0, math.nan],
            "note": ["", "", "no examples"],
        }
    )


UNLEARNING = next(table for table in tables_of({}) if table.name == "unlearning")


def test_an_interval_stands_beside_its_number_and_a_rounded_zero_has_no_sign() -> None:
    assert to_markdown(rendered(UNLEARNING, unlearning(), "90%")) == (
        "**Change of the loss.** Last checkpoint minus first. In brackets: 90% intervals over examples, or "
        "clusters of them.\n\n"
        "| category  |     n |          mean Δℓ (nats) | note        |\n"
        "| --------- | ----: | ----------------------: | ----------- |\n"
        "| clean     | 1,211 | −0.123 [−0.200, −0.100] |             |\n"
        "| contested |     7 |  +0.500 [0.000, +1.000] |             |\n"
        "| empty     |     0 |                       – | no examples |\n"
    )


def test_an_interval_of_which_there_is_something_to_know_is_marked_and_the_foot_says_what() -> None:
    frame = unlearning().assign(caution=["too skewed; all alike", "too skewed", "no interval, no mark"])
    shown = to_markdown(rendered(UNLEARNING, frame, "90%"))
    assert "| −0.123 [−0.200, −0.100]† |" in shown
    assert "|  +0.500 [0.000, +1.000]† |" in shown
    assert "|                        – |" in shown
    assert shown.endswith("\n\n†: too skewed; all alike\n")
    assert "$^{\\dagger}$: too skewed; all alike." in to_latex(rendered(UNLEARNING, frame, "90%"))
    assert "†" not in to_markdown(rendered(UNLEARNING, frame.assign(caution=""), "90%"))
    # Of two intervals in a row each has its own.
    columns = (Column("a", "a", NATS, "a_low", "a_high"), Column("b", "b", NATS, "b_low", "b_high"))
    two = pd.DataFrame([{"a": 1, "a_low": 0, "a_high": 2, "b": 3, "b_low": 2, "b_high": 4, "b_caution": "few"}])
    assert to_cells(columns, two).rows == (("1.000 [0.000, 2.000]", "3.000 [2.000, 4.000]†"),)


def test_csv_keeps_every_digit_and_leaves_missing_numbers_empty() -> None:
    assert to_csv(unlearning().drop(columns="note")) == (
        "category,n,mean,low,high\nclean,1211,-0.12345678,-0.2,-0.1\ncontested,7,0.5,-0.0001,1.0\nempty,0,,,\n"
    )


def test_latex_keeps_a_dollar_sign_before_mathematics() -> None:
    assert escape_latex("$−1") == "\\$$-$1"


def test_markdown_escapes_bars_and_tags_but_not_comparisons() -> None:
    table = Table("t", "t", "", "t", "", (Column("category", "category"),))
    text = to_markdown(rendered(table, pd.DataFrame({"category": ["a|b", "<script>", "p < 0.001"]}), ""))
    assert [line.strip("| ") for line in text.splitlines()[4:]] == ["a\\|b", "\\<script>", "p < 0.001"]


def test_columns_of_a_group_stand_under_one_heading() -> None:
    columns = (Column("run", "run"), Column("a", "clean", NATS, group="Δℓ"), Column("b", "contested", NATS, group="Δℓ"))
    frame = pd.DataFrame({"run": ["x"], "a": [0.5], "b": [1.0]})
    assert to_cells(columns, frame).groups == [("", 1), ("Δℓ", 2)]
    shown = rendered(Table("t", "t", "", "t", "", columns), frame, "")
    assert " & \\multicolumn{2}{c}{$\\Delta\\ell$} \\\\\n" in to_latex(shown)
    assert "| run | Δℓ · clean | Δℓ · contested |" in to_markdown(shown)


def test_a_table_that_nobody_declared_is_shown_by_type() -> None:
    frame = pd.DataFrame({"my_group": ["a"], "count": [1200], "share": [0.25]})
    (table,) = (table for table in tables_of({"mine": frame}) if table.name == "mine")
    assert to_cells(table.columns, frame) == (
        ("my group", "count", "share"),
        (("a", "1,200", "0.250"),),
        (False, True, True),
        ("", "", ""),
    )


def test_a_table_without_rows_or_needs_is_not_written(tmp_path) -> None:
    assert write_tables([UNLEARNING], {"unlearning": unlearning().iloc[:0]}, tmp_path, "95%").files == []
    assert write_tables([UNLEARNING], {}, tmp_path, "95%").files == []


@pytest.mark.parametrize(("name", "endings"), [("unlearning", {".csv", ".md", ".tex"}), ("curves", {".csv"})])
def test_files_are_written_and_rewritten_alike(tmp_path, name, endings) -> None:
    tables = [table for table in tables_of({}) if table.name == name]
    first = {path: path.read_bytes() for path in write_tables(tables, {name: unlearning()}, tmp_path, "95%").files}
    second = {path: path.read_bytes() for path in write_tables(tables, {name: unlearning()}, tmp_path, "95%").files}
    assert first == second
    assert {path.suffix for path in first} == endings
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in first)
