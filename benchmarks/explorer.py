"""Measure the page's explorer: the size of the page, when its first picture stands, what a step of the brush costs.

Needs Chromium and playwright. A step is a move of the pointer while it drags; its cost is what the main thread
of the page does for it (map, table, curves and sentence). Run: ``python benchmarks/explorer.py [EXAMPLES ...]``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from contested import Trajectory
from contested.analysis.measures import measure_columns
from contested.report.explorer.of_runs import explorer_of_runs
from contested.report.page import Page, render_page
from contested.report.runs import ReportRun

CHECKPOINTS, CLASSES, STEPS = 40, 3, 40
WORDS = np.array([f"word{number}" for number in range(4000)], object)


def made(n: int) -> Trajectory:
    """A run of n examples: two texts of twelve words, five annotators, logits that move smoothly and jitter."""
    rng = np.random.default_rng(0)
    counts = np.stack([rng.multinomial(5, shares) for shares in rng.dirichlet([0.6] * CLASSES, n)])
    course = np.linspace(0, 1, CHECKPOINTS, dtype=np.float32)[:, None, None]
    ends = np.log(counts / 5 + 0.05) + rng.normal(0, 1, (n, CLASSES))
    logits = course * ends.astype(np.float32) + rng.normal(0, 0.2, (CHECKPOINTS, n, CLASSES)).astype(np.float32)
    texts = {name: [" ".join(rng.choice(WORDS, 12)) for _ in range(n)] for name in ("premise", "hypothesis")}
    return Trajectory.from_arrays(
        logits=logits, gold="majority", label_counts=counts, texts=texts, check_label_order=False, run_id="run"
    )


def written(n: int, folder: Path) -> Path:
    """The page of such a run, without figures."""
    trajectory = made(n)
    measured = pd.DataFrame({"example_id": trajectory.example_ids, **measure_columns(trajectory)})
    begin = time.perf_counter()
    explorer = explorer_of_runs([ReportRun("run", trajectory, SimpleNamespace(examples=measured))])
    html = folder / f"{n}.html"
    html.write_text(
        render_page(Page("Explorer", "", explorer=explorer, categories=explorer.categories)), encoding="utf-8"
    )
    print(f"{n:,} examples x {CHECKPOINTS} checkpoints x {CLASSES} classes:")
    print(f"  page {html.stat().st_size / 1e6:.1f} MB, made in {time.perf_counter() - begin:.1f} s")
    return html


def frame(tab: Tab) -> None:
    """Wait until the page has shown what it was told."""
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def brushed(tab: Tab) -> list[float]:
    """Drag over the map: what each step costs the main thread (ms of CPU: what else the machine does is not in it)."""
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    canvas = tab.locator(".x-frame canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 5, box["y"] + 5)
    tab.mouse.down()
    found = []
    for step in range(1, STEPS + 1):
        before = busy()
        tab.mouse.move(
            box["x"] + 5 + step / STEPS * 0.9 * box["width"], box["y"] + 5 + step / STEPS * 0.9 * box["height"]
        )
        frame(tab)
        found.append(busy() - before)
    tab.mouse.up()
    return found


def main() -> None:
    """Print sizes and times for each number of examples."""
    sizes = [int(given) for given in sys.argv[1:]] or [20_000, 200_000]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for n in sizes:
            html = written(n, Path(folder))
            tab = browser.new_page(viewport={"width": 1440, "height": 1000})
            tab.goto(html.as_uri())
            tab.wait_for_selector("#explorer[data-ready=true]", timeout=120_000)
            ready = tab.evaluate("performance.getEntriesByName('explorer-ready')[0].startTime")
            frame(tab)
            tab.wait_for_timeout(3000)  # columns are decoded while nothing happens
            costs = brushed(tab)
            print(f"  first picture after {ready / 1000:.2f} s")
            print(
                f"  a step of the brush: median {np.median(costs):.0f} ms, 95 % below {np.quantile(costs, 0.95):.0f} ms"
            )
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
