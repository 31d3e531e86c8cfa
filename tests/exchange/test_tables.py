"""Tables of every kind and layout: round trips of any run, the same run whatever the layout, refusals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contested.errors import ConfigError, DataError, RunError
from contested.exchange import export_run, import_run, to_frame
from contested.exchange.table_columns import Layout
from contested.exchange.table_header import meaning
from contested.trajectories import Trajectory

FILES = ["jsonl", "csv", "parquet"]


def _write(frame: pd.DataFrame, file: Path) -> Path:
    file.parent.mkdir(exist_ok=True, parents=True)
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    elif file.suffix == ".parquet":
        frame.to_parquet(file)
    else:
        frame.to_json(file, orient="records", lines=True, double_precision=15)
    return file


def _same(found: Trajectory, run: Trajectory, *, atol: float = 0) -> None:
    assert found.steps.tolist() == run.steps.tolist()
    assert found.example_ids.tolist() == run.example_ids.tolist()
    assert found.has == run.has
    for name in ("logits", "losses", "gold"):
        if getattr(run, name) is not None:
            assert np.allclose(found.required(name), run.required(name), rtol=0, atol=atol), name


@pytest.mark.parametrize("format", [*FILES, "npz"])
def test_round_trip(format: str, run: Trajectory, tmp_path: Path) -> None:
    file = tmp_path / "new" / f"table.{format}"
    assert export_run(format, run, file) == []
    back = import_run(format, file)
    assert back.notes == []
    assert back.trajectory.label_names == run.label_names  # the file says them
    _same(back.trajectory, run)
    assert np.isnan(back.trajectory.epochs).all()
    with pytest.raises(RunError, match="exists"):
        export_run(format, run, file)


@pytest.mark.parametrize("format", [*FILES, "npz"])
def test_round_trip_of_losses_alone(format: str, tmp_path: Path) -> None:
    losses = Trajectory.from_arrays(
        losses=[[0.7, 0.1], [1 / 3, 2.5]], ids=["x,1", "y"], steps=[1, 2], step_unit="epoch"
    )
    export_run(format, losses, tmp_path / f"table.{format}")
    back = import_run(format, tmp_path / f"table.{format}").trajectory
    assert back.step_unit == "epoch"
    _same(back, losses)


@pytest.mark.parametrize("format", FILES)
def test_epochs_beside_steps_come_back(format: str, tmp_path: Path) -> None:
    made = Trajectory.from_arrays(losses=[[0.7, 0.1], [0.2, 0.3]], steps=[10, 25], epochs=[0.4, 1.0])
    export_run(format, made, tmp_path / f"table.{format}")
    assert import_run(format, tmp_path / f"table.{format}").trajectory.epochs.tolist() == [0.4, 1.0]
    table = to_frame(made)
    table.loc[3, "epoch"] = 2.0
    with pytest.raises(DataError) as caught:
        import_run("pandas", table)
    assert caught.value.problems == ("row 3: epoch is 2; before, 1 at step 25",)


def test_from_python(run: Trajectory) -> None:
    datasets = pytest.importorskip("datasets")
    table = to_frame(run)
    _same(import_run("pandas", table).trajectory, run)
    _same(import_run("pandas", table.set_index("step").reset_index()).trajectory, run)
    made = datasets.Dataset.from_pandas(table)
    found = import_run("dataset", made.shuffle(seed=1))
    assert found.trajectory.origin["source"] == "a Dataset"
    order = [run.example_ids.tolist().index(name) for name in found.trajectory.example_ids]
    assert np.array_equal(found.trajectory.required("logits"), run.required("logits")[:, order])
    _same(import_run("dataset", made.to_iterable_dataset()).trajectory, run)
    for format in ("pandas", "dataset"):
        with pytest.raises(ConfigError, match=rf"import_run\('{format}', .*given: 'table.csv'"):
            import_run(format, Path("table.csv"))


def test_a_data_set_names_its_classes() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "epoch": datasets.Value("int64"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "logits": datasets.List(datasets.Value("float32")),
        }
    )
    rows = {"id": ["a", "b"], "epoch": [1, 1], "label": [1, 0], "logits": [[0.5, 1.5], [2.0, -1.0]]}
    found = import_run("dataset", datasets.Dataset.from_dict(rows, features=features)).trajectory
    assert (found.label_names, found.required("gold").tolist()) == (("no", "yes"), [1, 0])


def _layouts(run: Trajectory) -> dict[str, pd.DataFrame]:
    """The same run as every layout that a table can have."""
    logits, losses = run.required("logits").astype(float), run.required("losses")
    gold = [run.label_names[index] for index in run.required("gold")]
    examples = {"example_id": run.example_ids, "gold": gold}
    long = [
        {
            "uid": name,
            "global_step": step,
            "label": gold[row],
            "logits": logits[t, row].tolist(),
            "loss": losses[t, row],
        }
        for row, name in enumerate(run.example_ids)  # by example
        for t, step in enumerate(run.steps.tolist())
    ]
    by_class, listed = dict(examples), dict(examples)
    for t, step in enumerate(run.steps.tolist()):
        for k, name in enumerate(run.label_names):
            by_class[f"logit_{name}_step_{step}"] = logits[t, :, k]
        listed |= {f"loss_step_{step}": losses[t], f"logits_step_{step}": logits[t].tolist()}
    lists = examples | {
        "steps": [run.steps.tolist()] * len(gold),
        "losses": losses.T.tolist(),
        "logits": logits.transpose(1, 0, 2).tolist(),
    }
    return {
        "long": pd.DataFrame(long),
        "by class": pd.DataFrame(by_class),
        "listed": pd.DataFrame(listed),
        "lists": pd.DataFrame(lists),
    }


# A cell of CSV holds no list.
@pytest.mark.parametrize(
    ("layout", "format"),
    [("by class", "csv")]
    + [
        (layout, format)
        for layout in ("long", "by class", "listed", "lists")
        for format in ("jsonl", "parquet", "pandas")
    ],
)
def test_every_layout_is_the_same_run(layout: str, format: str, run: Trajectory, tmp_path: Path) -> None:
    table = _layouts(run)[layout]
    source: Any = table if format == "pandas" else _write(table, tmp_path / f"table.{format}")
    found = import_run(format, source, label_names=run.label_names)
    assert found.notes == []
    _same(found.trajectory, run, atol=1e-12)


@pytest.mark.parametrize("layout", ["long", "by class", "listed", "lists"])
def test_rows_one_by_one_say_the_same_as_all_at_once(layout: str, run: Trajectory) -> None:
    table = _layouts(run)[layout]
    made: Layout = meaning(list(table), None, None, "made").layout
    many = [
        (step, rows.record(row)) for rows in made.many(table.to_dict("list")) for row, step in enumerate(rows.steps)
    ]
    single = [pair for row in table.to_dict("records") for pair in made.single(row)]
    key = lambda pair: (pair[0], pair[1].example_id)  # noqa: E731
    assert sorted(many, key=key) == sorted(single, key=key)


def test_probabilities_are_logits_to_a_constant(run: Trajectory, tmp_path: Path) -> None:
    logits = run.required("logits").astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    rows = [
        {"id": name, "step": step, "gold": int(run.required("gold")[row]), "probs": shares[t, row].tolist()}
        for t, step in enumerate(run.steps.tolist())
        for row, name in enumerate(run.example_ids)
    ]
    found = import_run("jsonl", _write(pd.DataFrame(rows), tmp_path / "table.jsonl")).trajectory
    assert np.allclose(found.required("losses"), run.required("losses"), atol=1e-5)
    wide = {"id": run.example_ids, "prob_b_epoch_1": shares[0, :, 1], "prob_a_epoch_1": shares[0, :, 0]}
    wide |= {"prob_c_epoch_1": shares[0, :, 2]}
    found = import_run("pandas", pd.DataFrame(wide), label_names="abc").trajectory
    assert np.allclose(found.required("logits")[0], np.log(shares[0]), atol=1e-6)
    assert found.step_unit == "epoch"


@pytest.mark.parametrize("format", FILES)
def test_a_folder_of_checkpoints(format: str, run: Trajectory, tmp_path: Path) -> None:
    table = to_frame(run)
    for step, part in table.groupby("step"):
        _write(part.drop(columns="step"), tmp_path / "checkpoints" / f"eval-checkpoint-{step:03}.{format}")
    (tmp_path / "checkpoints" / "notes.txt").touch()
    found = import_run(format, tmp_path / "checkpoints").trajectory
    _same(found, run, atol=1e-14)
    for step, part in table.groupby("step"):
        _write(part, tmp_path / "shards" / f"part{step}.{format}")
    _same(import_run(format, tmp_path / "shards").trajectory, run, atol=1e-14)


def test_a_folder_that_says_no_checkpoints(run: Trajectory, tmp_path: Path) -> None:
    table = to_frame(run)
    last = table[table["step"] == 100]
    for seed in (1, 2):
        _write(last.drop(columns="step"), tmp_path / "seeds" / f"seed_{seed}.csv")
    with pytest.raises(DataError, match=r"seed_1\.csv says no checkpoint.* import the folder with --each"):
        import_run("csv", tmp_path / "seeds")
    with pytest.raises(DataError, match=r"is a folder without a file \*\.jsonl"):
        import_run("jsonl", tmp_path / "seeds")
    _write(last, tmp_path / "mixed" / "a.csv")
    _write(last.rename(columns={"step": "epoch"}), tmp_path / "mixed" / "b.csv")
    with pytest.raises(DataError) as caught:
        import_run("csv", tmp_path / "mixed")
    assert caught.value.problems == ("step and epoch",)


def test_one_checkpoint_without_a_number(run: Trajectory, tmp_path: Path) -> None:
    table = to_frame(run)
    last = table[table["step"] == 100].drop(columns="step")
    found = import_run("csv", _write(last, tmp_path / "final.csv")).trajectory
    assert found.counted_in == "checkpoint"
    assert found.required("logits").shape == (1, 6, 3)


def test_columns_are_found_by_the_names_of_the_classes(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("step,logit_no,gold,logit_yes,example_id\n10,1.5,yes,2.5,a\n")
    found = import_run("csv", file, label_names=["yes", "no"]).trajectory
    assert found.required("logits").tolist() == [[[2.5, 1.5]]]
    assert found.required("gold").tolist() == [0]
    file.write_text("step,logit_1,gold,logit_0,example_id\n10,1.5,1,2.5,a\n")
    found = import_run("csv", file, label_names=["yes", "no"]).trajectory
    assert found.required("logits").tolist() == [[[2.5, 1.5]]]
    assert found.required("gold").tolist() == [1]
    with pytest.raises(DataError, match="numbers of classes differ"):
        import_run("csv", file, label_names=["yes", "no", "maybe"])
    with pytest.raises(DataError, match=r"columns logit_… are of no, yes; the label names are no, maybe"):
        meaning(["id", "step", "logit_no", "logit_yes"], ("no", "maybe"), None, "made")


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    rows = [{"id": "a", "step": 1, "loss": 0.5, "text": "b"}, {"id": "b", "step": 1, "loss": 0.5, "text": "c"}]
    file = _write(pd.DataFrame(rows), tmp_path / "table.jsonl")
    assert import_run("jsonl", file).notes == ["Not read: the column text."]
    # Of a name that only a later part of a file has, too.
    lines = [json.dumps({"id": str(row), "step": 1, "loss": 0.5, "x" * 500: 1}) for row in range(9000)]
    file.write_text("\n".join([*lines, '{"id": "z", "step": 1, "loss": 0.5, "late": 1}']))
    assert import_run("jsonl", file).notes[0].endswith("x, late.")


def test_compressed_files(run: Trajectory, tmp_path: Path) -> None:
    for format in ("jsonl", "csv"):
        export_run(format, run, tmp_path / f"table.{format}")
        packed = tmp_path / f"table.{format}.gz"
        packed.write_bytes(gzip.compress((tmp_path / f"table.{format}").read_bytes()))
        _same(import_run(format, packed).trajectory, run)
        packed.write_bytes(packed.read_bytes()[:-20])
        with pytest.raises(DataError, match="cannot be read as"):
            import_run(format, packed)


def test_headers_that_are_none() -> None:
    for header, told in {
        "step,epoch,margin": ("there is no column example_id", "neither a loss, nor logits, nor probs"),
        "id,step,global_step,loss,loss": ("the column loss is there more than once", "columns step and global_step"),
        "id,steps,epochs,losses": ("there are the columns steps and epochs",),
        "id,loss_step_1,loss_epoch_2": ("some columns are of a step and others of an epoch",),
        "id,gold": ("neither a loss",),
    }.items():
        with pytest.raises(DataError) as caught:
            meaning(header.split(","), None, None, "made")
        assert all(any(part in problem for problem in caught.value.problems) for part in told), caught.value


def test_rows_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("example_id,step,loss\na,1,0.5\na,1.5,0.5\nb,1\nc,1,high\n,1,0.5\nd,2,0.5\ne,1e12,0.5\n")
    with pytest.raises(DataError) as caught:
        import_run("csv", file)
    assert caught.value.problems == (
        "row 3: has 2 cells; the header has 3",
        "row 2: step is '1.5', expected a whole number",
        "row 4: loss is 'high', expected a number",
        "row 5: example_id is '', expected text or a whole number",
        "row 7: step is '1e12', expected a whole number",
        "checkpoint 1 lacks 1 of 2 examples: d",
        "checkpoint 2 lacks 1 of 2 examples: a",
    )
    for format in (*FILES, "npz"):
        with pytest.raises(DataError, match="cannot be read as"):
            import_run(format, tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        import_run("parquet", file)


def test_lines_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    lines = [
        '{"id": "a", "step": 1, "logits": [1.5, 2.5], "gold": 0}',
        "",
        '{"id": "b", "step": 1, "logits": [1.5, 2.5, 3.5], "gold": 0}',
        '{"id": "c", "step": 1, "logits": "high", "gold": 0}',
        '{"id": "d", "step": 1, "logits": [1.5, "x"], "gold": 0}',
        '{"id": "e", "step": 1, "logits": [1.5, 2.5], "gold": [0]}',
        '{"id": 1.5, "step": 1, "logits": [1.5, 2.5], "gold": 0}',
        '{"id": "f", "step": null, "logits": [1.5, 2.5], "gold": true}',
        '{"id": "g", "step": 1',
        "[1]",
    ]
    file.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        import_run("jsonl", file)
    assert caught.value.problems == (
        "line 9 is not valid JSON: cut off or damaged at character 22 (Expecting ',' delimiter)",
        "line 10: expected an object {…}; given [1]",
        "line 3: 3 logits, where the first record has 2",
        "line 4: logits is 'high', expected a list of numbers",
        "line 5: logits is 'x', expected a number",
        "line 6: gold is [0], expected the index or the name of a class",
        "line 7: id is 1.5, expected text or a whole number",
        "line 8: step is None, expected a number",
    )
    file.write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(DataError, match="cannot be read as JSONL"):
        import_run("jsonl", file)
    file.write_text('{"id": "a", "steps": [1, 2], "losses": [0.5]}\n{"id": "b", "steps": [1, 2], "losses": 0.5}\n')
    with pytest.raises(DataError) as caught:
        import_run("jsonl", file)
    assert caught.value.problems[:2] == (
        "line 1: losses has 1 entries, steps 2",
        "line 2: losses is 0.5, expected a list of numbers",
    )


def test_two_halves_of_an_object_are_none(tmp_path: Path) -> None:
    # Joined by a comma they are one, beside two objects on one line: as many objects as lines.
    file = tmp_path / "table.jsonl"
    file.write_text('{"id": "a", "step": 1\n"loss": 0.5}\n{"id": "b", "step": 1, "loss": 1}, {"id": "c"}\n')
    with pytest.raises(DataError) as caught:
        import_run("jsonl", file)
    assert [problem.split(" is ")[0] for problem in caught.value.problems[:3]] == ["line 1", "line 2", "line 3"]


def test_long_lists_are_read_in_small_pieces(tmp_path: Path) -> None:
    # 40 examples of 5,000 losses: 1.6 MB, in pieces of at most 4 MB of the file, and of Parquet the same.
    steps = list(range(5000))
    losses = np.arange(200_000).reshape(40, 5000) / 7
    table = pd.DataFrame(
        {"id": [str(row) for row in range(40)], "epochs": [steps] * 40, "losses": list(losses.tolist())}
    )
    for format in ("jsonl", "parquet"):
        found = import_run(format, _write(table, tmp_path / f"table.{format}")).trajectory
        assert np.allclose(found.required("losses"), losses.T, rtol=1e-12)


def test_text_in_parquet_that_is_no_text_is_one_message(tmp_path: Path) -> None:
    # Arrow keeps bytes under the name of text, and notices only when a text is asked for.
    ids = pa.array([b"a", b"\xb3"]).view(pa.string())
    pq.write_table(pa.table({"example_id": ids, "step": [1, 1], "loss": [0.5, 0.5]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        import_run("parquet", tmp_path / "a.parquet")
