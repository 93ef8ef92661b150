"""
What an export is expected to cost before it begins: reports, time and room on the disk; reads only.

How long reports took in earlier runs also decides their order: those of the slowest datasets are created first, because
the slowest one ends the run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.config.settings import Settings
from bulkpull.formatting import format_duration, format_size, plural
from bulkpull.model import Pull
from bulkpull.output.disk_space import RoomEstimate, estimate_room
from bulkpull.output.ledger import Ledger, NotedFacts
from bulkpull.output.ledger_facts import ExecutionFacts, ReportFacts
from bulkpull.pipeline.steps.report_limits import UNLEARNT

# The service's quota where it applies (behaviour 85).
_ONE_OFFS_AN_HOUR = 5
_REMEMBERED = timedelta(days=60)
_LATEST = 5


@dataclass(frozen=True, slots=True)
class ExportEstimate:
    """
    What an export is expected to cost; `in_flight` reports are requested at once.

    Attributes:
        reports: How many it creates where none of them fails, by dataset.
        usual_s: How long a report of these datasets took in earlier runs, by dataset, seconds.
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


async def estimate_export(
    reports: Mapping[str, int], usual_s: Mapping[str, float], *, settings: Settings
) -> ExportEstimate:
    """Estimate an export from earlier durations, the manifests and the disk of the output folder."""
    output = settings.output.absolute()
    place = next(folder for folder in (output, *output.parents) if folder.is_dir())
    room = await anyio.to_thread.run_sync(lambda: estimate_room(output, reports, settings=settings, place=place))
    return ExportEstimate(
        reports,
        usual_s,
        in_flight=settings.reports_in_flight or UNLEARNT,
        room=room,
        # The system is asked for the permission: a plan writes nothing to try it.
        unwritable=None if os.access(place, os.W_OK | os.X_OK) else place,
    )


async def load_usual_durations(ledger: Ledger, *, now: datetime) -> dict[str, float]:
    """As `usual_durations`, from the reports of the last sixty days in the ledger."""
    since = now - _REMEMBERED
    return usual_durations(
        await ledger.noted(ReportFacts, since=since), await ledger.noted(ExecutionFacts, since=since)
    )


def usual_durations(
    created: Iterable[NotedFacts[ReportFacts]], executed: Iterable[NotedFacts[ExecutionFacts]]
) -> dict[str, float]:
    """
    How long reports usually take, seconds: the median of the latest five of each dataset (pure).

    From the creation to the service's own time of completion; where one of these times is missing or odd, to the moment
    at which the completion was seen.
    """
    creation_of = {entry.facts.report_id: entry for entry in created}
    durations: dict[str, list[float]] = {}
    for entry in executed:
        creation = creation_of.get(entry.facts.report_id)
        if creation is None:
            continue
        took_s = seen_s = (entry.at - creation.at).total_seconds()
        if creation.facts.created_at and entry.facts.generated_at:
            took_s = (entry.facts.generated_at - creation.facts.created_at).total_seconds()
        if not 0 <= took_s <= seen_s:
            took_s = seen_s
        if took_s >= 0:
            durations.setdefault(entry.dataset, []).append(took_s)
    return {dataset: _median(lengths_s[-_LATEST:]) for dataset, lengths_s in durations.items()}


def _median(numbers: Sequence[float]) -> float:
    """As `statistics.median`, whose import takes longer than all its calls in a nightly run."""
    in_order, middle = sorted(numbers), len(numbers) // 2
    return (in_order[middle] + in_order[~middle]) / 2


def slowest_first(pulls: Sequence[Pull], *, usual_s: Mapping[str, float], rows: Mapping[str, int]) -> list[Pull]:
    """
    The order in which reports are best created; datasets without a known duration go first, they may be the slowest.

    Among those the rows of the current snapshot decide, then the number of columns.
    """

    def key(pull: Pull) -> tuple[bool, float, int, int]:
        known_s = usual_s.get(pull.dataset)
        return known_s is not None, -(known_s or 0.0), -rows.get(pull.dataset, 0), -len(pull.columns)

    return sorted(pulls, key=key)
