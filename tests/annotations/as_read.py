"""What tests look at of an annotated file: counts by id, what is said, and why it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contested.annotations import Annotations, read_annotations
from contested.errors import DataError


def counts(data: Annotations) -> dict[str, list[int]]:
    return dict(zip(data.example_ids, data.label_counts.tolist(), strict=True))


def notes_of(data: Annotations) -> str:
    assert data.receipt is not None
    return " ".join(data.receipt.notes)


def refused(path: Path, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read_annotations(path, **options)
    return caught.value


def problems_of(path: Path, **options: Any) -> list[str]:
    return refused(path, **options).problems


def message_of(path: Path, **options: Any) -> str:
    return refused(path, **options).message
