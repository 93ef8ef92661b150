"""
Runs an export: all datasets in one task group; a failed dataset does not stop the others.

A run locks the output folder. It always ends with a manifest and one exit status, or leaves a ledger from which the
same command resumes.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from bulkpull._version import __version__
from bulkpull.auth.azure_identity import AzureCredential
from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock, iso_utc, own_random
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError, ConverterDied, DiskTrouble, HeldBack, LedgerError, RunOverdue, SettingsError
from bulkpull.events import Events, Level, about
from bulkpull.formatting import join_some, plural
from bulkpull.identity import Account, sign_in_digest
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.connect import Connection, connected
from bulkpull.model import Report
from bulkpull.observability.recorder import RunRecorder, recorded_run
from bulkpull.output.atomic_files import disk_errors
from bulkpull.output.cleanup import clean_up, is_without_links
from bulkpull.output.disk_space import find_too_large
from bulkpull.output.layout import RAW, Layout
from bulkpull.output.ledger import Ledger, opened_ledger
from bulkpull.output.manifest import Current, DatasetRecord, Manifest, Requests, Tool
from bulkpull.output.owner import Owner, check_owner, claim_folder
from bulkpull.output.retention import retire_runs
from bulkpull.output.run_history import held_back_by
from bulkpull.output.store import INSIDE, LocalStore, OutputStore
from bulkpull.output.workspace import OutputFolder, find_blocked, open_folder
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.convert import warm_up
from bulkpull.pipeline.create_context import create_context
from bulkpull.pipeline.dataset import DatasetExport
from bulkpull.pipeline.decide import Action, Decision
from bulkpull.pipeline.decisions import decide_all, schedule_of
from bulkpull.pipeline.execute import DecisionExecutor
from bulkpull.pipeline.execution_lookup import ExecutionLookup, PollForm, form_recorder, load_form
from bulkpull.pipeline.kept_history import history_starts
from bulkpull.pipeline.metric_refusals import METRICS_REFUSED, MetricRefusals
from bulkpull.pipeline.naming import parse_report_name
from bulkpull.pipeline.nightly.scheduled_reports import (
    LIST_UNKNOWN,
    ScheduledReportMaker,
    remember_reports,
    unused_reports,
)
from bulkpull.pipeline.offer_check import published_datasets
from bulkpull.pipeline.outcome import (
    copy_published,
    failed_record,
    pending_record,
    record_error,
    run_status,
    unavailable_record,
)
from bulkpull.pipeline.plan import Plan
from bulkpull.pipeline.report_memory import UNCHANGED
from bulkpull.pipeline.request import ExportRequest, check_offline, plan_export, plan_request
from bulkpull.pipeline.resource_limits import fit_to_machine
from bulkpull.pipeline.resume import (
    ABANDONED,
    INTERRUPTED,
    SUBMITTED,
    EarlierRuns,
    ReusableWork,
    find_resumable,
    find_reusable,
)
from bulkpull.pipeline.run_cleanup import (
    clear_old_parts,
    clear_staging,
    datasets_not_begun,
    delete_outdated_queries,
    delete_unneeded_reports,
    keep_downloads,
    limit_tidying,
)
from bulkpull.pipeline.time_limit import is_overdue
from bulkpull.pipeline.usual_durations import REMEMBERED_DURATIONS, slowest_first, usual_durations
from bulkpull.timespans import WIDEST

_CLOSING_S = 5.0
_MOST_LISTED = 8
_LEVELS = {"complete": Level.INFO, "skipped": Level.INFO, "unavailable": Level.WARNING}


@dataclass(slots=True)
class Run:
    """
    One export and all its resumptions.

    `manifest` is set when the run has ended, also after an interruption.

    Args:
        resume: The id of an earlier run to carry on, however it ended; `None` carries on the newest unfinished run of
            the same request, if there is one.
        credential: Signs in, in place of what the settings say about that.
        published_anyway: Datasets to publish without the checks of `check_publishable`; `None` for all.
        account: The account, if the settings do not name it; the output folder must belong to the same account.
    """

    request: ExportRequest
    settings: Settings
    events: Events
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = field(default_factory=own_random)
    credential: AzureCredential | None = None
    resume: str | None = None
    account: Account | None = None
    published_anyway: Collection[str] | None = ()
    manifest: Manifest | None = None
    run_id: str = ""
    _records: dict[str, DatasetRecord] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _submitted: set[str] = field(default_factory=set)
    _earlier: EarlierRuns = field(default_factory=EarlierRuns)
    _started_at: str = ""
    _is_begun: bool = False
    _unused: list[tuple[str, Report]] = field(default_factory=list)
    _held: Mapping[str, str] = field(default_factory=dict)
    _check_lock: Callable[[], None] = lambda: None
    _refused: Mapping[str, DiskTrouble] = field(default_factory=dict)
    _requests: Callable[[], Mapping[str, Any]] = dict
    _poll_form: PollForm | None = None
    _recorder: RunRecorder = field(init=False, repr=False)

    async def export(self) -> Manifest:
        """
        Pull every requested dataset; a failure is recorded in the manifest and does not affect other datasets.

        The same call after an interruption resumes the run: it reuses created reports and keeps published snapshots.

        Raises:
            SettingsError: A dataset's name is unknown, or the output folder is another account's or no folder; nothing
                was started.
            AuthError: Credentials are missing; nothing was started. A refusal by the service is in the manifest.
            OutputLocked: Another run is writing to the output folder.
            DiskTrouble, LedgerError: The output folder cannot be used.
        """
        await anyio.to_thread.run_sync(self.settings.check_output)
        output = self.settings.output.absolute()
        store = LocalStore(output)
        with disk_errors(output):
            await anyio.to_thread.run_sync(check_owner, store, self._account)
        if self.credential is None:
            await check_offline(self.request, settings=self.settings)
        if self._needs_service_list:
            # Only the service knows whether a name is new or misspelled; a misspelled one must not create anything.
            await plan_export(
                self.request,
                settings=self.settings,
                events=self.events,
                clock=self.clock,
                credential=self.credential,
            )
        private = Layout(output).private
        began_s = self.clock.monotonic()
        self._started_at = iso_utc(self.clock.now())
        async with (
            # Outermost, so that notifications are sent after the lock is released.
            recorded_run(self.settings, events=self.events, clock=self.clock) as self._recorder,
            store.lock(since=self._started_at) as self._check_lock,
            opened_ledger(private, clock=self.clock) as ledger,
        ):
            with disk_errors(output):
                current = await anyio.to_thread.run_sync(Current.load, store)
            await self._find_earlier_run(ledger, current)
            if ledger.set_aside is not None:
                self.events.warn("ledger.set_aside", path=str(ledger.set_aside.path), reason=ledger.set_aside.why)
                self._notes.append(ledger.set_aside.sentence)
            with disk_errors(output):
                look = partial(
                    open_folder,
                    output,
                    store,
                    run_id=self.run_id,
                    alive=self._earlier.alive,
                    taken_over=self._earlier.taken_over.run_id if self._earlier.taken_over else None,
                )
                folder = await anyio.to_thread.run_sync(look)
            resumed = self._earlier.carried_on is not None
            self.events.emit("run.started", run_id=self.run_id, resumed=resumed)
            self._warn_of_closed_runs()
            self._warn_of_damage(folder)
            await self._clean_up_first(folder)
            self.settings, conversions = await fit_to_machine(self.settings, events=self.events)
            try:
                async with connected(
                    settings=self.settings,
                    events=self.events,
                    clock=self.clock,
                    random=self.random,
                    credential=self.credential,
                ) as connection:
                    self._requests = connection.http.tally.as_dict
                    work = partial(self._work, connection, ledger=ledger, folder=folder, conversions=conversions)
                    limit_s = self.settings.run_timeout_seconds
                    left_s = None if limit_s is None else began_s + limit_s - self.clock.monotonic()
                    if await is_overdue(work, limit_s=left_s, clock=self.clock):
                        await self._end_overdue(ledger)
                manifest = await self._finish(store, ledger)
            except anyio.get_cancelled_exc_class():
                if self._is_begun:
                    with anyio.move_on_after(_CLOSING_S, shield=True):
                        await self._finish(store, ledger, interrupted=True)
                raise  # downloads stay: the same command resumes them
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(clear_staging, folder)
                raise
            await self._clean_up_run(folder, ledger)
            return manifest

    @property
    def _needs_service_list(self) -> bool:
        """Whether the request has a dataset or time span that the catalog does not know."""
        catalog, span = load_catalog(), self.settings.timespan
        return (
            self.request.only_selections
            or any(catalog.find(name) is None for name in self.request.datasets)
            or (span is not None and span != WIDEST and span not in catalog.timespans)
        )

    @property
    def _account(self) -> Account:
        return self.account or self.settings.account

    async def _claim(self, store: OutputStore) -> None:
        """Record the account of the folder, after the service has answered and before anything is ordered."""
        client_id, username = self.settings.client_id, self.settings.username
        sign_in = None if self.credential else sign_in_digest(client_id=client_id, username=username)
        owner = Owner(self._account, sign_in)
        with disk_errors(str(store)):
            self._notes += await anyio.to_thread.run_sync(claim_folder, store, owner)

    async def _find_earlier_run(self, ledger: Ledger, current: Current) -> None:
        """Resume an earlier run or begin a new one; close runs that were interrupted too long ago."""
        now = self.clock.now()
        self._earlier = find_resumable(
            await ledger.runs(),
            key=self.request.as_key(self.settings),
            now=now,
            resume=self.resume,
            published=frozenset(snapshot.run_id for snapshot in current.datasets.values()),
        )
        for run in self._earlier.closed:
            await ledger.end_run(run.run_id, status=ABANDONED, summary=run.summary or {}, at=iso_utc(now))
        earlier = self._earlier.carried_on
        if earlier is None:
            self.run_id = new_run_id(now)
            return
        self.run_id, self._started_at, self._is_begun = earlier.run_id, earlier.started_at, True
        await ledger.resume_run(self.run_id, at=iso_utc(now))
        # Keep the window of the earlier run: its reports were ordered for it.
        then = ExportRequest.of_run(earlier.request)
        self.request = replace(self.request, window=then.window and self.request.window and then.window)

    def _warn_of_closed_runs(self) -> None:
        for run in self._earlier.closed:
            self.events.warn("run.abandoned", abandoned=run.run_id, started_at=run.started_at)
            self._notes.append(
                f"run {run.run_id} was cut off and not carried on for a day, in which the service refreshes data and "
                "cleans up: it is closed, and what it left undone was asked for anew"
            )
        if (earlier := self._earlier.taken_over) is not None:
            self._notes.append(
                f"run {earlier.run_id} was cut off after it had published something: this run goes on with what it "
                "left, and looks at every dataset again"
            )

    def _warn_of_damage(self, folder: OutputFolder) -> None:
        for dataset, what in folder.damaged.items():
            with about(dataset):
                self.events.warn("snapshot.damaged", reason=what)

    async def _clean_up_first(self, folder: OutputFolder) -> None:
        """Finish the clean-up of earlier runs, and delete old snapshots before the free disk space is checked."""
        work = partial(
            clean_up,
            folder.store,
            folder.current.datasets,
            current=folder.current,
            retain=self.settings.retain_runs,
            now=self.clock.now(),
        )
        for undone in await anyio.to_thread.run_sync(work):
            with about(undone.dataset) if undone.dataset else nullcontext():
                self.events.warn("cleanup.postponed", step=undone.step, reason=undone.reason)

    async def _clean_up_run(self, folder: OutputFolder, ledger: Ledger) -> None:
        """Clean up after the manifest is saved; errors are logged, and the next run tries again."""
        if not self._is_to_be_resumed:
            await anyio.to_thread.run_sync(keep_downloads, folder, list(self._records.values()))
            await anyio.to_thread.run_sync(clear_staging, folder)
        await anyio.to_thread.run_sync(partial(clear_old_parts, folder, now=self.clock.now()))
        try:
            await retire_runs(folder.store, ledger, retain=self.settings.retain_runs, now=self.clock.now())
        except (LedgerError, DiskTrouble) as trouble:
            self.events.warn("cleanup.postponed", step="retention", reason=trouble.message)

    async def _work(self, connection: Connection, *, ledger: Ledger, folder: OutputFolder, conversions: int) -> None:
        try:
            refusals = MetricRefusals.read(await ledger.noted(METRICS_REFUSED), now=self.clock.now())
            plan = await plan_request(
                self.request,
                connection,
                settings=self.settings,
                now=datetime.fromisoformat(self._started_at),  # of the resumed run, if there is one
                refusals=refusals,
                published=published_datasets(folder.published, catalog=load_catalog()),
                history_starts=history_starts(folder.published),
            )
            found = await find_reusable(
                await self._list_reports(connection.client, folder),
                ledger=ledger,
                run_id=self.run_id,
                pulls=plan.pulls,
                earlier=self._earlier,
                folder=folder,
                now=self.clock.now(),
            )
            decisions = await self._decide(found, connection.client, ledger=ledger, folder=folder)
            await self._claim(folder.store)
        except SettingsError:
            raise
        except BulkpullError as error:
            await self._fail_all(error, ledger=ledger)
            return
        fetched = [pull for pull in plan.pulls if self._will_convert(decisions[pull.dataset])]
        self._refused = await find_too_large(
            folder.output, await anyio.to_thread.run_sync(datasets_not_begun, fetched, folder), settings=self.settings
        )
        names = [pull.dataset for pull in plan.pulls]
        look = partial(find_blocked, folder.store, names, keep_raw=self.settings.keep_raw)
        self._refused = {**self._refused, **await anyio.to_thread.run_sync(look)}
        await self._begin(ledger)
        if self._poll_form is not None:
            await form_recorder(ledger, run_id=self.run_id, clock=self.clock)(self._poll_form)
        self._report_plan(plan)
        await self._open_records(plan, found.done, folder=folder)
        others = self._earlier.alive - {self.run_id}
        self._held = await anyio.to_thread.run_sync(held_back_by, folder.store, others, folder.current)
        left = [pull for pull in plan.pulls if pull.dataset not in found.done]
        if left and all(pull.dataset in self._refused for pull in left):
            for pull in left:
                record_error(self._records[pull.dataset], self._refused[pull.dataset])
            return  # one message at the end, not one per dataset
        usual_s = await self._usual_durations(ledger)
        async with anyio.create_task_group() as watching:
            async with anyio.create_task_group() as tidying:
                async with anyio.create_task_group() as working:
                    context = await create_context(
                        run_id=self.run_id,
                        settings=self.settings,
                        connection=connection,
                        ledger=ledger,
                        folder=folder,
                        conversions=conversions,
                        reusable=found.reusable,
                        clock=self.clock,
                        events=self.events,
                        background=working,
                        tidying=tidying,
                        usual_s=usual_s,
                        random=self.random,
                        account=self._account,
                    )
                    context.publisher.check_lock = self._check_lock
                    context.published_anyway = self.published_anyway
                    watching.start_soon(context.poller.run)
                    if fetched:
                        watching.start_soon(partial(warm_up, context.conversions, most=len(fetched)))
                    rows = {name: snapshot.rows for name, snapshot in folder.current.datasets.items()}
                    executor = self._executor(context)
                    for pull in slowest_first(left, usual_s=usual_s, rows=rows):
                        working.start_soon(self._run_dataset, decisions[pull.dataset], executor)
                    delete_unneeded_reports(context, self._records.values(), orphans=found.orphans, notes=self._notes)
                    self._note_unused_reports()
                    if not self.request.submit_only:
                        tidying.start_soon(delete_outdated_queries, context, {pull.dataset for pull in left})
                limit_tidying(context, watching)
            watching.cancel_scope.cancel()

    async def _usual_durations(self, ledger: Ledger) -> Mapping[str, float]:
        since = iso_utc(self.clock.now() - REMEMBERED_DURATIONS)
        return usual_durations(await ledger.noted("report", since=since), await ledger.noted("execution", since=since))

    def _report_plan(self, plan: Plan) -> None:
        self.events.emit("plan.made", pulls=len(plan.pulls), unavailable=len(plan.unavailable))
        self._notes += [note for note in plan.notes if note not in self._notes]
        for note in plan.notes:
            self.events.warn("plan.noted", reason=note)
        for pull in plan.pulls:
            with about(pull.dataset):
                for note in pull.notes:
                    self.events.warn("plan.noted", reason=note)

    async def _list_reports(self, client: InsightsClient, folder: OutputFolder) -> list[Report] | None:
        """The reports on the service, if any of them can be used; `None` if the list is unknown."""
        if self._earlier.is_empty and not folder.runs and not self.request.nightly:
            return []
        reports = await client.list_reports(is_ours=lambda name: parse_report_name(name) is not None)
        if reports is None:
            self.events.warn("reports.unknown", reason=LIST_UNKNOWN)
            self._notes.append(LIST_UNKNOWN)
        return reports

    async def _open_records(self, plan: Plan, done: Mapping[str, DatasetRecord], *, folder: OutputFolder) -> None:
        """Create a record for every dataset: unavailable, published already by this run, or pending."""
        for missing in plan.unavailable:
            self._records[missing.dataset] = unavailable_record(missing)
        for record in done.values() if self.settings.keep_raw else ():
            raw = INSIDE.snapshot(record.dataset, self.run_id, kind=RAW)
            if not await anyio.to_thread.run_sync(folder.store.exists, raw):
                record.notes.append("its downloaded bytes were not kept, because it was published without `keep_raw`")
        for pull in plan.pulls:
            record = self._records[pull.dataset] = done.get(pull.dataset) or pending_record(
                pull, named=bool(self.request.datasets)
            )
            if (what := folder.damaged.get(pull.dataset)) and pull.dataset not in done:
                record.notes.append(f"the snapshot that was current is damaged ({what}) and is to be published anew")

    async def _decide(
        self, found: ReusableWork, client: InsightsClient, *, ledger: Ledger, folder: OutputFolder
    ) -> Mapping[str, Decision]:
        """The decision for each dataset, by name; a nightly run also finds its unused scheduled reports."""
        is_nightly = self.request.nightly
        memories = await remember_reports(ledger) if is_nightly else {}
        decisions = await decide_all(
            found.parts,
            store=folder.store,
            published=folder.published,
            damaged=folder.damaged,
            memories=memories,
            unchanged=await ledger.noted(UNCHANGED),
            reports=found.listed,
            lookup=ExecutionLookup(
                client,
                events=self.events,
                form=max(await load_form(ledger, now=self.clock.now()), PollForm.ONE_STATUS),
                remember=self._remember_form,
                retry=True,
            ),
            schedule=schedule_of(self.settings, now=client.service_time()) if is_nightly else None,
            done=found.done,
            reusable=found.reusable,
        )
        chosen = [decision.schedule for decision in decisions.values() if decision.schedule]
        used = {report.report_id for choice in chosen for report in (choice.serving, *choice.replaced) if report}
        self._unused = unused_reports(found.listed or (), memories, used=used)
        return decisions

    async def _remember_form(self, form: PollForm) -> None:
        self._poll_form = form  # noted once the ledger has a row for this run

    def _note_unused_reports(self) -> None:
        """Note the scheduled reports of this folder that this run does not use; they go on running."""
        if not self._unused:
            return
        unused = join_some([f"{report.report_id} ({dataset})" for dataset, report in self._unused], most=_MOST_LISTED)
        self.events.warn("reports.unused", reports=[report.report_id for _, report in self._unused])
        many = plural(len(self._unused), "scheduled report")
        self._notes.append(
            f"{many} of this folder that this run does not use: {unused}; `bulkpull reports delete --unused` shows and "
            "deletes what is not needed any more"
        )

    def _will_convert(self, decision: Decision) -> bool:
        return not self.request.submit_only and decision.action is not Action.KEEP

    async def _run_dataset(self, decision: Decision, executor: DecisionExecutor) -> None:
        """Export one dataset; an error is written into its record, not raised."""
        record = self._records[decision.pull.dataset]
        with about(record.dataset):
            try:
                if (refused := self._refused.get(record.dataset)) is not None:
                    raise refused
                await executor.execute(decision, record)
            except Exception as error:  # noqa: BLE001 - a fault in one dataset, also one of ours, must not harm others
                record_error(record, error)
            if record.status == "skipped":
                is_submitted = record.dataset in self._submitted
                copy_published(record, executor.context.published.get(record.dataset), is_submitted=is_submitted)
                if (held_by := self._held.get(record.dataset)) is not None:
                    record.notes.append(
                        f"run {held_by} fetched newer data and held them back: "
                        f"`bulkpull runs publish {held_by} {record.dataset}` publishes them"
                    )
            level = _LEVELS.get(record.status, Level.ERROR)
            self.events.emit("pull.finished", level=level, status=record.status, rows=record.rows, reason=record.reason)

    def _executor(self, context: RunContext) -> DecisionExecutor:
        maker = ScheduledReportMaker(
            client=context.client,
            submitter=context.submitter,
            clock=self.clock,
            events=self.events,
            lead_h=self.settings.standing_lead_hours,
            idle=[report for _, report in self._unused],
        )
        return DecisionExecutor(
            context,
            maker,
            only_new_data=self.request.nightly,
            reset_types=self.request.reset_types,
            submit=self._submit if self.request.submit_only else None,
        )

    async def _submit(self, export: DatasetExport) -> None:
        """Order the reports; the rest is done when this run is resumed."""
        reports = await export.submit()
        several = f" and {len(reports) - 1} more" if len(reports) > 1 else ""
        export.record.status = "skipped"
        self._submitted.add(export.record.dataset)
        export.record.reason = (
            f"submitted as report {reports[0].report_id}{several}; `bulkpull runs resume {self.run_id}` collects it"
        )

    async def _begin(self, ledger: Ledger) -> None:
        if not self._is_begun:
            window_end = iso_utc(self.request.window.end) if self.request.window else None
            request = self.request.as_key(self.settings) | {
                "window_end": window_end,
                "account": self._account.as_dict(),
            }
            await ledger.begin_run(self.run_id, request=request, at=self._started_at)
            self._is_begun = True
            if (earlier := self._earlier.taken_over) is not None:
                await ledger.end_run(
                    earlier.run_id, status=ABANDONED, summary=earlier.summary or {}, at=iso_utc(self.clock.now())
                )

    @property
    def _is_to_be_resumed(self) -> bool:
        """Whether the fetched data are good: the error was local, the time limit passed, or publishing was refused."""
        local = DiskTrouble | LedgerError | ConverterDied | RunOverdue | HeldBack
        begun = [record for record in self._records.values() if record.dataset not in self._refused]
        return any(isinstance(record.error, local) for record in begun)

    async def _fail_all(self, error: BulkpullError, *, ledger: Ledger) -> None:
        """Create a failed record for every requested dataset, after an error before the first one."""
        await self._begin(ledger)
        reads = {selection.name: selection.reads for selection in self.request.selections}
        for name in self.request.names:
            record = failed_record(name, error, source=reads.get(name), catalog=load_catalog())
            self._records[record.dataset] = record

    async def _end_overdue(self, ledger: Ledger) -> None:
        """Record the exceeded time limit for every unfinished dataset."""
        limit_s = self.settings.run_timeout_seconds or 0.0
        why = f"`run_timeout_seconds` ({limit_s:,.0f} s) is over"
        self._notes.append(f"the run ended because {why}; the same command resumes")
        if not self._records:
            await self._fail_all(RunOverdue("the run had not created any report", why=why), ledger=ledger)
        for record in self._records.values():
            if record.status == "failed" and record.reason is None:
                record_error(record, RunOverdue("not finished", why=why))

    async def _finish(self, store: OutputStore, ledger: Ledger, *, interrupted: bool = False) -> Manifest:
        records = list(self._records.values())
        status = run_status(records)
        now = iso_utc(self.clock.now())
        submitted = self.request.submit_only and status != "failed"
        if await anyio.to_thread.run_sync(is_without_links, store):
            self._notes.append("`latest/` is not created, because this file system has no links: read `current.json`")
        manifest = Manifest(
            run_id=self.run_id,
            status=status,
            started_at=self._started_at,
            finished_at=now,
            tool=Tool(version=__version__),
            api_base_url=self.settings.api_base_url,
            account=self._account.as_dict(),
            requests=Requests.model_validate(dict(self._requests())),
            datasets=records,
            notes=self._notes,
            submitted=submitted,
            interrupted=interrupted,
        )
        counts = dict(
            Counter("submitted" if record.dataset in self._submitted else str(record.status) for record in records)
        )
        with disk_errors(str(store)):
            await anyio.to_thread.run_sync(self._check_lock)
            await anyio.to_thread.run_sync(manifest.save, store)
        ending: str = status
        if interrupted or self._is_to_be_resumed:
            ending = INTERRUPTED
        elif submitted:
            ending = SUBMITTED
        self.manifest = manifest  # only after it is saved
        try:
            await ledger.end_run(self.run_id, status=ending, summary=counts, at=now)
        except (LedgerError, DiskTrouble) as trouble:  # the next run counts this one as unfinished
            self.events.warn("cleanup.postponed", step="ledger", reason=trouble.message)
        self.events.emit("run.finished", run_id=self.run_id, status=ending, datasets=counts)
        await self._recorder.complete(manifest)
        return manifest


def new_run_id(now: datetime) -> str:
    """The time (UTC), so that runs sort by time, and six random hex digits, so that ids are unique."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
