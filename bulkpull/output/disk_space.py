"""Estimates the disk space of a run from the sizes of the last one, before any report is created (fault 6)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from bulkpull.config.settings import Settings
from bulkpull.conversion import CONVERSIONS_AT_ONCE
from bulkpull.errors import DiskTrouble
from bulkpull.formatting import format_size
from bulkpull.output.atomic_files import RESERVE_BYTES, no_room
from bulkpull.output.run_history import last_published, manifests
from bulkpull.output.store import open_store

ASSUMED_BYTES = 1_000_000
"""The assumed size of a dataset that was never exported: of its download, and of its Parquet."""
FIX = "free some space, keep fewer snapshots (`retain_runs`), or choose a larger disk with --output"


@dataclass(frozen=True, slots=True)
class ExpectedSize:
    """What a dataset is expected to take on the disk."""

    dataset: str
    downloaded_bytes: int = ASSUMED_BYTES
    stored_bytes: int = ASSUMED_BYTES
    is_known: bool = False

    @property
    def total_bytes(self) -> int:
        """Its download and its Parquet, which are both on the disk during the conversion."""
        return self.downloaded_bytes + self.stored_bytes


@dataclass(frozen=True, slots=True)
class RoomEstimate:
    """The room beside the reserve, and the need; `fitting_bytes` is that of the datasets that are not `too_large`."""

    free_bytes: int
    sizes: tuple[ExpectedSize, ...]
    too_large: tuple[ExpectedSize, ...]
    needed_bytes: int
    fitting_bytes: int


async def find_too_large(output: Path, datasets: Iterable[str], *, settings: Settings) -> dict[str, DiskTrouble]:
    """The datasets for which there is no room, so that only they are refused; one error for all of them."""
    room = await anyio.to_thread.run_sync(lambda: estimate_room(output, datasets, settings=settings))
    if not room.too_large:
        return {}
    needed, free = format_size(sum(size.total_bytes for size in room.too_large)), format_size(room.free_bytes)
    subject = "it needs" if len(room.too_large) == 1 else f"these {len(room.too_large)} datasets need"
    fitting = format_size(room.fitting_bytes)
    others = f", and the other datasets of the run need {fitting}" if room.fitting_bytes else ""
    refused = DiskTrouble(
        f"there is not enough room in {output}",
        why=f"{subject} {needed} ({describe_basis(room.too_large)}); {free} are free beside a reserve of "
        f"{format_size(RESERVE_BYTES)}{others}",
        fix=FIX,
    )
    return {size.dataset: refused for size in room.too_large}


def describe_basis(sizes: Sequence[ExpectedSize]) -> str:
    """What the expected sizes are taken from, in words."""
    assumed = f"{format_size(2 * ASSUMED_BYTES)} for each that was never exported"
    if not any(size.is_known for size in sizes):
        return assumed
    return "by the last export" if all(size.is_known for size in sizes) else f"by the last export, and {assumed}"


def estimate_room(
    output: Path, datasets: Iterable[str], *, settings: Settings, place: Path | None = None
) -> RoomEstimate:
    """Compare what an export needs with the free space of `output`, or of `place` where that does not exist yet."""
    free_bytes = max(0, shutil.disk_usage(place or output).free - RESERVE_BYTES)  # downloads keep it free too
    sizes = expected_sizes(output, datasets)
    needs = partial(needed_bytes, keep_raw=settings.keep_raw, at_once=settings.parallel_downloads + CONVERSIONS_AT_ONCE)
    fitting = choose_fitting(sizes, free_bytes=free_bytes, needs=needs)
    too_large = tuple(size for size in sizes if size not in fitting)
    return RoomEstimate(free_bytes, tuple(sizes), too_large, needs(sizes), needs(fitting))


def choose_fitting(
    sizes: Sequence[ExpectedSize], *, free_bytes: int, needs: Callable[[Sequence[ExpectedSize]], int]
) -> list[ExpectedSize]:
    """As many of the datasets as fit, the largest left out first (pure)."""
    fitting = sorted(sizes, key=lambda size: size.total_bytes)
    while fitting and needs(fitting) > free_bytes:
        fitting.pop()
    return fitting


def needed_bytes(sizes: Sequence[ExpectedSize], *, keep_raw: bool, at_once: int) -> int:
    """The room for all Parquet files, and for as many downloads as lie there unconverted, or are kept (pure)."""
    downloads = sorted((size.downloaded_bytes for size in sizes), reverse=True)
    return sum(size.stored_bytes for size in sizes) + sum(downloads if keep_raw else downloads[:at_once])


def expected_sizes(output: Path, datasets: Iterable[str]) -> list[ExpectedSize]:
    """The size of each dataset's last snapshot; an assumed size for datasets without a manifest."""
    sizes = {dataset: ExpectedSize(dataset) for dataset in datasets}
    for dataset, record in last_published(manifests(open_store(output)), sizes).items():
        sizes[dataset] = ExpectedSize(dataset, record.downloaded_bytes, record.stored_bytes, is_known=True)
    return list(sizes.values())


async def check_room(folder: Path, *, needed_bytes: int) -> None:
    """Refuse to continue if the disk has no room for the rest."""
    free_bytes = (await anyio.to_thread.run_sync(shutil.disk_usage, folder)).free
    if free_bytes < needed_bytes + RESERVE_BYTES:
        why = f"{needed_bytes:,} bytes and a reserve of {RESERVE_BYTES:,} are needed, {free_bytes:,} are free"
        raise no_room(folder, why=why)
