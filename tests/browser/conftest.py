"""One Chromium for all tests of pages, and a report of two runs to open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from contested import Trajectory
from contested.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RUNS = ("full", "LoRA r4")
N = 300
_WORDS = ["dog", "cat", "house", "tree", "river", "stone", "cloud", "train", "child", "bread", "lamp", "window"]


def chromium_path() -> str:
    """Where Chromium is; a test that needs it is skipped where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here: install the package chromium")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    driver = pytest.importorskip("playwright.sync_api", reason="playwright drives Chromium in these tests")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def make_run(name: str, *, drift: float, checkpoints: int = 6) -> Trajectory:
    """300 examples of three classes: a run learns what annotators agree on, and some of the rest."""
    same, own = np.random.default_rng(0), np.random.default_rng(len(name))
    counts = np.stack([same.multinomial(20, shares) for shares in same.dirichlet([0.5] * 3, N)])
    shares, learned = counts / 20, np.linspace(0, 1, 6)
    pulled = np.log(shares + 0.05) + drift * own.normal(0, 1.5, (N, 3)) * (1 - shares.max(axis=1))[:, None]
    logits = learned[:, None, None] * pulled + 0.2 * own.normal(size=(6, N, 3))
    return Trajectory.from_arrays(
        logits=logits[:checkpoints],
        ids=[f"item-{number:03d}" for number in range(N)],
        gold="majority",
        label_counts=counts,
        label_names=["entailment", "neutral", "contradiction"],
        steps=np.arange(checkpoints) * 100,
        texts={"premise": [" ".join(same.choice(_WORDS, 6)) for _ in range(N)], "hypothesis": ["It is so."] * N},
        covariates={"genre": same.choice(["fiction", "travel"], N).tolist()},
        run_id=name,
        check_label_order=False,
    )


class Report(NamedTuple):
    """A report and what its tables say.

    Attributes:
        html: The page.
        runs: The runs.
        examples: Every measure of every example of both runs, in the order of the ids.
    """

    html: Path
    runs: list[Trajectory]
    examples: dict[str, pd.DataFrame]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    runs = [make_run(RUNS[0], drift=0.3), make_run(RUNS[1], drift=1.5, checkpoints=5)]
    paths = write_report(runs, folder, n_resamples=40)
    table = pd.read_csv(folder / "tables" / "examples.csv")
    return Report(paths.html, runs, {run: table[table["run"] == run].sort_values("example_id") for run in RUNS})


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, report: Report) -> Opened:
    """Opens the report; whatever happens with it, nothing may be requested, and nothing said on the console."""

    @contextmanager
    def open_page(
        fragment: str = "", *, path: Path | None = None, scripts: bool = True, **context: Any
    ) -> Iterator[Page]:
        settings = {"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce", **context}
        own = browser.new_context(java_script_enabled=scripts, **settings)
        page = own.new_page()
        requests: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        address = (path or report.html).as_uri() + fragment
        page.goto(address)
        if scripts:
            page.wait_for_selector("#explorer[data-ready=true]")
        yield page
        assert said == []
        assert {url.partition("#")[0] for url in requests if not url.startswith("blob:")} == {address.partition("#")[0]}
        own.close()

    return open_page
