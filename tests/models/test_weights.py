"""What the system refuses, from libraries that have errors of their own for it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from contested.models import system_errors


def test_errors_of_the_system_are_told_as_such(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(OSError, match="No such file") as found, system_errors():
        save_file({"a": torch.zeros(2)}, nowhere / "a.safetensors")
    assert found.value.errno == errno.ENOENT
    with pytest.raises(OSError, match="No such file") as found, system_errors():
        Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(nowhere / "tokenizer.json"))
    assert found.value.errno == errno.ENOENT


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match="something else"), system_errors():
        raise ValueError("something else")
