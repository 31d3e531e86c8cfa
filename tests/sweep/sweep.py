"""Architectures and methods, tried one by one in processes of their own.

python tests/sweep/sweep.py --only 'bert|gpt2' --methods 'full|lora'        what came of them, a line each
python tests/sweep/sweep.py --out docs/models.json                          all of them, for docs/models.md
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tiny
import torch
import trial
from methods import METHODS
from transformers.utils import logging

TIMEOUT = 600
"""Seconds for one trial."""
BOTH = ("bert", "llama")
"""The encoder and the decoder that meet every method."""
FURTHER = ("deberta-v2", "modernbert", "gpt2", "t5")
"""Further architectures that meet every method: shared and fused projections, no linear layers, two stacks."""
PACKAGES = ("torch", "transformers", "peft")


def plan() -> Iterator[tuple[str, str]]:
    """Every architecture under full fine-tuning and LoRA, and every method on a few architectures."""
    for architecture in tiny.ARCHITECTURES:
        yield from ((architecture, method) for method in ("full", "lora"))
    for architecture in (*BOTH, *FURTHER):
        yield from ((architecture, method) for method in METHODS if method not in {"full", "lora"})


def one(architecture: str, method: str, timeout: float = TIMEOUT) -> trial.Outcome:
    """Try one pair in a child of this process, so that nothing of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        result = Path(folder) / "outcome.json"
        child = os.fork()
        if not child:
            _child(architecture, method, Path(folder), result, timeout)
        _, status = os.waitpid(child, 0)
        if result.is_file():
            return trial.Outcome(**json.loads(result.read_text()))
    ended = signal.Signals(status & 127).name if status & 127 else f"exit code {status >> 8}"
    why = f"not done after {timeout:.0f} s" if ended == "SIGALRM" else f"its process ended by {ended}"
    return trial.Outcome(architecture, method, "traceback", said=why)


def _child(architecture: str, method: str, folder: Path, result: Path, timeout: float) -> None:
    try:
        signal.alarm(int(timeout))
        os.environ["CONTESTED_CACHE"] = str(folder / "cache")
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        outcome = trial.attempt(architecture, method, METHODS[method], folder)
        partial = result.with_suffix(".tmp")
        partial.write_text(json.dumps(outcome._asdict()))
        partial.rename(result)
    finally:
        os._exit(0)


def chosen(only: str, methods: str) -> list[tuple[str, str]]:
    """The pairs of the plan, or where patterns are given every pair that fits both."""
    if not only and not methods:
        return list(plan())
    return [
        (architecture, method)
        for architecture in tiny.ARCHITECTURES
        if re.fullmatch(only or "|".join(BOTH), architecture)
        for method in METHODS
        if re.fullmatch(methods or "full|lora", method)
    ]


def told(outcome: trial.Outcome, seconds: float) -> str:
    """An outcome on one line."""
    numbers = [f"{value:.0e}" for value in (outcome.difference, outcome.gradient) if value is not None]
    parts = [outcome.outcome, outcome.architecture, outcome.method, outcome.engine, *numbers, outcome.said]
    return " ".join([f"{seconds:5.1f}s", *filter(None, parts)])


def write(outcome: trial.Outcome, file: Path) -> None:
    """Put an outcome into the file that docs/models.md is made from, in place of that of the same pair; a line each."""
    known = json.loads(file.read_text(encoding="utf-8"))["outcomes"] if file.is_file() else []
    rows = {(row["architecture"], row["method"]): row for row in known}
    rows[outcome.architecture, outcome.method] = outcome._asdict()
    head = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    lines = ",\n".join(json.dumps(rows[pair], ensure_ascii=False) for pair in sorted(rows))
    content = f'{json.dumps(head)[:-1]}, "outcomes": [\n{lines}\n]}}\n'
    partial = file.with_suffix(".tmp")
    partial.write_text(content, encoding="utf-8")
    partial.replace(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="architectures, a regular expression")
    parser.add_argument("--methods", default="", help="methods, a regular expression")
    parser.add_argument("--out", type=Path, help="where the outcomes are written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    faults = 0
    for architecture, method in chosen(given.only, given.methods):
        started = time.perf_counter()
        outcome = one(architecture, method)
        faults += outcome.fault
        print(told(outcome, time.perf_counter() - started), flush=True)
        if given.out is not None:
            write(outcome, given.out)
    return faults


if __name__ == "__main__":
    sys.exit(min(main(), 1))
