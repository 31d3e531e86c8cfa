import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from contested.paper import COLUMNS
from contested.paper.frames.columns import frame
from contested.paper.report.table_list import TABLES
from contested.paper.report.tables import (
    StudyColumn,
    StudyTable,
    rendered,
    study_cells,
    study_latex,
    study_markdown,
    write_study_tables,
)
from contested.paper.report.write import claims_frame
from contested.report.formats import CHANGE

BY_NAME = {table.name: table for table in TABLES}

PAPER = ("table1_correlation", "table2_loss_change", "table3_seeds", "table4_decoder_seeds")
PAPER += ("table5_decoder_loss_change", "table6_rank_sweep", "table7_composition")

MADE = StudyTable(
    "made",
    "made",
    "runs",
    "Table 0",
    "50% of a_b",
    "In brackets: {confidence} intervals.",
    "runs & more",
    (
        StudyColumn("method", "method"),
        StudyColumn("rho", "ρ", CHANGE, "low", "high", "sd", "star", seeded=True),
        StudyColumn("note", "note"),
    ),
)


def made(**columns) -> pd.DataFrame:
    row = {"method": "full", "rho": 0.25, "low": 0.1, "high": 0.4, "sd": 0.0158, "star": True, "note": ""}
    row |= {"run_ids": "full-42,full-123,full-456", "missing": "", "n_seeds": 3, "n_expected": 3}
    return pd.DataFrame([row | columns])


def cell(**columns) -> str:
    return study_cells(MADE, made(**columns)).rows[0][1]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({}, "+0.250 ± 0.016* [+0.100, +0.400]"),
        ({"star": False}, "+0.250 ± 0.016 [+0.100, +0.400]"),
        # One seed has no standard deviation.
        ({"sd": np.nan, "n_seeds": 1, "n_expected": 3}, "+0.250* [+0.100, +0.400] (1 of 3 seeds)"),
        ({"n_seeds": 2}, "+0.250 ± 0.016* [+0.100, +0.400] (2 of 3 seeds)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan, "sd": np.nan, "n_seeds": 0}, "— (0 of 3 seeds)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan, "n_seeds": 0, "n_expected": 1}, "— (run missing)"),
        ({"rho": np.nan, "low": np.nan, "high": np.nan}, "—"),
    ],
)
def test_a_cell_says_what_it_rests_on(columns, shown) -> None:
    assert cell(**columns) == shown


def test_the_papers_value_stands_beside_ours_where_it_is_known() -> None:
    table = pd.concat([made(rho_paper=0.308, rho_paper_sd=0.016), made(rho_paper=np.nan, rho_paper_sd=np.nan)])
    cells = study_cells(MADE, table)
    assert cells.names == ("method", "ρ", "ρ, paper")
    assert [row[2] for row in cells.rows] == ["+0.308 ± 0.016", "—"]
    assert study_cells(MADE, made(rho_paper=np.nan)).names == ("method", "ρ")


def test_the_foot_names_runs_gaps_and_the_papers_remarks() -> None:
    table = made(run_ids="full-42,full-123", missing="full-456", n_seeds=2, rho_paper=0.3, rho_paper_note="one seed")
    assert rendered(MADE, table, "95%").foot == (
        ("Runs", "full-{42,123}"),
        ("Missing runs", "full-456"),
        ("On the paper's values", "ρ: one seed"),
    )


def test_markdown_has_heading_caption_rows_and_runs() -> None:
    assert study_markdown(rendered(MADE, made(note="a|b"), "95%")) == (
        "**Table 0. 50% of a_b.** In brackets: 95% intervals.\n\n"
        "| method |                                ρ | note |\n"
        "| ------ | -------------------------------: | ---- |\n"
        "| full   | +0.250 ± 0.016* [+0.100, +0.400] | a\\|b |\n\n"
        "Runs: full-{42,123,456}\n"
    )


def test_an_empty_table_has_its_heading_and_the_reason(tmp_path) -> None:
    write_study_tables([MADE], {"made": made().iloc[:0]}, tmp_path, "95%")
    reason = "Empty: this table needs runs & more, and the study has none."
    assert (tmp_path / "made.md").read_text().endswith(f"{reason}\n")
    assert reason.replace("&", "\\&") in (tmp_path / "made.tex").read_text()
    assert (tmp_path / "made.csv").read_text().startswith("method,rho,low")


def test_csv_is_unrounded_and_has_the_runs_of_each_row(tmp_path) -> None:
    write_study_tables([MADE], {"made": made(rho=1 / 3)}, tmp_path, "95%")
    header, row = (tmp_path / "made.csv").read_text().splitlines()
    assert "run_ids" in header.split(",")
    assert '"full-42,full-123,full-456"' in row
    assert "0.3333333333333333" in row


def test_latex_is_escaped_and_needs_booktabs_alone() -> None:
    bad = "a_b & 50% #1 {x} ~^\\ $y$ <z> | Δℓ ± τ"
    text = study_latex(rendered(MADE, made(method=bad, note=bad, run_ids="r_1,r_2"), "95%"))
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
    text = study_latex(rendered(MADE, pd.concat([made(), made(method="[x]")]), "95%"))
    assert "\n{}[x] & " in text


def test_a_long_table_is_cut_into_floats_that_fit_a_page() -> None:
    text = study_latex(rendered(MADE, pd.concat([made()] * 100), "95%"))
    assert text.count(r"\begin{table}") == 3
    assert "part 3 of 3" in text
    assert text.count("Runs:") == 1
    assert text.count("full & ") == 100


def test_every_column_of_every_table_exists() -> None:
    known = {name: set(columns) for name, columns in COLUMNS.items()}
    known["claims"] = {"key", "claim", "verdict", "answer", "evidence", "run_ids"}
    for table in TABLES:
        for column in table.columns:
            names = {column.name, column.low, column.high, column.sd, column.star} - {""}
            assert names <= known[table.frame], (table.name, names - known[table.frame])


def test_every_frame_is_in_a_table_and_every_table_of_the_paper_is_there() -> None:
    assert {table.frame for table in TABLES} == {*COLUMNS, "claims"}
    assert set(PAPER) <= set(BY_NAME)
    assert len(BY_NAME) == len(TABLES)


def test_every_table_says_why_it_is_empty(tmp_path) -> None:
    frames = {name: frame(name, []) for name in COLUMNS} | {"claims": pd.DataFrame(columns=["key", "claim"])}
    write_study_tables(TABLES, frames, tmp_path, "95%")
    for table in TABLES:
        assert (tmp_path / f"{table.name}.csv").is_file()
        if table.columns:
            assert table.empty in (tmp_path / f"{table.name}.md").read_text()


def test_table_1_of_a_study(small) -> None:
    text = study_markdown(rendered(BY_NAME["table1_correlation"], small.frames["table1"], "95%"))
    first = small.frames["table1"].iloc[0]
    row = next(line for line in text.splitlines() if "lora-r4 " in line)
    assert f"{first['rho_mean']:+.3f} ± 0.016 [{first['rho_low']:+.3f}, {first['rho_high']:+.3f}]" in row
    assert "| +0.308 ± 0.016 |" in row
    assert "0.010* |" in row
    assert "(2 of 3 seeds)" in next(line for line in text.splitlines() if "| full" in line)
    assert "Missing runs: roberta-full-snli-seed456" in text


def test_claims_are_a_table(small) -> None:
    table = claims_frame(small)
    assert table["verdict"].tolist() == ["holds", "inconclusive", "does not hold"]
    assert table["run_ids"].tolist() == ["r1,r2", "", "r3"]
    assert claims_frame(replace(small, claims=())).empty
