"""The last clean-up of a run: old runs and unfinished files go, downloads that the next run can use stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.errors import DiskTrouble, LedgerError
from bulkpull.event_types import CleanupPostponed
from bulkpull.model import Pull
from bulkpull.output.atomic_files import makedirs_durable
from bulkpull.output.ledger_facts import ConversionFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.retention import retire_runs
from bulkpull.output.symlink_safety import names_beneath, remove_beneath, rename_beneath, status_beneath
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.earlier_work import KEPT, PARTS
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.report_deletion import is_worth_resuming


def datasets_not_begun(pulls: Iterable[Pull], folder: OutputFolder) -> list[str]:
    """The datasets without parts from an interrupted run; others need no further disk space."""
    private = folder.private
    places = (folder.staging, private / PARTS)
    return [
        pull.dataset for pull in pulls if not any(names_beneath(place / pull.dataset, root=private) for place in places)
    ]


def clear_staging(folder: OutputFolder) -> None:
    """Remove the run's own folder of unfinished files."""
    remove_beneath(folder.staging, root=folder.private)


def keep_downloads(folder: OutputFolder, records: Iterable[DatasetRecord]) -> None:
    """Keep downloads of reports that stay on the service after a temporary error: the next run carries on with them."""
    private = folder.private
    for record in records:
        if not is_worth_resuming(record.error):
            continue
        with suppress(OSError):
            staged, kept = folder.staging / record.dataset, private / PARTS / record.dataset
            makedirs_durable(kept, root=private)
            for fingerprint in names_beneath(staged, root=private):
                remove_beneath(kept / fingerprint, root=private)
                rename_beneath(staged / fingerprint, kept / fingerprint, root=private)


async def clean_up_last(run: OpenedRun) -> None:
    """Retention after the manifest is saved; errors are logged, and the next run tries again."""
    now, private = run.clock.now(), run.folder.private

    def is_over(facts: Mapping[str, Any]) -> bool:
        match facts:
            case {"stored": {"path": str(path)}}:
                try:
                    status_beneath(Path(path), root=private)
                except FileNotFoundError:
                    return True
                except OSError:
                    pass  # a file that cannot be looked at may be there
        return False

    await anyio.to_thread.run_sync(partial(_clear_old_parts, private, now=now))
    try:
        await retire_runs(run.folder.store, run.ledger, retain=run.settings.retain_runs, now=now)
        # How pulls were converted whose files are gone: no later run reads it.
        await run.ledger.drop_facts(ConversionFacts, ("table", "columns"), is_over=is_over)
    except (LedgerError, DiskTrouble) as trouble:
        run.events.emit(CleanupPostponed(step="retention", reason=trouble.message))


def _clear_old_parts(private: Path, *, now: datetime) -> None:
    """Remove downloads and windows of datasets that no run has completed in some days."""
    with suppress(OSError):
        for dataset in names_beneath(private / PARTS, root=private):
            for fingerprint in names_beneath(private / PARTS / dataset, root=private):
                part = private / PARTS / dataset / fingerprint
                if part.lstat().st_mtime < (now - KEPT).timestamp():
                    remove_beneath(part, root=private)
