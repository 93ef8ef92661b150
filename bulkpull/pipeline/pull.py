"""
Runs one pull, one dataset over one window, from the service to a converted file, with the retries of each step.

    submit ── poll ── download ── convert
      ▲        ▲         ▲           │
      │        │         └── damaged: fetched once more
      │        └── link expired: read the execution again
      └── failed, overdue or gone: a new report, `report_attempts` times in all

`dataset` combines it with the other windows of its dataset.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from bulkpull._version import __version__
from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.errors import (
    ExecutionFailed,
    ExecutionOverdue,
    FileDamaged,
    FileGone,
    NotTheReport,
    ReportLost,
    Step,
)
from bulkpull.event_types import CallRetried, ConversionCompleted, DownloadResumed, PullStepped, ReportAdopted
from bulkpull.model import Execution, Pull, Report, SecureLink
from bulkpull.output.atomic_files import disk_errors, makedirs_durable
from bulkpull.output.no_follow import names_beneath, refuse_links, remove_beneath, rename_beneath
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.convert import convert_report
from bulkpull.pipeline.converted_pull import (
    PARTS,
    ConvertedPull,
    KeptPart,
    execution_facts,
    files_exist,
    from_ledger,
    is_stored,
    to_ledger,
)
from bulkpull.pipeline.download import DownloadedFile, download_report
from bulkpull.pipeline.in_flight import Place
from bulkpull.pipeline.metric_refusals import may_be_due_to_metrics
from bulkpull.pipeline.naming import pull_fingerprint
from bulkpull.pipeline.outcome import ServiceIds
from bulkpull.pipeline.report_deletion import may_delete_report
from bulkpull.pipeline.step_times import StepSpan, StepTimer
from bulkpull.query import normalise
from bulkpull.question import Question

# Errors that a new report may fix.
_WORTH_A_NEW_REPORT = (ExecutionFailed, ExecutionOverdue, ReportLost, FileGone)
_FETCHES = 2
# The names that `download_report` uses for a file called `report`.
_DOWNLOAD = {"report", "report.part", "report.journal"}
_PARQUET = "parquet"
# Conversions of larger stored files run one at a time, because of their memory.
_LARGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PullProgress:
    """
    How far a pull has got.

    Attributes:
        ordered: Every report of ours that is in use; the caller deletes them.
        spans: When it took which step.
    """

    ordered: tuple[Report, ...]
    ids: ServiceIds
    data_redacted: bool
    spans: tuple[StepSpan, ...]


@dataclass(slots=True)
class PullRunner:
    """
    Runs one pull.

    Args:
        columns: The columns of the file, in the order of the query.
        bounds: The edges that its window shares with others of the same dataset.
        execution: The execution of a scheduled report that is completed already; then nothing is ordered.
        known_md5: MD5 of the stored file whose content is published.
        question: The question of the whole snapshot; the pull may be a part of it.
    """

    pull: Pull
    context: RunContext
    columns: Sequence[ColumnPlan]
    question: Question
    bounds: WindowBounds | None = None
    execution: Execution | None = None
    known_md5: str | None = None
    _ordered: list[Report] = field(default_factory=list)
    _ids: ServiceIds = field(default_factory=ServiceIds)
    _data_redacted: bool = False
    _timer: StepTimer = field(init=False)

    def __post_init__(self) -> None:
        self._timer = StepTimer(self.context.clock)

    @property
    def progress(self) -> PullProgress:
        """How far the pull has got; also where it failed or was interrupted."""
        return PullProgress(tuple(self._ordered), self._ids, self._data_redacted, tuple(self._timer.spans))

    async def run(self, *, attempts: int, may_order: Callable[[], None] = lambda: None) -> ConvertedPull:
        """
        Fetch and convert the pull's data.

        Args:
            attempts: How often its report may be ordered.
            may_order: Called before a report is ordered; its errors are passed on.

        Raises:
            BulkpullError: The first error that no retry could fix.
            Unchanged: The file of `execution` is the one with `known_md5`.
        """
        if self.execution is not None:
            self._record_execution(self.execution)
            part = await self._reuse(self.execution.report_id, execution_id=self.execution.execution_id)
            return part or await self._fetch(self.execution, report=None)
        if (part := await self._reuse_kept_window()) is not None:
            return part
        for attempt in range(1, attempts + 1):
            report = None
            try:
                async with self._place() as place:
                    may_order()
                    report = await self.submit(attempt)
                    place.is_ordered = True
                    if (part := await self._reuse(report.report_id, report=report)) is not None:
                        return part
                    execution = await self._poll(report, may_be_replaced=attempt < attempts)
                return await self._fetch(execution, report=report)
            except _WORTH_A_NEW_REPORT as error:
                if report is None:
                    raise
                if may_delete_report(error):
                    self._ordered.remove(report)
                    await self.context.withdraw_report(report, dataset=self.pull.dataset)
                if attempt == attempts or may_be_due_to_metrics(error, self.pull):
                    raise
                self.context.events.emit(CallRetried(endpoint="ScheduledReport", attempt=attempt, reason=error.message))
        raise AssertionError("the last round returns or raises")

    async def submit(self, attempt: int = 1) -> Report:
        """
        Make sure that the service has a report for the pull: use the existing one, or create one.

        Raises:
            BulkpullError: As `Submitter.submit_report`.
        """
        report = self.context.reusable.take_report(pull_fingerprint(self.pull))
        if report is not None:
            self.context.events.emit(ReportAdopted(report_id=report.report_id))
            self._ordered.append(report)
        else:
            self.context.count_report(self.pull.dataset)
            with self._step(Step.SUBMIT):
                report = await self.context.submitter.submit_report(self.pull, attempt=attempt)
            self._ordered.append(report)
            with anyio.CancelScope(shield=True):  # a created report is always in the ledger
                await self._note(
                    "report",
                    report_id=report.report_id,
                    query_id=report.query_id,
                    name=report.name,
                    created_at=iso_utc(report.created_at) if report.created_at else None,
                )
        self._ids = replace(self._ids, query_id=report.query_id, report_id=report.report_id)
        return report

    def _place(self) -> AbstractAsyncContextManager[Place]:
        """A slot among the reports in flight; the newest window of a dataset goes first."""
        window, is_ordered = self.pull.window, self.context.reusable.has_report(pull_fingerprint(self.pull))
        rank = -window.start.timestamp() if window else 0.0
        return self.context.in_flight.place(self.pull.dataset, rank=rank, is_ordered=is_ordered)

    async def convert(self, stored: DownloadedFile, execution: Execution, *, report: Report | None) -> ConvertedPull:
        """
        Convert the stored file, also once more with other `columns` or another `bounds`.

        Raises:
            FileDamaged: The gzip is cut or broken.
            ConversionError, DiskTrouble: As `convert_report`.
        """
        context, began_s, into = self.context, self.context.clock.monotonic(), self._folder / _PARQUET
        with disk_errors(into):
            await anyio.to_thread.run_sync(_empty_folder, into, context.private)
        with self._step(Step.CONVERT):
            convert = convert_report(
                stored.path,
                into=into,
                columns=self.columns,
                metadata=self._lineage(execution),
                max_unpacked_bytes=context.settings.max_unpacked_bytes,
                limiter=context.conversions,
                bounds=self.bounds,
                is_redacted=execution.data_redacted,
            )
            if stored.size_bytes > _LARGE_BYTES:
                async with context.large_conversion:
                    table = await convert
            else:
                table = await convert
        elapsed_s = round(context.clock.monotonic() - began_s, 3)
        size_bytes = sum(file.bytes for file in table.files)
        context.events.emit(
            ConversionCompleted(rows=table.rows, bytes=size_bytes, elapsed_s=elapsed_s, part=self._part)
        )
        part = ConvertedPull(self.pull, report, execution, stored, table, self.bounds)
        await self._note("converted", **to_ledger(part, columns=self.columns))
        return part

    @property
    def _folder(self) -> Path:
        if self.pull.window is not None:
            return self._kept_folder
        return self.context.staging / self.pull.dataset / pull_fingerprint(self.pull)

    @property
    def _kept_folder(self) -> Path:
        """The folder for kept windows, and for downloads that a temporary error interrupted."""
        return self.context.private / PARTS / self.pull.dataset / pull_fingerprint(self.pull)

    @property
    def _part(self) -> str | None:
        """Which of several windows of its dataset it is, by its first day."""
        window = self.pull.window
        if window is None or self.question.window == (iso_utc(window.start), iso_utc(window.end)):
            return None
        return f"{window.start:%Y-%m-%d}"

    async def _reuse_kept_window(self) -> ConvertedPull | None:
        """The file of this window that an earlier run fetched, if it is complete; then nothing is ordered."""
        fingerprint = pull_fingerprint(self.pull)
        if self.pull.window is None or fingerprint not in self.context.reusable.converted:
            return None
        report = self.context.reusable.take_report(fingerprint)
        part = await self._reuse(report=report)
        if part is not None and part.report is not None:
            self._ordered.append(part.report)
        elif report is not None:
            self.context.reusable.return_report(fingerprint, report)
        return part

    async def _reuse(
        self, report_id: str | None = None, *, report: Report | None = None, execution_id: str | None = None
    ) -> ConvertedPull | None:
        """
        The finished file for this report or window, if it is complete.

        If it was converted for other columns or bounds, the downloaded file is converted again.
        """
        facts = self.context.reusable.converted.pop(pull_fingerprint(self.pull), None)
        if facts is None:
            return None
        kept = from_ledger(facts, pull=self.pull, report=report, columns=self.columns, bounds=self.bounds)
        if kept is None or report_id not in (None, kept.part.execution.report_id):
            return None
        if execution_id not in (None, kept.part.execution.execution_id):
            return None
        part = await self._converted_as_requested(kept)
        if part is not None:
            self._record_execution(part.execution)
        return part

    async def _converted_as_requested(self, kept: KeptPart) -> ConvertedPull | None:
        part, private = kept.part, self.context.private
        if kept.is_as_requested and await anyio.to_thread.run_sync(files_exist, part, private):
            return part
        if self.pull.window is not None and await anyio.to_thread.run_sync(is_stored, part, private):
            with suppress(FileDamaged):
                return await self.convert(part.stored, part.execution, report=part.report)
        return None

    async def _poll(self, report: Report, *, may_be_replaced: bool) -> Execution:
        with self._step(Step.POLL):
            usual_s = self.context.usual_s.get(self.pull.dataset)
            execution = await self.context.poller.wait_for_completion(
                report, usual_s=usual_s, may_be_replaced=may_be_replaced
            )
        self._record_execution(execution)
        await self._note("execution", report_id=report.report_id, **execution_facts(execution))
        return execution

    def _record_execution(self, execution: Execution) -> None:
        self._ids = replace(self._ids, report_id=execution.report_id, execution_id=execution.execution_id)
        self._data_redacted = self._data_redacted or execution.data_redacted

    async def _fetch(self, execution: Execution, *, report: Report | None) -> ConvertedPull:
        """Download and convert; a file whose damage shows only when it is unpacked is fetched again (fault 76)."""
        folder = self._folder
        for fetch in range(1, _FETCHES + 1):
            with disk_errors(folder):
                # The first try continues the download of an earlier run; a damaged file is not continued.
                if fetch == 1:
                    await anyio.to_thread.run_sync(_restore_download, folder, self._kept_folder, self.context.private)
                await anyio.to_thread.run_sync(_prepare_folder, folder, self.context.private, fetch == 1)
            stored = await self._download(execution, folder / "report")
            try:
                return await self.convert(stored, execution, report=report)
            except NotTheReport:
                await anyio.to_thread.run_sync(self._clear_download)
                raise
            except FileDamaged as damaged:
                if fetch == _FETCHES:
                    await anyio.to_thread.run_sync(self._clear_download)
                    raise
                self.context.http.tally.retried += 1
                self.context.events.emit(DownloadResumed(offset_bytes=0, reason=damaged.message))
        raise AssertionError("the last round returns or raises")

    def _clear_download(self) -> None:
        """Delete an unusable download, so that no later run continues it."""
        remove_beneath(self._folder, root=self.context.private)

    async def _download(self, execution: Execution, into: Path) -> DownloadedFile:
        context = self.context

        async def relink() -> SecureLink:
            latest = execution is not self.execution  # a scheduled report may have made another one meanwhile
            for fresh in await context.client.get_executions(
                [execution.report_id], statuses=("Completed",), latest=latest
            ):
                if fresh.execution_id == execution.execution_id and fresh.link is not None:
                    return fresh.link
            raise FileGone(f"execution {execution.execution_id} has no link any more")

        assert execution.link is not None
        async with context.downloads:
            with self._step(Step.DOWNLOAD):
                stored = await download_report(
                    execution.link,
                    relink=relink,
                    execution_id=execution.execution_id,
                    into=into,
                    segments=context.settings.download_segments,
                    minimum_bytes_per_s=context.settings.minimum_bytes_per_second,
                    http=context.http,
                    retrier=context.retrier,
                    clock=context.clock,
                    events=context.events,
                    background=context.background,
                    known_md5=self.known_md5,
                )
        await self._note("downloaded", execution_id=execution.execution_id, size_bytes=stored.size_bytes)
        return stored

    @contextmanager
    def _step(self, step: Step) -> Iterator[None]:
        self.context.events.emit(PullStepped(step=step.value, part=self._part))
        with self._timer.during(step):
            yield

    async def _note(self, step: str, **facts: Any) -> None:
        facts |= {"mark": pull_fingerprint(self.pull), "question_sha256": self.question.sha256}
        await self.context.note(self.pull.dataset, step, **facts)

    def _lineage(self, execution: Execution) -> Mapping[str, str]:
        """The origin of the data, for the metadata of each Parquet file (contract, section 5)."""
        generated_at, (start, end) = execution.generated_at, self.question.window or ("", "")
        return {
            "bulkpull.version": __version__,
            "bulkpull.dataset": self.pull.dataset,
            "bulkpull.source": self.pull.reads,
            "bulkpull.run_id": self.context.run_id,
            "bulkpull.execution_id": execution.execution_id,
            "bulkpull.query_sha256": hashlib.sha256(normalise(self.pull.query_text).encode()).hexdigest(),
            "bulkpull.question": json.dumps(self.question.as_dict(), sort_keys=True),
            "bulkpull.question_sha256": self.question.sha256,
            "bulkpull.timespan": self.question.span or "",
            "bulkpull.window_start": start,
            "bulkpull.window_end": end,
            "bulkpull.generated_at": iso_utc(generated_at) if generated_at else "",
        } | ({"bulkpull.unbelieved_at": iso_utc(execution.unbelieved_at)} if execution.unbelieved_at else {})


def _empty_folder(folder: Path, private: Path) -> None:
    remove_beneath(folder, root=private)
    refuse_links(folder, root=private)
    folder.mkdir(parents=True)


def _restore_download(folder: Path, kept: Path, private: Path) -> None:
    """Continue the download that an earlier run kept, unless this run has begun one already."""
    if folder == kept or not names_beneath(kept, root=private):
        return
    if not names_beneath(folder, root=private):
        remove_beneath(folder, root=private)
        makedirs_durable(folder.parent, root=private)
        rename_beneath(kept, folder, root=private)
    else:
        remove_beneath(kept, root=private)


def _prepare_folder(folder: Path, private: Path, keep_download: bool) -> None:  # noqa: FBT001 - a thread's work has no keywords
    """Create the folder and empty it, except for a download that may be continued."""
    if not keep_download:
        remove_beneath(folder, root=private)
    makedirs_durable(folder, root=private)
    for name in names_beneath(folder, root=private):
        is_regular = stat.S_ISREG((folder / name).lstat().st_mode)
        if name not in _DOWNLOAD or not is_regular:
            remove_beneath(folder / name, root=private)
