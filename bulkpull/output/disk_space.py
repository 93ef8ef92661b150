"""Is there room for a run? Estimated by what its datasets took last time, before a report is ordered (fault 6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import anyio.to_thread

from bulkpull.config.settings import Settings
from bulkpull.conversion import CONVERSIONS_AT_ONCE
from bulkpull.errors import DiskTrouble
from bulkpull.formatting import format_size
from bulkpull.output.atomic_files import RESERVE_BYTES
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.run_history import manifests


async def find_too_large(output: Path, datasets: Iterable[str], *, settings: Settings) -> dict[str, DiskTrouble]:
    """
    The datasets for which there is no room, so that only they are refused and the others are exported.

    What was never exported has no size, and counts as nothing: a first run is not refused.

    Returns:
        By dataset, what is needed and what is free; nothing was asked of the service but what it offers.
    """
    at_once = settings.parallel_downloads + CONVERSIONS_AT_ONCE

    def look() -> dict[str, DiskTrouble]:
        free = max(0, shutil.disk_usage(output).free - RESERVE_BYTES)  # downloads leave it too
        records = last_exported(output, datasets)
        fitting = choose_fitting(records, free_bytes=free, keep_raw=settings.keep_raw, at_once=at_once)
        beside = format_size(needed_bytes(fitting, keep_raw=settings.keep_raw, at_once=at_once))
        return {
            record.dataset: DiskTrouble(
                f"{record.dataset}: there is not enough room in {output}",
                why=f"by its last size it needs {format_size(needed_bytes([record], keep_raw=True, at_once=1))}, "
                f"{format_size(free)} are free beside a reserve of {format_size(RESERVE_BYTES)}, and the other "
                f"datasets of the run need {beside}",
                fix="free some space, keep fewer snapshots (`retain_runs`), or choose a larger disk with --output",
            )
            for record in records
            if record not in fitting
        }

    return await anyio.to_thread.run_sync(look)


def choose_fitting(
    records: Sequence[DatasetRecord], *, free_bytes: int, keep_raw: bool, at_once: int
) -> list[DatasetRecord]:
    """
    As many of the exports as fit, the largest left out first (pure).

    Args:
        records: Their last exports.
        at_once: Downloads that are under way or wait for their conversion.
    """
    fitting = sorted(records, key=lambda record: needed_bytes([record], keep_raw=True, at_once=1))
    while fitting and needed_bytes(fitting, keep_raw=keep_raw, at_once=at_once) > free_bytes:
        fitting.pop()
    return fitting


def needed_bytes(records: Sequence[DatasetRecord], *, keep_raw: bool, at_once: int) -> int:
    """
    The room that the same export takes again (pure).

    All of its Parquet, and as many downloads as may lie there unconverted; all of them where they are kept.

    Args:
        at_once: Downloads that are under way or wait for their conversion.
    """
    downloads = sorted((record.downloaded_bytes for record in records), reverse=True)
    stored = sum(file.bytes for record in records for file in record.files)
    return stored + sum(downloads if keep_raw else downloads[:at_once])


def last_exported(output: Path, datasets: Iterable[str]) -> list[DatasetRecord]:
    """The newest record of each dataset's publication; none for those of which no manifest tells."""
    wanted, found = set(datasets), dict[str, DatasetRecord]()
    for manifest in manifests(output):
        for record in manifest.datasets:
            if record.dataset in wanted and record.status == "complete":
                found.setdefault(record.dataset, record)
        if wanted == found.keys():
            break
    return list(found.values())
