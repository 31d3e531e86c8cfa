"""Checkpoints and data sets by their names on the hub, from a server on loopback that speaks its API."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel

from contested.demo import ENCODER_PATH, make_world

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import Hub, Repository

LABELS = ["entailment", "neutral", "contradiction"]

# A process of its own, since the libraries read where the hub is once, when they are imported.
WORKER = """
import contextlib, io, json, sys, traceback
from contested.cli import main
replies = sys.stdout
for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(json.loads(line))
        except BaseException:
            traceback.print_exc()
            code = "traceback"
    print(json.dumps([code, said.getvalue()]), file=replies, flush=True)
"""


class Answer(NamedTuple):
    """How a command ended.

    Attributes:
        code: Its exit code.
        said: What it printed.
        out: The folder that it was given.
    """

    code: int | str
    said: str
    out: Path

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.out / "manifest.json").read_text())


class World(NamedTuple):
    """A hub with a checkpoint and data sets, and a configuration that names them.

    Attributes:
        hub: The server.
        commits: The first commit of each repository by its name.
        train: Trains with overrides, in a process that may reach the hub; ``out`` is a folder to resume.
        offline: The same in a process with HF_HUB_OFFLINE and the same cache.
    """

    hub: Hub
    commits: dict[str, str]
    train: Callable[..., Answer]
    offline: Callable[..., Answer]


def parquet(frame: pd.DataFrame, columns: dict[str, Any]) -> bytes:
    """A file as data sets on the hub have it: the names of the classes are in its metadata."""
    features = {name: {"dtype": "string", "_type": "Value"} for name in ("premise", "hypothesis")}
    features |= {"label": {"names": LABELS, "_type": "ClassLabel"}, **columns}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def card(*subsets: str) -> bytes:
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/train-*\n" for name in subsets
    )
    return f"---\nconfigs:\n{configs}---\n".encode()


def publish(hub: Hub, folder: Path) -> dict[str, str]:
    """Fill a hub: a checkpoint, the same in shards of half precision, and data sets shaped like SNLI and GLUE."""
    commits = {"someone/encoder": hub.push("models", "someone/encoder", ENCODER_PATH)}
    model = AutoModel.from_pretrained(ENCODER_PATH).to(torch.bfloat16)
    model.save_pretrained(folder / "half", max_shard_size="300KB")
    files = {file.name: file.read_bytes() for file in (folder / "half").iterdir()}
    files |= {file.name: file.read_bytes() for file in ENCODER_PATH.iterdir() if file.name not in files}
    files.pop("model.safetensors")
    commits["someone/half"] = hub.push("models", "someone/half", files)
    world = make_world(n_annotated=40, n_bulk=160, seed=3)
    rng = np.random.default_rng(0)
    rows = world.bulk[["premise", "hypothesis"]].assign(label=[LABELS.index(label) for label in world.bulk["label"]])
    rows.loc[rng.choice(len(rows), 10, replace=False), "label"] = -1  # as SNLI marks pairs without a gold label
    snli = {"README.md": card("plain_text"), "plain_text/train-00000-of-00001.parquet": parquet(rows, {})}
    glue = {
        "README.md": card("cola", "mnli"),
        "cola/train-00000-of-00001.parquet": b"another task",
        "mnli/train-00000-of-00001.parquet": parquet(
            rows.assign(idx=np.arange(len(rows), dtype=np.int32)), {"idx": {"dtype": "int32", "_type": "Value"}}
        ),
    }
    commits["stanfordnlp/snli"] = hub.push("datasets", "stanfordnlp/snli", snli)
    commits["nyu-mll/glue"] = hub.push("datasets", "nyu-mll/glue", glue)
    annotated = world.annotated
    people = annotated.fields[["premise", "hypothesis"]].assign(
        uid=annotated.example_ids,
        label_counts=[dict(zip(LABELS, map(int, counts), strict=True)) for counts in annotated.label_counts],
    )
    people.to_json(folder / "people.jsonl", orient="records", lines=True)
    return commits


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, hub = tmp_path_factory.mktemp("hub"), Hub()
    commits = publish(hub, folder)
    (folder / "run.yaml").write_text(
        "model: {name: someone/encoder, max_length: 48}\nmethod: full\n"
        f"task:\n  annotated: {{path: {folder / 'people.jsonl'}}}\n  bulk: {{hub: stanfordnlp/snli, size: 40}}\n"
        "  categories: terciles\ntraining: {epochs: 1, batch_size: 40}\nexecution: {threads: 1, device: cpu}\n"
        "alert: {level: null}\n"
    )
    workers: list[subprocess.Popen[str]] = []
    runs = iter(range(1000))

    def trainer(offline: str) -> Callable[..., Answer]:
        def train(*overrides: str, out: Path | None = None) -> Answer:
            if not started:
                started.append(start(hub.url, folder, offline))
                workers.extend(started)
            [worker] = started
            assert worker.stdin is not None
            assert worker.stdout is not None
            out = folder / f"run{next(runs)}" if out is None else out
            print(
                json.dumps(["train", str(folder / "run.yaml"), f"--out={out}", *overrides]),
                file=worker.stdin,
                flush=True,
            )
            return Answer(*json.loads(worker.stdout.readline()), out)

        started: list[subprocess.Popen[str]] = []
        return train

    yield World(hub, commits, trainer("0"), trainer("1"))
    for worker in workers:
        worker.kill()
        worker.wait()
    hub.close()


def start(url: str, folder: Path, offline: str) -> subprocess.Popen[str]:
    own = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, **own, "CONTESTED_CACHE": str(folder / "tokens"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_by_name_the_commit_is_found_recorded_and_enough_to_load_the_rest(world: World) -> None:
    done = world.train()
    assert (done.code, "Traceback" in done.said) == (0, False)
    commit = world.commits["someone/encoder"]
    assert done.manifest["identity"]["model"] == f"hub:someone/encoder@{commit}"
    assert done.manifest["provenance"]["model_fingerprint"] == f"hub:someone/encoder@{commit}"
    source = f"hub:stanfordnlp/snli@{world.commits['stanfordnlp/snli']}"
    assert done.manifest["provenance"]["bulk_source"] == source
    # Ten of 160 rows have no gold label.
    assert done.manifest["counts"]["bulk"] == 40
    assert done.manifest["counts"]["bulk_available"] <= 150
    files = {path.partition("/resolve/")[2] for path in world.hub.asked if "/someone/encoder/resolve/" in path}
    # What main is, is asked once with the first file.
    assert files >= {"main/config.json", f"{commit}/model.safetensors", f"{commit}/tokenizer.json"}
    assert all(file.startswith(f"{commit}/") for file in files - {"main/config.json"})


def test_shards_of_half_precision_at_a_pinned_revision_under_an_adapter(world: World) -> None:
    commit = world.commits["someone/half"]
    data = (
        "task.bulk.hub=nyu-mll/glue",
        "task.bulk.subset=mnli",
        f"task.bulk.revision={world.commits['nyu-mll/glue']}",
    )
    done = world.train("model.name=someone/half", f"model.revision={commit}", "method=lora", *data)
    assert done.code == 0, done.said
    assert sum("-of-0000" in path and path.startswith("GET /someone/half") for path in world.hub.asked) > 1
    assert done.manifest["identity"]["model"] == f"hub:someone/half@{commit}"
    assert done.manifest["provenance"]["bulk_source"] == f"hub:nyu-mll/glue@{world.commits['nyu-mll/glue']}"
    adapter = json.loads((done.out / "adapter" / "adapter_config.json").read_text())
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == ("someone/half", commit)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.revision=nope", r"'someone/encoder': it has no revision of that name"),
        ("model.name=someone/none", r"'someone/none': the hub has no repository of that name, or it is private"),
        ("model.name=nobody", r"'nobody': the hub has no repository of that name, or it is private"),
        ("model.name=someone/gated", r"'someone/gated': it is gated: ask for access on its page, then log in"),
        (
            "model.name=someone/bare",
            r"weights of 'someone/bare': .* does not appear to have a file named .*safetensors",
        ),
        ("model.name=someone/dumb", r"The tokenizer of 'someone/dumb' knows no words: its files are missing"),
        ("task.bulk.hub=some/none", r"'some/none' \(subset None, split train\) .*: .* doesn't exist on the Hub"),
        ("task.bulk.hub=some/gated", r"'some/gated' .* from the hub: it is gated: ask for access on its page"),
        (
            "task.bulk.revision=nope",
            r"'stanfordnlp/snli' .*revision nope\) from the hub: it has no revision of that name",
        ),
        ("task.bulk.split=nope", r'Unknown split "nope"'),
        ("task.bulk.subset=nope", r"BuilderConfig 'nope' not found"),
        ("task.bulk.hub=some/cut", r"the download was cut off; repeat the command"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(world: World, override: str, said: str) -> None:
    hub = world.hub
    files = hub.repositories["models", "someone/encoder"].commits[world.commits["someone/encoder"]]
    snli = hub.repositories["datasets", "stanfordnlp/snli"].commits
    for kind, name in (("models", "someone/gated"), ("datasets", "some/gated")):
        hub.repositories[kind, name] = Repository({"a" * 40: files if kind == "models" else {}}, gated=True)
    hub.repositories["models", "someone/bare"] = Repository(
        {"b" * 40: {name: content for name, content in files.items() if name != "model.safetensors"}}
    )
    hub.repositories["models", "someone/dumb"] = Repository(
        {"c" * 40: {name: files[name] for name in ("config.json", "model.safetensors")}}
    )
    hub.repositories["datasets", "some/cut"] = Repository(
        {"d" * 40: next(iter(snli.values()))}, cut={"plain_text/train-00000-of-00001.parquet"}
    )
    refused = world.train(override)
    assert refused.code == 2
    assert "Traceback" not in refused.said
    assert re.search(said, refused.said), refused.said
    assert not (refused.out / "manifest.json").exists()


@pytest.mark.slow
def test_weights_that_are_cut_off_are_one_sentence(world: World) -> None:
    files = world.hub.repositories["models", "someone/encoder"].commits[world.commits["someone/encoder"]]
    world.hub.repositories["models", "someone/cut"] = Repository({"e" * 40: files}, cut={"model.safetensors"})
    refused = world.train("model.name=someone/cut")
    assert refused.code == 2
    assert "weights of 'someone/cut': the download was cut off; repeat the command" in refused.said
    world.hub.repositories["models", "someone/cut"].cut.clear()
    assert world.train("model.name=someone/cut").code == 0


def test_a_branch_that_moved_is_told_and_its_first_commit_resumes(world: World) -> None:
    commit = world.commits["someone/half"]
    first = world.train("model.name=someone/half", "method=lora")
    assert first.code == 0, first.said
    files = world.hub.repositories["models", "someone/half"].commits[commit]
    moved = world.hub.push("models", "someone/half", {**files, "README.md": b"Trained longer."})
    refused = world.train("model.name=someone/half", "method=lora", out=first.out)
    assert refused.code == 2
    assert f"model: the folder has 'hub:someone/half@{commit}', now given 'hub:someone/half@{moved}'" in refused.said
    assert f"(give model.revision={commit} to resume with that commit)" in refused.said
    pinned = world.train("model.name=someone/half", "method=lora", f"model.revision={commit}", out=first.out)
    assert pinned.code == 0, pinned.said
    assert "was already complete" in pinned.said


def test_without_the_hub_the_cache_gives_the_same_run(world: World) -> None:
    online = world.train()
    asked = len(world.hub.asked)
    offline = world.offline()
    assert offline.code == 0, offline.said
    assert len(world.hub.asked) == asked
    for part in ("identity", "counts"):
        assert offline.manifest[part] == online.manifest[part]
    assert offline.manifest["provenance"]["bulk_source"] == online.manifest["provenance"]["bulk_source"]
    weights = [(run.out / "model" / "model.safetensors").read_bytes() for run in (online, offline)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("key", ["model.name", "task.bulk.hub"])
def test_without_the_hub_what_is_not_in_the_cache_is_told(world: World, key: str) -> None:
    refused = world.offline(f"{key}=someone/never-seen")
    assert refused.code == 2
    assert "'someone/never-seen'" in refused.said
    assert "it is not in the cache, and the hub cannot be reached or is not asked (HF_HUB_OFFLINE)" in refused.said
