"""The loss change of groups taken apart, over seeds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import special

from contested.analysis.decomposition import APART_COLUMNS
from contested.analysis.first_loss import at_equal_first_loss
from contested.report import decomposition

RATES = (1e-4, 1e-3)


@pytest.fixture(scope="module")
def made(any_study) -> SimpleNamespace:
    """Two groups of two seeds: of one the first losses of both seeds are alike, of the other they share a part."""
    rng = np.random.default_rng(0)
    shared = rng.uniform(0.6, 1.4, any_study.N)
    runs, cells = {}, []
    for rate in RATES:
        for seed in (1, 2):
            cells.append(any_study.cell(seed, rate=rate))
            start = shared + (0 if rate == RATES[0] else 0.02 * rng.normal(size=any_study.N))
            change = any_study.by_category(-0.2, 0.1, 0.3 * seed) + any_study.noise(seed)
            runs[cells[-1]["run_id"]] = any_study.run(np.maximum(change, 0.05 - start), start=start)
    return SimpleNamespace(runs=runs, cells=cells, results=any_study.results(cells, [any_study.RATE], runs))


def losses(made: SimpleNamespace, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Δℓ and first losses of a group, shape (2, N)."""
    runs = [made.runs[cell["run_id"]] for cell in made.cells if cell["rate"] == rate]
    return np.stack([run.losses[1] - run.losses[0] for run in runs]), np.stack([run.losses[0] for run in runs])


def test_a_groups_parts_are_means_over_seeds_and_examples(made, any_study) -> None:
    frame = made.results.frames["decomposition"]
    assert list(frame["category"]) == ["clean", "ambiguous", "contested", "overall"] * 2
    row = any_study.only(frame, rate=1e-3, category="contested")
    change, _ = losses(made, 1e-3)
    assert row["change"] == pytest.approx(change[:, 16:].mean())
    measures = made.results.frames["group_measures"]
    kl = any_study.only(measures, rate=1e-3, category="contested", measure="kl_change")
    assert row["kl"] == pytest.approx(kl["mean"])
    assert row["rest"] == pytest.approx(row["change"] - row["kl"])
    assert row["change_low"] < row["change"] < row["change_high"]
    assert (row["n_seeds"], row["n"]) == (2, 8)
    # Sixty of a hundred votes and thirty: the majority hardly ever changes, and the loss with it.
    assert any_study.only(frame, rate=1e-3, category="clean")["redrawn"] == pytest.approx(change[:, :8].mean())
    assert frame[["original", "n_original"]].isna().all(axis=None)
    assert set(APART_COLUMNS) <= set(frame)


def test_published_labels_of_a_groups_examples(made, any_study) -> None:
    labels = np.array(["1", "2"] * 12, dtype=object)
    runs = {
        name: replace(run, examples=run.examples.assign(old_label=labels), label_names=("0", "1", "2"))
        for name, run in made.runs.items()
    }
    frame = any_study.results(made.cells, [any_study.RATE], runs).frames["decomposition"]
    row = any_study.only(frame, rate=1e-4, category="overall")
    logits = [runs[cell["run_id"]].logits for cell in made.cells if cell["rate"] == 1e-4]
    of_label = [-special.log_softmax(one, axis=2)[:, np.arange(24), [1, 2] * 12] for one in logits]
    assert row["original"] == pytest.approx(np.mean([one[1] - one[0] for one in of_label]), abs=1e-6)
    assert row["n_original"] == 24
    shown, _ = decomposition.group_tables({"decomposition": frame})
    assert "original" in [column.name for column in shown.columns]
    shown, _ = decomposition.group_tables({"decomposition": made.results.frames["decomposition"]})
    assert "original" not in [column.name for column in shown.columns]


def test_lines_on_the_first_loss_and_on_that_of_the_other_seed(made, any_study) -> None:
    frame = made.results.frames["first_loss"]
    change, first = losses(made, 1e-3)
    same = at_equal_first_loss(change, first, np.repeat(["clean", "ambiguous", "contested"], 8).astype(object),
                               ("clean", "ambiguous", "contested"))  # fmt: skip
    own = frame[frame["rate"] == 1e-3].reset_index(drop=True)
    pd.testing.assert_frame_equal(own[list(same)], same, check_dtype=False)
    assert own["difference_low"].notna().sum() == 4
    alike = frame[(frame["rate"] == 1e-4) & (frame["by"] == "first loss of other seeds")]
    assert alike["note"].str.startswith("the seeds have the same first losses").all()


def test_a_seed_alone_says_so_and_runs_without_logits_have_no_parts(made, any_study) -> None:
    name = made.cells[0]["run_id"]
    found = any_study.results(made.cells, [any_study.RATE], {name: made.runs[name]}).frames
    row = any_study.only(found["decomposition"], rate=1e-4, category="contested")
    assert row["note"].startswith("one seed: the interval is over examples alone, and says nothing of other seeds")
    assert set(found["first_loss"]["by"]) == {"first loss", ""}
    assert any_study.only(found["decomposition"], rate=1e-3)["note"] == "no complete run"
    bare = {key: replace(run, logits=None) for key, run in made.runs.items()}
    found = any_study.results(made.cells, [any_study.RATE], bare).frames
    told = "not taken apart: the runs lack logits, gold labels or annotators"
    assert found["decomposition"]["note"].tolist() == [told] * 2
    assert found["first_loss"]["slope"].notna().any()


def test_the_sentence_counts_groups_and_prefers_the_instrument(made) -> None:
    said = decomposition.sentence(made.results.frames)
    assert said.startswith("On contested examples the model came closer to the annotators' distribution in ")
    assert " of 2 groups, moved away from it in " in said
    told = "At the same first loss, as the first losses of other seeds tell it, mean Δℓ of contested examples less "
    assert told in said
    frames = made.results.frames
    one = {name: frames[name][frames[name]["rate"] == 1e-4] for name in ("decomposition", "first_loss")}
    parts, lines = decomposition.sentence(one).split(". ")
    assert parts.startswith("Of the mean change of contested examples, ")
    assert parts.endswith(" what the gold label lost to labels that annotators gave too")
    row = one["first_loss"].iloc[2]
    ends = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}] nats."
    assert lines == (
        "At the same first loss, mean Δℓ of contested examples less that of examples with least disagreement is "
        + ends.replace("-", "−")
    )
    both = frames["first_loss"][frames["first_loss"]["by"] == "first loss"]
    counted = decomposition.sentence({"first_loss": both}).rpartition(" is above 0 in ")[2]
    top = both[both["category"] == "contested"]
    above, below = (top["difference_low"] > 0).sum(), (top["difference_high"] < 0).sum()
    assert counted.startswith(f"{above} of 2 groups, below 0 in {below}, and inconclusive in {2 - above - below} (")
    assert decomposition.sentence({}) == ""
