from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # as_read.py is no test

WriteJsonl = Callable[..., Path]


@pytest.fixture
def write_jsonl(tmp_path: Path) -> WriteJsonl:
    def write(rows: Sequence[Any], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_text(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def chaosnli_row() -> Callable[..., dict[str, Any]]:
    def make(uid: str = "a", counter: dict[str, int] | None = None, **changes: Any) -> dict[str, Any]:
        """One ChaosNLI line, with an entropy in bits that must never be read."""
        row = {
            "uid": uid,
            "label_counter": {"n": 70, "e": 30} if counter is None else counter,
            "majority_label": "n",
            "label_dist": [0.3, 0.7, 0.0],
            "label_count": [30, 70, 0],
            "entropy": 0.8812908992306927,
            "example": {"uid": uid, "premise": f"P {uid}", "hypothesis": f"H {uid}", "source": "snli_agree_3"},
            "old_label": "n",
            "old_labels": ["neutral", "neutral", "neutral", "entailment", "entailment"],
        }
        return {**row, **changes}

    return make
