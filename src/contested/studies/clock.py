"""Durations and moments as people write them: ``4h``, ``1-12:00:00``, ``18:30``."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from contested.errors import ConfigError

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]?\d)(?::(?P<seconds>[0-5]?\d))?")


def duration(text: str) -> int:
    """Read how long something may take.

    >>> duration("4h"), duration("1h30m"), duration("1-12:00:00"), duration("04:00:00")
    (14400, 5400, 129600, 14400)

    Args:
        text: Numbers with units (``4h``, ``90m``, ``1d12h``) or hours, minutes and seconds as SLURM writes them, days
            before a hyphen. What SLURM would take for minutes and others for hours (``4``, ``90:00``) is refused.

    Returns:
        Seconds.

    Raises:
        ConfigError: If it is none.
    """
    text = text.strip().lower()
    clock = _CLOCK.fullmatch(text)
    if _PARTS.fullmatch(text):
        seconds = round(sum(float(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"[\d.]+[dhms]", text)))
    elif clock and (clock["seconds"] or clock["days"]):
        days, hours, minutes, rest = (int(clock[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        seconds = 0
    if seconds <= 0:
        raise ConfigError(f"{text!r} is no duration. Give one such as 4h, 90m, 1d12h, 04:00:00 or 1-12:00:00.")
    return seconds


def slurm_time(seconds: int) -> str:
    """A duration as SLURM reads it, in whole minutes.

    >>> slurm_time(14400), slurm_time(129600), slurm_time(61)
    ('04:00:00', '1-12:00:00', '00:02:00')

    Args:
        seconds: The duration.

    Returns:
        ``[days-]hours:minutes:seconds``, rounded up to a minute: SLURM knows no shorter ones.
    """
    minutes = -(-seconds // 60)
    days, rest = divmod(minutes, 24 * 60)
    return f"{f'{days}-' if days else ''}{rest // 60:02}:{rest % 60:02}:00"


def moment(text: str, *, now: float | None = None) -> float:
    """Read a point in time.

    Args:
        text: Seconds since 1970 (``1790000000``), a date and time as in ISO 8601 (``2026-11-30T18:00``, with or without
            an offset from UTC) or a time of day (``18:30``), the next one. What says no offset is local time.
        now: Seconds since 1970; the present where not given.

    Returns:
        Seconds since 1970.

    Raises:
        ConfigError: If it is none, or past.
    """
    here = datetime.fromtimestamp(time.time() if now is None else now).astimezone()
    found = _moment(text.strip(), here)
    if found is None:
        raise ConfigError(
            f"{text!r} is no point in time. Give one such as 18:30, 2026-11-30T18:30 or seconds since 1970."
        )
    if found <= here.timestamp():
        raise ConfigError(f"{text!r} is past: it is {here.isoformat(' ', 'seconds')} now. Give a later time.")
    return found


def _moment(text: str, here: datetime) -> float | None:
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", text):
        hours, minutes = map(int, text.split(":"))
        today = here.replace(hour=hours, minute=minutes, second=0, microsecond=0)
        # Local days are not all of 24 hours.
        return (today if today > here else _local(today.replace(tzinfo=None) + timedelta(days=1))).timestamp()
    try:
        return _local(datetime.fromisoformat(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _local(given: datetime) -> datetime:
    return given if given.tzinfo else given.astimezone()
