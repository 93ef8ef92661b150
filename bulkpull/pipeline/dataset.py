"""
Exports one dataset: runs all its pulls, checks them, and publishes one snapshot.

Most datasets are one pull. A long window is a pull a month, and a window whose report fails or never comes is asked for
again in halves (`window_pulls`). Whatever the number, readers get one snapshot, of one set of types and each row once
(`window_agreement`), or keep the old one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from bulkpull.catalog import CatalogColumn, ColumnType
from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.conversion.parquet_types import TEXT, common_type
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
from bulkpull.output.atomic_files import disk_errors, link_or_copy, makedirs_durable, sync_folder
from bulkpull.output.cleanup import Undone
from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.output.no_follow import remove_beneath
from bulkpull.output.snapshots import find_last_answer
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.convert import widen_file
from bulkpull.pipeline.converted_pull import PARTS, ConvertedPull, column_names
from bulkpull.pipeline.date_windows import restated_from
from bulkpull.pipeline.kept_history import (
    is_open,
    keep_before,
    published_parts,
    refuse_other_columns,
    refuse_shorter_history,
    without_emptied,
)
from bulkpull.pipeline.metric_refusals import drop_metrics, may_be_due_to_metrics
from bulkpull.pipeline.naming import pull_fingerprint
from bulkpull.pipeline.outcome import record_query
from bulkpull.pipeline.publish import Staged, describe_drift, find_schema_drift, hold_back
from bulkpull.pipeline.pull import PullRunner
from bulkpull.pipeline.report_deletion import may_delete_report
from bulkpull.pipeline.reusable_work import SPLIT
from bulkpull.pipeline.splitting import is_divisible, split_pull
from bulkpull.pipeline.time_column import time_column_of
from bulkpull.pipeline.type_merge import (
    as_text,
    disagreements,
    empty_columns,
    known_formats,
    known_types,
    part_record,
    present_goals,
    published_columns,
    published_types,
    types_digest,
    with_goals,
)
from bulkpull.pipeline.vouching import content_notes, vouched_for_all
from bulkpull.pipeline.window_agreement import WindowAgreement
from bulkpull.pipeline.window_check import HoldsWhole, describe_window
from bulkpull.pipeline.window_pulls import WindowPulls, may_need_less
from bulkpull.question import Question, question_of

_SHARP_SHRINK = 0.2
T = TypeVar("T")


@dataclass(slots=True)
class DatasetExport:
    """
    The export of one dataset.

    Args:
        pull: The whole window.
        record: Its part of the manifest, filled in as the steps succeed.
        execution: A completed execution of a standing report; then nothing is ordered.
        only_news: Data that are published already make no new snapshot.
        reset_types: Columns take the types that today's values allow, whatever earlier snapshots had.
    """

    pull: Pull
    tools: RunContext
    record: DatasetRecord
    execution: Execution | None = None
    only_news: bool = False
    reset_types: bool = False
    _baseline: DatasetRecord | None = None
    _ordered: list[Report] = field(default_factory=list)
    _windows: WindowAgreement | None = None
    _splits: list[tuple[Pull, BulkpullError]] = field(default_factory=list)

    async def travel(self) -> None:
        """
        Bring the dataset from the service to its readers.

        Raises:
            BulkpullError: The first fault that nothing could mend. Nothing half-written is visible.
            Unchanged: With `only_news`: the data are those of the current snapshot.
        """
        await self._look_back()
        try:
            parts = await self._or_without_metrics(self._bring_parts)
            await self._publish(parts)
        except BulkpullError as error:
            # What a failed report means for itself, `PullRunner` has done; what the others have made stays (case W4).
            if isinstance(error, Unchanged) and may_delete_report(error):
                for report in self._own_reports():
                    await self.tools.withdraw_report(report, record=self.record)
            elif self._ordered:
                self._tell_kept()
            raise
        for report in self._own_reports():
            self.tools.discard_report(report, record=self.record)
        await anyio.to_thread.run_sync(self._clear_folders, parts)

    async def submit(self) -> list[Report]:
        """
        Order all reports of the dataset, and leave them to a later process.

        Raises:
            BulkpullError: As `PullRunner.submit`.
        """
        return await self._or_without_metrics(self._submit_all)

    async def _bring_parts(self) -> list[ConvertedPull]:
        self._windows = self._window_agreement()
        try:
            if self.pull.keeps_history:
                return await self._grow()
            return await self._bring_all(self._pulls())
        except TimeNotReadable as error:
            if self.record.named or self.pull.window is None:
                raise
            note = f"exported whole, without the window {describe_window(self.pull.window)}: {error.message}"
        self.pull = replace(self.pull, window=None, notes=(*self.pull.notes, note))
        self._windows = None
        record_query(self.record, self.pull)
        self.record.notes.append(note)
        return await self._bring_all([self.pull])

    async def _bring_all(self, pulls: Sequence[Pull]) -> list[ConvertedPull]:
        """All parts in their order, with one set of types and with no row twice."""
        gathering = WindowPulls(
            bring=lambda pull, attempts: self._bring(pull, attempts, refuse=gathering.refuse_to_order),
            attempts=self.tools.settings.report_attempts,
            may_halve=self._may_halve,
            tell_split=self._tell_split,
            was_split=lambda pull: pull_fingerprint(pull) in self.tools.leftovers.splits,
        )
        try:
            parts = await gathering.gather(pulls)
        except HoldsWhole as found:
            assert self._windows is not None
            parts = [await self._windows.cut_out(found)]
        parts = await self._in_agreement(parts)
        if self._windows is not None:
            parts = await self._windows.agree(parts)
            self.record.notes += self._windows.notes
        self._tell_splits()
        return parts

    async def _grow(self) -> list[ConvertedPull]:
        """The published windows that the service does not restate any more, and all later ones anew."""
        window = self.pull.window
        assert window is not None
        assert self._windows is not None
        refuse_shorter_history(self._published, self._question)
        is_history = self._published is not None and is_open(self._published)
        before = published_parts(self._published if is_history else None, self.pull, output=self.tools.output)
        months = self.tools.settings.history_restated_months
        restated = restated_from(self.pull.offered.date_ranges, months=months, now=window.end)
        kept, covered_until = keep_before(before, since=window.start, restated_from=restated)
        asked = replace(self.pull, window=Window(covered_until, window.end))
        self._windows.whole = Window(covered_until, window.end)
        new = await self._bring_all(split_pull(asked, catalog=self.tools.catalog, now=window.end))
        new, notes = without_emptied(new, before)
        kept, new = await self._with_common_types(kept, new)
        refuse_other_columns(kept, [part for part in new if part not in before], dataset=self.pull.dataset)
        self.record.notes += notes
        if kept:
            self.record.notes.append(f"{plural(len(kept), 'window')} up to {covered_until:%Y-%m-%d} stay as published")
        return [*kept, *new]

    async def _with_common_types(
        self, kept: Sequence[ConvertedPull], new: Sequence[ConvertedPull]
    ) -> tuple[list[ConvertedPull], list[ConvertedPull]]:
        """The same parts; published ones are written anew where a new one has needed a wider type than theirs."""
        parts = [*kept, *new]
        arrived = [part for part in parts if not self._is_published(part)]
        published = [part for part in parts if self._is_published(part)]
        if not arrived or not published or column_names(arrived[0]) != column_names(published[0]):
            return list(kept), list(new)
        types = {
            name: goal.type
            for name, goal in disagreements([published[0], arrived[0]], choose=common_type).items()
            if goal.type == {column.name: column.type for column in arrived[0].table.columns}[name] != TEXT
        }
        if types:
            parts = [await self._widened(part, types) if self._is_published(part) else part for part in parts]
        return parts[: len(kept)], parts[len(kept) :]

    async def _widened(self, part: ConvertedPull, types: Mapping[str, str]) -> ConvertedPull:
        folder = self._folder / "widened"
        with disk_errors(folder):
            await anyio.to_thread.run_sync(partial(makedirs_durable, folder, root=self.tools.private))
        file = await widen_file(part.table.files[0].path, into=folder, types=types, limiter=self.tools.conversions)
        columns = tuple(replace(column, type=types.get(column.name, column.type)) for column in part.table.columns)
        return replace(
            part,
            stored=replace(part.stored, path=file.path),
            table=replace(part.table, files=(file,), columns=columns, content_hash=file.sha256),
        )

    async def _submit_all(self) -> list[Report]:
        return [await self._journey(pull).submit() for pull in self._pulls()]

    async def _or_without_metrics(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        What `work` does; once more without the metrics where the service may have refused the query because of them.

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
        await self.tools.note_refused_metrics(asked, refused, used=self.pull, record=self.record)
        return done

    @property
    def _folder(self) -> Path:
        return self.tools.staging / self.pull.dataset

    def _clear_folders(self, parts: Sequence[ConvertedPull]) -> None:
        """What was published needs neither the run's folder nor those of its windows."""
        remove_beneath(self._folder, root=self.tools.private)
        for part in parts:
            if part.pull.window is not None:
                folder = self.tools.private / PARTS / self.pull.dataset / pull_fingerprint(part.pull)
                remove_beneath(folder, root=self.tools.private)

    @property
    def _published(self) -> DatasetRecord | None:
        return self.tools.published.get(self.pull.dataset)

    def _tell_kept(self) -> None:
        ids = ", ".join(report.report_id for report in self._ordered[:3])
        more = f" and {len(self._ordered) - 3} more" if len(self._ordered) > 3 else ""  # noqa: PLR2004 - those named
        self.record.notes.append(
            f"report {ids}{more} stays on the service: within a day the same command takes it up, and orders nothing"
        )

    def _own_reports(self) -> list[Report]:
        """All reports that were ordered for it, by this run and by the one that it carries on."""
        return [*self._ordered, *self.tools.leftovers.rest(self.pull.dataset)]

    @property
    def _question(self) -> Question:
        return question_of(self.pull)

    @property
    def _is_same_question(self) -> bool:
        """Whether the current snapshot answers the question that is asked now."""
        return self._published is not None and self._published.question_sha256 == self._question.sha256

    async def _look_back(self) -> None:
        """Find the snapshot to compare with: the current one, or the last one of the same question."""
        if self._is_same_question:
            self._baseline = self._published
        elif self._published is not None:
            find = partial(find_last_answer, self.tools.output, self.pull.dataset, self._question.sha256)
            self._baseline = await anyio.to_thread.run_sync(find)

    @property
    def _typed_before(self) -> DatasetRecord | None:
        """The snapshot whose types, and forms of dates, hold for this one too."""
        return None if self.reset_types else self._baseline

    def _pulls(self) -> list[Pull]:
        return split_pull(self.pull, catalog=self.tools.catalog, now=self.tools.clock.now())

    async def _bring(self, pull: Pull, attempts: int, *, refuse: Callable[[], None]) -> ConvertedPull:
        part = await self._journey(pull).bring(attempts=attempts, may_order=refuse)
        if self._windows is not None:
            self._windows.check(part)
        return part

    def _may_halve(self, error: BulkpullError) -> bool:
        is_one_off = self.execution is None and self._is_divisible
        return is_one_off and may_need_less(error) and not may_be_due_to_metrics(error, self.pull)

    async def _tell_split(self, pull: Pull, error: BulkpullError) -> None:
        assert pull.window is not None
        start, end = iso_utc(pull.window.start), iso_utc(pull.window.end)
        self.tools.events.warn("window.split", start=start, end=end, reason=error.message)
        self._splits.append((pull, error))
        await self.tools.note(self.pull.dataset, SPLIT, mark=pull_fingerprint(pull), start=start, end=end)

    def _tell_splits(self) -> None:
        """Of all windows that were asked for in halves: one note."""
        if not self._splits:
            return
        (pull, error), *others = self._splits
        assert pull.window is not None
        more = f" (and {len(others):,} more windows)" if others else ""
        self.record.notes.append(f"{describe_window(pull.window)}{more} was asked for in halves: {error.message}")

    @property
    def _is_divisible(self) -> bool:
        return is_divisible(self.pull, self.tools.catalog)

    def _window_agreement(self) -> WindowAgreement | None:
        column = self._time_column
        if self.pull.window is None or column is None:
            return None

        async def convert(part: ConvertedPull, bounds: WindowBounds) -> ConvertedPull:
            columns = with_goals(self._columns(), present_goals(part.table.columns))
            return await self._again(part, columns=columns, bounds=bounds)

        is_limited = self._question.limit is not None
        grows = self.pull.keeps_history
        return WindowAgreement(self.pull.window, column, is_limited=is_limited, convert=convert, undated_last=grows)

    def _journey(
        self, pull: Pull, *, columns: Sequence[ColumnPlan] | None = None, bounds: WindowBounds | None = None
    ) -> PullRunner:
        published = self._published
        return PullRunner(
            pull=pull,
            tools=self.tools,
            record=self.record,
            columns=self._columns() if columns is None else columns,
            bounds=bounds or self._bounds(pull),
            execution=self.execution,
            known_md5=published.stored_md5 if published and self.only_news and self._is_same_question else None,
            question=self._question,
            ordered=self._ordered,
        )

    @property
    def _time_column(self) -> str | None:
        return time_column_of(self.pull, self.tools.catalog)

    def _bounds(self, pull: Pull) -> WindowBounds | None:
        return self._windows.bounds_of(pull.window) if self._windows is not None and pull.window else None

    def _columns(self) -> list[ColumnPlan]:
        published = {name.casefold(): kind for name, kind in known_types(self._typed_before).items()}
        formats = {name.casefold(): form for name, form in known_formats(self._typed_before).items()}
        empty = empty_columns(self._typed_before)
        plans: list[ColumnPlan] = []
        for name in self.pull.columns:
            column = self._documented(name)
            plans.append(
                ColumnPlan(
                    name=name,
                    declared=column.parquet_type if column else ColumnType.STRING,
                    identifier=column.identifier if column else False,
                    aliases=(column.name, *column.aliases) if column else (),
                    published_type=published.get(name.casefold()),
                    published_empty=name.casefold() in empty,
                    published_format=formats.get(name.casefold()),
                    amount=name in self.pull.metrics,
                    flag_words=getattr(column, "values", ()),
                )
            )
        return plans

    def _documented(self, name: str) -> CatalogColumn | None:
        """What the catalog says of a selected name; a metric that it does not know is a number by its nature."""
        known = self.tools.catalog.find(self.pull.reads)
        if name not in self.pull.metrics:
            return known.column(name) if known else None
        metric = known.metric(name) if known else None
        return CatalogColumn(metric.name, metric.type) if metric else self.tools.catalog.metric(name)

    async def _in_agreement(self, parts: list[ConvertedPull]) -> list[ConvertedPull]:
        """The same parts with one set of types and with no row twice; those that differ are converted once more."""
        if len(parts) == 1:
            return parts
        if len({part.table.extra_columns for part in parts}) > 1:
            raise NotTheReport(
                f"{self.pull.dataset}: its windows came with different columns", fix="ask for a shorter window"
            )
        for choose in (common_type, as_text):
            goals = disagreements(parts, choose=choose)
            if not goals:
                break
            columns = with_goals(self._columns(), goals)
            for place, part in enumerate(parts):
                if any(
                    column.name in goals and not goals[column.name].is_reached_by(column)
                    for column in part.table.columns
                ):
                    parts[place] = await self._again(part, columns=columns)
        return parts

    async def _again(
        self, part: ConvertedPull, *, columns: Sequence[ColumnPlan], bounds: WindowBounds | None = None
    ) -> ConvertedPull:
        rows = part.table.window
        if bounds is None and (present := self._bounds(part.pull)) is not None and rows is not None:
            bounds = replace(present, form=rows.form)
        journey = self._journey(part.pull, columns=columns, bounds=bounds)
        return await journey.convert(part.stored, part.execution, report=part.report)

    async def _publish(self, parts: Sequence[ConvertedPull]) -> None:
        tools, record, settings = self.tools, self.record, self.tools.settings
        tools.events.emit("pull.stepped", step=Step.PUBLISH.value)
        self._describe(parts)
        published = self._published
        is_same = published is not None and self._is_same_question and published.content_hash == record.content_hash
        if self.only_news and is_same:
            raise Unchanged(f"execution {record.execution_id} brought the data that are published already")
        baseline = self._baseline
        drift = find_schema_drift(published_types(baseline), record.columns, empty=empty_columns(baseline))
        if self.reset_types:
            drift = drift.model_copy(update={"retyped": []})  # that is what was asked for
        if drift:
            record.drift = drift
            if settings.on_drift != "allow":
                tools.events.warn("drift.found", **drift.model_dump())
                record.notes.append(f"columns differ from the snapshot before: {describe_drift(drift)}")
        rows = sum(part.table.rows for part in parts)
        if tools.published_anyway is not None and self.pull.dataset not in tools.published_anyway:
            hold_back(
                self.pull.dataset,
                run_id=tools.run_id,
                rows=rows,
                current_rows=baseline.rows if baseline else None,
                drift=drift,
                data_redacted=record.data_redacted,
                on_shrink=settings.on_shrink,
                on_drift=settings.on_drift,
                fail_on_redacted=settings.fail_on_redacted,
            )
        if baseline and rows < baseline.rows * _SHARP_SHRINK:
            record.notes.append(
                f"{rows:,} rows where the snapshot before had {baseline.rows:,}: look whether that is right"
            )
        self._note_first_sums(rows)
        if record.data_redacted:
            record.notes.append(WITHHELD)
        self._tell_replaced_dataset()
        staged = await self._stage(parts)
        published_now = await tools.publisher.publish_snapshot(staged)
        # Readers see it: nothing that follows makes the dataset a failure.
        record.files, record.rows, record.status = published_now.files, rows, "complete"
        record.notes.extend(undone.note for undone in published_now.undone)
        try:
            await tools.note(self.pull.dataset, "published", record=record.model_dump(mode="json"))
        except (LedgerError, DiskTrouble) as trouble:
            undone = Undone(self.pull.dataset, "ledger", trouble.message)
            tools.events.warn("cleanup.postponed", step=undone.step, reason=undone.reason)
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

    def _tell_replaced_dataset(self) -> None:
        """A window may take the place of a whole dataset, and its readers are to know."""
        if self.pull.window is None or self.pull.source is not None:
            return
        self.record.notes.append(
            f"the current snapshot holds {iso_utc(self.pull.window.start)} to {iso_utc(self.pull.window.end)} only and "
            f"takes the place of the whole dataset; `--as NAME` publishes a window under a name of its own"
        )

    def _is_published(self, part: ConvertedPull) -> bool:
        """Whether it is taken over from the published snapshot."""
        return part.stored.path == part.table.files[0].path

    def _describe(self, parts: Sequence[ConvertedPull]) -> None:
        """Fill in what the parts tell."""
        record, first = self.record, parts[0]
        hashes = [part.table.content_hash for part in parts]
        record.columns = published_columns(parts)
        there = {column.name.casefold() for column in record.columns}
        known, formats = known_types(self._typed_before), known_formats(self._typed_before)
        record.earlier_types = {name: kind for name, kind in known.items() if name.casefold() not in there}
        record.earlier_formats = {name: form for name, form in formats.items() if name.casefold() not in there}
        record.downloaded_bytes = sum(part.stored.size_bytes for part in parts)
        record.content_hash = hashes[0] if len(hashes) == 1 else types_digest(hashes)
        record.vouched_by = vouched_for_all(parts)
        record.notes += content_notes(parts)
        record.stored_md5 = first.stored.md5 if len(parts) == 1 else None
        # What a growing snapshot keeps says nothing of how fresh it is.
        fresh = [part for part in parts if not (self.pull.keeps_history and self._is_published(part))] or list(parts)
        made = [part.execution.generated_at for part in fresh if part.execution.generated_at]
        record.generated_at = iso_utc(min(made)) if len(made) == len(fresh) else None
        if unbelieved := [part.execution.unbelieved_at for part in parts if part.execution.unbelieved_at]:
            record.unbelieved_at = iso_utc(max(unbelieved))
            record.notes.append(
                f"the service says that this data was made at {record.unbelieved_at}, which lies ahead of its own "
                "clock: not believed, executions are told apart by their ids instead"
            )
        for column in record.columns:
            if column.misfit is not None:
                self.tools.events.emit("column.kept_as_text", column=column.name, declared=column.declared,
                                       **column.misfit)  # fmt: skip
        if len(parts) > 1 or self.pull.window is not None:
            record.query_id = first.report.query_id if first.report else record.query_id
            record.report_id, record.execution_id = first.execution.report_id, first.execution.execution_id
            record.parts = [part_record(part) for part in parts]

    async def _stage(self, parts: Sequence[ConvertedPull]) -> Staged:
        """All files in one folder, on their way to be a snapshot; the parts keep theirs until it is named."""
        tools, folder = self.tools, self._folder / "snapshot"
        files = [
            (
                file,
                # Named after the run: a reader that lists one snapshot and opens another fails instead of mixing them.
                PublishedFile(
                    path=f"part-{number:05}-{tools.run_id}.parquet",
                    rows=file.rows,
                    bytes=file.bytes,
                    sha256=file.sha256,
                ),
            )
            for number, file in enumerate(file for part in parts for file in part.table.files)
        ]

        def gather() -> None:
            remove_beneath(folder, root=tools.private)
            makedirs_durable(folder, root=tools.private)
            for file, named in files:
                link_or_copy(file.path, folder / named.path)
            sync_folder(folder)

        with disk_errors(folder):
            await anyio.to_thread.run_sync(gather)
        return Staged(
            dataset=self.pull.dataset,
            folder=folder,
            files=[named for _, named in files],
            rows=sum(part.table.rows for part in parts),
            query=self.pull.query_text,
            question=self._question,
            window=self.record.window,
            raw=[part.stored.path for part in parts if not self._is_published(part)] if tools.settings.keep_raw else [],
        )
