"""What a backbone's folder and the machine say of a run's speed before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contested.config import RunConfig, check_config
from contested.studies import backbone
from contested.studies.backbone import computes_bfloat16, slowdowns


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\nbugs : none\n", False),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd sve\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("processor : 0\n", True),
        (None, True),
    ],
)
def test_the_kernel_knows_whether_a_cpu_computes_in_bfloat16(tmp_path: Path, said: str | None, does: bool) -> None:
    if said is not None:
        (tmp_path / "cpuinfo").write_text(said)
    assert computes_bfloat16(tmp_path / "cpuinfo") is does


def run_of(folder: Path, kind: str, precision: str) -> RunConfig:
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    content = {
        "model": {"name": str(folder)},
        "task": {"annotated": {"path": str(folder / "people.jsonl")}},
        "training": {"precision": precision},
    }
    return check_config(content, "of a test")


@pytest.mark.parametrize(
    ("kind", "precision", "on_cpu", "computes", "told"),
    [
        ("bert", "float32", True, False, []),
        ("albert", "float32", True, True, ["albert has no packed forward"]),
        ("bert", "bfloat16", True, False, ["this CPU has no instructions"]),
        ("bert", "bfloat16", True, True, []),
        ("bert", "bfloat16", False, False, []),
        ("albert", "bfloat16", True, False, ["albert has no packed forward", "this CPU has no instructions"]),
    ],
)
def test_what_makes_a_run_slow_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    precision: str,
    *,
    on_cpu: bool,
    computes: bool,
    told: list[str],
) -> None:
    monkeypatch.setattr(backbone, "computes_bfloat16", lambda: computes)
    found = slowdowns(run_of(tmp_path, kind, precision), on_cpu=on_cpu)
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))
