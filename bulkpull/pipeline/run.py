"""
Runs an export: all datasets in one task group; a failed dataset does not stop the others.

A run locks the output folder. It always ends with a manifest and one exit status, or leaves a ledger from which the
same command resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from bulkpull._version import __version__
from bulkpull.account import Account, sign_in_digest
from bulkpull.auth.azure_identity import AzureCredential
from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock, iso_utc, own_random
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError, DiskTrouble, LedgerError, SettingsError
from bulkpull.event_types import CleanupPostponed, PlanMade, PlanNoted, RunFinished
from bulkpull.events import Events, about
from bulkpull.insights.connect import Connection, connected
from bulkpull.model import Pull
from bulkpull.observability.recorder import RunRecorder, recorded_run
from bulkpull.output.atomic_files import disk_errors
from bulkpull.output.cleanup import is_without_links
from bulkpull.output.disk_space import find_too_large
from bulkpull.output.layout import RAW, Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.manifest import DatasetRecord, Manifest, Requests, Tool, whole_second
from bulkpull.output.owner import Owner, check_owner, claim_folder
from bulkpull.output.run_history import held_back_by, load_manifest
from bulkpull.output.store import INSIDE, OutputStore, open_store
from bulkpull.output.workspace import find_blocked
from bulkpull.pipeline.context import run_context
from bulkpull.pipeline.nightly.decision_rules import Action
from bulkpull.pipeline.nightly.scheduled_reports import LIST_UNKNOWN
from bulkpull.pipeline.open_run import ABANDONED, INTERRUPTED, SUBMITTED, OpenedRun, open_run
from bulkpull.pipeline.outcome import DatasetOutcome, RunResults, with_notes
from bulkpull.pipeline.plan import Plan, check_offline, plan_request
from bulkpull.pipeline.publication.publish import Publisher
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer, load_offer
from bulkpull.pipeline.resource_limits import fit_to_machine, is_overdue
from bulkpull.pipeline.run_cleanup import clean_up_last, clear_staging, datasets_not_begun, keep_downloads
from bulkpull.pipeline.run_datasets import start_datasets
from bulkpull.pipeline.run_decisions import decide_run, plan_in_folder
from bulkpull.pipeline.steps.execution_lookup import remember_form
from bulkpull.timespans import WIDEST

_CLOSING_S = 5.0
_RAW_NOT_KEPT = "its downloaded bytes were not kept, because it was published without `keep_raw`"


@dataclass(slots=True)
class Run:
    """
    One export and all its resumptions. `manifest` is set when it has ended, also after an interruption.

    Args:
        resume: The id of an earlier run to resume, however it ended; `None` resumes the newest unfinished run of
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
    _results: RunResults = field(default_factory=RunResults)
    _opened: OpenedRun = field(init=False, repr=False)
    _is_begun: bool = False
    _check_lock: Callable[[], None] = lambda: None
    _offer: ServiceOffer | None = None
    _requests: Callable[[], Mapping[str, Any]] = dict
    _earlier_requests: Requests = field(default_factory=Requests)
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
        store = open_store(output)
        with disk_errors(output):
            await anyio.to_thread.run_sync(check_owner, store, self._account)
        if self.credential is None:
            await check_offline(self.request, settings=self.settings)
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._connect()) if self._needs_service_list else None
            if connection is not None:
                # Only the service knows whether a name is new or misspelled; a misspelled one must not create anything.
                self._offer = await load_offer(self.request, connection.client)
                plan_request(PlanInputs(self.request, self._offer, self.settings, now=self.clock.now()))
            began_s = self.clock.monotonic()
            started_at = whole_second(self.clock.now())
            # Outermost, so that notifications are sent after the lock is released.
            self._recorder = await stack.enter_async_context(
                recorded_run(self.settings, events=self.events, clock=self.clock)
            )
            self._check_lock = await stack.enter_async_context(store.lock(since=started_at))
            ledger = await stack.enter_async_context(opened_ledger(Layout(output).private, clock=self.clock))
            self._opened = await open_run(
                self.request,
                ledger=ledger,
                store=store,
                resume=self.resume,
                started_at=started_at,
                settings=self.settings,
                events=self.events,
                clock=self.clock,
            )
            return await self._export_locked(connection, began_s=began_s)

    async def _export_locked(self, connection: Connection | None, *, began_s: float) -> Manifest:
        self._results.notes += self._opened.notes
        self._is_begun = self._opened.earlier.carried_on is not None
        if self._is_begun:
            earlier = await anyio.to_thread.run_sync(load_manifest, self._opened.folder.store, self.run_id)
            self._earlier_requests = earlier.requests if earlier else Requests()
        self.settings, conversions = await fit_to_machine(self.settings, events=self.events)
        self._opened = opened = replace(self._opened, settings=self.settings)
        try:
            async with nullcontext(connection) if connection else self._connect() as connected_now:
                work = partial(self._work, connected_now, conversions=conversions)
                limit_s = self.settings.run_timeout_seconds
                left_s = None if limit_s is None else began_s + limit_s - self.clock.monotonic()
                if await is_overdue(work, limit_s=left_s, clock=self.clock):
                    await self._begin()
                    self._results.end_overdue(limit_s=limit_s or 0.0, request=opened.request)
            manifest = await self._finish()
        except anyio.get_cancelled_exc_class():
            if self._is_begun:
                with anyio.move_on_after(_CLOSING_S, shield=True):
                    await self._finish(interrupted=True)
            raise  # downloads stay: the same command resumes them
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(clear_staging, opened.folder)
            raise
        if not self._results.is_to_be_resumed:
            await anyio.to_thread.run_sync(keep_downloads, opened.folder, manifest.datasets)
            await anyio.to_thread.run_sync(clear_staging, opened.folder)
        await clean_up_last(opened)
        return manifest

    def record_interruption(self) -> None:
        """Record in the ledger that the run was interrupted: for a process that ends before the run can."""
        if self._is_begun:
            with suppress(LedgerError, DiskTrouble):
                self._opened.ledger.record_interruption(self.run_id, at=self.clock.now())

    @property
    def run_id(self) -> str:
        """Its id, once the output folder is locked."""
        return self._opened.run_id

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

    def _connect(self) -> AbstractAsyncContextManager[Connection]:
        return connected(
            settings=self.settings, events=self.events, clock=self.clock, random=self.random, credential=self.credential
        )

    async def _work(self, connection: Connection, *, conversions: int) -> None:
        opened, results = self._opened, self._results
        self._requests = connection.http.counts.as_dict
        try:
            plan = await plan_in_folder(opened, self._offer or await load_offer(opened.request, connection.client))
            decided = await decide_run(
                opened, plan.pulls, client=connection.client, published_anyway=self.published_anyway
            )
            if plan.pulls:  # a mistyped address that offers nothing must not claim the folder
                await self._claim(opened.folder.store)
        except SettingsError:
            raise
        except BulkpullError as error:
            await self._begin()
            results.fail_all(error, opened.request)
            return
        if not decided.is_list_known:
            results.notes.append(LIST_UNKNOWN)
        new = [pull for pull in plan.pulls if decided.decisions[pull.dataset].action is not Action.SKIP]
        fetched = [] if self.request.submit_only else new
        results.refused = await self._find_refused(plan, fetched)
        await self._begin()
        if decided.poll_form is not None:
            await remember_form(decided.poll_form, ledger=opened.ledger, run_id=opened.run_id, clock=self.clock)
        self._report_plan(plan)
        await self._put_pending(plan, decided.reusable.done)
        left = [pull for pull in plan.pulls if pull.dataset not in decided.reusable.done]
        if left and all(pull.dataset in results.refused for pull in left):
            for pull in left:
                results.put(replace(results.outcome(pull.dataset), error=results.refused[pull.dataset]))
            return  # one message at the end, not one per dataset
        publisher = Publisher(
            store=opened.folder.store,
            run_id=opened.run_id,
            retain_runs=self.settings.retain_runs,
            clock=self.clock,
            events=self.events,
            account=self._account,
            check_lock=self._check_lock,
        )
        async with run_context(
            opened,
            connection,
            publisher=publisher,
            conversions=conversions,
            reusable=decided.reusable,
            random=self.random,
            published_anyway=self.published_anyway,
            undeleted=results.undeleted,
        ) as context:
            await start_datasets(left, context, decided=decided, results=results, warms_up=bool(fetched))

    async def _claim(self, store: OutputStore) -> None:
        """Record the account of the folder, after the service has answered and before a report is created."""
        client_id, username = self.settings.client_id, self.settings.username
        sign_in = None if self.credential else sign_in_digest(client_id=client_id, username=username)
        with disk_errors(str(store)):
            self._results.notes += await anyio.to_thread.run_sync(claim_folder, store, Owner(self._account, sign_in))

    async def _find_refused(self, plan: Plan, fetched: Sequence[Pull]) -> Mapping[str, DiskTrouble]:
        """The datasets that cannot be written: they are too large for the disk, or something is in their place."""
        folder = self._opened.folder
        not_begun = await anyio.to_thread.run_sync(datasets_not_begun, fetched, folder)
        too_large = await find_too_large(folder.output, not_begun, settings=self.settings)
        names = [pull.dataset for pull in plan.pulls]
        blocked = partial(find_blocked, folder.store, names, keep_raw=self.settings.keep_raw)
        return {**too_large, **await anyio.to_thread.run_sync(blocked)}

    def _report_plan(self, plan: Plan) -> None:
        self.events.emit(PlanMade(pulls=len(plan.pulls), unavailable=len(plan.unavailable)))
        notes = self._results.notes
        notes += [note for note in plan.notes if note not in notes]
        for note in plan.notes:
            self.events.emit(PlanNoted(reason=note))
        for pull in plan.pulls:
            with about(pull.dataset):
                for note in pull.notes:
                    self.events.emit(PlanNoted(reason=note))

    async def _put_pending(self, plan: Plan, done: Mapping[str, DatasetRecord]) -> None:
        """Begin with every dataset: unavailable, published already by this run, or pending."""
        folder, others = self._opened.folder, self._opened.earlier.alive - {self.run_id}
        held = await anyio.to_thread.run_sync(held_back_by, folder.store, others, folder.current)
        for dataset in plan.unavailable:
            self._results.put_unavailable(dataset)
        for pull in plan.pulls:
            if (record := done.get(pull.dataset)) is not None:
                raw = INSIDE.snapshot(pull.dataset, self.run_id, kind=RAW)
                lacks_raw = self.settings.keep_raw and not await anyio.to_thread.run_sync(folder.store.exists, raw)
                self._results.put(with_notes(record, [_RAW_NOT_KEPT] if lacks_raw else []))
                continue
            damage = folder.damaged.get(pull.dataset)
            note = f"the snapshot that was current is damaged ({damage}) and is to be published again"
            named, notes = bool(self.request.datasets or pull.source), (note,) if damage else ()
            self._results.put(DatasetOutcome(pull, named=named, notes=notes, held_by=held.get(pull.dataset)))

    async def _begin(self) -> None:
        if self._is_begun:
            return
        opened, ledger, window = self._opened, self._opened.ledger, self._opened.request.window
        request = opened.request.as_key(self.settings) | {
            "window_end": iso_utc(window.end) if window else None,
            "account": self._account.as_dict(),
        }
        await ledger.begin_run(opened.run_id, request=request, at=opened.started_at)
        self._is_begun = True
        if (earlier := opened.earlier.taken_over) is not None:
            await ledger.end_run(earlier.run_id, status=ABANDONED, summary=earlier.summary or {}, at=self.clock.now())

    async def _finish(self, *, interrupted: bool = False) -> Manifest:
        opened, results, store = self._opened, self._results, self._opened.folder.store
        if await anyio.to_thread.run_sync(is_without_links, store):
            results.notes.append("`latest/` is not created, because this file system has no links: read `current.json`")
        is_to_be_resumed = results.is_to_be_resumed
        records, status = results.finish()
        submitted = self.request.submit_only and status != "failed"
        now, counts = self.clock.now(), results.count(records, interrupted=interrupted)
        manifest = Manifest(
            run_id=opened.run_id,
            status=status,
            started_at=opened.started_at,
            finished_at=now,
            tool=Tool(version=__version__),
            api_base_url=self.settings.api_base_url,
            account=self._account.as_dict(),
            requests=self._earlier_requests + Requests.model_validate(dict(self._requests())),
            datasets=records,
            notes=results.notes,
            submitted=submitted,
            interrupted=interrupted,
        )
        with disk_errors(str(store)):
            await anyio.to_thread.run_sync(self._check_lock)
            await anyio.to_thread.run_sync(manifest.save, store)
        ending: str = SUBMITTED if submitted else status
        if interrupted or is_to_be_resumed:
            ending = INTERRUPTED
        self.manifest = manifest  # only after it is saved
        try:
            await opened.ledger.end_run(opened.run_id, status=ending, summary=counts, at=now)
        except (LedgerError, DiskTrouble) as trouble:  # the next run counts this one as unfinished
            self.events.emit(CleanupPostponed(step="ledger", reason=trouble.message))
        self.events.emit(RunFinished(run_id=opened.run_id, status=ending, datasets=counts))
        await self._recorder.complete(manifest)
        return manifest
