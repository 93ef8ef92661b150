"""What an export is expected to cost before it begins: reports, time and room on the disk; reads only."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.config.settings import Settings
from bulkpull.errors import DiskTrouble, LedgerError
from bulkpull.formatting import format_duration, format_size, plural
from bulkpull.output.disk_space import RoomEstimate, estimate_room
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.pipeline.steps.in_flight import UNLEARNT
from bulkpull.pipeline.usual_durations import load_usual_durations

# The service's quota where it applies (behaviour 85).
_ONE_OFFS_AN_HOUR = 5


@dataclass(frozen=True, slots=True)
class ExportEstimate:
    """
    What an export is expected to cost.

    Attributes:
        reports: How many it orders where none of them fails, by dataset.
        usual_s: How long a report of these datasets took in earlier runs, by dataset, seconds.
        in_flight: How many reports are requested at once.
        unwritable: The folder that a run could not write to: the output, or the nearest one above it that exists.
    """

    reports: Mapping[str, int]
    usual_s: Mapping[str, float]
    in_flight: int
    room: RoomEstimate
    unwritable: Path | None = None

    @property
    def total_reports(self) -> int:
        return sum(self.reports.values())

    @property
    def elapsed_s(self) -> float | None:
        """The time until all reports are made, from earlier runs and without a quota; `None` if unknown."""
        known = [self.usual_s[dataset] for dataset, count in self.reports.items() if count and dataset in self.usual_s]
        return max(known) * math.ceil(self.total_reports / self.in_flight) if known else None

    @property
    def quota_hours(self) -> int:
        """Whole hours that the reports take where the service allows five one-off reports an hour."""
        return max(0, math.ceil(self.total_reports / _ONE_OFFS_AN_HOUR) - 1)

    @property
    def sentence(self) -> str:
        """All of it for a person."""
        if not self.total_reports:
            return "no one-off report would be created"
        time = "no earlier run shows how long they take"
        if self.elapsed_s is not None:
            length = f"about {format_duration(self.elapsed_s)}" if self.elapsed_s >= 1 else "less than a second"
            time = f"by earlier runs they take {length}"
        quota = ""
        if self.quota_hours:
            quota = f", where the service allows {_ONE_OFFS_AN_HOUR} one-off reports an hour about {self.quota_hours} h"
        needed, free = format_size(self.room.needed_bytes), format_size(self.room.free_bytes)
        created = f"{plural(self.total_reports, 'one-off report')} would be created"
        free = f"{free} are free" if self.unwritable is None else f"and {self.unwritable} cannot be written"
        return f"{created}; {time}{quota}; about {needed} on the disk, {free}"

    @property
    def obstacle(self) -> str | None:
        """Why a run would end before it begins; `None` where nothing is in its way."""
        if self.unwritable is None:
            return None
        return (
            f"{self.unwritable} cannot be written, so a run would end at once: no permission, or its disk is mounted "
            "read-only; `bulkpull doctor` says which"
        )

    def as_values(self) -> dict[str, Any]:
        """The same as JSON values; times in seconds and hours, room in bytes."""
        return {
            "reports": self.total_reports,
            "seconds": self.elapsed_s,
            "quota_hours": self.quota_hours,
            "needed_bytes": self.room.needed_bytes,
            "free_bytes": self.room.free_bytes,
            "can_write": self.unwritable is None,
        }


async def estimate_export(reports: Mapping[str, int], *, settings: Settings, now: datetime) -> ExportEstimate:
    """Estimate an export from the ledger, the manifests and the disk of the output folder."""
    output = settings.output.absolute()
    place = next(folder for folder in (output, *output.parents) if folder.is_dir())
    room = await anyio.to_thread.run_sync(lambda: estimate_room(output, reports, settings=settings, place=place))
    return ExportEstimate(
        reports,
        usual_s=await _read_usual_durations(output, now=now),
        in_flight=settings.reports_in_flight or UNLEARNT,
        room=room,
        # The system is asked for the permission: a plan writes nothing to try it.
        unwritable=None if os.access(place, os.W_OK | os.X_OK) else place,
    )


async def _read_usual_durations(output: Path, *, now: datetime) -> Mapping[str, float]:
    """As `usual_durations`, from the ledger of an output folder; empty where there is none that can be read."""
    layout = Layout(output)
    if not await anyio.to_thread.run_sync(layout.ledger.is_file):
        return {}
    try:
        async with opened_ledger(layout.private, read_only=True) as ledger:
            return await load_usual_durations(ledger, now=now)
    except (LedgerError, DiskTrouble):
        return {}
