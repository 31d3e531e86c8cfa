"""What a report and a terminal show of texts that somebody else wrote: nothing of it acts."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from contested import Trajectory
from contested.analysis import compare
from contested.cli import main
from contested.report import write_comparison, write_report

ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
TEXTS = [
    '=HYPERLINK("http://evil.example";"x")',
    "+1+cmd|' /C calc'!A0",
    "- he said",
    "@SUM(1)",
    "\tleading tab",
    "<script>document.title='hurt'</script>",
    "<img src=x onerror=\"document.title='hurt'\">",
    "[a link](javascript:alert(1)) ![x](http://evil.example/p.png)",
    "\x1b[2J\x1b]0;title\x07 gone",
    "left \u202e right \u2066 isolated",
    "a|b `code` $x^$ $\\frac{$",
    "nul \x00 bel \x07 c1 \x9b31m",
]


def hostile_run(run_id: str, seed: int) -> Trajectory:
    """A run of which ids, texts, classes, categories and covariates are hostile."""
    rng, same = np.random.default_rng(seed), np.random.default_rng(0)
    count = 4 * len(TEXTS)
    ids = [f"{text}{number if number >= len(TEXTS) else ''}" for number, text in enumerate(TEXTS * 4)]
    return Trajectory.from_arrays(
        logits=rng.normal(size=(3, count, 2)),
        ids=ids,
        gold=same.integers(2, size=count),
        label_counts=same.integers(1, 5, size=(count, 2)),
        label_names=["=yes", "<b>no"],
        texts={"premise": TEXTS * 4},
        covariates={"=genre": TEXTS * 4},
        categories=[("=clean $x^$" if number % 2 else "<i>dirty\x1b[31m") for number in range(count)],
        run_id=run_id,
        check_label_order=False,
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    runs = [hostile_run("=1+1 $x^$", 0), hostile_run("<b>\x1b[2J\u202erun", 1)]
    write_report(runs[1:], folder / "report", n_resamples=40)
    write_comparison(compare(*runs, n_resamples=40, n_flips=100), folder / "compared")
    return folder


@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_cell_of_a_csv_file_is_computed(reported: Path) -> None:
    files = list(reported.rglob("*.csv"))
    cells = {cell for file in files for row in csv.reader(file.open(encoding="utf-8", newline="")) for cell in row}
    number = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?|-?inf|[+-]")
    assert [cell for cell in cells if cell[:1] in set("=+-@\t\r") and not number.fullmatch(cell)] == []
    assert {"'- he said", "'=yes"} <= cells
    assert len(files) > 5
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)


def test_markdown_has_no_link_and_no_tag(reported: Path) -> None:
    files = list(reported.rglob("*.md"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not ACTIVE.search(text), file
        assert not re.search(r"(?<!\\)\]\(|(?<!\\)<[a-z/!]", text), file


def test_pages_hold_no_markup_of_a_text_and_nothing_that_acts(reported: Path) -> None:
    for file in reported.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        assert not ACTIVE.search(page), file
        assert "<img" not in page
        scripts = [part.partition("</script>")[0] for part in page.split("<script>")[1:]]
        assert len(scripts) == (2 if 'id="find"' in page else 1)  # a comparison's cards have their own
        policy = html.unescape(page.partition('Content-Security-Policy" content="')[2].partition('"')[0])
        assert policy.startswith("default-src 'none'; script-src ")
        for script in scripts:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def dom(page: Path, profile: Path) -> str:
    """The page as a real browser has it after its scripts ran."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_a_browser_runs_the_pages_own_script_alone(reported: Path, tmp_path: Path) -> None:
    for file in reported.glob("report/*.html"):
        shown = dom(file, tmp_path / "profile")
        assert 'data-ready="true"' in shown  # the page's script has run
        assert "<noscript>" not in shown
        # Were a text ever to become markup, the policy stops it.
        injected = "<p id='p'>quiet</p><script>document.getElementById('p').id='hurt'</script>"
        broken = tmp_path / "broken.html"
        broken.write_text(file.read_text(encoding="utf-8").replace("</main>", f"{injected}</main>"), encoding="utf-8")
        assert 'id="hurt"' not in dom(broken, tmp_path / "profile")
        freed = tmp_path / "freed.html"
        freed.write_text(re.sub("<meta http-equiv[^>]*>", "", broken.read_text(encoding="utf-8")), encoding="utf-8")
        assert 'id="hurt"' in dom(freed, tmp_path / "profile")  # it would have run without the policy


def test_a_terminal_obeys_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    hostile_run("<b>\x1b[2J\u202erun", 1).save(run)
    assert main(["analyze", str(run), "--resamples", "40"]) == 0
    assert main(["analyze", str(run), "--resamples", "40", "--json"]) == 0
    assert main(["report", str(tmp_path / "none\x1b[2J")]) == 2
    said = capsys.readouterr()
    assert not ACTIVE.search(said.out + said.err)
    assert "\\u001b[2J\\u202erun" in said.out
    assert "none\\u001b[2J" in said.err
