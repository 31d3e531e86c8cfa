"""The method, or how far training got: its sentence, table and figure, of frames made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study.columns import columns_of, frame_of
from contested.report import matched

PAIR = {"axis": "method", "kind": "method", "from": "full", "to": "lora", "held": "", "against": "training loss"}
CHANGE = {**PAIR, "quantity": "loss_change", "category": "contested", "n": 90}
RANGE = {"loss_from": 0.95, "loss_to": 0.41, "margin": 0.1}
END = {"end": 0.31, "end_low": 0.2, "end_high": 0.42}


def frames(*rows: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return {"matched": frame_of("matched", columns_of("matched", ()), rows)}


def said(**row: Any) -> str:
    return matched.sentence(frames({**CHANGE, **row}))


def test_a_phase_is_said_with_what_differs_at_the_end() -> None:
    found = {**RANGE, "verdict": "phase", "within": 0.062}
    assert said(**found, end=0.01, end_low=-0.02, end_high=0.04) == (
        "At the same training loss, lora and full have changed the mean loss of contested examples alike, to within "
        "0.06 nats: a phase of training, not the method."
    )
    assert said(**found, **END).endswith("At the end they differ by +0.31 nats: by how far each got.")


def test_a_method_is_said_with_its_difference_and_where() -> None:
    found = {"verdict": "method", "at_loss": 0.613, "difference": 0.304, "low": 0.25, "high": 0.36, "held": "mnli"}
    assert said(**RANGE, **END, **found) == (
        "mnli: At the same training loss, the mean loss change of contested examples under lora differs from that "
        "under full by +0.30 nats [+0.25, +0.36] (at a training loss of 0.61): the method, not only how far it got."
    )


def test_what_is_inconclusive_says_how_large_a_difference_may_be_or_why() -> None:
    assert said(verdict="inconclusive", within=0.42).endswith(": their difference there is at most 0.42 nats.")
    why = "no training loss that the runs of both sides reached"
    assert said(verdict="inconclusive", note=why, quantity=np.nan, category=np.nan) == (
        "Whether lora and full differ in tracked examples by the method or by how far each got is inconclusive at the "
        f"same training loss: {why}."
    )


def test_of_many_comparisons_the_verdicts_are_counted() -> None:
    verdicts = ["phase"] * 100 + ["method"] * 20
    rows = [{**CHANGE, "held": str(index), "verdict": verdict} for index, verdict in enumerate(verdicts)]
    assert matched.verdicts(frames(*rows)).empty
    rows += [{**CHANGE, "quantity": "rho", "category": "overall", "verdict": "inconclusive"}]
    found = matched.verdicts(frames(*rows)).set_index("what")
    counted = found[["comparisons", "phase", "method", "differs", "inconclusive"]]
    assert counted.loc["Δℓ, contested"].tolist() == [120, 100, 20, 0, 0]
    assert counted.loc["ρ(loss, H)"].tolist() == [1, 0, 0, 0, 1]


def test_a_caption_says_which_panels_have_no_room() -> None:
    curves = [{"axis": "rate", "held": str(held), "against": "training loss", "quantity": "rho"} for held in range(7)]
    assert matched.cut({"matched_curves": pd.DataFrame(curves[:6])}) == ""
    assert matched.cut({"matched_curves": pd.DataFrame(curves)}) == (
        " Of 7 pairs of panels, the first 6 are drawn; the table has every comparison."
    )


def test_only_methods_at_the_training_loss_and_the_highest_entropy_are_said() -> None:
    others = [
        {**CHANGE, "category": "clean", "verdict": "method"},
        {**CHANGE, "quantity": "rho", "category": "overall", "verdict": "method"},
        {**CHANGE, "against": "held-out loss", "verdict": "method"},
        {**CHANGE, "axis": "rate", "kind": "training", "verdict": "differs"},
    ]
    assert matched.sentence(frames({**CHANGE, "verdict": "phase", "within": 0.05}, *others)).count("phase") == 1
    assert matched.sentence(frames(others[3])) == ""
    assert matched.sentence({}) == ""


def test_many_comparisons_are_counted() -> None:
    verdicts = ("phase", "phase", "method", "inconclusive")
    rows = [{**CHANGE, "to": f"lora-r{2**index}", "verdict": name} for index, name in enumerate(verdicts)]
    assert matched.sentence(frames(*rows)) == (
        "Of 4 comparisons of methods at the same training loss, the change of contested examples is a phase that both "
        "pass in 2, the method's in 1, and inconclusive in 1."
    )


def test_the_table_names_pair_quantity_and_range() -> None:
    rho = {**CHANGE, "quantity": "rho", "category": "overall", "held": "mnli", "verdict": "phase"}
    nothing = {**PAIR, "verdict": "inconclusive", "note": "no complete run with losses on one side"}
    shown = matched.shown(frames({**CHANGE, **RANGE, "verdict": "phase"}, rho, nothing))
    assert shown["pair"].tolist() == ["method full → lora", "method full → lora (mnli)", "method full → lora"]
    assert shown["what"].tolist() == ["Δℓ, contested", "ρ(loss, H)", ""]
    assert shown["range"].tolist() == ["0.95 … 0.41", "", ""]
    assert matched.shown({}).empty


@pytest.mark.parametrize("narrow", [False, True])
def test_curves_fall_to_the_right_and_the_margin_is_marked(narrow: bool) -> None:
    losses = np.linspace(1.0, 0.4, 4)
    curves, differences = [], []
    for quantity, category in (("loss_change", "contested"), ("loss_change", "clean"), ("rho", "overall")):
        own = {**PAIR, "quantity": quantity, "category": category}
        ends = {"low": -0.02, "high": 0.05, "note": ""}
        curves += [{**own, **ends, "side": side, "loss": x, "mean": 1 - x} for side in ("full", "lora") for x in losses]
        differences += [{**own, **ends, "loss": x, "difference": 0.01} for x in losses]
    figure = matched.draw(pd.DataFrame(curves), pd.DataFrame(differences), narrow=narrow)
    # Contested examples and ρ, two panels each; clean ones are in the table.
    assert [axes.get_ylabel() for axes in figure.axes] == [
        *("mean Δℓ (nats)", "difference of mean Δℓ (nats)"),
        *("ρ(loss, H)", "difference of ρ(loss, H)"),
    ]
    left, right = figure.axes[:2]
    assert left.get_xlim()[0] > left.get_xlim()[1]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["full", "lora"]
    colors = {line.get_color() for line in left.lines if line.get_label() in {"full", "lora"}}
    assert len(colors) == 2
    stripe = right.patches[0].get_extents().transformed(right.transData.inverted())
    assert (stripe.y0, stripe.y1) == pytest.approx((-0.1, 0.1))
    assert right.get_legend().get_texts()[0].get_text() == "lora minus full"
