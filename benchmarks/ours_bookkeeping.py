"""
The bookkeeping of pulls alone: ledger, events and log, without service, network and conversion.

    python -m benchmarks.ours_bookkeeping FOLDER PULLS

Every pull notes its steps with facts like those of an export, and one run holds them all. Prints JSON: processor
milliseconds a pull for the first and the last hundred, milliseconds a pull to read them all again, and the growth of
resident memory in between, MB. FOLDER should be in memory: waiting for a disk is no processor time, but takes hours.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import anyio

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn, TableFile
from bulkpull.event_types import DownloadCompleted
from bulkpull.events import Events
from bulkpull.model import DownloadedFile
from bulkpull.output.ledger import Ledger, opened_ledger
from bulkpull.output.ledger_facts import ConversionFacts, DownloadFacts, ExecutionFacts, PublicationFacts, ReportFacts
from bulkpull.output.manifest import DatasetRecord

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_QUERY, _REPORT = "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001"
_RECORD = DatasetRecord(
    dataset="AzureUsage",
    status="complete",
    query=f"SELECT {', '.join(f'Column{number}' for number in range(25))} FROM AzureUsage",  # noqa: S608 - not SQL
)
_STORED = DownloadedFile(Path("report"), 12_345_678, etag="0x8D0000000000000")
_TABLE = ConversionResult(
    (TableFile(Path("part-00000.parquet"), 1, 1, ""),),
    rows=1,
    columns=tuple(ConvertedColumn(f"Column{number}", "String", ColumnType.STRING) for number in range(25)),
    unpacked_bytes=1,
    extra_columns=(),
)
_FACTS = (
    ReportFacts(_REPORT, _QUERY, "bulkpull", _AT, mark="0123456789ab"),
    ExecutionFacts(_REPORT, _REPORT, _AT, mark="0123456789ab"),
    DownloadFacts(_REPORT, 12_345_678, mark="0123456789ab"),
    ConversionFacts(
        _REPORT,
        _REPORT,
        _AT,
        data_redacted=False,
        stored=_STORED,
        table=_TABLE,
        columns=(),
        bounds=None,
        query_id=_QUERY,
    ),
    PublicationFacts(_RECORD),
)
_BLOCK = 100


async def block(ledger: Ledger, events: Events, *, first: int) -> float:
    """A hundred pulls; processor milliseconds each."""
    began_s = time.process_time()
    for number in range(first, first + _BLOCK):
        for facts in _FACTS:
            await ledger.note("run", dataset=f"Dataset{number}", facts=facts, at=_AT)
            events.emit(DownloadCompleted(dataset=f"Dataset{number}", size_bytes=1, elapsed_s=0.1))
    return 1e3 * (time.process_time() - began_s) / _BLOCK


async def main() -> None:
    """Note the steps of all pulls in one run."""
    folder, pulls, events = Path(sys.argv[1]), int(sys.argv[2]), Events()
    async with opened_ledger(folder) as ledger:
        await ledger.begin_run("run", request={}, at=_AT)
        costs, resident = [], 0.0
        for first in range(0, pulls, _BLOCK):
            costs.append(await block(ledger, events, first=first))
            if len(costs) == 1:
                resident = _resident_mb()
        gc.collect()
        grown = _resident_mb() - resident
        began_s = time.process_time()
        steps = await ledger.steps("run")
        reading_ms = 1e3 * (time.process_time() - began_s) / pulls
        assert len(steps) == pulls * len(_FACTS)
    print(json.dumps({"first_ms": costs[0], "last_ms": costs[-1], "reading_ms": reading_ms, "grown_mb": grown}))


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e3


if __name__ == "__main__":
    anyio.run(main)
