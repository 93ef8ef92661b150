"""
Fetches all parts of one dataset: one pull, or one per window, with one set of types and each row once.

A long window is split into one pull per month, and a window whose report fails or is overdue is requested again in
halves (`window_pulls`). `window_merge` makes one table of the windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio.to_thread

from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.errors import BulkpullError, DiskTrouble, NotTheReport
from bulkpull.event_types import WindowSplit
from bulkpull.formatting import plural
from bulkpull.model import Execution, Pull, Report, Window
from bulkpull.output.atomic_files import disk_errors, makedirs_durable
from bulkpull.output.integrity import location_problem
from bulkpull.output.ledger_facts import SplitFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.publication.type_merge import Goal, plan_columns, type_conflicts, with_goals
from bulkpull.pipeline.steps.convert import widen_file
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.steps.fetch_execution import convert_stored
from bulkpull.pipeline.steps.metric_refusals import may_be_due_to_metrics
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.steps.pull import PullRunner
from bulkpull.pipeline.steps.pull_context import PullContext, StepSpan
from bulkpull.pipeline.windows.date_windows import describe_window, is_divisible, split_pull, time_column_of
from bulkpull.pipeline.windows.kept_history import file_types, plan_growth, vanished_columns, with_common_columns
from bulkpull.pipeline.windows.window_merge import HoldsWhole, WindowAgreement
from bulkpull.pipeline.windows.window_pulls import WORTH_HALVING, WindowPulls
from bulkpull.requested_data import requested_data


@dataclass(slots=True)
class DatasetFetch:
    """
    One attempt to fetch a dataset.

    Args:
        execution: A completed execution of a scheduled report; then nothing is ordered.
        typed_before: The snapshot whose types, and forms of dates, hold for this one too.
        known_md5: MD5 of the stored file whose content is published.
    """

    pull: Pull
    context: RunContext
    execution: Execution | None = None
    typed_before: DatasetRecord | None = None
    known_md5: str | None = None
    notes: list[str] = field(default_factory=list)
    """For the manifest, each one sentence."""
    vanished: frozenset[str] = frozenset()
    """The columns of a history, in lower case, that only windows of earlier runs have."""
    runners: list[PullRunner] = field(default_factory=list)
    """In the order in which they began; each shows how far its pull has got."""
    spans: list[StepSpan] = field(default_factory=list)
    """When a pull took which step."""
    _splits: list[tuple[Pull, BulkpullError]] = field(default_factory=list)
    _columns: list[ColumnPlan] = field(init=False)
    _windows: WindowAgreement | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._columns = plan_columns(self.pull, earlier=self.typed_before)
        column = time_column_of(self.pull)
        if self.pull.window is not None and column is not None:
            self._windows = WindowAgreement(
                self.pull.window,
                column,
                is_limited=requested_data(self.pull).limit is not None,
                convert=self._convert_with_bounds,
                undated_last=self.pull.keeps_history,
            )

    async def run(self) -> list[ConvertedPull]:
        """
        Fetch and convert all parts, in the order of their windows.

        Raises the first error that no retry could fix (completed windows are kept), `TimeNotReadable` where the time
        column does not show which rows are within a window, and `Unchanged` for the file with `known_md5`.
        """
        if self.pull.keeps_history and self.pull.window is not None:
            return await self._grow(self.pull.window)
        return await self._fetch_windows(self._pulls())

    async def submit(self) -> list[Report]:
        pulls = self._pulls()
        self._require_reports(pulls)
        return [await self._runner(pull).submit() for pull in pulls]

    async def _fetch_windows(self, pulls: Sequence[Pull]) -> list[ConvertedPull]:
        self._require_reports(pulls)

        async def run_pull(pull: Pull, attempts: int) -> ConvertedPull:
            part = await self._runner(pull).run(attempts=attempts, may_order=window_pulls.check_may_order)
            if self._windows is not None:
                self._windows.check(part)
            return part

        window_pulls = WindowPulls(
            run_pull=run_pull,
            attempts=self.context.settings.report_attempts,
            may_halve=self._may_halve,
            on_split=self._note_split,
            reusable=self.context.reusable,
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
            self.notes += self._windows.notes
        if self._splits:  # one note for all windows that were requested in halves (case W17)
            (pull, error), *others = self._splits
            assert pull.window is not None
            more = f" (and {plural(len(others), 'other window')})" if others else ""
            self.notes.append(f"{describe_window(pull.window)}{more} was requested in halves: {error.message}")
        return parts

    async def _grow(self, window: Window) -> list[ConvertedPull]:
        """Keep published windows that the service no longer restates, and fetch all later ones again."""
        assert self._windows is not None
        published = self.context.folder.published.get(self.pull.dataset)
        growth = plan_growth(
            self.pull,
            published,
            output=self.context.folder.output,
            restated_months=self.context.settings.history_restated_months,
        )
        await anyio.to_thread.run_sync(self._refuse_damaged, growth.kept)
        self._windows.whole = Window(growth.covered_until, window.end)
        restated = replace(self.pull, window=self._windows.whole)
        fetched = await self._fetch_windows(split_pull(restated, now=window.end))
        self.vanished = vanished_columns(fetched, published if growth.published else None)
        parts, notes = growth.join(fetched)
        await anyio.to_thread.run_sync(self._refuse_damaged, [part for part in parts if part.is_published])
        self.notes += notes
        common = with_common_columns(parts, dataset=self.pull.dataset)
        return [await self._as_described(before, part) for before, part in zip(parts, common, strict=True)]

    def _refuse_damaged(self, published: Sequence[ConvertedPull]) -> None:
        """Published windows are kept as whole files only: the service may have forgotten their rows."""
        folder = self.context.folder
        for file in (file for part in published for file in part.table.files):
            path = file.path.relative_to(folder.output).as_posix()
            what = location_problem(folder.store, path, expected_bytes=file.bytes)
            if what is not None:
                raise DiskTrouble(
                    f"{path}, a part of the published history, is damaged",
                    why=what,
                    fix=f"restore the file, or begin a new history: `bulkpull runs forget {self.pull.dataset}`",
                )

    async def _as_described(self, before: ConvertedPull, part: ConvertedPull) -> ConvertedPull:
        """A part whose file has the columns and types of its description; `before` describes the file as it is now."""
        if list(file_types(before).items()) == list(file_types(part).items()):
            return part
        folder = self.context.folder.staging / self.pull.dataset / "widened" / pull_fingerprint(part.pull)
        with disk_errors(folder):
            await anyio.to_thread.run_sync(partial(makedirs_durable, folder, root=self.context.folder.private))
        file = await widen_file(
            part.table.files[0].path, into=folder, types=file_types(part), limiter=self.context.conversions
        )
        return replace(part, table=replace(part.table, files=(file,), content_hash=file.sha256))

    def _pulls(self) -> list[Pull]:
        return split_pull(self.pull, now=self.context.clock.now())

    def _require_reports(self, pulls: Sequence[Pull]) -> None:
        """Refuse a window that needs more reports than are allowed, before the first one is ordered (case W12)."""
        missing = sum(not self.context.reusable.has(pull_fingerprint(pull)) for pull in pulls)
        self.context.require_reports(self.pull.dataset, missing)

    def _may_halve(self, error: BulkpullError) -> bool:
        is_one_off = self.execution is None and is_divisible(self.pull)
        return is_one_off and isinstance(error, WORTH_HALVING) and not may_be_due_to_metrics(error, self.pull)

    async def _note_split(self, pull: Pull, error: BulkpullError) -> None:
        assert pull.window is not None
        start, end = iso_utc(pull.window.start), iso_utc(pull.window.end)
        self.context.events.emit(WindowSplit(start=start, end=end, reason=error.message))
        self._splits.append((pull, error))
        facts = SplitFacts(pull_fingerprint(pull), pull.window.start, pull.window.end)
        await self.context.note(self.pull.dataset, facts)

    def _runner(self, pull: Pull) -> PullRunner:
        bounds = self._windows.bounds_of(pull.window) if self._windows and pull.window else None
        context = PullContext(pull, self.context, requested_data(self.pull), self._columns, bounds, self.spans)
        runner = PullRunner(context, execution=self.execution, known_md5=self.known_md5)
        self.runners.append(runner)
        return runner

    async def _with_common_types(self, parts: list[ConvertedPull]) -> list[ConvertedPull]:
        """The same parts with one set of types; those that differ are converted again."""
        if len(parts) == 1:
            return parts
        if len({(part.table.lacking_columns, part.table.extra_columns) for part in parts}) > 1:
            raise NotTheReport(
                f"{self.pull.dataset}: its windows came with different columns", fix="ask for a shorter window"
            )
        for as_text in (False, True):
            goals = type_conflicts(parts, as_text=as_text)
            if not goals:
                break
            columns = with_goals(self._columns, goals)
            for place, part in enumerate(parts):
                columns_of_part = [column for column in part.table.columns if column.name in goals]
                if not all(goals[column.name].is_reached_by(column) for column in columns_of_part):
                    bounds, rows = part.bounds, part.table.window
                    if bounds is not None and rows is not None:
                        bounds = replace(bounds, form=rows.form)
                    parts[place] = await self._convert_again(part, columns=columns, bounds=bounds)
        return parts

    async def _convert_with_bounds(self, part: ConvertedPull, bounds: WindowBounds) -> ConvertedPull:
        reached = {column.name: Goal(column.type, column.format) for column in part.table.columns}
        return await self._convert_again(part, columns=with_goals(self._columns, reached), bounds=bounds)

    async def _convert_again(
        self, part: ConvertedPull, *, columns: Sequence[ColumnPlan], bounds: WindowBounds | None
    ) -> ConvertedPull:
        context = PullContext(part.pull, self.context, requested_data(self.pull), columns, bounds, self.spans)
        return await convert_stored(context, part.stored, part.execution, report=part.report)
