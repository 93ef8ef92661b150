"""
Exports one dataset: fetches its parts, checks them, and publishes one snapshot.

Readers always get one snapshot, with one set of types and each row once, or keep the old one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from bulkpull.errors import (
    BulkpullError,
    DiskTrouble,
    ExecutionFailed,
    ExecutionOverdue,
    LedgerError,
    Step,
    TimeNotReadable,
    TooManyReports,
    Unchanged,
    WindowNotHonoured,
)
from bulkpull.event_types import CleanupPostponed, ColumnKeptAsText, DriftFound, PullStepped
from bulkpull.formatting import join_some
from bulkpull.model import Execution, Pull, Report, Window
from bulkpull.output.cleanup import Undone
from bulkpull.output.ledger_facts import InWindowsFacts, PublicationFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.symlink_safety import remove_beneath
from bulkpull.output.workspace import find_last_answer
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.earlier_work import PARTS
from bulkpull.pipeline.outcome import ExportOutcome, ServiceIds
from bulkpull.pipeline.publication.publish import stage_files
from bulkpull.pipeline.publication.publish_checks import (
    check_publishable,
    drift_notes,
    find_schema_drift,
    noted_rows_before,
    publication_notes,
)
from bulkpull.pipeline.publication.snapshot_facts import describe_snapshot
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.steps.metric_refusals import drop_metrics, may_be_due_to_metrics
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.steps.pull import PullRunner
from bulkpull.pipeline.steps.pull_context import elapsed_seconds
from bulkpull.pipeline.windows.date_windows import describe_window, is_divisible, why_no_window, window_of_span
from bulkpull.pipeline.windows.fetch_dataset import DatasetFetch
from bulkpull.requested_data import requested_data

_IDS_SHOWN = 3
T = TypeVar("T")


@dataclass(slots=True)
class DatasetExport:
    """
    The export of one dataset.

    Args:
        describe: Makes the manifest record of an outcome, which the ledger keeps of a published snapshot.
        named: The user named it: it is not exported whole where its window cannot be applied.
        query_id: The stored query behind `execution`, if it is known.
    """

    pull: Pull
    context: RunContext
    describe: Callable[[ExportOutcome], DatasetRecord]
    named: bool = False
    query_id: str | None = None
    execution: Execution | None = None
    _baseline: DatasetRecord | None = None
    _fetches: list[DatasetFetch] = field(default_factory=list)
    _parts: Sequence[ConvertedPull] = ()
    _notes: list[str] = field(default_factory=list)
    _outcome: ExportOutcome = field(init=False)

    def __post_init__(self) -> None:
        self._outcome = ExportOutcome(self.pull)

    @property
    def outcome(self) -> ExportOutcome:
        """How far the export has got; also where it failed or was interrupted."""
        return replace(
            self._outcome,
            pull=self.pull,
            ids=self._ids(),
            data_redacted=any(runner.data_redacted for runner in self._runners),
            seconds=elapsed_seconds(span for fetch in self._fetches for span in fetch.spans),
            notes=tuple(self._notes),
        )

    async def run(self) -> None:
        """
        Fetch the dataset and publish it.

        Raises:
            BulkpullError: The first error that no retry could fix; in a nightly run `Unchanged`.
        """
        if self._is_same_data:
            self._baseline = self._published
        elif self._published is not None:  # compare with the last snapshot of the same requested data
            store, sha256 = self.context.publisher.store, requested_data(self.pull).sha256
            self._baseline = await anyio.to_thread.run_sync(find_last_answer, store, self.pull.dataset, sha256)
        try:
            self._parts = await self._or_without_metrics(self._fetch)
            is_noted = await self._publish(self._parts)
        except BulkpullError as error:
            # `PullRunner` has deleted failed reports; reports of other windows stay (case W4).
            if isinstance(error, Unchanged):
                for report in self._own_reports():
                    await self.context.withdraw_report(report, dataset=self.pull.dataset)
            else:
                self._note_kept_reports()
            raise
        if not is_noted:
            return  # a run that resumes this one would request again what has been deleted
        # If few calls are left, the reports stay for the next run, which finds them by their names and by the ledger.
        if self.context.client.pacer.has_plenty:
            for report in self._own_reports():
                self.context.discard_report(report, dataset=self.pull.dataset)
        await anyio.to_thread.run_sync(self._clear_folders)

    async def submit(self) -> list[Report]:
        """Create all reports of the dataset for a later run to collect."""
        try:
            return await self._or_without_metrics(lambda: self._begin_fetch().submit())
        except BulkpullError:
            self._note_kept_reports()
            raise

    def _begin_fetch(self) -> DatasetFetch:
        request = self.context.request
        known = self._answered
        fetch = DatasetFetch(
            self.pull,
            self.context,
            execution=self.execution,
            typed_before=None if request.reset_types else self._baseline,
            known_md5=known.stored_md5 if known else None,
        )
        self._fetches.append(fetch)
        return fetch

    async def _fetch(self) -> list[ConvertedPull]:
        if self.execution is None and (begun := self.context.reusable.in_windows.get(pull_fingerprint(self.pull))):
            return await self._fetch_in_windows(begun.window, ExecutionFailed(begun.failure or ""))
        fetch = self._begin_fetch()
        try:
            parts = await fetch.run()
        except ExecutionFailed as error:
            window = self._window_of_whole()
            if window is None or may_be_due_to_metrics(error, self.pull):
                raise
            begun = InWindowsFacts(pull_fingerprint(self.pull), window.start, window.end, error.message)
            # A run that is killed meanwhile has left reports of windows, which the next one goes on with.
            await self.context.note(self.pull.dataset, begun)
            return await self._fetch_in_windows(window, error)
        except TimeNotReadable as error:
            if self.named or self.pull.window is None:
                raise
            note = f"exported whole, without the window {describe_window(self.pull.window)}: {error.message}"
            self.pull = replace(self.pull, window=None, notes=(*self.pull.notes, note))
            self._notes.append(note)
            fetch = self._begin_fetch()
            parts = await fetch.run()
        self._notes += fetch.notes
        return parts

    async def _fetch_in_windows(self, window: Window, failure: ExecutionFailed) -> list[ConvertedPull]:
        """
        Fetch a whole dataset in windows after its report has failed, because each window is a smaller report.

        The snapshot then answers for the days that the windows cover, and its window and requested data say so. It is
        still compared with the last snapshot of the original data, whose rows it contains. Where the windows fail as
        well, the `failure` of the one report for all is raised.
        """
        whole = self.pull
        self.pull = replace(whole, window=window)
        fetch = self._begin_fetch()
        try:
            parts = await fetch.run()
        except (ExecutionFailed, ExecutionOverdue, TimeNotReadable, WindowNotHonoured, TooManyReports):
            self.pull = whole
            await self.context.note(whole.dataset, InWindowsFacts(pull_fingerprint(whole), failed=True))
            raise failure from None
        reason = f"because one report for all failed: {failure.message}"
        self._notes += [f"requested in windows of {describe_window(window)}, {reason}", *fetch.notes]
        return parts

    def _window_of_whole(self) -> Window | None:
        """A window that holds all of a plain export; `None` where it has one, or cannot be split."""
        pull, context = self.pull, self.context
        is_plain = pull.window is None and self.execution is None and pull.metrics_chosen
        if not is_plain or why_no_window(pull) or not is_divisible(pull):
            return None
        return window_of_span(requested_data(self.pull).span, now=context.client.service_time())

    async def _or_without_metrics(self, work: Callable[[], Awaitable[T]]) -> T:
        if self.execution is not None:
            return await work()
        full = self.pull

        async def attempt(pull: Pull) -> T:
            nonlocal full
            if pull is not full:  # the second attempt goes on with the window that the first one has found
                full, self.pull = self.pull, drop_metrics(self.pull)
            return await work()

        try:
            done, notes = await self.context.or_without_metrics(full, attempt)
        except BulkpullError as error:
            if may_be_due_to_metrics(error, full):
                self.pull = full  # refused without metrics as well
            raise
        self._notes += notes
        return done

    async def _publish(self, parts: Sequence[ConvertedPull]) -> bool:
        """Show the parts to readers; returns whether the ledger has noted it."""
        context, settings, request, baseline = self.context, self.context.settings, self.context.request, self._baseline
        dataset = self.pull.dataset
        context.events.emit(PullStepped(step=Step.PUBLISH.value))
        snapshot = describe_snapshot(
            parts,
            earlier=None if request.reset_types else baseline,
            has_window=self.pull.window is not None,
            vanished=self._fetches[-1].vanished,
        )
        self._outcome = replace(self._outcome, snapshot=snapshot)
        self._notes += snapshot.notes
        for column in snapshot.columns:
            if column.misfit is not None:
                kept = ColumnKeptAsText(column=column.name, declared=column.declared, **column.misfit)
                context.events.emit(kept)
        found = self.outcome
        current = self._answered
        if current is not None and current.content_hash == snapshot.content_hash:
            raise Unchanged(f"execution {found.ids.execution_id} has data that are already published")
        drift = find_schema_drift(baseline, snapshot.columns, unrequested=parts[0].table.extra_columns)
        if request.reset_types:
            drift = drift.model_copy(update={"retyped": []})  # what the user requested
        self._outcome = replace(self._outcome, drift=drift or None)
        if drift and settings.on_drift != "allow":
            context.events.emit(DriftFound(**drift.model_dump()))
            self._notes += drift_notes(drift)
        if context.published_anyway is not None and dataset not in context.published_anyway:
            check_publishable(
                dataset,
                run_id=context.run_id,
                rows=snapshot.rows,
                current_rows=baseline.rows if baseline else None,
                drift=drift,
                data_redacted=found.data_redacted,
                settings=settings,
            )
        rows_before = noted_rows_before(snapshot.rows, baseline=baseline, note_shrink=settings.note_shrink)
        self._outcome = replace(self._outcome, rows_before=rows_before)
        self._notes += publication_notes(
            self.pull,
            snapshot.rows,
            rows_before=rows_before,
            before=baseline or self._published,
            lacking_columns=parts[0].table.lacking_columns if found.data_redacted else None,
        )
        folder, private = self._folder / "snapshot", context.folder.private
        files = await stage_files(parts, folder, private=private, run_id=context.run_id)
        raw = [part.stored.path for part in parts if not part.is_published] if settings.keep_raw else []
        published = await context.publisher.publish_snapshot(self.pull, folder, files, raw=raw)
        # The snapshot is visible to readers: a later error does not make the dataset a failure.
        self._outcome = replace(self._outcome, files=tuple(published.files))
        self._notes += [undone.note for undone in published.undone]
        try:
            await context.note(dataset, PublicationFacts(self.describe(self.outcome)))
        except (LedgerError, DiskTrouble) as trouble:
            undone = Undone(dataset, "ledger", trouble.message)
            context.events.emit(CleanupPostponed(step=undone.step, reason=undone.reason))
            self._notes.append(undone.note)
            return False
        return True

    @property
    def _folder(self) -> Path:
        return self.context.folder.staging / self.pull.dataset

    def _clear_folders(self) -> None:
        private = self.context.folder.private
        remove_beneath(self._folder, root=private)
        for part in self._parts:
            if part.pull.window is not None:
                remove_beneath(private / PARTS / self.pull.dataset / pull_fingerprint(part.pull), root=private)

    @property
    def _runners(self) -> list[PullRunner]:
        return [runner for fetch in self._fetches for runner in fetch.runners]

    def _ids(self) -> ServiceIds:
        """The ids of the first part; until there is one, those of the pull that began last."""
        newest = next((pull.ids for pull in reversed(self._runners) if pull.ids.report_id), ServiceIds())
        if self._parts:
            first = self._parts[0]
            query_id = first.report.query_id if first.report else None
            newest = ServiceIds(query_id, first.execution.report_id, first.execution.execution_id)
        return replace(newest, query_id=newest.query_id or self.query_id)

    def _note_kept_reports(self) -> None:
        refuses_redacted = self.context.settings.fail_on_redacted  # no other run takes such a report
        used = [runner for runner in self._runners if not (refuses_redacted and runner.data_redacted)]
        ids = [report.report_id for runner in used for report in runner.created]
        many, stay, them = ("report", "stays", "it") if len(ids) == 1 else ("reports", "stay", "them")
        if ids:
            self._notes.append(
                f"{many} {join_some(ids, most=_IDS_SHOWN)} {stay} on the service: the same command uses {them} within "
                "a day, and creates nothing twice"
            )

    def _own_reports(self) -> list[Report]:
        """All reports that were created for it, by this run and by the run that it resumes."""
        created = [report for runner in self._runners for report in runner.created]
        return [*created, *self.context.reusable.rest(self.pull.dataset)]

    @property
    def _published(self) -> DatasetRecord | None:
        return self.context.folder.published.get(self.pull.dataset)

    @property
    def _answered(self) -> DatasetRecord | None:
        """The snapshot that a night leaves current when the data are the same; a damaged one is published again."""
        is_left = self.context.request.nightly and self.pull.dataset not in self.context.folder.damaged
        return self._published if is_left and self._is_same_data else None

    @property
    def _is_same_data(self) -> bool:
        return self._published is not None and self._published.question_sha256 == requested_data(self.pull).sha256
