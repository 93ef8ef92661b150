"""
Pull: the six steps of one dataset in their order, and where an error steps back to. The only place that knows both.

    submit ── poll ── download ── convert ── publish
      ▲        ▲         ▲           │
      │        │         └── damaged: fetched once more
      │        └── link expired: read the execution again
      └── failed, overdue or gone: a new report, `report_attempts` times in all
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from bulkpull._version import __version__
from bulkpull.catalog import Catalog, ColumnType
from bulkpull.clock import Clock, iso_utc
from bulkpull.errors import (
    BulkpullError,
    ExecutionFailed,
    ExecutionOverdue,
    FileDamaged,
    FileGone,
    NotFound,
    ReportLost,
    Step,
)
from bulkpull.events import Events, about
from bulkpull.journey.convert import convert_report
from bulkpull.journey.download import StoredFile, download_report
from bulkpull.journey.poll import Poller
from bulkpull.journey.publish import Publisher, Staged, describe_drift, find_drift, hold_back, make_folders
from bulkpull.journey.submit import Submitter
from bulkpull.model import Execution, Pull, Report, SecureLink
from bulkpull.query import normalise
from bulkpull.records.files import explained, load_json, remove_tree
from bulkpull.records.ledger import Ledger
from bulkpull.records.manifest import Current, DatasetRecord, PublishedColumn, PublishedFile
from bulkpull.reporting.client import ReportingClient
from bulkpull.reporting.verdict import WITHHELD
from bulkpull.settings import Settings
from bulkpull.tabular.table import ColumnPlan, ConvertedTable
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier

# What a new report may mend.
_WORTH_A_NEW_REPORT = (ExecutionFailed, ExecutionOverdue, ReportLost, FileGone)
_FETCHES = 2
# The names that `download_report` uses for a file called `report`.
_DOWNLOAD = {"report", "report.part", "report.journal"}
# Above this many stored bytes a conversion needs its memory for itself.
_LARGE_BYTES = 64 << 20


@dataclass(slots=True)
class Tools:
    """What the pulls of a run share."""

    client: ReportingClient
    http: Http
    retrier: Retrier
    clock: Clock
    events: Events
    settings: Settings
    catalog: Catalog
    ledger: Ledger
    output: Path
    staging: Path
    run_id: str
    current: Current
    submitter: Submitter
    poller: Poller
    publisher: Publisher
    background: TaskGroup
    downloads: anyio.CapacityLimiter
    conversions: anyio.CapacityLimiter
    large_conversion: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(slots=True)
class Journey:
    """
    One pull on its way.

    Args:
        record: Its part of the manifest, filled in as the steps succeed.
        earlier: The report that an interrupted run had made for it; taken up instead of a new one.
    """

    pull: Pull
    tools: Tools
    record: DatasetRecord
    earlier: Report | None = None

    async def travel(self) -> None:
        """
        Bring the dataset from the service to its readers.

        Raises:
            BulkpullError: The first fault that nothing could mend. Nothing half-written is visible.
        """
        attempts = self.tools.settings.report_attempts
        for attempt in range(1, attempts + 1):
            report = await self._submit(attempt)
            try:
                execution = await self._poll(report)
                table, stored = await self._fetch(execution)
            except _WORTH_A_NEW_REPORT as error:
                self._discard(report)
                if attempt == attempts:
                    raise
                self.tools.events.warn("call.retried", endpoint="ScheduledReport", attempt=attempt, reason=error.reason)
                continue
            except BulkpullError:
                self._discard(report)
                raise
            await self._publish(table, execution, stored)
            self._discard(report)
            return

    async def _submit(self, attempt: int) -> Report:
        if self.earlier is not None:
            report, self.earlier = self.earlier, None
            self.tools.events.emit("report.adopted", report_id=report.report_id)
        else:
            with self._step(Step.SUBMIT):
                report = await self.tools.submitter.submit_report(self.pull, attempt=attempt)
            await self._note(
                "report",
                report_id=report.report_id,
                query_id=report.query_id,
                name=report.name,
                created_at=iso_utc(report.created_at) if report.created_at else None,
            )
        self.record.query_id, self.record.report_id = report.query_id, report.report_id
        return report

    async def _poll(self, report: Report) -> Execution:
        with self._step(Step.POLL):
            execution = await self.tools.poller.wait_for_completion(report)
        self.record.execution_id = execution.execution_id
        self.record.data_redacted = execution.data_redacted
        return execution

    async def _fetch(self, execution: Execution) -> tuple[ConvertedTable, StoredFile]:
        """Download and convert; a file that turns out damaged only in unpacking is fetched once more (fault 76)."""
        folder = self.tools.staging / self.pull.dataset
        for fetch in range(1, _FETCHES + 1):
            with explained(folder):
                # What an interrupted run has fetched is taken up; what turned out damaged is not.
                await anyio.to_thread.run_sync(_make_ready, folder, fetch == 1)
            stored = await self._download(execution, folder / "report")
            try:
                return await self._convert(stored, execution, folder / "parquet"), stored
            except FileDamaged as damaged:
                if fetch == _FETCHES:
                    raise
                self.tools.events.warn("download.resumed", offset_bytes=0, reason=damaged.told)
        raise AssertionError("the last round returns or raises")

    async def _download(self, execution: Execution, into: Path) -> StoredFile:
        tools = self.tools

        async def relink() -> SecureLink:
            for fresh in await tools.client.get_executions([execution.report_id], statuses=("Completed",)):
                if fresh.execution_id == execution.execution_id and fresh.link is not None:
                    return fresh.link
            raise FileGone(f"execution {execution.execution_id} gives no link any more")

        assert execution.link is not None
        async with tools.downloads:
            with self._step(Step.DOWNLOAD):
                stored = await download_report(
                    execution.link,
                    relink=relink,
                    execution_id=execution.execution_id,
                    into=into,
                    segments=tools.settings.download_segments,
                    http=tools.http,
                    retrier=tools.retrier,
                    clock=tools.clock,
                    events=tools.events,
                    background=tools.background,
                )
        self.record.downloaded_bytes = stored.size_bytes
        return stored

    async def _convert(self, stored: StoredFile, execution: Execution, into: Path) -> ConvertedTable:
        tools, began_s = self.tools, self.tools.clock.monotonic()
        with explained(into):
            await anyio.to_thread.run_sync(into.mkdir)
        columns = await anyio.to_thread.run_sync(self._column_plans)
        with self._step(Step.CONVERT):
            convert = convert_report(
                stored.path,
                into=into,
                columns=columns,
                metadata=self._lineage(execution),
                max_unpacked_bytes=tools.settings.max_unpacked_bytes,
                limiter=tools.conversions,
            )
            if stored.size_bytes > _LARGE_BYTES:
                async with tools.large_conversion:
                    table = await convert
            else:
                table = await convert
        elapsed_s = round(tools.clock.monotonic() - began_s, 3)
        size_bytes = sum(file.bytes for file in table.files)
        tools.events.emit("conversion.completed", rows=table.rows, bytes=size_bytes, elapsed_s=elapsed_s)
        for column in table.columns:
            if column.misfit is not None:
                tools.events.emit(
                    "column.kept_as_text",
                    column=column.name,
                    declared=str(column.declared),
                    row=column.misfit.row,
                    value=column.misfit.value,
                )
        return table

    async def _publish(self, table: ConvertedTable, execution: Execution, stored: StoredFile) -> None:
        tools, record, settings = self.tools, self.record, self.tools.settings
        with self._step(Step.PUBLISH):
            columns = [published_column(column) for column in table.columns]
            columns += [PublishedColumn(name=name, type="String") for name in table.extra_columns]
            drift = find_drift(await anyio.to_thread.run_sync(self._published_types), columns)
            if drift:
                record.drift = drift
                if settings.on_drift != "allow":
                    tools.events.warn("drift.found", **drift.model_dump())
                    record.notes.append(f"columns differ from the snapshot before: {describe_drift(drift)}")
            current = tools.current.datasets.get(self.pull.dataset)
            hold_back(
                self.pull.dataset,
                rows=table.rows,
                current_rows=current.rows if current else None,
                drift=drift,
                data_redacted=execution.data_redacted,
                on_shrink=settings.on_shrink,
                on_drift=settings.on_drift,
                fail_on_redacted=settings.fail_on_redacted,
            )
            if execution.data_redacted:
                record.notes.append(WITHHELD)
            files = [
                PublishedFile(path=file.path.name, rows=file.rows, bytes=file.bytes, sha256=file.sha256)
                for file in table.files
            ]
            staged = Staged(
                dataset=self.pull.dataset,
                folder=tools.staging / self.pull.dataset / "parquet",
                files=files,
                rows=table.rows,
                raw=await anyio.to_thread.run_sync(self._name_raw, stored.path) if settings.keep_raw else None,
            )
            record.files = await tools.publisher.publish_snapshot(staged)
            record.rows, record.columns, record.status = table.rows, columns, "complete"
            await self._note("published", record=record.model_dump(mode="json"))
        await anyio.to_thread.run_sync(remove_tree, tools.staging / self.pull.dataset)

    def _discard(self, report: Report) -> None:
        discard_report(report, tools=self.tools, record=self.record, dataset=self.pull.dataset)

    @contextmanager
    def _step(self, step: Step) -> Iterator[None]:
        self.tools.events.emit("pull.stepped", step=step.value)
        began_s = self.tools.clock.monotonic()
        try:
            yield
        finally:
            name = _SECONDS.get(step)
            if name is not None:
                spent = getattr(self.record.seconds, name) + self.tools.clock.monotonic() - began_s
                setattr(self.record.seconds, name, round(spent, 3))

    async def _note(self, step: str, **facts: Any) -> None:
        tools = self.tools
        await tools.ledger.note(
            tools.run_id, dataset=self.pull.dataset, step=step, facts=facts, at=iso_utc(tools.clock.now())
        )

    def _lineage(self, execution: Execution) -> Mapping[str, str]:
        """What each Parquet file says of its origin (contract, section 5)."""
        generated_at = execution.generated_at
        return {
            "bulkpull.version": __version__,
            "bulkpull.dataset": self.pull.dataset,
            "bulkpull.source": self.pull.reads,
            "bulkpull.run_id": self.tools.run_id,
            "bulkpull.execution_id": execution.execution_id,
            "bulkpull.query_sha256": hashlib.sha256(normalise(self.pull.query_text).encode()).hexdigest(),
            "bulkpull.generated_at": iso_utc(generated_at) if generated_at else "",
        }

    def _column_plans(self) -> list[ColumnPlan]:
        catalog, known = self.tools.catalog, self.tools.catalog.find(self.pull.reads)
        published = self._published_types()
        plans: list[ColumnPlan] = []
        for name in self.pull.columns:
            column = catalog.metric(name) if name in self.pull.metrics else known.column(name) if known else None
            plans.append(
                ColumnPlan(
                    name=name,
                    declared=column.type if column else ColumnType.STRING,
                    identifier=column.identifier if column else False,
                    aliases=(column.name, *column.aliases) if column else (),
                    published_type=published.get(name),
                )
            )
        return plans

    def _published_types(self) -> dict[str, str]:
        """Parquet type by column of the snapshot that is current; empty when there is none."""
        current = self.tools.current.datasets.get(self.pull.dataset)
        if current is None:
            return {}
        with suppress(ValueError, KeyError, TypeError, OSError):
            manifest = load_json(self.tools.output / "runs" / current.run_id / "manifest.json")
            for record in manifest["datasets"] if manifest else ():
                if record["dataset"] == self.pull.dataset:
                    return {column["name"]: column["type"] for column in record["columns"]}
        return {}

    def _name_raw(self, path: Path) -> Path:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        named = path.with_name(f"{self.pull.dataset}.csv{'.gz' if packed else ''}")
        return path.rename(named)


_SECONDS = {Step.SUBMIT: "submit", Step.POLL: "wait", Step.DOWNLOAD: "download", Step.CONVERT: "convert"}


def discard_report(report: Report, *, tools: Tools, record: DatasetRecord, dataset: str) -> None:
    """Delete our report in the background; a failure to do so harms nothing but tidiness (fault 100)."""
    if tools.settings.keep_reports:
        return

    async def delete() -> None:
        try:
            await tools.client.delete_report(report.report_id)
        except NotFound:
            pass  # somebody was faster
        except BulkpullError as error:
            record.notes.append(f"report {report.report_id} could not be deleted: {error.told}")
        else:
            with about(dataset):
                tools.events.emit("report.deleted", report_id=report.report_id)

    tools.background.start_soon(delete)


def published_column(column: Any) -> PublishedColumn:
    """A converted column as the manifest shows it."""
    misfit = column.misfit
    return PublishedColumn(
        name=column.name,
        type=column.type,
        declared=str(column.declared),
        format=column.format,
        why_text=column.why_text,
        misfit={"row": misfit.row, "value": misfit.value} if misfit else None,
    )


def _make_ready(folder: Path, keep_download: bool) -> None:  # noqa: FBT001 - a thread's work has no keywords
    """A folder with nothing in it, but for a download that may be carried on."""
    if not keep_download:
        remove_tree(folder)
    make_folders(folder, root=folder.parent)
    for left in folder.iterdir():
        if left.is_dir():
            remove_tree(left)
        elif left.name not in _DOWNLOAD:
            left.unlink()
