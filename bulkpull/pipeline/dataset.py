"""
Exports one dataset: runs all its pulls, checks them, and publishes one snapshot.

Most datasets are one pull. A long window is split into one pull per month, and a window whose report fails or is
overdue is requested again in halves (`window_pulls`). Readers always get one snapshot, with one set of types and each
row once (`window_agreement`), or keep the old one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.conversion.parquet_types import common_type
from bulkpull.errors import (
    BulkpullError,
    DiskTrouble,
    ExecutionFailed,
    LedgerError,
    NotTheReport,
    QuotaExceeded,
    RequestRejected,
    Step,
    TimeNotReadable,
    Unchanged,
)
from bulkpull.formatting import join_some, plural
from bulkpull.insights.error_mapping import WITHHELD
from bulkpull.model import Execution, Pull, Report, Window
from bulkpull.output.atomic_files import disk_errors, makedirs_durable
from bulkpull.output.cleanup import Undone
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.no_follow import remove_beneath
from bulkpull.output.snapshots import find_last_answer
from bulkpull.pipeline.column_plans import plan_columns
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.convert import widen_file
from bulkpull.pipeline.converted_pull import PARTS, ConvertedPull
from bulkpull.pipeline.history_columns import file_types, with_common_columns
from bulkpull.pipeline.kept_history import plan_growth
from bulkpull.pipeline.metric_refusals import drop_metrics, may_be_due_to_metrics
from bulkpull.pipeline.naming import pull_fingerprint
from bulkpull.pipeline.outcome import record_query
from bulkpull.pipeline.publish import (
    Staged,
    check_publishable,
    describe_shrink,
    drift_notes,
    find_schema_drift,
    is_noted_shrink,
)
from bulkpull.pipeline.pull import PullRunner
from bulkpull.pipeline.report_deletion import may_delete_report
from bulkpull.pipeline.reusable_work import SPLIT
from bulkpull.pipeline.snapshot_record import describe_snapshot
from bulkpull.pipeline.splitting import is_divisible, split_pull
from bulkpull.pipeline.stage import stage_files
from bulkpull.pipeline.step_times import StepTimes
from bulkpull.pipeline.time_column import time_column_of
from bulkpull.pipeline.type_merge import (
    as_text,
    empty_columns,
    present_goals,
    published_types,
    type_conflicts,
    with_goals,
)
from bulkpull.pipeline.window_agreement import WindowAgreement
from bulkpull.pipeline.window_check import HoldsWhole, describe_window
from bulkpull.pipeline.window_pulls import WindowPulls, may_need_less
from bulkpull.question import Question, question_of

_IDS_SHOWN = 3
T = TypeVar("T")


@dataclass(slots=True)
class DatasetExport:
    """
    The export of one dataset.

    Args:
        pull: The whole window.
        record: Its part of the manifest, filled in as the steps succeed.
        execution: A completed execution of a scheduled report; then nothing is ordered.
        only_new_data: Data that are published already make no new snapshot.
        reset_types: Columns take the types that today's values allow; types of earlier snapshots are ignored.
    """

    pull: Pull
    context: RunContext
    record: DatasetRecord
    execution: Execution | None = None
    only_new_data: bool = False
    reset_types: bool = False
    _baseline: DatasetRecord | None = None
    _ordered: list[Report] = field(default_factory=list)
    _windows: WindowAgreement | None = None
    _splits: list[tuple[Pull, BulkpullError]] = field(default_factory=list)
    _times: StepTimes = field(init=False)

    def __post_init__(self) -> None:
        self._times = StepTimes(self.context.clock, self.record.seconds)

    async def run(self) -> None:
        """
        Fetch the dataset and publish it.

        Raises:
            BulkpullError: The first error that no retry could fix. Nothing half-written is visible.
            Unchanged: With `only_new_data`: the data are those of the current snapshot.
        """
        await self._find_baseline()
        try:
            parts = await self._or_without_metrics(self._fetch)
            await self._publish(parts)
        except BulkpullError as error:
            # `PullRunner` has deleted failed reports; reports of other windows stay (case W4).
            if isinstance(error, Unchanged) and may_delete_report(error):
                for report in self._own_reports():
                    await self.context.withdraw_report(report, record=self.record)
            else:
                self._note_kept_reports()
            raise
        for report in self._own_reports():
            self.context.discard_report(report, record=self.record)
        await anyio.to_thread.run_sync(self._clear_folders, parts)

    async def submit(self) -> list[Report]:
        """
        Order all reports of the dataset for a later run to collect.

        Raises:
            BulkpullError: As `PullRunner.submit`. Reports that were ordered before it stay for the next run (case W7).
        """
        try:
            return await self._or_without_metrics(self._submit_all)
        except BulkpullError:
            self._note_kept_reports()
            raise

    async def _fetch(self) -> list[ConvertedPull]:
        self._windows = self._window_agreement()
        try:
            if self.pull.keeps_history:
                return await self._grow()
            return await self._fetch_windows(self._pulls())
        except TimeNotReadable as error:
            if self.record.named or self.pull.window is None:
                raise
            note = f"exported whole, without the window {describe_window(self.pull.window)}: {error.message}"
        self.pull = replace(self.pull, window=None, notes=(*self.pull.notes, note))
        self._windows = None
        record_query(self.record, self.pull)
        self.record.notes.append(note)
        return await self._fetch_windows([self.pull])

    async def _fetch_windows(self, pulls: Sequence[Pull]) -> list[ConvertedPull]:
        """All parts in the order of their windows, with one set of types and without duplicate rows."""
        self._require_reports(pulls)
        window_pulls = WindowPulls(
            run_pull=lambda pull, attempts: self._fetch_window(pull, attempts, refuse=window_pulls.check_may_order),
            attempts=self.context.settings.report_attempts,
            may_halve=self._may_halve,
            on_split=self._note_split,
            was_split=lambda pull: pull_fingerprint(pull) in self.context.reusable.splits,
            is_ordered=lambda pull: self.context.reusable.has(pull_fingerprint(pull)),
        )
        try:
            parts = await window_pulls.gather(pulls)
        except HoldsWhole as found:
            assert self._windows is not None
            parts = [await self._windows.cut_out(found)]
        parts = await self._with_common_types(parts)
        if self._windows is not None:
            # What is kept at the edges may have other types than the rows inside.
            parts = await self._with_common_types(await self._windows.agree(parts))
            self.record.notes += self._windows.notes
        self._summarize_splits()
        return parts

    async def _fetch_window(self, pull: Pull, attempts: int, *, refuse: Callable[[], None]) -> ConvertedPull:
        part = await self._runner(pull).run(attempts=attempts, may_order=refuse)
        if self._windows is not None:
            self._windows.check(part)
        return part

    async def _grow(self) -> list[ConvertedPull]:
        """Keep published windows that the service no longer restates, and fetch all later ones again."""
        window = self.pull.window
        assert window is not None
        assert self._windows is not None
        growth = plan_growth(
            self.pull,
            self._published,
            output=self.context.output,
            restated_months=self.context.settings.history_restated_months,
        )
        asked = replace(self.pull, window=Window(growth.covered_until, window.end))
        self._windows.whole = Window(growth.covered_until, window.end)
        fetched = await self._fetch_windows(split_pull(asked, catalog=self.context.catalog, now=window.end))
        parts, notes = growth.join(fetched)
        self.record.notes += notes
        common = with_common_columns(parts, dataset=self.pull.dataset)
        return [await self._as_described(before, part) for before, part in zip(parts, common, strict=True)]

    async def _as_described(self, before: ConvertedPull, part: ConvertedPull) -> ConvertedPull:
        """A part whose file has the columns and types of its description; `before` describes the file as it is now."""
        if list(file_types(before).items()) == list(file_types(part).items()):
            return part
        folder = self._folder / "widened" / pull_fingerprint(part.pull)
        with disk_errors(folder):
            await anyio.to_thread.run_sync(partial(makedirs_durable, folder, root=self.context.private))
        file = await widen_file(
            part.table.files[0].path, into=folder, types=file_types(part), limiter=self.context.conversions
        )
        return replace(part, table=replace(part.table, files=(file,), content_hash=file.sha256))

    async def _submit_all(self) -> list[Report]:
        pulls = self._pulls()
        self._require_reports(pulls)
        return [await self._runner(pull).submit() for pull in pulls]

    def _require_reports(self, pulls: Sequence[Pull]) -> None:
        """Refuse a window that needs more reports than are allowed, before the first one is ordered (case W12)."""
        marks = map(pull_fingerprint, pulls)
        missing = sum(not self.context.reusable.has(mark) for mark in marks)
        self.context.require_reports(self.pull.dataset, missing)

    async def _or_without_metrics(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        Do `work`; repeat it without the metrics if the service may have refused the query because of them.

        Raises:
            BulkpullError: As `work`; the first refusal where the query without metrics is refused as well.
        """
        try:
            return await work()
        except BulkpullError as error:
            if self.execution is not None or not may_be_due_to_metrics(error, self.pull):
                raise
            asked, refused = self.pull, error
        self.pull = drop_metrics(asked)
        try:
            done = await work()
        except (RequestRejected, ExecutionFailed) as error:
            if isinstance(error, QuotaExceeded):
                raise
            self.pull = asked
            raise refused from None
        await self.context.note_refused_metrics(asked, refused, used=self.pull, record=self.record)
        return done

    @property
    def _folder(self) -> Path:
        return self.context.staging / self.pull.dataset

    def _clear_folders(self, parts: Sequence[ConvertedPull]) -> None:
        """Remove the folders of the run and of its windows, because their data are published."""
        private = self.context.private
        remove_beneath(self._folder, root=private)
        for part in parts:
            if part.pull.window is not None:
                remove_beneath(private / PARTS / self.pull.dataset / pull_fingerprint(part.pull), root=private)

    @property
    def _published(self) -> DatasetRecord | None:
        return self.context.published.get(self.pull.dataset)

    def _note_kept_reports(self) -> None:
        """Name the reports that stay on the service after a failure."""
        ids = [report.report_id for report in self._ordered]
        if not ids:
            return
        many = "report" if len(ids) == 1 else "reports"
        verb, them = ("stays", "it") if len(ids) == 1 else ("stay", "them")
        self.record.notes.append(
            f"{many} {join_some(ids, most=_IDS_SHOWN)} {verb} on the service: the same command uses {them} within a "
            "day, and orders nothing twice"
        )

    def _own_reports(self) -> list[Report]:
        """All reports that were ordered for it, by this run and by the run that it resumes."""
        return [*self._ordered, *self.context.reusable.rest(self.pull.dataset)]

    @property
    def _question(self) -> Question:
        return question_of(self.pull)

    @property
    def _is_same_question(self) -> bool:
        """Whether the current snapshot answers the same question as this run."""
        return self._published is not None and self._published.question_sha256 == self._question.sha256

    async def _find_baseline(self) -> None:
        """Find the snapshot to compare with: the current one, or the last one of the same question."""
        if self._is_same_question:
            self._baseline = self._published
        elif self._published is not None:
            find = partial(find_last_answer, self.context.publisher.store, self.pull.dataset, self._question.sha256)
            self._baseline = await anyio.to_thread.run_sync(find)

    @property
    def _typed_before(self) -> DatasetRecord | None:
        """The snapshot whose types, and forms of dates, hold for this one too."""
        return None if self.reset_types else self._baseline

    def _pulls(self) -> list[Pull]:
        return split_pull(self.pull, catalog=self.context.catalog, now=self.context.clock.now())

    def _may_halve(self, error: BulkpullError) -> bool:
        is_one_off = self.execution is None and is_divisible(self.pull, self.context.catalog)
        return is_one_off and may_need_less(error) and not may_be_due_to_metrics(error, self.pull)

    async def _note_split(self, pull: Pull, error: BulkpullError) -> None:
        assert pull.window is not None
        start, end = iso_utc(pull.window.start), iso_utc(pull.window.end)
        self.context.events.warn("window.split", start=start, end=end, reason=error.message)
        self._splits.append((pull, error))
        await self.context.note(self.pull.dataset, SPLIT, mark=pull_fingerprint(pull), start=start, end=end)

    def _summarize_splits(self) -> None:
        """Add one note for all windows that were requested in halves (case W17)."""
        if not self._splits:
            return
        (pull, error), *others = self._splits
        assert pull.window is not None
        more = f" (and {plural(len(others), 'other window')})" if others else ""
        self.record.notes.append(f"{describe_window(pull.window)}{more} was asked for in halves: {error.message}")

    def _window_agreement(self) -> WindowAgreement | None:
        column = time_column_of(self.pull, self.context.catalog)
        if self.pull.window is None or column is None:
            return None

        async def convert(part: ConvertedPull, bounds: WindowBounds) -> ConvertedPull:
            columns = with_goals(self._columns(), present_goals(part.table.columns))
            return await self._convert_again(part, columns=columns, bounds=bounds)

        is_limited = self._question.limit is not None
        grows = self.pull.keeps_history
        return WindowAgreement(self.pull.window, column, is_limited=is_limited, convert=convert, undated_last=grows)

    def _runner(
        self, pull: Pull, *, columns: Sequence[ColumnPlan] | None = None, bounds: WindowBounds | None = None
    ) -> PullRunner:
        published = self._published
        return PullRunner(
            pull=pull,
            context=self.context,
            record=self.record,
            times=self._times,
            columns=self._columns() if columns is None else columns,
            bounds=bounds or self._bounds(pull),
            execution=self.execution,
            known_md5=published.stored_md5 if published and self.only_new_data and self._is_same_question else None,
            question=self._question,
            ordered=self._ordered,
        )

    def _bounds(self, pull: Pull) -> WindowBounds | None:
        return self._windows.bounds_of(pull.window) if self._windows is not None and pull.window else None

    def _columns(self) -> list[ColumnPlan]:
        return plan_columns(self.pull, catalog=self.context.catalog, earlier=self._typed_before)

    async def _with_common_types(self, parts: list[ConvertedPull]) -> list[ConvertedPull]:
        """The same parts with one set of types; those that differ are converted again."""
        if len(parts) == 1:
            return parts
        if len({(part.table.lacking_columns, part.table.extra_columns) for part in parts}) > 1:
            raise NotTheReport(
                f"{self.pull.dataset}: its windows came with different columns", fix="ask for a shorter window"
            )
        for choose in (common_type, as_text):
            goals = type_conflicts(parts, choose=choose)
            if not goals:
                break
            columns = with_goals(self._columns(), goals)
            for place, part in enumerate(parts):
                if any(
                    column.name in goals and not goals[column.name].is_reached_by(column)
                    for column in part.table.columns
                ):
                    parts[place] = await self._convert_again(part, columns=columns)
        return parts

    async def _convert_again(
        self, part: ConvertedPull, *, columns: Sequence[ColumnPlan], bounds: WindowBounds | None = None
    ) -> ConvertedPull:
        rows = part.table.window
        if bounds is None and part.bounds is not None and rows is not None:
            bounds = replace(part.bounds, form=rows.form)
        runner = self._runner(part.pull, columns=columns, bounds=bounds)
        return await runner.convert(part.stored, part.execution, report=part.report)

    async def _publish(self, parts: Sequence[ConvertedPull]) -> None:
        context, record, settings = self.context, self.record, self.context.settings
        context.events.emit("pull.stepped", step=Step.PUBLISH.value)
        self._describe(parts)
        published = self._published
        is_same = published is not None and self._is_same_question and published.content_hash == record.content_hash
        if self.only_new_data and is_same:
            raise Unchanged(f"execution {record.execution_id} has data that are already published")
        baseline = self._baseline
        drift = find_schema_drift(
            published_types(baseline),
            record.columns,
            empty=empty_columns(baseline),
            unrequested=parts[0].table.extra_columns,
        )
        if self.reset_types:
            drift = drift.model_copy(update={"retyped": []})  # resetting types is what the user requested
        if drift:
            record.drift = drift
            if settings.on_drift != "allow":
                context.events.warn("drift.found", **drift.model_dump())
                record.notes += drift_notes(drift)
        rows = sum(part.table.rows for part in parts)
        if context.published_anyway is not None and self.pull.dataset not in context.published_anyway:
            check_publishable(
                self.pull.dataset,
                run_id=context.run_id,
                rows=rows,
                current_rows=baseline.rows if baseline else None,
                drift=drift,
                data_redacted=record.data_redacted,
                on_shrink=settings.on_shrink,
                on_drift=settings.on_drift,
                fail_on_redacted=settings.fail_on_redacted,
            )
        if baseline and is_noted_shrink(rows, before=baseline.rows, note_shrink=settings.note_shrink):
            record.rows_before = baseline.rows
            record.notes.append(describe_shrink(rows, before=baseline.rows))
        self._note_first_sums(rows)
        if record.data_redacted:
            record.notes.append(WITHHELD)
            if lacking := parts[0].table.lacking_columns:
                record.notes.append(
                    f"the service left withheld columns out, the rest is published: {', '.join(lacking)}"
                )
        self._note_replaced_dataset()
        staged = await self._stage(parts)
        published_now = await context.publisher.publish_snapshot(staged)
        # The snapshot is visible to readers: a later error does not make the dataset a failure.
        record.files, record.rows, record.status = published_now.files, rows, "complete"
        record.notes.extend(undone.note for undone in published_now.undone)
        try:
            await context.note(self.pull.dataset, "published", record=record.model_dump(mode="json"))
        except (LedgerError, DiskTrouble) as trouble:
            undone = Undone(self.pull.dataset, "ledger", trouble.message)
            context.events.warn("cleanup.postponed", step=undone.step, reason=undone.reason)
            record.notes.append(undone.note)

    def _note_first_sums(self, rows: int) -> None:
        """Say why the first snapshot with metrics has fewer rows than the one before it (behaviour 163)."""
        before, record = self._baseline or self._published, self.record
        if before is None or before.metrics or not record.metrics or rows >= before.rows:
            return
        if (before.timespan, before.window) == (record.timespan, record.window):
            record.notes.append(
                f"{rows:,} rows where the snapshot before, without metrics, had {before.rows:,}: rows that are alike "
                f"in every column now come as one, with the sums of {join_some(record.metrics)}"
            )

    def _note_replaced_dataset(self) -> None:
        """Note that a window replaced the snapshot of a whole dataset (case W8)."""
        if self.pull.window is None or self.pull.source is not None:
            return
        self.record.notes.append(
            f"the current snapshot holds {iso_utc(self.pull.window.start)} to {iso_utc(self.pull.window.end)} only and "
            f"takes the place of the whole dataset; `--as NAME` publishes a window under a name of its own"
        )

    def _describe(self, parts: Sequence[ConvertedPull]) -> None:
        describe_snapshot(self.record, parts, earlier=self._typed_before, has_window=self.pull.window is not None)
        for column in self.record.columns:
            if column.misfit is not None:
                self.context.events.emit("column.kept_as_text", column=column.name, declared=column.declared,
                                         **column.misfit)  # fmt: skip

    async def _stage(self, parts: Sequence[ConvertedPull]) -> Staged:
        context, folder = self.context, self._folder / "snapshot"
        return Staged(
            dataset=self.pull.dataset,
            folder=folder,
            files=await stage_files(parts, folder, private=context.private, run_id=context.run_id),
            rows=sum(part.table.rows for part in parts),
            query=self.pull.query_text,
            question=self._question,
            window=self.record.window,
            raw=[part.stored.path for part in parts if not part.is_published] if context.settings.keep_raw else [],
        )
