"""Runs that have ended, as values: what the page and the metrics are made from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpull.errors import BulkpullError
from bulkpull.event_types import Event, restore_event
from bulkpull.observability.run_summary import RunSummary
from bulkpull.observability.timings import RunTimings
from bulkpull.output.manifest import DatasetRecord, Manifest, PublishedFile, Requests, Seconds, Tool, status_of

RUN = "20261123T020405Z-0a1b2c"


def complete(dataset: str, **changes: Any) -> DatasetRecord:
    """A dataset that was exported."""
    path = f"datasets/{dataset}/run={RUN}/part-00000.parquet"
    given: dict[str, Any] = {
        "rows": 1_200,
        "files": [PublishedFile(path=path, rows=1_200, bytes=54_000, sha256="0" * 64)],
        "downloaded_bytes": 98_000,
        "seconds": Seconds(submit=0.5, wait=61.0, download=2.5, convert=1.25),
    }
    return DatasetRecord(dataset=dataset, status="complete", **(given | changes))


def failed(dataset: str, error: BulkpullError, **changes: Any) -> DatasetRecord:
    """A dataset that was lost."""
    return DatasetRecord(dataset=dataset, status="failed", reason=f"{dataset}: {error.reason}", error=error, **changes)


def manifest(*records: DatasetRecord, **changes: Any) -> Manifest:
    """The manifest of a run of ten minutes."""
    given: dict[str, Any] = {
        "run_id": RUN,
        "status": status_of(list(records)),
        "started_at": "2026-11-23T02:04:05Z",
        "finished_at": "2026-11-23T02:14:05Z",
        "tool": Tool(version="1.2.3"),
        "api_base_url": "https://api.contoso.example/insights/v1/mpn",
        "requests": Requests(total=67, by_endpoint={"ScheduledReport": 40, "token": 27}, throttled=2, retried=3),
        "datasets": list(records),
    }
    return Manifest(**(given | changes))


def account(*records: DatasetRecord, **changes: Any) -> RunSummary:
    """The account of such a run."""
    of_account = {name: changes.pop(name) for name in ("timings", "rows_before") if name in changes}
    return RunSummary(manifest(*records, **changes), Path("data"), **of_account)


def event(name: str, dataset: str | None = None, **facts: object) -> Event:
    """An event of a run."""
    return restore_event(name, facts, dataset=dataset)


def timings(*reported: tuple[float, Event]) -> RunTimings:
    """What these events, each at its second, make of a run."""
    made = RunTimings()
    for at_s, item in reported:
        made.record(item, at_s=at_s)
    return made


def logged(*reported: tuple[str, Event]) -> list[tuple[Event, datetime]]:
    """Events as a log has them, each at its time of one day."""
    return [(item, datetime.fromisoformat(f"2026-11-23T{at}Z")) for at, item in reported]
