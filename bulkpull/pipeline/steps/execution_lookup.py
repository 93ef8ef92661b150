"""
Ask after the executions of several reports in as few calls as the service allows.

All reports go into one call, joined by `;` (behaviour 106). Where the service refuses that call, halving finds the
report that spoils it and leaves it out (fault 41). Where it refuses the joined form itself (behaviour 107), later calls
ask for one status, then for one report at a time. The ledger remembers a refused form for a week.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

from bulkpull.clock import Clock
from bulkpull.errors import RequestRejected
from bulkpull.event_types import PollNarrowed
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus
from bulkpull.output.ledger import Ledger, NotedFacts
from bulkpull.output.ledger_facts import PollFormFacts

REMEMBERED_FORM = timedelta(days=7)
_ALL_STATUSES = tuple(ExecutionStatus)
_COMPLETED_ONLY = (ExecutionStatus.COMPLETED,)
_PAIR = 2


class PollForm(IntEnum):
    """Forms of the look-up request, from the cheapest to the one that always works."""

    ALL_STATUSES = 0
    ONE_STATUS = 1
    ONE_REPORT = 2


class ExecutionLookup:
    """
    Looks up the latest executions of several reports, and keeps what it learns about the service.

    Args:
        form: The cheapest form that is worth a try, as far as earlier runs know.
        remember: Gets each form that the service made this one fall back to.
        on_refused: Gets the id of each report that is refused by itself, with the refusal.
        retry: Whether a failed call is repeated here; a poller sets `False`, because it polls again anyway.
        statuses: Those to ask for once the service has refused to be asked for all of them.
    """

    def __init__(
        self,
        client: InsightsClient,
        *,
        events: Events,
        form: PollForm = PollForm.ALL_STATUSES,
        remember: Callable[[PollForm], Awaitable[None]] | None = None,
        on_refused: Callable[[str, RequestRejected], None] = lambda _, __: None,
        retry: bool = False,
        statuses: Sequence[str] = _COMPLETED_ONLY,
    ) -> None:
        self._client, self._events, self._form, self._remember = client, events, form, remember
        self.on_refused = on_refused
        self._retry, self._statuses = retry, statuses
        self.calls = 0
        self._alone: set[str] = set()
        self._most_joined: int | None = None
        self._joined_works = False

    def for_statuses(self, statuses: Sequence[str]) -> ExecutionLookup:
        """A lookup of executions in these statuses only, in the form that this one uses."""
        form = max(self._form, PollForm.ONE_STATUS)
        return ExecutionLookup(self._client, events=self._events, form=form, retry=self._retry, statuses=statuses)

    async def ask(self, report_ids: Sequence[str]) -> list[Execution]:
        """
        The latest executions of these reports; nothing for one that is refused by itself.

        Raises:
            BulkpullError: The service could not be asked; a refusal of single reports goes to `on_refused`.
        """
        self.calls = 0
        is_single = self._form is PollForm.ONE_REPORT
        joined = [] if is_single else [report_id for report_id in report_ids if report_id not in self._alone]
        single = [report_id for report_id in report_ids if is_single or report_id in self._alone]
        found: list[Execution] = []
        most = self._most_joined or max(1, len(joined))
        for start in range(0, len(joined), most):
            found += await self._look_up_joined(joined[start : start + most])
        for report_id in single:
            found += await self._look_up_single(report_id) or []
        return found

    async def _look_up_joined(self, report_ids: Sequence[str]) -> list[Execution]:
        if self._form is PollForm.ALL_STATUSES:
            if (executions := await self._try(report_ids, statuses=_ALL_STATUSES)) is not None:
                return executions
            if (executions := await self._try(report_ids, statuses=self._statuses)) is not None:
                await self._fall_back(PollForm.ONE_STATUS)
                return executions
        elif (executions := await self._try(report_ids, statuses=self._statuses)) is not None:
            return executions
        if len(report_ids) == 1:
            return await self._look_up_single(report_ids[0]) or []
        return await self._halve(report_ids)

    async def _halve(self, report_ids: Sequence[str]) -> list[Execution]:
        """Find which of these, refused together, spoil the call; or that no call may ask for several."""
        middle = len(report_ids) // 2
        halves = [report_ids[:middle], report_ids[middle:]]
        answers = [
            await (self._look_up_single(half[0]) if len(half) == 1 else self._try(half, statuses=self._statuses))
            for half in halves
        ]
        if not self._joined_works and all(
            answer is None or len(half) == 1 for half, answer in zip(halves, answers, strict=True)
        ):
            return await self._look_up_each(halves=halves, answers=answers)
        if all(answer is not None for answer in answers):
            if len(report_ids) == _PAIR:
                self._alone.update(report_ids)  # both are good by themselves
            else:
                self._most_joined = max(map(len, halves))
        found: list[Execution] = []
        for half, answer in zip(halves, answers, strict=True):
            if answer is not None:
                found += answer
            elif len(half) > 1:
                found += await self._halve(half)
        return found

    async def _look_up_each(
        self, *, halves: Sequence[Sequence[str]], answers: Sequence[list[Execution] | None]
    ) -> list[Execution]:
        """Look up reports one by one if every joined call was refused: the form, or several ids, are bad."""
        found: list[Execution] = []
        refused = 0
        for half, answer in zip(halves, answers, strict=True):
            for report_id in half:
                alone = answer if len(half) == 1 else await self._look_up_single(report_id)
                refused += alone is None
                found += alone or []
        if not refused:
            await self._fall_back(PollForm.ONE_REPORT)
        return found

    async def _look_up_single(self, report_id: str) -> list[Execution] | None:
        """Its executions; `None` where the service refuses this report by itself."""
        self.calls += 1
        try:
            return await self._client.get_executions([report_id], statuses=self._statuses, retry=self._retry)
        except RequestRejected as error:
            self.on_refused(report_id, error)
            return None

    async def _try(self, report_ids: Sequence[str], *, statuses: Sequence[str]) -> list[Execution] | None:
        """Their executions; `None` where the service refuses the call."""
        self.calls += 1
        try:
            executions = await self._client.get_executions(report_ids, statuses=statuses, retry=self._retry)
        except RequestRejected:
            return None
        self._joined_works = self._joined_works or len(report_ids) > 1
        return executions

    async def _fall_back(self, form: PollForm) -> None:
        self._form = form
        self._events.emit(PollNarrowed(form=form.name.lower()))
        if self._remember is not None:
            await self._remember(form)


async def load_form(ledger: Ledger, *, now: datetime) -> PollForm:
    """The form of look-up that runs of the last week fell back to; else the cheapest one."""
    return remembered_form(await ledger.noted(PollFormFacts, since=now - REMEMBERED_FORM), now=now)


def form_recorder(ledger: Ledger, *, run_id: str, clock: Clock) -> Callable[[PollForm], Awaitable[None]]:
    """A function that notes a form in the ledger, for `ExecutionLookup`."""

    async def remember(form: PollForm) -> None:
        await ledger.note(run_id, dataset="", facts=PollFormFacts(form.name.lower()), at=clock.now())

    return remember


def remembered_form(noted: Sequence[NotedFacts[PollFormFacts]], *, now: datetime) -> PollForm:
    """The form that the latest run fell back to within a week; else the cheapest one (pure)."""
    for entry in reversed(noted):
        name = entry.facts.form.upper()
        if name in PollForm.__members__:
            return PollForm[name] if now - entry.at < REMEMBERED_FORM else PollForm.ALL_STATUSES
    return PollForm.ALL_STATUSES
