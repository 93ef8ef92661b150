"""Splits a pull into the windows that are requested (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from bulkpull.catalog import Catalog
from bulkpull.model import Pull, Window
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.windows.date_windows import history_start, split_by_month, split_in_half, split_months
from bulkpull.pipeline.windows.time_column import time_column_of


def is_divisible(pull: Pull, catalog: Catalog) -> bool:
    """Whether the answers for two windows are the answer for both."""
    return time_column_of(pull, catalog) is not None and not pull.indivisible


def split_pull(pull: Pull, *, catalog: Catalog, now: datetime) -> list[Pull]:
    """The pulls of all windows, the oldest first; the pull itself where it has none, or a short one."""
    if pull.window is None:
        return [pull]
    begins = history_start(pull.offered.date_ranges, now=now)
    if pull.keeps_history and (begins is None or begins <= pull.window.start or begins >= pull.window.end):
        windows = split_months(pull.window)
    elif pull.keeps_history and begins is not None:
        windows = Window(pull.window.start, begins), *split_months(Window(begins, pull.window.end))
    else:
        windows = split_by_month(pull.window, has_time_column=is_divisible(pull, catalog), history_start=begins)
    return [replace(pull, window=window, keeps_history=False) for window in windows]


def with_halves(pull: Pull, splits: Collection[str]) -> Iterator[Pull]:
    """
    The pull of a window, and of the halves in which earlier runs requested it.

    Args:
        splits: The fingerprints of windows that were requested in halves.
    """
    yield pull
    if pull.window is None or pull_fingerprint(pull) not in splits:
        return
    for half in split_in_half(pull.window) or ():
        yield from with_halves(replace(pull, window=half), splits)
