"""The results of a study as an analysis would give them, made without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.paper import COLUMNS, Claim, PaperResults
from contested.paper.frames.columns import frame
from contested.paper.report import report_spec
from contested.report import StudyReportPaths, write_study_report

SEEDS = (42, 123, 456)
CATEGORIES = ("clean", "ambiguous", "contested")


def conditions(backbones: tuple[str, ...], datasets: tuple[str, ...], methods: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"backbone": backbone, "method": method, "dataset": dataset}
        for backbone in backbones
        for dataset in datasets
        for method in methods
    ]


def runs_of(condition: dict[str, Any], have: int = 3, asked: int = 3) -> dict[str, Any]:
    name = "-".join(str(condition[part]) for part in ("backbone", "method", "dataset"))
    ids = [f"{name}-seed{seed}" for seed in SEEDS[:asked]]
    return {"run_ids": ",".join(ids[:have]), "missing": ",".join(ids[have:]), "n_seeds": have, "n_expected": asked}


def panel(condition: dict[str, Any]) -> str:
    return " · ".join(condition[part] for part in ("backbone", "method", "dataset"))


def curves(found: list[dict[str, Any]], rise: float, have: int = 3) -> list[dict[str, Any]]:
    steps = np.arange(0, 3301, 300)
    rows = []
    for index, condition in enumerate(found):
        for place, category in enumerate(CATEGORIES):
            end = 1.1 - 0.25 * (2 - place) + rise * (place - 1) * 0.6 + 0.02 * index
            means = 1.1 + (end - 1.1) * (1 - np.exp(-steps / 900))
            for step, mean in zip(steps.tolist(), means.tolist(), strict=True):
                width = 0.06 + 0.04 * place
                rows.append(
                    {**condition, **runs_of(condition, have if index else 3), "panel": panel(condition)}
                    | {"category": category, "n": 300, "step": step}
                    | {"mean": mean, "low": mean - width, "high": mean + width}
                )
    return rows


def examples(dataset: str, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    entropy = np.clip(rng.gamma(3.0, 0.19, n), 0, 1.09)
    names = np.array(CATEGORIES)[np.digitize(entropy, [0.4, 0.7])]
    return [
        {"dataset": dataset, "example_id": f"{dataset}-{i}", "entropy": float(h), "category": str(name)}
        for i, (h, name) in enumerate(zip(entropy, names, strict=True))
    ]


def norms(found: list[dict[str, Any]], n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for condition in found:
        scale = 20.0 if condition["method"] == "full" else 1.0
        for example in examples(condition["dataset"], n, rng):
            norm = scale * float(np.exp(rng.normal(example["entropy"], 0.7)))
            rows.append({**condition, **example, **runs_of(condition), "panel": panel(condition), "norm": norm})
    return rows


def bins(found: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    schemes = {"fixed": CATEGORIES, "quartiles": ("q1", "q2", "q3", "q4"), "terciles": ("low", "middle", "high")}
    rows = []
    for condition in found:
        for scheme, names in schemes.items():
            for place, name in enumerate(names):
                mean = 0.7 + 0.12 * place + float(rng.normal(0, 0.02))
                row = {"scheme": scheme, "bin": name, "position": place, "n": 300, "panel": panel(condition)}
                rows.append(
                    {
                        **condition,
                        **runs_of(condition),
                        **row,
                        "aulc_mean": mean,
                        "low": mean - 0.04,
                        "high": mean + 0.05,
                    }
                )
    return rows


def maps(datasets: tuple[str, ...], n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for dataset in datasets:
        made = pd.DataFrame(examples(dataset, n, rng))
        confidence = np.clip(rng.normal(0.75 - 0.3 * made["entropy"], 0.15), 0.02, 0.98)
        variability = np.abs(rng.normal(0.18 + 0.1 * np.sqrt(confidence * (1 - confidence)), 0.05))
        easy = np.where(confidence >= np.median(confidence), "easy", "hard")
        region = np.where(variability >= np.median(variability), "ambiguous", easy)
        made = made.assign(confidence=confidence, variability=variability, correctness=confidence, region=region)
        rows += made.assign(aulc=-np.log(confidence), run_ids="all", n_seeds=54, n_expected=54).to_dict("records")
    return rows


def overlaps(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = pd.DataFrame(points)
    rows = []
    for (dataset, category), own in table.groupby(["dataset", "category"]):
        for region in ("easy", "ambiguous", "hard"):
            n = int((own["region"] == region).sum())
            rows.append({"dataset": dataset, "category": category, "region": region, "n": n, "share": n / len(own)})
    return rows


def rhos(found: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    sizes = {"distilbert": 67e6, "bert": 109.5e6, "roberta": 124.6e6, "deberta": 184.4e6}
    sizes |= {"qwen-1.5b": 1543.7e6, "qwen-3b": 3085.9e6}
    rows = []
    for index, condition in enumerate(found):
        have = (3, 3, 2, 3, 0)[index % 5] if index else 3
        mean = 0.2 + 0.05 * (condition["method"] == "full") + float(rng.normal(0, 0.05))
        row: dict[str, Any] = {**condition, **runs_of(condition, have), "main": condition["method"] != "ia3"}
        row |= {"decoder": condition["backbone"].startswith("qwen"), "params": sizes.get(condition["backbone"], np.nan)}
        row |= {"rank": float(condition["method"][6:]) if condition["method"].startswith("lora-r") else np.nan}
        if have:
            row |= {"rho_mean": mean, "rho_sd": 0.0158, "rho_low": mean - 0.06, "rho_high": mean + 0.055}
            row |= {"rho_mixed": mean, "rho_mixed_low": mean - 0.1, "rho_mixed_high": mean + 0.1}
            row |= {"p_value": 0.0004, "p_bonferroni": 0.0101, "p_bh": 0.0007, "rho_miller_madow": mean + 0.001}
            row |= {"significant_bonferroni": True, "significant_bh": True}
        else:
            row |= {"note": "no complete run", "significant_bonferroni": False, "significant_bh": False}
        rows.append(row)
    return rows


def only(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame of rows of which only the columns that the frame knows are kept."""
    return frame(name, [{key: value for key, value in row.items() if key in COLUMNS[name]} for row in rows])


def changes(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for index, condition in enumerate(found):
        have = (3, 2, 0)[index % 3]
        row: dict[str, Any] = {**condition, **runs_of(condition, have)}
        if have:
            row |= {"contested_change": 0.25, "contested_sd": 0.02, "contested_low": 0.1, "contested_high": 0.4}
            row |= {"clean_change": -0.31, "clean_sd": 0.01, "clean_low": -0.4, "clean_high": -0.2}
        else:
            row |= {"note": "no complete run"}
        rows.append(row)
    return rows


def sweep(backbones: tuple[str, ...], rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for backbone in backbones:
        for rank in (1, 2, 4, 8, 16, 32, None):
            method = f"lora-r{rank}" if rank else "full"
            condition = {"backbone": backbone, "method": method, "dataset": "snli"}
            rho = 0.2 + 0.02 * np.log2(rank or 90) + float(rng.normal(0, 0.01))
            rows.append(
                {**condition, **runs_of(condition, 1, 1), "rank": rank or np.nan, "seed": 42}
                | {"rho": rho, "p_value": 1e-9, "val_accuracy": 0.6 + 0.5 * rho}
            )
    return rows


def rates(found: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for condition in found:
        push = {"full": 3.0, "lora-r16": 1.0, "lora-r4": 0.0}.get(condition["method"], 0.5)
        for place, rate in enumerate((2e-5, 1e-4, 3e-4, 1e-3)):
            loss = 0.95 - 0.13 * (place + push) + float(rng.normal(0, 0.02))
            change = 0.3 - 0.4 * (0.95 - loss) + float(rng.normal(0, 0.03))
            have = 2 if place == 3 else 3
            rows.append(
                {**condition, **runs_of(condition, have), "learning_rate": rate, "train_loss": loss}
                | {"val_accuracy": 0.7, "rho_mean": 0.25 + 0.1 * place + 0.01 * push, "rho_sd": 0.01}
                | {"contested_change": change, "clean_change": -0.4, "low": change - 0.1, "high": change + 0.1}
            )
    return rows


def noised(found: list[dict[str, Any]], rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    seeds, whole = [], []
    for condition in found:
        for rate in (0.3, 0.6):
            shared = {**condition, "noise": rate, "noise_rule": "uniform"}
            shifts = [0.2 * rate + float(rng.normal(0, 0.01)) for _ in SEEDS]
            for seed, shift in zip(SEEDS, shifts, strict=True):
                seeds.append(
                    {**shared, **runs_of(condition, 1, 1), "seed": seed, "shift": shift, "low": shift - 0.02}
                    | {"high": shift + 0.02, "rho": 0.3 - 0.1 * rate, "baseline_rho": 0.31, "wilcoxon_p": 1e-6}
                )
            mean = float(np.mean(shifts))
            whole.append(
                {**shared, **runs_of(condition), "shift_mean": mean, "shift_sd": 0.01, "shift_low": mean - 0.03}
                | {"shift_high": mean + 0.03, "rho_mean": 0.3 - 0.1 * rate, "rho_sd": 0.01, "baseline_rho_mean": 0.31}
            )
    return seeds, whole


def alignments(found: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for condition in found:
        for step in range(0, 3301, 200):
            cosine = (
                0.9 + float(rng.normal(0, 0.03)) if condition["method"] != "full" else 0.9 * np.exp(-step / 500) + 0.1
            )
            gone = step == 800
            rows.append(
                {**condition, **runs_of(condition, 1, 1), "panel": panel(condition), "seed": 42, "step": step}
                | {"cosine": np.nan if gone else min(cosine, 1.0), "note": "a gradient is exactly zero" if gone else ""}
            )
    return rows


def peaks(found: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for index, condition in enumerate(found):
        base = 0.15 if condition["method"] == "full" else 0.55
        for place, category in enumerate((*CATEGORIES, "overall")):
            entropy = base + 0.06 * (place if place < 3 else 1) + float(rng.normal(0, 0.01))
            rows.append(
                {**condition, **runs_of(condition, 2 if index == 1 else 3), "category": category, "n": 300}
                | {"prediction_entropy": entropy, "prediction_entropy_low": entropy - 0.03}
                | {"prediction_entropy_high": entropy + 0.03, "max_confidence": 1 - entropy / 2.4, "ece": entropy / 4}
                | {"accuracy": 0.7}
            )
    return rows


def every_run(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for index, condition in enumerate(found):
        for place, seed in enumerate(SEEDS):
            run_id = "-".join([*condition.values(), f"seed{seed}"])
            have = not (index == 2 and place == 2)
            row = {**condition, "run_id": run_id, "run_ids": run_id if have else "", "missing": "" if have else run_id}
            row |= {"main": condition["method"] != "ia3", "seed": seed, "n_seeds": int(have), "n_expected": 1}
            row |= {"excluded": "did not converge" if index == 1 and place == 0 else "", "notes": ""}
            rows.append(row | {"status": "complete" if have else "missing", "rho": 0.3 if have else np.nan})
    return rows


def made_study(*, large: bool = False, n: int = 1200) -> PaperResults:
    """A study of one model and data set with N examples, or of six models, two data sets and every method."""
    rng = np.random.default_rng(3)
    backbones = ("roberta", "bert", "distilbert", "deberta", "qwen-1.5b", "qwen-3b") if large else ("roberta",)
    datasets = ("snli", "mnli") if large else ("snli",)
    every = conditions(backbones, datasets, ("lora-r4", "lora-r16", "full"))
    lora = [one for one in every if one["method"] == "lora-r4"]
    full = [one for one in every if one["method"] == "full"]
    ia3 = conditions(("roberta",), ("snli",), ("ia3",))
    first = every[:3]
    points = maps(datasets[:1], n, rng)
    seeds, whole = noised(every[:2] if large else every[:1], rng)
    probed = [*lora[:2], *full[:2]] if large else every[:1]
    with_rho = rhos([*every, *ia3], rng)
    frames = {
        "table1": only("table1", with_rho),
        "table2": only("table2", changes([one for one in every if not one["backbone"].startswith("qwen")])),
        "table5": only("table5", changes([one for one in every if one["backbone"].startswith("qwen")])),
        "table6": only("table6", sweep(("roberta", "bert") if large else ("roberta",), rng)),
        "figure1": only("figure1", curves(lora, 0.5, have=2)),
        "figure2": only("figure2", curves(full, -0.2)),
        "figure3": only("figure3", [row for name in datasets for row in examples(name, n, rng)]),
        "figure4": only("figure4", norms(probed, n, rng)),
        "figure5": only("figure5", bins(lora if large else lora[:1], rng)),
        "figure6": only("figure6", with_rho),
        "figure7": only("figure7", points),
        "figure7_overlap": only("figure7_overlap", overlaps(points)),
        "figure8": only("figure8", alignments([*lora[:2], *full[:2]] if large else [lora[0], full[0]], rng)),
        "figure9": only("figure9", peaks(every if large else first, rng)),
        "noise": only("noise", seeds),
        "noise_summary": only("noise_summary", whole),
        "lr_control": only("lr_control", rates(every[:6] if large else first, rng)),
        "figure4_tests": frame(
            "figure4_tests",
            [
                {
                    **one,
                    **runs_of(one),
                    "panel": panel(one),
                    "rho": 0.31,
                    "p_value": 1e-9,
                    "kruskal_p": 0.003,
                    "n": 1200,
                }
                for one in probed
            ],
        ),
        "table6_trend": frame(
            "table6_trend",
            [{"backbone": "roberta", "dataset": "snli", "n_ranks": 6, "rank_rho": 1.0, "p_value": 0.0028}],
        ),
        "runs": only("runs", every_run([*every, *ia3])),
        "table3": frame(
            "table3",
            [
                {
                    **first[0],
                    **runs_of(first[0], 1, 1),
                    "seed": 42,
                    "rho": 0.308,
                    "p_value": 1e-9,
                    "val_accuracy": 0.71,
                },
                {**first[0], **runs_of(first[0], 0, 1), "seed": 123, "note": "no complete run"},
            ],
        ),
    }
    frames["table1"]["rho_mean_paper"] = np.where(frames["table1"]["method"] == "lora-r4", 0.308, np.nan)
    frames["table1"]["rho_mean_paper_sd"] = np.where(frames["table1"]["method"] == "lora-r4", 0.016, np.nan)
    empty = {name: frame(name, []) for name in COLUMNS if name not in frames}
    claims = (
        Claim("a", "ρ is above zero everywhere", "holds", "In 3 of 3 conditions.", ("table1: all rows",), ("r1", "r2")),
        Claim("c", "Un-learning under LoRA <only>", "inconclusive", "No run of IA3.", ("table2",), ()),
        Claim("i", "Noise raises clean AULC", "does not hold", "The shift is 0.", ("noise",), ("r3",)),
    )
    gaps = ("table2: roberta-full-snli-seed42 is missing.",)
    return PaperResults(frames | empty, ("AULC is in nats & H too.",), gaps, 0.95, 200, claims=claims)


@pytest.fixture(scope="session")
def small() -> PaperResults:
    return made_study(n=90)


@pytest.fixture(scope="session")
def large() -> PaperResults:
    return made_study(large=True, n=60)


@pytest.fixture(scope="session")
def written(
    small: PaperResults, tmp_path_factory: pytest.TempPathFactory, in_a_hurry: Any
) -> Iterator[StudyReportPaths]:
    """The report of the small study, its pictures on the page alone."""
    with pytest.MonkeyPatch.context() as patch:
        in_a_hurry(patch)
        yield write_study_report(small, tmp_path_factory.mktemp("study"), spec=report_spec(small))
