"""What an interrupted run left behind, for the same command to carry on with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.journey.plan import Plan
from bulkpull.journey.submit import report_name
from bulkpull.model import Report
from bulkpull.records.ledger import Ledger, RunEntry
from bulkpull.records.manifest import DatasetRecord
from bulkpull.reporting.client import ReportingClient

# Reports of a run that was cut off longer ago may be cleaned up, and their data is old: begin anew.
_RESUME_WITHIN = timedelta(hours=24)


async def find_unfinished(ledger: Ledger, *, key: Mapping[str, Any], now: datetime) -> RunEntry | None:
    """
    The newest run, if it was cut off within a day while doing the same.

    Args:
        key: What has to be equal, as `ExportRequest.as_key` gives it.
    """
    runs = await ledger.runs()
    if not runs or runs[0].status not in (None, "interrupted"):
        return None
    same = all(runs[0].request.get(name) == value for name, value in key.items())
    lately = now - datetime.fromisoformat(runs[0].started_at) < _RESUME_WITHIN
    return runs[0] if same and lately else None


async def published_before(ledger: Ledger, *, run_id: str, output: Path) -> dict[str, DatasetRecord]:
    """What the run had published, by dataset; what is not there any more has to be done again."""
    done: dict[str, DatasetRecord] = {}
    for entry in await ledger.steps(run_id):
        if entry.step == "published":
            record = DatasetRecord.model_validate(entry.facts["record"])
            if await anyio.to_thread.run_sync(_all_there, output, record):
                done[entry.dataset] = record
    return done


async def made_before(plan: Plan, *, client: ReportingClient, run_id: str) -> dict[str, list[Report]]:
    """
    The reports that the run had made and that are still on the service, by dataset, the latest last.

    They are found by their names, so that one whose creation was never answered is found as well (fault 38).

    Raises:
        BulkpullError: The service could not be asked.
    """
    reports = sorted(await client.get_reports(), key=lambda report: report.name)
    marks = {pull.dataset: report_name(pull, run_id=run_id, attempt="") for pull in plan.pulls}
    return {dataset: [report for report in reports if report.name.startswith(mark)] for dataset, mark in marks.items()}


def _all_there(output: Path, record: DatasetRecord) -> bool:
    return bool(record.files) and all((output / file.path).is_file() for file in record.files)
