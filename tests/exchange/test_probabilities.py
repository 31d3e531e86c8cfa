"""Probabilities as logits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from contested.errors import ConfigError, DataError
from contested.exchange.collect import Collector
from contested.exchange.probabilities import as_logits
from contested.exchange.records import Record, Recording


def _recording(*rows: list[float]) -> Recording:
    collector = Collector()
    for row, values in enumerate(rows):
        collector.add(10, Record(f"x{row}", probabilities=values), f"row {row}")
    return collector.recording("made")


def test_their_softmax_is_what_was_recorded() -> None:
    rows = [[0.7, 0.2, 0.1], [0.33, 0.33, 0.33]]
    logits, notes = as_logits(_recording(*rows), "made")
    assert logits is not None
    assert notes == []
    assert np.allclose(special.softmax(logits[0].astype(float), axis=1), [rows[0], [1 / 3] * 3], atol=1e-7)


def test_a_zero_needs_a_number_that_it_counts_as() -> None:
    zeros = [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]
    with pytest.raises(DataError, match="3 of 6 probabilities are 0"):
        as_logits(_recording(*zeros), "made")
    logits, notes = as_logits(_recording(*zeros), "made", 1e-6)
    assert logits is not None
    assert logits[0, 0].tolist() == pytest.approx([-13.815511, np.log(0.4), np.log(0.6)])
    assert notes == ["3 of 6 probabilities are 0 and count as 1e-06 (a loss of 13.8)."]
    with pytest.raises(ConfigError, match=r"floor is 1\.5"):
        as_logits(_recording(*zeros), "made", 1.5)


def test_what_are_no_probabilities() -> None:
    with pytest.raises(DataError) as caught:
        as_logits(_recording([0.5, 0.5], [-0.1, 1.1], [0.5, 0.6], [float("nan"), 1.0]), "made")
    assert caught.value.problems == (
        "3 of 4 rows at step 10 are no numbers from 0 that sum to 1: x1, x2, x3; the first is -0.1, 1.1",
    )
    logits = Collector()
    logits.add(0, Record("a", logits=[1.0, 2.0]), "row 1")
    with pytest.raises(ConfigError, match="has none"):
        as_logits(logits.recording("made"), "made", 1e-6)
