"""lm-evaluation-harness's samples: files and lines as its version 0.4.13 writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.errors import DataError
from contested.exchange import import_run

_DATE = "2026-11-29T17-12-27.973733"
_CHOICES = ("True", "Neither", "False")
_GOLD = (0, 2, 1, 0)

Write = Callable[..., Path]


def _scores(step: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Log-likelihoods of four documents' choices, the gold one rising."""
    return np.random.default_rng(step).normal(-30, 4, size=(4, 3)) + step / 10 * np.eye(3)[list(_GOLD)]


def _line(row: int, scores: Sequence[float], **changes: Any) -> dict[str, Any]:
    right = float(np.argmax(scores) == _GOLD[row])
    choices: Sequence[str] = changes.pop("choices", _CHOICES)
    answers = [[str(float(score)), "False"] for score in scores]
    asked = {f"gen_args_{k}": {"arg_0": f"premise {row}", "arg_1": f" {text}"} for k, text in enumerate(choices)}
    return {
        "doc_id": row,
        "doc": {"uid": f"d{row}", "premise": f"P {row}", "hypothesis": f"H {row}", "label": _GOLD[row]},
        "target": str(_GOLD[row]),
        "arguments": asked,
        "resps": [[answer] for answer in answers],
        "filtered_resps": answers,
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"doc{row}",
        "prompt_hash": f"prompt{row}",
        "target_hash": "t",
        "acc": right,
    } | changes


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of samples, by default of the documents in another order than before."""

    def made(folder: str, lines: Sequence[dict[str, Any]], *, task: str = "nli", date: str = _DATE) -> Path:
        file = tmp_path / "evals" / folder / f"samples_{task}_{date}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return file

    return made


@pytest.fixture
def evals(write: Write, tmp_path: Path) -> Path:
    """Three checkpoints, each with its documents in another order, as several processes write them."""
    for step, order in ((0, (0, 1, 2, 3)), (50, (3, 1, 0, 2)), (1000, (2, 3, 0, 1))):
        write(f"out__checkpoint-{step}", [_line(row, _scores(step)[row]) for row in order])
    return tmp_path / "evals"


def test_log_likelihoods_of_the_choices_are_logits(evals: Path) -> None:
    found, notes = import_run("lm-eval", evals)
    assert notes == []
    assert found.example_ids.tolist() == ["d0", "d1", "d2", "d3"]
    assert (found.steps.tolist(), found.step_unit) == ([0, 50, 1000], "step")  # by number, not by name
    assert found.label_names == _CHOICES
    assert found.required("gold").tolist() == list(_GOLD)
    assert found.text_columns == ("premise", "hypothesis")
    assert found.examples["hypothesis"].tolist() == [f"H {row}" for row in range(4)]
    expected = np.stack([_scores(step) for step in (0, 50, 1000)])
    assert found.required("logits") == pytest.approx(expected, abs=1e-5)
    # Losses are over the choices alone: −ln of the gold one's share.
    shares = np.exp(expected) / np.exp(expected).sum(axis=2, keepdims=True)
    assert found.required("losses") == pytest.approx(-np.log(shares[:, np.arange(4), list(_GOLD)]), abs=1e-5)


def test_a_pattern_takes_one_task(evals: Path, write: Write) -> None:
    write("out__checkpoint-0", [_line(0, [-1, -2, -3])], task="nli_hard")
    with pytest.raises(DataError, match=r"samples of 2 tasks \(nli, nli_hard\).*samples_nli_\*\.jsonl'"):
        import_run("lm-eval", evals)
    found = import_run("lm-eval", f"{evals}/**/samples_nli_2*.jsonl").trajectory
    assert found.required("logits").shape == (3, 4, 3)


def test_class_names_of_the_caller(evals: Path, tmp_path: Path) -> None:
    straight = import_run("lm-eval", evals).trajectory
    swapped = import_run("lm-eval", evals, label_names=("False", "True", "Neither")).trajectory
    assert np.array_equal(swapped.required("logits"), straight.required("logits")[:, :, [2, 0, 1]])
    assert swapped.required("gold").tolist() == [1, 0, 2, 1]
    assert np.array_equal(swapped.required("losses"), straight.required("losses"))
    rows = [{"uid": f"d{row}", "counts": {"entailment": 6, "neutral": 3, "contradiction": 1}} for row in (1, 3)]
    (tmp_path / "annotated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ("entailment", "neutral", "contradiction")
    found = import_run("lm-eval", evals, label_names=names, annotations=tmp_path / "annotated.jsonl").trajectory
    assert found.example_ids.tolist() == ["d1", "d3"]
    assert found.examples["premise"].tolist() == ["P 1", "P 3"]
    assert found.label_names == names
    assert np.array_equal(found.required("logits"), straight.required("logits")[:, [1, 3]])


@pytest.mark.parametrize(
    ("choices", "targets"),
    [
        (_CHOICES, ("True", "False", "Neither", "True")),  # texts
        (("0", "1", "2"), ("0", "2", "1", "0")),  # both at once, which agree
        (("1", "2", "3"), ("1", "3", "2", "1")),  # texts, for the indices would be others and do not fit acc
        (("2", "0", "1"), ("0", "2", "1", "0")),  # indices, for the texts would be others and do not fit acc
    ],
)
def test_targets_are_indices_or_texts(write: Write, choices: tuple[str, ...], targets: tuple[str, ...]) -> None:
    scores = -30 + 2 * np.eye(3)[list(_GOLD)]
    file = write("checkpoint-5", [_line(r, scores[r], choices=choices, target=targets[r]) for r in range(4)])
    found = import_run("lm-eval", file).trajectory
    assert found.label_names == choices
    assert found.required("gold").tolist() == list(_GOLD)


def test_targets_of_both_kinds_are_refused_where_nothing_tells(write: Write) -> None:
    lines = [_line(row, [-1, -2, -3], choices=("1", "2", "0"), target=str(row % 3)) for row in range(4)]
    for line in lines:
        del line["acc"]
    with pytest.raises(DataError, match="no logged accuracy"):
        import_run("lm-eval", write("checkpoint-5", lines))


def test_targets_that_are_no_choice_leave_gold_unknown(write: Write) -> None:
    lines = [_line(row, _scores(0)[row], target="[0, 1]") for row in range(4)]
    found, (note,) = import_run("lm-eval", write("checkpoint-5", lines))
    assert "Gold labels are unknown" in note
    assert found.has == {"logits", "classes", "texts"}
    # An index that the logged accuracy contradicts is none either.
    lines = [_line(row, _scores(0)[row], acc=float(np.argmax(_scores(0)[row]) != _GOLD[row])) for row in range(4)]
    assert "Gold labels are unknown" in import_run("lm-eval", write("checkpoint-5", lines)).notes[0]


def test_choices_of_each_document_are_positions_and_their_ids_too(write: Write) -> None:
    lines = [_line(row, _scores(0)[row], choices=("a", "b", f"c{row}"), doc={"id": row // 2}) for row in range(4)]
    found, notes = import_run("lm-eval", write("checkpoint-5", lines))
    assert found.label_names == ("0", "1", "2")
    assert found.example_ids.tolist() == ["0", "1", "2", "3"]
    assert "no id of their own" in notes[0]
    assert "a class is the position" in notes[1]


def test_mutual_information_and_filters_repeat_scores(write: Write) -> None:
    lines = []
    for row in range(4):
        line = _line(row, _scores(0)[row], acc_mutual_info=1.0)
        line["filtered_resps"] += [["-5.0", "False"]] * 3
        line["arguments"] |= {f"gen_args_{3 + k}": {"arg_0": "", "arg_1": f" {_CHOICES[k]}"} for k in range(3)}
        lines += [line, line | {"filter": "other", "filtered_resps": [["0.0", "False"]] * 6}]
    found = import_run("lm-eval", write("checkpoint-5", lines)).trajectory
    assert found.required("logits")[0] == pytest.approx(_scores(0), abs=1e-5)
    assert found.label_names == _CHOICES


def test_the_step_is_in_the_revision_or_the_name(write: Write, tmp_path: Path) -> None:
    lines = [_line(row, _scores(0)[row]) for row in range(4)]
    for second, told in enumerate(
        ("pretrained=EleutherAI/pythia-14m,revision=step512,dtype=float32", {"revision": "step3"})
    ):
        date = f"2026-11-29T17-12-0{second}.5"
        file = write("EleutherAI__pythia-14m", lines, date=date)
        results = {"config": {"model_args": told}, "model_name": "EleutherAI/pythia-14m"}
        file.with_name(f"results_{date}.json").write_text(json.dumps(results))
    # An output path that ends in .json: all files in its folder, the results under its name.
    file = write(".", lines, date="2026-11-29T17-12-09.5")
    file.with_name("run_2026-11-29T17-12-09.5.json").write_text(json.dumps({"model_name": "out/checkpoint-40"}))
    write("checkpoint-7/model", lines)
    assert import_run("lm-eval", tmp_path / "evals").trajectory.steps.tolist() == [3, 7, 40, 512]
    write("global_step7", lines)
    write("final", lines)
    with pytest.raises(DataError, match="Rename folders") as caught:
        import_run("lm-eval", tmp_path / "evals")
    assert len(caught.value.problems) == 2
    assert "final/samples_nli" in caught.value.problems[0]
    assert "step 7 has a file already" in caught.value.problems[1]


def test_what_is_wrong_is_told_at_once(evals: Path, write: Write) -> None:
    lines = [_line(row, _scores(2000)[row]) for row in range(4)]
    lines[0]["filtered_resps"] = ["some text"]
    lines[1]["doc_hash"] = "another"
    lines[2]["filtered_resps"] = lines[2]["filtered_resps"][:2]
    lines[3]["target"] = "5"
    write("checkpoint-2000", lines)
    with pytest.raises(DataError) as caught:
        import_run("lm-eval", evals)
    told = caught.value.problems
    assert "line 1: filtered_resps is" in told[0]
    assert "output_type: multiple_choice" in told[0]
    assert "line 2: the document of 'd1' differs" in told[1]
    assert "line 3: 2 choices, where the first document has 3" in told[2]
    assert "line 4: the target '5' is none of the choices" in told[3]
    write("checkpoint-2000", [_line(row, _scores(2000)[row], prompt_hash="x") for row in range(4)])
    (note,) = import_run("lm-eval", evals).notes
    assert "The prompts of 4 examples differ between checkpoints" in note


def test_what_holds_no_samples(tmp_path: Path, write: Write) -> None:
    for source in (tmp_path, tmp_path / "none.jsonl", f"{tmp_path}/*.jsonl"):
        with pytest.raises(DataError, match="expected files samples_<task>_<date>"):
            import_run("lm-eval", source)
    file = write("checkpoint-1", [])
    with pytest.raises(DataError, match="holds no line"):
        import_run("lm-eval", file)
    file.write_text("{\n")
    with pytest.raises(DataError, match="is not valid JSON"):
        import_run("lm-eval", file)
    file.write_text("[1]\n")
    with pytest.raises(DataError, match="line 1: expected an object with doc_id"):
        import_run("lm-eval", file)
    with pytest.raises(DataError, match="cannot be opened"):
        import_run("lm-eval", file.with_name(f"samples_nli_{_DATE[:-1]}.jsonl"), label_names=["a", "b"])
