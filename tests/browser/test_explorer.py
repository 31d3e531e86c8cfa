"""The explorer in a real browser: what is selected is what the tables of the same report say."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import t as student

from contested import Trajectory
from contested.analysis import compare
from contested.analysis.items import map_items
from contested.annotations import Annotations, Votes
from contested.report import write_comparison, write_map

if TYPE_CHECKING:
    from playwright.sync_api import Page

RUNS = ("full", "LoRA r4")
N = 300
STATUS = "#explorer .x-status > [role=status]"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def selected(page: Page, expected: int | None = None) -> int:
    """How many examples the page says are selected, once it says what is expected or has settled."""
    if expected is not None:
        wanted = f"All {N} examples." if expected == N else f"{expected} of {N} examples selected."
        page.wait_for_function("([s, w]) => document.querySelector(s)?.textContent === w", arg=[STATUS, wanted])
    else:
        page.wait_for_timeout(250)
    found = re.search(r"\d+", page.locator(STATUS).inner_text())
    assert found
    return int(found[0])


def first_id(page: Page) -> str:
    return page.locator(".x-body .x-row").first.locator(".x-id").inner_text()


def fragment(page: Page, *parts: str) -> str:
    """The address's fragment, once it has some parts: while something is typed or dragged it follows a little later."""
    said = "decodeURIComponent(location.hash.replaceAll('+', ' '))"
    page.wait_for_function(f"parts => parts.every((part) => {said}.includes(part))", arg=list(parts))
    return unquote_plus(page.evaluate("location.hash"))


def half(values: Any) -> Any:
    """As the page holds numbers."""
    return np.asarray(values).astype(np.float16).astype(float)


def test_a_brush_by_pointer_selects_what_lies_in_it(opened, report) -> None:
    with opened() as page:
        assert selected(page, N) == N
        canvas = page.locator(".x-frame canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6, steps=4)
        page.mouse.up()
        number = r"([-\d.e]+?)"
        pattern = rf"select={number}\.\.{number},{number}\.\.{number} of (.+)$"
        x0, x1, y0, y1, run = re.search(pattern, fragment(page, "select=")).groups()
        table = report.examples[run]
        across, up = half(table["variability"]), half(table["confidence"])
        inside = (across >= float(x0)) & (across <= float(x1)) & (up >= float(y0)) & (up <= float(y1))
        assert 10 < inside.sum() < N - 10
        assert selected(page, int(inside.sum())) == inside.sum()
        assert page.locator("[role=grid]").get_attribute("aria-rowcount") == str(inside.sum() + 1)
        # A click on nothing clears it; back brings it again.
        page.go_back()
        assert selected(page, N) == N
        page.go_forward()
        assert selected(page, int(inside.sum())) == inside.sum()


def test_a_brush_by_keys_and_by_numbers(opened, report) -> None:
    with opened("#run=full") as page:
        page.locator(".x-frame").first.focus()
        page.keyboard.press("ArrowRight")
        some = selected(page)
        assert 0 < some < N
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
        assert selected(page) > some
        page.keyboard.press("Escape")
        assert selected(page, N) == N
        field = page.get_by_label("confidence from")
        field.fill("0.5")
        field.press("Enter")
        expected = int((half(report.examples["full"]["confidence"]) >= 0.5).sum())
        assert 0 < expected < N
        assert selected(page, expected) == expected


def test_search_finds_words_and_ids(opened, report) -> None:
    with opened() as page:
        page.keyboard.press("Tab")
        page.locator("#explorer .x").focus()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.className") == "x-search"
        page.keyboard.type("item-042")
        assert selected(page, 1) == 1
        assert first_id(page) == "item-042"
        assert fragment(page, "q=") == "#q=item-042"
        page.locator(".x-search").fill("")
        assert selected(page, N) == N


def test_sorting_by_a_measure_shows_its_extremes_first(opened, report) -> None:
    change = report.examples["full"].set_index("example_id")["loss_change"]
    with opened("#run=full") as page:
        head = page.locator("#explorer").get_by_role("columnheader", name=re.compile("Δℓ"))
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert change[first_id(page)] == pytest.approx(change.max(), abs=0.01)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert change[first_id(page)] == pytest.approx(change.min(), abs=0.01)
        fragment(page, "sort=loss_change")


def test_which_contested_items_did_one_run_learn_and_the_other_not(opened, report) -> None:
    one, other = (report.examples[run] for run in RUNS)
    differ = one["correct_last"].to_numpy(bool) & ~other["correct_last"].to_numpy(bool)
    contested = (one["category"] == "contested").to_numpy()
    expected = one["example_id"].to_numpy()[differ & contested].tolist()
    assert 0 < len(expected) < differ.sum()
    with opened() as page:
        button = page.get_by_role("button", name=re.compile("yes in full, no in LoRA r4"))
        assert button.inner_text() == str(differ.sum())
        button.click()
        assert selected(page, int(differ.sum())) == differ.sum()
        page.locator(".x-chip", has_text="contested").first.click()
        assert selected(page, len(expected)) == len(expected)
        fragment(page, "where=correct_last of full = yes", "where=correct_last of LoRA r4 = no", "category=contested")
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON of ids").click()
        assert json.loads(Path(download.value.path()).read_text()) == expected
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
        assert [row["id"] for row in rows] == expected
        loss = one.set_index("example_id")["loss_last"]
        assert [float(row["loss_last of full"]) for row in rows] == pytest.approx(loss[expected].tolist(), abs=0.002)
        address = page.url
    # Whoever opens the address sees the same.
    with opened(address[address.index("#") :]) as page:
        assert selected(page, len(expected)) == len(expected)


def test_the_runs_differ_as_often_as_a_cell_says_within_brush_category_and_search(opened, report) -> None:
    one, other = (report.examples[run] for run in RUNS)
    kept = (one["category"] == "contested").to_numpy() & (half(one["confidence"]) <= 0.6)
    kept &= one["example_id"].str.contains("1").to_numpy()  # words of a search are found within words
    right = [run["correct_last"].to_numpy(bool) for run in (one, other)]
    with opened("#category=contested&q=item-1&select=-1..2,-1..0.6+of+full") as page:
        for said in ((a, b) for a in (True, False) for b in (True, False)):
            words = ["yes" if right_ else "no" for right_ in said]
            button = page.get_by_role("button", name=re.compile(f"{words[0]} in full, {words[1]} in LoRA r4"))
            expected = int((kept & (right[0] == said[0]) & (right[1] == said[1])).sum())
            assert button.inner_text() == str(expected)
            button.click()
            assert selected(page, expected) == expected
            button.click()
        assert 10 < kept.sum() < 90


def test_a_link_to_a_state_shows_the_explorer(opened) -> None:
    def top(page: Page) -> float:
        return page.locator("#explore").bounding_box()["y"]

    with opened() as page:
        assert top(page) > 300
        page.evaluate("location.hash = 'sort=entropy'")
        page.wait_for_function("scrollY > 0")
        assert -1 < top(page) < 100
    for state in ("sort=entropy", "x=variability", "q=dog"):
        with opened(f"#{state}") as page:
            assert -1 < top(page) < 100


def test_a_column_is_sorted_by_keyboard_alone(opened, report) -> None:
    entropy = report.examples["full"].set_index("example_id")["entropy"]
    with opened("#run=full") as page:
        page.locator("#explorer .x").focus()
        page.keyboard.press("t")
        page.keyboard.press("ArrowUp")
        heads = page.locator("#explorer").get_by_role("columnheader")
        wanted = [head.split()[0] for head in heads.all_inner_texts()].index("H")
        for _ in range(wanted):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert heads.nth(wanted).get_attribute("aria-sort") == "descending"
        assert entropy[first_id(page)] == pytest.approx(entropy.max(), abs=0.001)
        page.keyboard.press("Space")
        assert heads.nth(wanted).get_attribute("aria-sort") == "ascending"
        assert entropy[first_id(page)] == pytest.approx(entropy.min(), abs=0.001)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.locator(".x-card", has_text=first_id(page)).wait_for()
        page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.closest('[role]').getAttribute('role')") == "columnheader"


def test_while_a_pointer_moves_the_map_follows_alone_and_the_table_once_it_rests(opened) -> None:
    with opened("#run=full") as page:
        selected(page, N)
        canvas = page.locator(".x-frame canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 3, box["y"] + 3)
        page.mouse.down()
        # Within one task no time passes: what is rendered follows the moves themselves.
        changes = page.evaluate(
            """async ([left, top]) => {
              let [map, table] = [0, 0];
              const whatever = { attributes: true, childList: true, subtree: true, characterData: true };
              const watch = (selector, count) =>
                new MutationObserver(count).observe(document.querySelector(selector), whatever);
              watch(".x-frame svg", () => { map += 1 });
              watch(".x-table", () => { table += 1 });
              const canvas = document.querySelector(".x-frame canvas");
              for (let step = 1; step <= 10; step++) {
                const at = { clientX: left + 20 * step, clientY: top + 20 * step, bubbles: true };
                canvas.dispatchEvent(new PointerEvent("pointermove", at));
                for (let turn = 0; turn < 20; turn++) await null;
              }
              return { map, table };
            }""",
            [box["x"], box["y"]],
        )
        assert changes["map"] >= 10
        assert changes["table"] == 0
        assert selected(page) < N
        assert page.locator("[role=grid]").get_attribute("aria-rowcount") == str(selected(page) + 1)
        page.mouse.up()


def test_shares_intervals_and_what_is_drawn_are_said(opened, report) -> None:
    table = report.examples["full"]
    kept = half(table["confidence"]) <= 0.45
    contested = (table["category"] == "contested").to_numpy()
    n, own = int(contested.sum()), table["loss_last"].to_numpy()[kept & contested]
    margin = student.ppf(0.975, len(own) - 1) * own.std(ddof=1) / np.sqrt(len(own))
    with opened("#run=full&select=-1..2,-1..0.45") as page:
        chip = page.locator(".x-chip", has_text="contested").inner_text()
        assert re.sub(r"\s+", " ", chip) == f"contested {len(own)} of {n}, {100 * len(own) / n:.0f}%"
        assert 0.1 < len(own) / n < 0.9
        label = page.locator("[role=img][aria-label^='loss, full']")
        label.wait_for()
        said = re.search(r"contested [\d.]+ to ([\d.]+) ± ([\d.]+)$", label.get_attribute("aria-label"))
        # Curves have nine bits, and the label two digits.
        assert [float(number) for number in said.groups()] == pytest.approx([own.mean(), margin], abs=0.012)
        assert "95 % intervals, examples taken as independent" in page.locator(".x-key").inner_text()
        for place, sentence in ((".x-axes", "gold label's probability"), (".x-curves", "KL(annotators ‖ model)")):
            page.locator(f"{place} .x-meaning summary").focus()
            page.keyboard.press("Enter")
            assert sentence in page.locator(f"{place} .x-meaning").inner_text()


def test_fingers_open_select_and_scroll(opened) -> None:
    with opened("#run=full", viewport={"width": 390, "height": 844}, has_touch=True) as page:
        canvas = page.locator(".x-frame canvas")
        canvas.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
        session = page.context.new_cdp_session(page)

        def drag(*places: tuple[float, float]) -> None:
            box = canvas.bounding_box()
            points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in places]
            for kind, point in zip(["touchStart"] + ["touchMove"] * (len(points) - 1), points, strict=True):
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

        across = [0.1 + 0.06 * step for step in range(11)]
        drag(*((x, 0.3 + 0.5 * x) for x in across))
        some = selected(page)
        assert 0 < some < N
        address, top = fragment(page, "select="), page.evaluate("scrollY")
        drag(*((0.5, 0.9 - 0.07 * step) for step in range(11)))
        page.wait_for_function("top => scrollY > top", arg=top)
        assert selected(page) == some  # a finger that scrolls selects nothing
        assert fragment(page) == address
        spot = page.locator(".x-body .x-row").first
        spot.tap()
        page.locator(".x-card").wait_for()
        canvas.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
        ring = page.locator(".x-open").bounding_box()
        page.locator(".x-card").get_by_label("Close the example").evaluate("(element) => element.click()")
        page.locator(".x-card").wait_for(state="detached")
        page.touchscreen.tap(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
        page.locator(".x-card").wait_for()


def test_a_slip_of_the_pointer_and_a_gesture_taken_away_select_nothing(opened) -> None:
    with opened("#run=full") as page:
        canvas = page.locator(".x-frame canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()

        def drag(across: float, up: float) -> None:
            page.mouse.move(box["x"] + 3, box["y"] + 3)
            page.mouse.down()
            page.mouse.move(box["x"] + 3 + across, box["y"] + 3 + up, steps=3)

        for across, up in ((200, 2), (2, 200)):
            drag(across, up)
            page.mouse.up()
            assert selected(page) == N
        drag(200, 200)
        assert selected(page) < N
        canvas.dispatch_event("pointercancel")
        assert selected(page) == N
        page.mouse.up()
        assert selected(page) == N
        assert fragment(page) == "#run=full"
        assert page.locator(".x-brush, .x-card").count() == 0


def test_a_condition_is_made_by_a_form_and_removed(opened, report) -> None:
    with opened() as page:
        page.locator(".x-add").click()
        page.get_by_label("Column", exact=True).select_option("entropy")
        page.get_by_label("Comparison").select_option("≥")
        page.get_by_label("Value", exact=True).fill("0.8")
        page.get_by_role("button", name="Add", exact=True).click()
        expected = int((half(report.examples["full"]["entropy"]) >= 0.8).sum())
        assert 0 < expected < N
        assert selected(page, expected) == expected
        page.get_by_label(re.compile("Remove the condition")).click()
        assert selected(page, N) == N


def check_answers(rows: list[str], runs: list[Trajectory], example_id: str) -> None:
    """A row per class: its name, the annotators' share and votes, and each run's last probability, to 254ths."""
    row = runs[0].example_ids.tolist().index(example_id)
    for name, votes, *last, said in zip(
        runs[0].label_names,
        runs[0].label_counts[row],
        *(softmax(run.logits[-1, row].astype(float)) for run in runs),
        rows,
        strict=True,
    ):
        label, people, *models = (cell.strip() for cell in said.split("\t"))
        assert label.startswith(name)
        assert people == f"{5 * votes}% · {votes}"  # 20 annotators
        assert [int(model.rstrip("%")) for model in models] == pytest.approx([100 * share for share in last], abs=1)


def test_an_example_s_card_and_the_way_through_them_by_keys(opened, report) -> None:
    with opened("#sort=entropy%20descending") as page:
        page.locator("#explorer .x").focus()
        page.keyboard.press("t")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
        page.keyboard.press("ArrowDown")
        card = page.locator(".x-card")
        card.wait_for()
        entropy = report.examples["full"].set_index("example_id")["entropy"]
        shown = re.search(r"item-\d+", card.inner_text())[0]
        assert entropy[shown] == pytest.approx(entropy.max(), abs=0.001)
        text = card.inner_text()
        for part in ("It is so.", "entailment", "contradiction", "(gold)", "annotators", "full", "LoRA r4", "AULC"):
            assert part in text
        check_answers(card.locator(".x-answers tbody tr").all_inner_texts(), report.runs, shown)
        page.keyboard.press("j")
        page.wait_for_function("id => !document.querySelector('.x-card').innerText.includes(id)", arg=shown)
        page.keyboard.press("k")
        page.wait_for_function("id => document.querySelector('.x-card').innerText.includes(id)", arg=shown)
        fragment(page, f"open={shown}")
        page.keyboard.press("Escape")
        card.wait_for(state="detached")
        page.keyboard.press("?")
        assert "Escape" in page.get_by_role("dialog").inner_text()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")


def test_runs_that_end_at_different_steps_say_so(opened) -> None:
    with opened() as page:
        assert [re.sub(r"\s+", " ", chip) for chip in page.locator(".x-run").all_inner_texts()] == [
            "full to step 500",
            "LoRA r4 to step 400",
        ]
        heads = page.locator(".x-outcomes th").all_inner_texts()
        assert [re.sub(r"\s+", " ", head) for head in heads[::2]] == [
            "LoRA r4: yes at step 400",
            "full: yes at step 500",
        ]


def test_what_was_said_of_a_selection_goes_with_it_and_sorting_can_be_undone(opened) -> None:
    with opened("#sort=entropy+descending", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy ids").click()
        page.get_by_text(f"{N} ids copied.").wait_for()
        page.locator(".x-chip", has_text="contested").first.click()
        page.get_by_text("ids copied").wait_for(state="detached")
        assert page.get_by_text("sorted by H ↓").count() == 1
        page.get_by_role("button", name="Do not sort").click()
        assert page.get_by_text("sorted by").count() == 0
        assert "sort" not in fragment(page, "category=contested")


def test_ids_stay_in_view_and_a_row_opens_without_cards_over_the_maps(opened) -> None:
    with opened(viewport={"width": 820, "height": 900}) as page:
        table = page.locator(".x-table")
        table.evaluate("(element) => { element.scrollLeft = 300 }")
        cell, head = page.locator(".x-body .x-id").first, page.locator(".x-head > *").first
        for part in (cell, head):
            assert part.bounding_box()["x"] == pytest.approx(table.bounding_box()["x"], abs=2)
        cell.click()
        page.locator(".x-card").wait_for()
        assert page.locator(".x-tip").count() == 0
        assert page.locator(".x-open").count() == len(RUNS)


def test_runs_beside_each_other_and_other_measures_on_the_axes(opened) -> None:
    with opened() as page:
        assert page.locator(".x-map figcaption").all_inner_texts() == list(RUNS)
        page.locator(".x-run", has_text="LoRA r4").click()
        assert page.locator(".x-map").count() == 1
        assert fragment(page, "run") == "#run=full"
        page.locator(".x-axes select").nth(1).select_option("loss_last of full")
        page.locator(".x-axes select").nth(0).select_option("loss_last of LoRA r4")
        fragment(page, "x=loss_last of full", "y=loss_last of LoRA r4")
        assert page.locator(".x-equal").count() == 1  # where both runs are alike


def test_curves_have_their_axes_in_every_colour_scheme(opened) -> None:
    canvas = ".x-curves canvas"
    with opened("#run=full") as page:
        page.locator(canvas).first.wait_for()
        light = page.locator(canvas).first.evaluate("own => own.toDataURL()")
        for scheme, sign in (("dark", "!=="), ("light", "===")):
            page.emulate_media(color_scheme=scheme)
            shown = f"([s, light]) => document.querySelector(s).toDataURL() {sign} light"
            page.wait_for_function(shown, arg=[canvas, light], timeout=5000)


@pytest.fixture(scope="module")
def compared(report, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """The page that compares the report's runs as each ended, and its examples."""
    found = compare(*report.runs, n_resamples=40, n_flips=100)
    return write_comparison(found, tmp_path_factory.mktemp("comparison")).html, found.examples


def test_a_comparison_maps_one_loss_against_the_other(opened, report, compared) -> None:
    html, examples = compared
    lost = examples["example_id"][examples["change"] == "1→0"]
    assert 0 < len(lost) < N
    with opened("#where=change+=+1→0", path=html) as page:
        assert selected(page, len(lost)) == len(lost)
        axes = page.locator(".x-axes select")
        assert [axes.nth(j).input_value() for j in (1, 0)] == [f"loss_last of {run}" for run in RUNS]
        assert page.locator(".x-equal").count() == 1
        shown = first_id(page)
        assert shown in set(lost)
        page.locator(".x-body .x-row").first.click()
        check_answers(page.locator(".x-card .x-answers tbody tr").all_inner_texts(), report.runs, shown)
        assert page.locator("#explorer canvas").count() == 1  # of one checkpoint there are no curves


def test_what_a_chip_of_a_comparison_selects_is_there_after_a_reload(opened, compared) -> None:
    html, examples = compared
    contested = set(examples["example_id"][examples["category"] == "contested"])
    assert 0 < len(contested) < N
    with opened(path=html) as page:
        assert selected(page, N) == N
        page.locator(".x-chip", has_text="contested").first.click()
        assert selected(page, len(contested)) == len(contested)
        assert fragment(page, "category=") == "#category=contested"
        page.reload()
        assert selected(page, len(contested)) == len(contested)
        assert page.locator(".x-chip", has_text="contested").first.get_attribute("aria-pressed") == "true"
        assert first_id(page) in contested


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_is_accessible(opened, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened("#open=item-007", viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.locator(".x-card").wait_for()
        # The whole page once: its figures have thousands of elements.
        context = None if (scheme, width) == ("light", 1440) else "#explorer"
        options = {"runOnly": RULES, "resultTypes": ["violations"]}
        found = axe.run(page, context=context, options=options).response["violations"]
        told = [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found]
        assert told == []


@pytest.mark.parametrize("width", [390, 820, 1440, 1920])
def test_nothing_is_wider_than_the_window(opened, width: int) -> None:
    with opened("#open=item-007", viewport={"width": width, "height": 900}) as page:
        page.locator(".x-card").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.locator("#explorer").bounding_box()
        assert wide["x"] >= 0
        assert wide["x"] + wide["width"] <= width


def test_the_page_prints(opened) -> None:
    with opened() as page:
        page.evaluate(
            "addEventListener('beforeprint', () => { window.rows = document.querySelectorAll('.x-body > *').length })"
        )
        assert page.pdf(format="A4").startswith(b"%PDF")
        assert page.evaluate("window.rows") == 200
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.get_by_text(f"Printed are the first 200 of {N} rows").wait_for()
        assert page.locator(".x-body .x-row").last.locator(".x-id").inner_text() == "item-199"
        assert page.locator(".x-table").bounding_box()["height"] > 200 * 15
        assert page.locator(".x-frame canvas").first.is_visible()
        for controls in (".x-bar", ".x-axes", ".x-hint", ".x-export"):
            assert not page.locator(controls).first.is_visible()
        assert page.get_by_text("↑ confidence, → variability").is_visible()


def test_without_javascript_the_page_shows_what_it_showed(opened) -> None:
    with opened(scripts=False) as page:
        assert "this part of the page needs JavaScript" in page.locator("#explorer").inner_text()
        assert page.locator(".card:visible").count() > 5
        assert page.locator("figure svg").first.is_visible()
        assert page.locator("input[type=search]").count() == 0


@pytest.fixture(scope="module")
def items_map(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """The map of 60 items by three annotators who agree and one who answers at random, and its facts."""
    rng = np.random.default_rng(0)
    labels = np.stack([np.arange(60) % 2] * 3 + [rng.integers(0, 2, 60)], axis=1)
    votes = Votes(np.repeat(np.arange(60), 4), labels.ravel(), np.tile(np.arange(4), 60), ("ann", "bob", "cid", "dan"))
    texts = [f"Text of the item with number {number}" for number in range(60)]
    fields = pd.DataFrame({"text": texts, "split": ["train"] * 45 + ["test"] * 15})
    ids = [f"item-{number:02d}" for number in range(60)]
    data = Annotations(ids, votes.counts(n_items=60, n_classes=2), ("no", "yes"), fields, votes=votes)
    found = map_items(data)
    return write_map(found, tmp_path_factory.mktemp("map")).html, found.items.set_index("example_id")


def test_the_map_of_annotated_items_finds_label_errors(opened, items_map) -> None:
    html, items = items_map
    wanted = items.index[items["slip_probability"] >= 0.5]
    assert 10 < len(wanted) < 50
    with opened("#where=slip_probability+≥+0.5&sort=-slip_probability", path=html) as page:
        said = f"{len(wanted)} of 60 examples selected: "
        page.wait_for_function("([s, w]) => document.querySelector(s)?.textContent.startsWith(w)", arg=[STATUS, said])
        shown = first_id(page)
        assert shown in set(wanted)
        page.locator(".x-body .x-row").first.click()
        card = page.locator(".x-card")
        card.wait_for()
        assert "dan" in card.inner_text()
        assert f"number {int(shown[-2:])}" in card.inner_text()


def test_splits_are_counted_and_chosen(opened, items_map) -> None:
    says = "([s, w]) => document.querySelector(s)?.textContent === w"
    with opened(path=items_map[0]) as page:
        page.wait_for_function(says, arg=[STATUS, "All 60 examples: 45 train, 15 test."])
        page.get_by_role("group", name="Splits").get_by_role("button", name="test").click()
        page.wait_for_function(says, arg=[STATUS, "15 of 60 examples selected: 15 test."])
        assert {first_id(page)} <= {f"item-{number}" for number in range(45, 60)}
        address = fragment(page, "split=test")
    with opened(address, path=items_map[0]) as page:
        page.wait_for_function(says, arg=[STATUS, "15 of 60 examples selected: 15 test."])
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function(says, arg=[STATUS, "All 60 examples: 45 train, 15 test."])


def test_the_map_of_annotated_items_is_accessible_and_whole_without_javascript(opened, items_map) -> None:
    html, _ = items_map
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened(path=html, viewport={"width": 390, "height": 900}, color_scheme="dark") as page:
        found = axe.run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response["violations"]
        assert [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with opened(path=html, scripts=False) as page:
        assert page.locator("#label-errors").is_visible()
        assert page.locator(".card:visible").count() >= 12
        assert "dan differs from the others most" in page.locator(".headline").inner_text()


def test_the_committed_bundle_is_what_its_source_builds(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    source, built = root / "explorer", root / "src" / "contested" / "report" / "explorer"
    if shutil.which("node") is None or not (source / "node_modules").is_dir():
        pytest.skip("needs node, and `npm ci` in explorer/")
    copy, out = tmp_path / "explorer", tmp_path / "src" / "contested" / "report" / "explorer"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to((source / "node_modules").resolve())
    out.mkdir(parents=True)
    subprocess.run(["node", "build.mjs"], cwd=copy, check=True, timeout=120)
    for name in ("explorer.js", "explorer.css"):
        assert (out / name).read_bytes() == (built / name).read_bytes(), f"{name}: run npm run build in explorer/"
