"""
Run: all pulls in one task group; a lost pull leaves the others going.

One run owns the output folder while it lasts. Whatever happens to it, it ends with a manifest and one exit status, or
leaves a ledger from which the same command carries on.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from bulkpull._version import __version__
from bulkpull.account.keeper import Keeper, kept_account
from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock, iso_utc
from bulkpull.errors import AccessDenied, AuthError, BulkpullError, SettingsError
from bulkpull.events import Events, Level, about
from bulkpull.journey.convert import warm_up
from bulkpull.journey.poll import Poller
from bulkpull.journey.publish import Publisher, make_folders
from bulkpull.journey.pull import Journey, Tools, discard_report
from bulkpull.journey.quota import OneOffQuota
from bulkpull.journey.request import ExportRequest, check_before_asking, plan_export, plan_on
from bulkpull.journey.resume import find_unfinished, made_before, published_before
from bulkpull.journey.retire import retire_runs
from bulkpull.journey.submit import Submitter
from bulkpull.journey.verdict import PollSchedule
from bulkpull.model import Pull, Report, Window
from bulkpull.records.files import explained, remove_tree
from bulkpull.records.history import PRIVATE
from bulkpull.records.ledger import Ledger, RunEntry, opened_ledger
from bulkpull.records.lock import locked
from bulkpull.records.manifest import Current, DatasetRecord, Manifest, Requests, Tool, status_of
from bulkpull.reporting.azure import AzureCredential
from bulkpull.reporting.connect import Connection, connected
from bulkpull.settings import Settings

_CLOSING_S = 5.0
_LOUDNESS = {"complete": Level.INFO, "unavailable": Level.WARNING}
# A third conversion at once would add memory and, on two cores, no speed.
_CONVERSIONS = 2


@dataclass(slots=True)
class Run:
    """
    One export and all its resumptions.

    `manifest` is there as soon as the run has ended, also when it was interrupted. A `credential` signs in, in place
    of what the settings say about that.
    """

    request: ExportRequest
    settings: Settings
    events: Events
    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    credential: AzureCredential | None = None
    manifest: Manifest | None = None
    run_id: str = ""
    _records: dict[str, DatasetRecord] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _started_at: str = ""
    _begun: bool = False
    _requests: Callable[[], Mapping[str, Any]] = dict
    _keeper: Keeper = field(init=False, repr=False)

    async def export(self) -> Manifest:
        """
        Pull every wanted dataset; what fails is in the manifest and harms no other.

        The same call again after an interruption carries on: reports that were made are not made again, and snapshots
        that were published stay.

        Raises:
            SettingsError: A dataset's name is unknown; nothing was started.
            AuthError: Credentials are missing; nothing was started. A refusal by the service is in the manifest.
            OutputLocked: Another run is writing to the output folder.
            DiskTrouble, LedgerError: The output folder cannot be used.
        """
        if self.credential is None:
            await check_before_asking(self.request, settings=self.settings)
        if self.request.only_selections or any(load_catalog().find(name) is None for name in self.request.datasets):
            # Only the service can tell whether it is a new name or a slip, and a slip shall leave no trace.
            await plan_export(
                self.request,
                settings=self.settings,
                events=self.events,
                clock=self.clock,
                credential=self.credential,
            )
        output = self.settings.output.absolute()
        private = output / PRIVATE
        self._started_at = iso_utc(self.clock.now())
        async with (
            locked(private, since=self._started_at),
            opened_ledger(private, clock=self.clock) as ledger,
            kept_account(self.settings, events=self.events, clock=self.clock) as self._keeper,
        ):
            earlier = await self._find_unfinished(ledger)
            if ledger.set_aside is not None:
                self.events.warn("ledger.set_aside", path=str(ledger.set_aside.path), reason=ledger.set_aside.why)
                self._notes.append(ledger.set_aside.sentence)
            with explained(output):
                current = await anyio.to_thread.run_sync(Current.load, output)
                staging = private / "staging" / self.run_id
                await anyio.to_thread.run_sync(_clear_staging, staging)
            self.events.emit("run.started", run_id=self.run_id, resumed=earlier is not None)
            try:
                async with connected(
                    settings=self.settings,
                    events=self.events,
                    clock=self.clock,
                    random=self.random,
                    credential=self.credential,
                ) as connection:
                    self._requests = connection.http.tally.as_dict
                    await self._work(connection, ledger=ledger, output=output, staging=staging, current=current)
                manifest = await self._finish(output, ledger)
            except anyio.get_cancelled_exc_class():
                if self._begun:
                    with anyio.move_on_after(_CLOSING_S, shield=True):
                        await self._finish(output, ledger, interrupted=True)
                raise  # what was downloaded stays: the same command carries on with it
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(remove_tree, staging)
                raise
            await anyio.to_thread.run_sync(remove_tree, staging)
            await retire_runs(output, ledger, retain=self.settings.retain_runs, now=self.clock.now())
            return manifest

    async def _find_unfinished(self, ledger: Ledger) -> RunEntry | None:
        """Take up the newest run if it was cut off, lately, while doing the same; else begin a new one."""
        now = self.clock.now()
        earlier = await find_unfinished(ledger, key=self.request.as_key(self.settings), now=now)
        if earlier is None:
            self.run_id = new_run_id(now)
            return None
        self.run_id, self._started_at, self._begun = earlier.run_id, earlier.started_at, True
        await ledger.resume_run(self.run_id, at=iso_utc(now))
        if self.request.window and (end := earlier.request.get("window_end")):
            # The reports that were made are for the window as it was then.
            window = Window(self.request.window.start, datetime.fromisoformat(end))
            self.request = replace(self.request, window=window)
        return earlier

    async def _work(
        self, connection: Connection, *, ledger: Ledger, output: Path, staging: Path, current: Current
    ) -> None:
        resumed = self._begun
        try:
            plan = await plan_on(self.request, connection, settings=self.settings)
            reports = await made_before(plan, client=connection.client, run_id=self.run_id) if resumed else {}
        except SettingsError:
            raise
        except BulkpullError as error:
            await self._begin(ledger)
            self._lose_all(error)
            return
        await self._begin(ledger)
        for missing in plan.unavailable:
            self._records[missing.dataset] = DatasetRecord(
                dataset=missing.dataset,
                status="failed" if missing.failed else "unavailable",
                reason=missing.reason,
                named=missing.named,
            )
        self.events.emit("plan.made", pulls=len(plan.pulls), unavailable=len(plan.unavailable))
        done = await published_before(ledger, run_id=self.run_id, output=output) if resumed else {}
        submitter = await self._submitter(connection, ledger=ledger, current=current)
        for pull in plan.pulls:
            self._records[pull.dataset] = done.get(pull.dataset) or self._blank_record(pull)
        async with anyio.create_task_group() as watching:
            # Pulls, and the deletions that they leave behind: these end with the run, not with the pull.
            async with anyio.create_task_group() as working:
                tools = self._tools(
                    connection,
                    ledger=ledger,
                    output=output,
                    staging=staging,
                    current=current,
                    submitter=submitter,
                    background=working,
                )
                watching.start_soon(tools.poller.run)
                watching.start_soon(warm_up, tools.conversions)
                for pull in plan.pulls:
                    made = reports.get(pull.dataset, [])
                    if pull.dataset not in done:
                        working.start_soon(self._carry, pull, tools, made.pop() if made else None)
                    for report in made:  # of a snapshot that is published, or of an attempt that was given up
                        discard_report(report, tools=tools, record=self._records[pull.dataset], dataset=pull.dataset)
            watching.cancel_scope.cancel()

    def _tools(
        self,
        connection: Connection,
        *,
        ledger: Ledger,
        output: Path,
        staging: Path,
        current: Current,
        submitter: Submitter,
        background: TaskGroup,
    ) -> Tools:
        settings, clock, events = self.settings, self.clock, self.events
        return Tools(
            client=connection.client,
            http=connection.http,
            retrier=connection.retrier,
            clock=clock,
            events=events,
            settings=settings,
            catalog=load_catalog(),
            ledger=ledger,
            output=output,
            staging=staging,
            run_id=self.run_id,
            current=current,
            submitter=submitter,
            poller=Poller(client=connection.client, clock=clock, events=events, schedule=_schedule(settings)),
            publisher=Publisher(
                output=output, run_id=self.run_id, retain_runs=settings.retain_runs, clock=clock, events=events
            ),
            background=background,
            downloads=anyio.CapacityLimiter(settings.parallel_downloads),
            conversions=anyio.CapacityLimiter(_CONVERSIONS),
        )

    async def _carry(self, pull: Pull, tools: Tools, earlier: Report | None) -> None:
        """One pull, whose faults end here: in its record."""
        record = self._records[pull.dataset]
        with about(pull.dataset):
            try:
                await Journey(pull=pull, tools=tools, record=record, earlier=earlier).travel()
            except AccessDenied as error:
                record.status, record.reason, record.error = "unavailable", _named(pull.dataset, error), error
            except BulkpullError as error:
                record.reason, record.error = _named(pull.dataset, error), error
            except Exception as error:  # noqa: BLE001 - a fault of ours in one dataset must not harm the others
                fault = BulkpullError(
                    f"{pull.dataset}: an unexpected fault ({type(error).__name__})",
                    why=str(error) or None,
                    fix="this is a defect in bulkpull: run again with `--log-level debug` and report it",
                )
                record.reason, record.error = fault.reason, fault
            level = _LOUDNESS.get(record.status, Level.ERROR)
            self.events.emit("pull.finished", level=level, status=record.status, rows=record.rows, reason=record.reason)

    def _blank_record(self, pull: Pull) -> DatasetRecord:
        return DatasetRecord(
            dataset=pull.dataset,
            status="failed",
            query=pull.query_text,
            timespan=pull.timespan,
            wider_timespan=pull.wider_timespan,
            window=_window(pull),
            source=pull.source,
            notes=list(pull.notes),
            named=bool(self.request.datasets or pull.source),
        )

    async def _submitter(self, connection: Connection, *, ledger: Ledger, current: Current) -> Submitter:
        window_s = self.settings.one_off_quota_window_seconds
        now = self.clock.now()
        made = await ledger.moments(step="report", since=iso_utc(now - timedelta(seconds=window_s)))
        ages_s = [(now - datetime.fromisoformat(moment)).total_seconds() for moment in made]
        return Submitter(
            client=connection.client,
            quota=OneOffQuota(
                window_s=window_s,
                clock=self.clock,
                events=self.events,
                created_at=[self.clock.monotonic() - age_s for age_s in ages_s],
            ),
            clock=self.clock,
            events=self.events,
            run_id=self.run_id,
            weights={name: snapshot.rows for name, snapshot in current.datasets.items()},
        )

    async def _begin(self, ledger: Ledger) -> None:
        if not self._begun:
            window_end = iso_utc(self.request.window.end) if self.request.window else None
            request = self.request.as_key(self.settings) | {"window_end": window_end}
            await ledger.begin_run(self.run_id, request=request, at=self._started_at)
            self._begun = True

    def _lose_all(self, error: BulkpullError) -> None:
        """The service could not even be asked what it offers: one reason for every dataset."""
        catalog = load_catalog()
        for name in self.request.names:
            known = catalog.find(name)
            dataset = known.name if known else name.strip()
            self._records[dataset] = DatasetRecord(
                dataset=dataset, status="failed", reason=error.reason, error=_as_role_problem(error)
            )

    async def _finish(self, output: Path, ledger: Ledger, *, interrupted: bool = False) -> Manifest:
        records = list(self._records.values())
        for record in records:
            if record.status == "failed" and record.reason is None:
                record.reason = f"{record.dataset}: interrupted; run the same command again to carry on"
        status = status_of(records)
        if records and all(isinstance(record.error, AccessDenied) for record in records):
            status = "failed"
            for record in records:
                record.error = _as_role_problem(record.error)
        now = iso_utc(self.clock.now())
        self.manifest = Manifest(
            run_id=self.run_id,
            status=status,
            started_at=self._started_at,
            finished_at=now,
            tool=Tool(version=__version__),
            api_base_url=self.settings.api_base_url,
            requests=Requests.model_validate(dict(self._requests())),
            datasets=records,
            notes=self._notes,
            interrupted=interrupted,
        )
        counts = dict(Counter(str(record.status) for record in records))
        with explained(output):
            await anyio.to_thread.run_sync(self.manifest.save, output)
        await ledger.end_run(self.run_id, status="interrupted" if interrupted else status, summary=counts, at=now)
        self.events.emit(
            "run.finished", run_id=self.run_id, status="interrupted" if interrupted else status, datasets=counts
        )
        await self._keeper.complete(self.manifest)
        return self.manifest


def new_run_id(now: datetime) -> str:
    """The moment (UTC), so that runs sort by time, and six random digits, so that no two are alike."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _schedule(settings: Settings) -> PollSchedule:
    return PollSchedule(
        initial_s=settings.poll_initial_seconds,
        longest_s=settings.poll_max_seconds,
        deadline_s=settings.report_timeout_seconds,
    )


def _window(pull: Pull) -> dict[str, str] | None:
    return {"start": iso_utc(pull.window.start), "end": iso_utc(pull.window.end)} if pull.window else None


def _named(dataset: str, error: BulkpullError) -> str:
    """The reason, with the dataset that it concerns: steps know reports and files, not datasets."""
    return error.reason if error.reason.startswith(f"{dataset}:") else f"{dataset}: {error.reason}"


def _as_role_problem(error: BulkpullError | None) -> BulkpullError | None:
    """Refused everywhere means that the role is missing altogether (exit status 4)."""
    if isinstance(error, AccessDenied):
        return AuthError(error.what, why=error.why, fix=error.fix)
    return error


def _clear_staging(staging: Path) -> None:
    """Remove what other runs left behind: the lock says that none of them is alive, and none of them is carried on."""
    if staging.parent.is_dir():
        for left in staging.parent.iterdir():
            if left != staging:
                remove_tree(left)
    make_folders(staging, root=staging.parent.parent)
