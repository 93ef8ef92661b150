"""Formats numbers for people (pure): sizes, times, counts and lists of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def format_size(size_bytes: float) -> str:
    """`48213007` → `48.2 MB`; decimal units, as download tools use them."""
    power = 0
    while size_bytes >= _STEP - 0.5 and power < len(_UNITS) - 1:
        size_bytes, power = size_bytes / _STEP, power + 1
    digits = 1 if power and size_bytes < 99.95 else 0  # noqa: PLR2004 - from there on four signs would be needed
    return f"{size_bytes:.{digits}f} {_UNITS[power]}"


def format_clock(elapsed_s: float) -> str:
    """`754` → `12:34`, `3754` → `1:02:34`."""
    whole = max(0, int(elapsed_s))
    hours, rest = divmod(whole, _HOUR)
    minutes, seconds = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_age(elapsed_s: float) -> str:
    """`754` → `12 min`, `129600` → `36 h`, `200000` → `2 d 7 h`; never less than nothing."""
    whole = max(0, int(elapsed_s))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    days, rest = divmod(whole, _DAY)
    return f"{days} d {rest // _HOUR} h"


def plural(number: int, noun: str) -> str:
    """`1, "row"` → `1 row`; `1234, "row"` → `1,234 rows`."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def join_some(names: Sequence[str], *, most: int = 4) -> str:
    """The names, or the first of them and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def format_duration(length_s: float) -> str:
    """`0.04` → `0.04 s`, `4.26` → `4.3 s`, `75` → `1 min 15 s`, `5040` → `1 h 24 min`, in words as people say them."""
    if round(length_s, 1) < _MINUTE:
        return f"{length_s:.2g} s" if length_s < 1 else f"{length_s:.1f} s".replace(".0 s", " s")
    minutes, seconds = divmod(round(length_s), _MINUTE)
    if length_s < _HOUR:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(round(length_s / _MINUTE), _MINUTE)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_counts(counts: Mapping[str, object]) -> str:
    """Counts by name, as `18 unfinished, 2 complete` (pure)."""
    return ", ".join(f"{number} {name}" for name, number in counts.items())
