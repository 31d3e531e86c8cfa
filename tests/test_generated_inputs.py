"""Inputs that nobody would write, made at random: whatever is read ends in a result or in one message, soon.

A small part runs with every suite; ``-m slow`` tries ten thousand. What is made differs in structure (a value of
another kind in any place of a right file) and in bytes (bits, pieces and ends of a right file).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from contested import Trajectory, read_annotations
from contested.config import load_config
from contested.errors import ContestedError
from contested.exchange import import_run
from contested.overrides import assign, parse
from contested.studies import expand, load_study
from contested.studies.mini import shrink
from contested.tasks import read_bulk, with_covariates
from contested.trajectories.manifest import sealed

SECONDS = 20
LABELS = ("entailment", "neutral", "contradiction")

NAMES = ["name", "where", "set", "values", "key", "facts", "path", "seed", "model", "task", "method", "step", "label"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["*", "first", "{data.dir}", "full", "~nobody/x", "a\0b", "x" * 300, "\ud800", "1e999", "-1", "nan"]
    )
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys and positions that lead to every part of a value."""
    yield above
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*above, key))


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy of a value with another part in one place."""
    if not place:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[place[0]] = put(made[place[0]], place[1:], new)
    return made


def take(value: Any, place: tuple[Any, ...]) -> Any:
    """A copy of a value without one part."""
    made = dict(value) if isinstance(value, dict) else list(value)
    if len(place) == 1:
        del made[place[0]]
    elif place:
        made[place[0]] = take(made[place[0]], place[1:])
    return made


@st.composite
def other_values(draw: st.DrawFn, right: Any, most: int = 3) -> Any:
    """A right value with other parts in up to three places, or without them."""
    value = right
    for _ in range(draw(st.integers(1, most))):
        place = draw(st.sampled_from(list(places(value))))
        value = put(value, place, draw(TREES)) if draw(st.booleans()) or not place else take(value, place)
        if not isinstance(value, dict | list):
            break
    return value


@st.composite
def other_bytes(draw: st.DrawFn, right: bytes) -> bytes:
    """Right bytes with some of them flipped, cut, doubled, or others between them."""
    content = bytearray(right)
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, max(len(content) - 1, 0))), draw(st.integers(1, 40))
        match draw(st.integers(0, 4)):
            case 0 if content:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at : at + length]
            case 3:
                content[at:at] = draw(
                    st.sampled_from(
                        [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b"\n", b",", b"NaN", b"{", b"]", b"\t"]
                    )
                )
            case _:
                del content[at:]
    return bytes(content)


def json_text(value: Any) -> str:
    """JSON as Python writes it, NaN and halves of surrogate pairs included."""
    return json.dumps(value, ensure_ascii=True)


RUN: dict[str, Any] = {
    "model": {"name": "org/a", "max_length": 64},
    "method": {"name": "lora", "r": 4, "extra": {"use_rslora": True}},
    "task": {
        "annotated": {"path": "a.jsonl", "options": {"id_column": "uid"}, "covariates": "c.csv"},
        "bulk": {"path": ["b.jsonl"], "size": 16},
        "categories": [0.4, 0.7],
        "noise": {"share": 0.1},
    },
    "training": {"epochs": 1, "learning_rate": "1e-3"},
    "probes": {"gradient_norms": "every", "every": 3},
    "alert": {"level": 0.05},
    "seed": 1,
}
STUDY: dict[str, Any] = {
    "name": "micro",
    "data": {"dir": "x"},
    "defaults": RUN,
    "facts": {"params": 1e6, "decoder": True},
    "axes": {
        "backbone": {"enc": {"model": {"name": "org/b"}, "facts": {"layers": 2}}},
        "method": ["full", {"name": "lora", "r": 4}],
        "rate": {"key": "training.learning_rate", "values": [1e-3, 2e-3]},
        "seed": [1, 2],
    },
    "groups": {"g": {"where": {"method": "*", "seed": "*"}, "conditions": True}},
    "overrides": [{"where": {"method": "full"}, "set": {"training": {"epochs": 2}}}],
    "exclude": [{"where": {"method": "full", "seed": 2}, "reason": "no"}],
}
EXTENDED = {"extends": "paper", "axes": {"seed": [1, 2]}, "select": ["main"], "data": {"dir": "x"}}
ITEMS: list[dict[str, Any]] = [
    {
        "uid": str(number),
        "label_counter": {"e": 3 + number, "n": 2, "c": 1},
        "example": {"premise": f"p {number}", "hypothesis": "h"},
    }
    for number in range(4)
]
LISTS = [{"id": str(number), "labels": ["a", "b", "a"], "text": f"t {number}"} for number in range(4)]
BULK = [{"premise": f"p {number}", "hypothesis": "h", "label": LABELS[number % 3]} for number in range(4)]
LOGITS = [
    {"example_id": str(number), "step": step, "logits": [0.1, 0.2 * number, 0.3], "gold": number % 3}
    for step in (1, 2)
    for number in range(4)
]
GUIDS = [{"guid": str(number), "logits_epoch_0": [0.1, 0.2], "gold": number % 2} for number in range(4)]
MANIFEST_PARTS = {
    "origin": {"kind": "arrays", "steps": "numbered"},
    "identity": {"version": 2, "config": {"model": {"name": "a"}, "method": {"name": "lora"}}, "data": "x"},
    "config": {"model": {"name": "a"}, "method": {"name": "lora", "r": 4}, "training": {"learning_rate": 0.1}},
    "counts": {"tracked": 4, "total_params": 10},
    "provenance": {"code": {"commit": "abc", "dirty": False}, "packages": {"torch": "2"}},
    "alert": {"level": 0.05, "margin": 0.02, "clusters": None},
    "alarms": [{"step": 1, "category": "clean"}],
    "planned_steps": 2,
    "notes": ["a sentence"],
    "checks": {"engine": {"name": "packed"}},
}
METRICS = [{"step": step, "epoch": float(step), "train_loss": 1.0, "lr": 1e-3} for step in (1, 2)]
ALIGNMENT = [
    {
        "step": step, "groups": ["a", "b"], "counts": [2, 2], "norms": [1.0, None], "cosines": [[1.0, 0.5], [0.5, 1.0]],
        "notes": ["a: few"], "head": True, "mode": "eval", "method": "summed",
    }
    for step in (1, 2)
]  # fmt: skip


class Target:
    """What reads inputs of a kind.

    Args:
        inputs: The inputs.
        read: Reads one, in a folder of its own.
    """

    def __init__(self, inputs: st.SearchStrategy[Any], read: Callable[[Path, Any], object]) -> None:
        self.inputs, self.read = inputs, read


def _written(folder: Path, name: str, content: bytes | str) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def _yaml_of(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)


def _study(folder: Path, given: tuple[str | bytes, list[str], bool]) -> object:
    text, sets, mini = given
    file = _written(folder, "study.yaml", text)
    return expand(load_study(file, sets, reshape=(lambda made: shrink(made, folder / "out")) if mini else None))


def _config(folder: Path, given: tuple[str | bytes, list[str]]) -> object:
    return load_config(_written(folder, "run.yaml", given[0]), given[1])


def _override(folder: Path, text: str) -> None:
    del folder
    assign(json.loads(json_text(RUN)), parse(text))


def _annotated(folder: Path, given: tuple[str, bytes]) -> object:
    return read_annotations(_written(folder, f"a.{given[0]}", given[1])).summary()


def _bulk(folder: Path, given: tuple[str, bytes]) -> object:
    return read_bulk(_written(folder, f"b.{given[0]}", given[1]), label_names=LABELS)


def _covariates(folder: Path, given: tuple[str, bytes]) -> object:
    annotated = read_annotations(_written(folder, "a.jsonl", _lines(ITEMS)))
    return with_covariates(annotated, _written(folder, f"c.{given[0]}", given[1]))


def _imported(folder: Path, given: tuple[str, str, bytes]) -> object:
    format, name, content = given
    if format == "cartography":
        (folder / "training_dynamics").mkdir(exist_ok=True)
        _written(folder / "training_dynamics", "dynamics_epoch_0.jsonl", content)
        return import_run(format, folder).trajectory
    return import_run(format, _written(folder, name, content)).trajectory


def _run(folder: Path, given: tuple[Any, Any, Any, int]) -> object:
    parts, metrics, alignment, version = given
    run = folder / "run"
    if not run.exists():
        rng = np.random.default_rng(0)
        ids = [str(number) for number in range(4)]
        Trajectory.from_arrays(logits=rng.normal(size=(2, 4, 2)), ids=ids, gold=[0, 1, 0, 1]).save(run)
        (run / "manifest.json").rename(run / "right.json")
    manifest = json.loads((run / "right.json").read_text())
    whole = {**manifest, **MANIFEST_PARTS} if parts is None else put_parts(manifest, parts)
    if version < 3 and isinstance(whole, dict):
        whole = {
            **{key: part for key, part in whole.items() if key not in {"files", "digest"}},
            "schema_version": version,
        }
    if version == 3 and isinstance(whole, dict):
        with contextlib.suppress(ValueError, TypeError):  # NaN has no digest
            whole = sealed(whole)
    _written(run, "manifest.json", json_text(whole))
    (run / "gradients").mkdir(exist_ok=True)
    _written(run, "metrics.jsonl", metrics)
    _written(run / "gradients", "alignment.jsonl", alignment)
    found = Trajectory.load(run)
    return found.has, found.gradients


def put_parts(manifest: dict[str, Any], changes: list[tuple[int, Any, bool]]) -> Any:
    """A manifest with other values in some places."""
    value: Any = {**manifest, **MANIFEST_PARTS}
    for number, new, gone in changes:
        known = list(places(value)) if isinstance(value, dict | list) else [()]
        place = known[number % len(known)]
        value = take(value, place) if gone and place else put(value, place, new)
    return value


def _lines(rows: Any) -> str:
    return "".join(json_text(row) + "\n" for row in rows) if isinstance(rows, list) else json_text(rows)


def _csv(rows: Any) -> str:
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    lines = [",".join(names), *(",".join(_cell(row.get(name)) for name in names) for row in rows)]
    return "\n".join(lines).encode("utf-8", "replace").decode()


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value)
    return f'"{text}"' if "," in text and '"' not in text else text


def rows_of(right: list[Any]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Files of rows that are nearly right: JSONL, JSON, CSV and TSV."""
    changed = other_values(right)
    return st.one_of(
        changed.map(lambda rows: ("jsonl", _lines(rows).encode())),
        changed.map(lambda rows: ("json", json_text(rows).encode())),
        changed.map(lambda rows: ("csv", _csv(rows).encode())),
        changed.map(lambda rows: ("tsv", _csv(rows).replace(",", "\t").encode())),
        other_bytes(_lines(right).encode()).map(lambda content: ("jsonl", content)),
        other_bytes(_csv(right).encode()).map(lambda content: ("csv", content)),
        other_bytes(_lines(right).encode()).map(lambda content: ("txt", content)),
    )


def imports() -> st.SearchStrategy[tuple[str, str, bytes]]:
    """Recordings of other tools that are nearly right."""
    logits, guids = other_values(LOGITS), other_values(GUIDS)
    return st.one_of(
        logits.map(lambda rows: ("jsonl", "a.jsonl", _lines(rows).encode())),
        logits.map(lambda rows: ("csv", "a.csv", _csv(rows).encode())),
        guids.map(lambda rows: ("cartography", "", _lines(rows).encode())),
        guids.map(lambda rows: ("cleanlab", "a.csv", _csv(rows).encode())),
        guids.map(lambda rows: ("aum", "full_aum_records.csv", _csv(rows).encode())),
        guids.map(lambda rows: ("trainer-state", "trainer_state.json", json_text({"log_history": rows}).encode())),
        other_bytes(_lines(LOGITS).encode()).map(lambda content: ("jsonl", "a.jsonl", content)),
        other_bytes(_csv(LOGITS).encode()).map(lambda content: ("csv", "a.csv", content)),
        other_bytes(PARQUET).map(lambda content: ("parquet", "a.parquet", content)),
        other_bytes(NPZ).map(lambda content: ("npz", "a.npz", content)),
    )


def _parquet() -> bytes:
    import io

    import pandas as pd

    made = io.BytesIO()
    pd.DataFrame(LOGITS).to_parquet(made)
    return made.getvalue()


def _npz() -> bytes:
    import io

    made = io.BytesIO()
    np.savez(made, logits=np.zeros((2, 4, 3)), ids=np.array(list("abcd")), steps=np.array([1, 2]))
    return made.getvalue()


PARQUET, NPZ = _parquet(), _npz()
SET = st.builds(
    lambda key, value: f"{key}={json_text(value)}",
    st.sampled_from(["axes.seed", "seeds", "groups", "axes", "axes.method", "defaults.model.name", "data.dir", "a.b"])
    | st.sampled_from(["overrides", "backbone", "backbone.enc", "exclude", "facts", "method", "training.epochs"]),
    TREES,
)
SETS = st.lists(SET, max_size=2)


def _texts(right: Any) -> st.SearchStrategy[str | bytes]:
    written = _yaml_of(right).encode()
    return st.one_of(
        other_values(right).map(lambda value: json_text(value)), other_bytes(written), st.binary(max_size=60)
    )


JSON_LINES = st.sampled_from([METRICS, ALIGNMENT])
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), TREES, st.booleans()), min_size=1, max_size=3)
TARGETS = {
    "configuration": Target(st.tuples(_texts(RUN), SETS), _config),
    "study": Target(st.tuples(st.one_of(_texts(STUDY), _texts(EXTENDED)), SETS, st.booleans()), _study),
    "override": Target(
        st.one_of(SET, st.text(max_size=30).map(lambda text: f"a={text}")),
        _override,
    ),
    "annotated": Target(st.one_of(rows_of(ITEMS), rows_of(LISTS)), _annotated),
    "bulk": Target(rows_of(BULK), _bulk),
    "covariates": Target(rows_of([{"uid": str(number), "genre": "a"} for number in range(4)]), _covariates),
    "import": Target(imports(), _imported),
    "manifest": Target(
        st.tuples(CHANGES, st.just(_lines(METRICS)), st.just(_lines(ALIGNMENT)), st.integers(1, 3)), _run
    ),
    "lines": Target(
        st.tuples(
            st.none(),
            other_values(METRICS).map(_lines) | other_bytes(_lines(METRICS).encode()),
            other_values(ALIGNMENT).map(_lines) | other_bytes(_lines(ALIGNMENT).encode()),
            st.just(2),
        ),
        _run,
    ),
}  # fmt: skip


def try_out(target: Target, folder: Path, count: int) -> dict[str, int]:
    """Read so many inputs; how many were read, and how many refused."""
    ends = {"read": 0, "refused": 0}

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def read(given_input: Any) -> None:
        began = time.perf_counter()
        try:
            target.read(folder, given_input)
            ends["read"] += 1
        except ContestedError as error:
            ends["refused"] += bool(str(error))
        assert time.perf_counter() - began < SECONDS

    read()
    return ends


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_some_inputs_end_in_a_result_or_a_message(name: str, tmp_path: Path) -> None:
    ends = try_out(TARGETS[name], tmp_path, 40)
    assert ends["refused"] > 0
    assert sum(ends.values()) >= 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_many_inputs_end_in_a_result_or_a_message(name: str, tmp_path: Path) -> None:
    import resource

    ends = try_out(TARGETS[name], tmp_path, 1_500)
    assert sum(ends.values()) >= 1_200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20  # KiB: less than 1 GiB, the libraries included
