from __future__ import annotations

from datetime import datetime

import pytest

from contested.errors import ConfigError
from contested.studies.clock import duration, moment, slurm_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 4 * 3600),
        ("90m", 5400),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("2d", 172800),
        ("45s", 45),
        ("04:00:00", 4 * 3600),
        ("1-12:00:00", 36 * 3600),
        ("1-12:00", 36 * 3600),
        ("100:00:00", 360000),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


# "90:00" is 90 minutes to SLURM and could be 90 hours to a reader; "4" is 4 minutes to SLURM.
@pytest.mark.parametrize("text", ["", "4", "90:00", "4 hours", "0h", "-1h", "4h30", "1:60:00", "h"])
def test_what_is_no_duration_or_could_be_two(text: str) -> None:
    with pytest.raises(ConfigError, match="is no duration"):
        duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "00:01:00"), (61, "00:02:00"), (14400, "04:00:00"), (90000, "1-01:00:00")]
)
def test_durations_as_slurm_reads_them(seconds: int, text: str) -> None:
    assert slurm_time(seconds) == text


def at(*when: int) -> float:
    return datetime(*when).timestamp()  # type: ignore[misc]  # noqa: DTZ001 - local time


NOW = at(2026, 11, 30, 17, 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("18:30", at(2026, 11, 30, 18, 30)),
        ("9:05", at(2026, 12, 1, 9, 5)),  # the next one
        ("17:00", at(2026, 12, 1, 17, 0)),
        ("2026-11-30T18:30", at(2026, 11, 30, 18, 30)),
        ("2026-12-01", at(2026, 12, 1)),
        ("2030-01-01T00:00:00+00:00", 1893456000.0),
        ("2030-01-01T02:00:00+02:00", 1893456000.0),
        ("1893456000", 1893456000.0),
    ],
)
def test_moments(text: str, wanted: float) -> None:
    assert moment(text, now=NOW) == wanted


def test_what_is_no_moment_and_what_is_past() -> None:
    for text in ("soon", "25:00", "4h", "99999999999999"):
        with pytest.raises(ConfigError, match="is no point in time"):
            moment(text, now=NOW)
    with pytest.raises(ConfigError, match="is past: it is 2026-11-30 17:00:00"):
        moment("2026-11-30T16:59", now=NOW)
