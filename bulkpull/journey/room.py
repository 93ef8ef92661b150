"""Is there room for a run? Estimated by what its datasets took last time, before a report is ordered (fault 6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import anyio.to_thread

from bulkpull import figures
from bulkpull.errors import DiskTrouble
from bulkpull.journey.limits import CONVERSIONS
from bulkpull.records.history import manifests
from bulkpull.records.manifest import DatasetRecord
from bulkpull.settings import Settings


async def check_room_for_run(output: Path, datasets: Iterable[str], *, settings: Settings) -> None:
    """
    Refuse a run that would end in a full disk.

    What was never exported has no size, and counts as nothing: a first run is not refused.

    Raises:
        DiskTrouble: With what is needed and what is free; nothing was asked of the service but what it offers.
    """

    def look() -> tuple[int, int]:
        records = last_exported(output, datasets)
        needed = needed_bytes(records, keep_raw=settings.keep_raw, at_once=settings.parallel_downloads + CONVERSIONS)
        return needed, shutil.disk_usage(output).free

    needed, free = await anyio.to_thread.run_sync(look)
    if needed > free:
        raise DiskTrouble(
            f"there is not enough room for this run in {output}",
            why=f"by the sizes of the last one it needs {figures.size(needed)}, and {figures.size(free)} are free",
            fix="free some space, keep fewer snapshots (`retain_runs`), or choose a larger disk with --output",
        )


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
