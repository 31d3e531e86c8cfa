from contested.paper import COLUMNS
from contested.paper.frames.columns import frame
from contested.paper.report.declared_tables import TABLES
from contested.paper.report.spec import claims_frame, rules_frame
from contested.paper.rules import RULES, Rule
from contested.report.table_cells import rendered
from contested.report.tables import to_markdown, write_tables

BY_NAME = {table.name: table for table in TABLES}

PAPER = ("table1_correlation", "table2_loss_change", "table3_seeds", "table4_decoder_seeds")
PAPER += ("table5_decoder_loss_change", "table6_rank_sweep", "table7_composition")


def test_every_column_of_every_table_exists() -> None:
    known = {name: set(columns) for name, columns in COLUMNS.items()}
    known["claims"] = {"key", "claim", "verdict", "answer", "evidence", "run_ids"}
    known["claim_rules"] = set(Rule._fields)
    for table in TABLES:
        for column in table.columns:
            names = {column.name, column.low, column.high, column.sd, column.star} - {""}
            assert names <= known[table.frame], (table.name, names - known[table.frame])


def test_every_frame_is_in_a_table_and_every_table_of_the_paper_is_there() -> None:
    assert {table.frame for table in TABLES} >= {*COLUMNS, "claims", "claim_rules"}
    assert set(PAPER) <= set(BY_NAME)
    assert len(BY_NAME) == len(TABLES)


def test_every_table_says_why_it_is_empty(tmp_path) -> None:
    frames = {name: frame(name, []) for name in COLUMNS} | {"claims": claims_frame(()), "claim_rules": rules_frame(())}
    write_tables(TABLES, frames, tmp_path, "95%")
    for table in TABLES:
        assert (tmp_path / f"{table.name}.csv").is_file()
        if table.columns:
            assert table.absent in (tmp_path / f"{table.name}.md").read_text()


def test_table_1_of_a_study(small) -> None:
    text = to_markdown(rendered(BY_NAME["table1_correlation"], small.frames["table1"], "95%"))
    first = small.frames["table1"].iloc[0]
    row = next(line for line in text.splitlines() if "lora-r4 " in line)
    assert f"{first['rho_mean']:+.3f} ± 0.016 [{first['rho_low']:+.3f}, {first['rho_high']:+.3f}]" in row
    assert "| +0.308 ± 0.016 |" in row
    assert "0.010* |" in row
    assert "(2 of 3 seeds)" in next(line for line in text.splitlines() if "| full" in line)
    assert "Missing runs: roberta-full-snli-seed456" in text


def test_claims_are_a_table(small) -> None:
    table = claims_frame(small.claims)
    assert table["verdict"].tolist() == ["holds", "inconclusive", "does not hold"]
    assert table["run_ids"].tolist() == ["r1,r2", "", "r3"]
    assert claims_frame(()).empty


def test_the_page_says_what_decides_the_claims_that_it_shows(small) -> None:
    table = rules_frame(small.claims)
    assert table["key"].tolist() == ["a", "c", "i"]
    text = to_markdown(rendered(BY_NAME["claim_rules"], table, "95%"))
    assert RULES["c"].opposes in text
    assert RULES["b"].opposes not in text
