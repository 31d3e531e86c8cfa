import pandas as pd
import pytest

from contested.report.headline import headline

UP, DOWN, OPEN = (0.5, 0.2, 0.8), (-0.5, -0.8, -0.2), (0.1, -0.2, 0.4)


def said(*runs: dict[str, tuple[float, float, float]], noun: str = "run") -> str:
    rows = [
        {"run": name, "category": category, "n": 9, "mean": mean, "low": low, "high": high}
        for run, name in zip(runs, "ABCDEF", strict=False)
        for category, (mean, low, high) in run.items()
    ]
    return headline(pd.DataFrame(rows), "run", noun)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (UP, "Contested examples were un-learned: their mean loss rose by 0.50 nats [+0.20, +0.80]."),
        (DOWN, "Contested examples were not un-learned: their mean loss fell by 0.50 nats [−0.80, −0.20]."),
        (
            OPEN,
            "Whether contested examples were un-learned is inconclusive: their mean loss changed by +0.10 nats "
            "[−0.20, +0.40].",
        ),
    ],
)
def test_one_run_claims_no_more_than_its_interval(change, sentence) -> None:
    text = said({"clean": DOWN, "contested": change})
    assert text == f"{sentence} The loss of clean examples fell by 0.50 nats [−0.80, −0.20]."


@pytest.mark.parametrize(
    ("change", "share", "said"),
    [
        (UP, 0.49, "Contested examples were un-learned on average, though most of them were not: their mean loss rose"),
        (DOWN, 0.51, "Contested examples were not un-learned on average, though most of them were: their mean loss"),
        (UP, 0.5, "Contested examples were un-learned: "),
        (DOWN, 0.5, "Contested examples were not un-learned: "),
        (UP, float("nan"), "Contested examples were un-learned: "),
    ],
)
def test_a_mean_that_a_minority_drives_is_said_to_be_one(change, share, said) -> None:
    mean, low, high = change
    row = {"run": "A", "category": "contested", "n": 9, "mean": mean, "low": low, "high": high, "rose_share": share}
    assert headline(pd.DataFrame([row]), "run", "run").startswith(said)


def rows_of(*runs: tuple[tuple[float, float, float], float, str]) -> pd.DataFrame:
    """Contested changes of runs A, B, …, each with the share that rose and a caution."""
    return pd.DataFrame(
        [
            {"run": name, "category": "contested", "mean": mean, "low": low, "high": high, "rose_share": share}
            | {"caution": caution}
            for name, ((mean, low, high), share, caution) in zip("ABCDEF", runs, strict=False)
        ]
    )


def test_of_several_means_those_that_a_minority_drives_are_named() -> None:
    found = headline(rows_of((UP, 0.4, ""), (UP, 0.6, ""), (DOWN, 0.7, ""), (OPEN, 0.9, "")), "run", "run")
    assert found == (
        "Contested examples were un-learned in 2 of 4 runs (A: +0.50 nats; B: +0.50 nats), on average alone in A, "
        "where the loss of most did not rise, learned in 1 of 4 runs (C: −0.50 nats), on average alone in C, where the "
        "loss of most rose, and the change is inconclusive in 1 (D: +0.10 nats)."
    )
    both = headline(rows_of((DOWN, 0.7, ""), (DOWN, 0.6, "")), "run", "group")
    assert both == (
        "Contested examples were learned in both groups (A: −0.50 nats; B: −0.50 nats), on average alone in each of "
        "these, where the loss of most rose."
    )
    many = headline(rows_of(*[(UP, 0.4, "")] * 5, (UP, 0.6, "")), "run", "group")
    assert "on average alone in 5 of these, where" in many


def test_an_interval_of_which_there_is_something_to_know_is_marked() -> None:
    what = "† This interval may cover the truth less often than it says: the tables say why."
    one = headline(rows_of((UP, 0.6, "too skewed")), "run", "run")
    assert one == (f"Contested examples were un-learned: their mean loss rose by 0.50 nats [+0.20, +0.80]†. {what}")
    several = headline(rows_of((UP, 0.6, "too skewed"), (UP, 0.6, "")), "run", "run")
    assert several == f"Contested examples were un-learned in both runs (A: +0.50 nats†; B: +0.50 nats). {what}"
    most = headline(rows_of(*[(UP, 0.6, "too skewed")] * 4), "run", "run")
    assert "(from +0.50 nats†, A, to +0.50 nats†, A)" in most


def test_a_name_of_ones_own_is_no_adjective() -> None:
    assert said({"A": DOWN, "B": UP}) == (
        "Examples of category B were un-learned: their mean loss rose by 0.50 nats [+0.20, +0.80]. The loss of "
        "examples of category A fell by 0.50 nats [−0.80, −0.20]."
    )
    assert said({"A": DOWN, "B": UP}, {"A": DOWN, "B": UP}).endswith("than that of examples of category A.")


def test_several_runs_are_compared() -> None:
    runs = [{"clean": DOWN, "contested": change} for change in (UP, DOWN, OPEN)]
    assert said(*runs) == (
        "Contested examples were un-learned in 1 of 3 runs (A: +0.50 nats), learned in 1 of 3 runs (B: −0.50 nats), "
        "and the change is inconclusive in 1 (C: +0.10 nats). In 2 of 3 runs their loss rose more, or fell less, "
        "than that of clean examples."
    )
    assert said(*runs[:1] * 2).startswith("Contested examples were un-learned in both runs (A: +0.50 nats; B: ")
    assert said(*runs[1:2] * 2, noun="group").startswith("Contested examples were learned in both groups (")
    assert said(*runs[2:] * 2).startswith("Whether contested examples were un-learned is inconclusive in both runs")


@pytest.mark.parametrize(("n", "none"), [(2, "neither run"), (3, "no run")])
def test_where_no_run_set_contested_examples_back_none_is_counted(n, none) -> None:
    runs = [{"clean": OPEN, "contested": DOWN}] * n
    assert said(*runs).endswith(f" In {none} did their loss rise more, or fall less, than that of clean examples.")


def test_of_many_runs_the_ends_are_named() -> None:
    runs = [{"contested": (mean, 0.1, 2.0)} for mean in (0.2, 0.9, 0.4, 0.3)]
    assert said(*runs) == ("Contested examples were un-learned in all 4 runs (from +0.20 nats, A, to +0.90 nats, B).")


def test_runs_without_categories_or_losses() -> None:
    assert said({"overall": UP}).startswith("Tracked examples were un-learned: ")
    assert headline(pd.DataFrame(), "run", "run") == ""


def test_names_of_categories_keep_their_capitals() -> None:
    # Only the first letter of the sentence is raised.
    assert said({"low H": DOWN, "high H": UP}).startswith("Examples of category high H were un-learned: ")
    assert said({"low H": DOWN, "high H": OPEN}).startswith("Whether examples of category high H were")


def test_one_run_of_several_is_named_and_categories_keep_their_order() -> None:
    # The first run has no clean and no contested example, the third knows no categories.
    nan = float("nan")
    rows = [
        ("a", "clean", nan), ("a", "ambiguous", -0.5), ("a", "contested", nan),
        ("b", "clean", -0.9), ("b", "ambiguous", -0.4), ("b", "contested", -0.2), ("c", "overall", -1.0),
    ]  # fmt: skip
    changes = pd.DataFrame(
        [
            {"run": run, "category": name, "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
            for run, name, mean in rows
        ]
    )
    assert headline(changes, "run", "run") == (
        "b: contested examples were not un-learned: their mean loss fell by 0.20 nats [−0.30, −0.10]. "
        "The loss of clean examples fell by 0.90 nats [−1.00, −0.80]."
    )
