import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from contested.errors import ConfigError
from contested.paper import COLUMNS, Claim, PaperResults
from contested.paper.frames.columns import frame
from contested.paper.report import SECTIONS, report_spec
from contested.paper.report.declared_tables import TABLES
from contested.paper.report.spec import FIGURES
from contested.report import StudyReportPaths, write_study_report


class Page(HTMLParser):
    """Collects what a browser would fetch, every id and target, and every element's name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                (self.targets if value.startswith("#") else self.fetched).append(value)


@pytest.fixture(scope="module")
def html(written) -> str:
    return written.html.read_text(encoding="utf-8")


def write(results: PaperResults, folder, *, figures=FIGURES, **options) -> StudyReportPaths:
    return write_study_report(results, folder, spec=report_spec(results)._replace(figures=figures), **options)


def test_every_declared_artefact_is_written_or_named_as_missing(written) -> None:
    folder = written.html.parent
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expected = {"report.html", "results.json"}
    for table in TABLES:
        expected |= {
            f"tables/{table.name}.{ending}" for ending in (("csv", "md", "tex") if table.columns else ("csv",))
        }
    for figure in FIGURES:
        if figure.name not in written.missing:
            expected |= {f"figures/{figure.name}.{ending}" for ending in ("pdf", "png")}
    assert files == expected
    paths = (written.html, written.results, *written.tables, *written.figures)
    assert {str(path.relative_to(folder)) for path in paths} == expected
    assert "soft_labels" in written.missing


def test_the_page_fetches_nothing_and_runs_nothing(html) -> None:
    found = Page(html)
    assert found.fetched == []
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttp", html)
    assert set(re.findall(r"https?://[^\"'\s<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not {"link", "script", "img", "iframe"} & set(found.elements)


def test_ids_are_unique_and_links_lead_somewhere(html) -> None:
    found = Page(html)
    assert len(found.ids) == len(set(found.ids))
    assert {target[1:] for target in found.targets} <= set(found.ids)


def test_colours_follow_the_page_into_the_dark(html) -> None:
    svgs = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(svgs) == 2 * len(FIGURES)
    # Black is matplotlib's own for text that a style covers; every other colour is a property of the page.
    left = {color for svg in svgs for color in re.findall(r"#[0-9a-f]{6}\b", svg)}
    assert left <= {"#000000"}
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert used <= set(re.findall(r"(--[\w-]+):", html)) | {"--c", "--t"}


def test_claims_come_first_with_verdict_and_evidence(html) -> None:
    claims = html.index('id="findings"')
    assert claims < html.index('id="disagreement"')
    assert re.search(r"\(a\) ρ is above zero everywhere</h3>\s*<p class=\"verdict\">Holds</p>", html)
    assert '<p class="verdict">Does not hold</p>' in html
    assert '<p class="verdict">Inconclusive</p>' in html
    assert "LoRA &lt;only&gt;" in html
    assert "<only>" not in html


def test_every_artefact_is_on_the_page_with_its_runs(html) -> None:
    for figure in FIGURES:
        assert f'id="{figure.name}"' in html
    for table in TABLES:
        assert (f'id="table-{table.name}"' in html) == bool(table.section), table.name
    assert "roberta-lora-r4-snli-seed{42,123,456}" in html
    assert "<dt>Missing runs</dt><dd>roberta-full-snli-seed456</dd>" in html
    assert "Empty: this table needs runs with soft labels, and there is none." in html


def test_gaps_notes_and_exclusions_are_on_the_page(html) -> None:
    assert "1 run is missing." in html
    assert "table2: roberta-full-snli-seed42 is missing." in html
    assert "AULC is in nats &amp; H too." in html
    assert "One test per condition" in html
    assert "did not converge" in html
    # 12 runs of 4 conditions, of which one is excluded and one is missing.
    assert "10 of the 11 runs of the study: 1 model, 4 methods, 1 data set" in html


def test_results_are_kept_as_json(written, small) -> None:
    assert json.loads(written.results.read_text()) == json.loads(json.dumps(small.to_dict()))


@pytest.mark.usefixtures("unsaved")
def test_sections_that_are_not_wanted_are_neither_written_nor_drawn(small, tmp_path) -> None:
    old = [tmp_path / "tables" / f"table1_correlation.{ending}" for ending in ("csv", "md", "tex")]
    old += [tmp_path / "tables" / "figure1_data.csv", tmp_path / "figures" / "figure1_loss_lora.png"]
    mine = tmp_path / "tables" / "notes.md"
    for path in (*old, mine):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    paths = write(small, tmp_path, wanted=["rank"])
    figures, tables = {path.stem for path in paths.figures}, {path.stem for path in paths.tables}
    assert "rank_sweep" in figures
    assert figures <= {figure.name for figure in FIGURES if figure.section == "rank"}
    assert tables >= {"claims", "table6_rank_sweep", "rank_trend"}
    assert not tables & {table.name for table in TABLES if table.section not in {"", "rank"}} - {"claims"}
    assert not any(path.exists() for path in old)
    assert mine.exists()
    assert paths.missing == {}
    text = paths.html.read_text(encoding="utf-8")
    others = [
        *(name for name, _ in SECTIONS if name != "rank"),
        "groups",
        "axes",
        "matched",
        "annotators",
        "differences",
        "runs",
    ]
    assert f"Not selected by the study: {', '.join(others)}." in text
    found = Page(text)
    assert {"findings", "rank", "rank_sweep", "table-rank_trend"} <= set(found.ids)
    assert not set(others) & set(found.ids)
    assert {target[1:] for target in found.targets} <= set(found.ids)
    assert json.loads(paths.results.read_text()) == json.loads(json.dumps(small.to_dict()))


def test_the_data_of_a_figure_goes_with_its_section(small, tmp_path) -> None:
    undrawn = [figure._replace(frames=((figure.frames[0][0], "nothing"),)) for figure in FIGURES]
    assert "nothing" not in small.frames["figure1"]
    results = replace(small, frames={name: table.assign(nothing=float("nan")) for name, table in small.frames.items()})
    paths = write(results, tmp_path, wanted=("unlearning",), figures=tuple(undrawn))
    data = {path.name for path in paths.tables if "data" in path.name}
    assert data >= {"figure1_data.csv", "figure2_data.csv"}
    assert "figure3_data.csv" not in data
    with pytest.raises(ConfigError, match=r"no section 'ranks'\. Its sections: disagreement, unlearning, rank, "):
        write(small, tmp_path, wanted=["ranks"])


def test_a_study_without_any_run_has_a_page(tmp_path) -> None:
    nothing = PaperResults({name: frame(name, []) for name in COLUMNS}, (), (), 0.95, 100, claims=())
    (tmp_path / "figures").mkdir()
    old = tmp_path / "figures" / f"{FIGURES[0].name}.png"
    old.touch()
    paths = write(nothing, tmp_path, title="None <yet>")
    text = paths.html.read_text(encoding="utf-8")
    assert "None &lt;yet&gt;" in text
    assert paths.figures == ()
    assert not old.exists()
    assert set(paths.missing) == {artefact.name for artefact in (*FIGURES, *TABLES) if artefact.needs}
    for figure in (figure for figure in FIGURES if figure.needs):
        assert figure.absent.replace("'", "&#39;") in text
    assert "A study without runs." in text
    assert 'id="gaps"' not in text
    assert "Not selected" not in text


def test_text_of_others_is_escaped_everywhere(small, tmp_path) -> None:
    bad = "<script>alert('x')</script>"
    claim = Claim("a", bad, "holds", bad, (bad,), (bad,))
    table = small.frames["table1"].assign(backbone=bad, note=bad, run_ids=bad)
    results = replace(small, claims=(claim,), notes=(bad,), gaps=(bad,), frames=small.frames | {"table1": table})
    text = write(results, tmp_path, title=bad, figures=()).html.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    markdown = (tmp_path / "tables" / "table1_correlation.md").read_text()
    assert re.search(r"(?<!\\)<script", markdown) is None


def test_the_same_results_give_the_same_bytes(small, tmp_path, monkeypatch) -> None:
    chosen = [figure for figure in FIGURES if figure.name == "figure7_cartography"]
    # That saved pictures are the same is tested beside the figures.
    monkeypatch.setattr("contested.report.pictures.save_figure", lambda figure, stem: [])
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        write(small, folder, figures=tuple(chosen))
        found.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert found[0] == found[1]
    assert len(found[0]) > 50
