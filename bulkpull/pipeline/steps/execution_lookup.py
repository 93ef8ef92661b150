"""
Ask after the executions of several reports in as few calls as the service allows.

All reports go into one call, joined by `;` (behaviour 106). Where the service refuses that call, halving finds the
report that spoils it and leaves it out (fault 41). Where it refuses the joined form itself (behaviour 107), or finds
nothing by it, later calls ask for one status, then for one report at a time. The ledger remembers that for a week.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from bulkpull.clock import Clock
from bulkpull.errors import RequestRejected
from bulkpull.event_types import PollNarrowed
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import PollFormFacts

REMEMBERED_FORM = timedelta(days=7)
_ALL_STATUSES = tuple(ExecutionStatus)
_PAIR = 2


class PollForm(IntEnum):
    """Forms of the look-up request, from the cheapest to the one that always works."""

    ALL_STATUSES = 0
    ONE_STATUS = 1
    ONE_REPORT = 2


@dataclass(slots=True)
class ExecutionLookup:
    """
    Looks up the latest executions of several reports, and keeps what it learns about the service.

    Attributes:
        remember: Gets each form that the service made this one fall back to.
        on_refused: Gets the id of each report that is refused by itself, with the refusal.
        statuses: Those to ask for once the service has refused to be asked for all of them.
    """

    client: InsightsClient
    events: Events
    form: PollForm = PollForm.ALL_STATUSES
    remember: Callable[[PollForm], Awaitable[None]] | None = None
    on_refused: Callable[[str, RequestRejected], None] = lambda _, __: None
    retry: bool = False
    statuses: Sequence[str] = (ExecutionStatus.COMPLETED,)
    calls: int = 0
    _alone: set[str] = field(default_factory=set)
    _most_joined: int | None = None
    _joined_works: bool = False

    def for_statuses(self, statuses: Sequence[str]) -> ExecutionLookup:
        """A lookup of executions in these statuses only, in the form that this one uses."""
        form = max(self.form, PollForm.ONE_STATUS)
        return ExecutionLookup(self.client, self.events, form=form, retry=self.retry, statuses=statuses)

    async def ask(self, report_ids: Sequence[str]) -> list[Execution]:
        """
        The latest executions of these reports; nothing for one that is refused by itself.

        Raises:
            BulkpullError: The service could not be asked; a refusal of single reports goes to `on_refused`.
        """
        self.calls = 0
        is_single = self.form is PollForm.ONE_REPORT
        joined = [] if is_single else [report_id for report_id in report_ids if report_id not in self._alone]
        single = [report_id for report_id in report_ids if is_single or report_id in self._alone]
        found: list[Execution] = []
        most = self._most_joined or max(1, len(joined))
        for start in range(0, len(joined), most):
            found += await self._look_up_joined(joined[start : start + most])
        for report_id in single:
            found += await self._try([report_id]) or []
        return found

    async def ask_alone(self, report_id: str, *, among: Sequence[str]) -> list[Execution]:
        """
        Ask for one report and status; where a call for all of these overlooks what is found, give up its form.

        What is joined may be taken for a name that is not known, which answers like a report that did not run (105).
        """
        if self.form >= (PollForm.ONE_STATUS if len(among) == 1 else PollForm.ONE_REPORT):
            return []
        found = await self._try([report_id]) or []
        while found and self.form < PollForm.ONE_REPORT:
            if any(execution.report_id == report_id for execution in await self.ask(among)):
                break
            await self._fall_back(PollForm(self.form + 1))
        return found

    async def _look_up_joined(self, report_ids: Sequence[str]) -> list[Execution]:
        is_first_form = self.form is PollForm.ALL_STATUSES
        if is_first_form and (executions := await self._try(report_ids, statuses=_ALL_STATUSES)) is not None:
            return executions
        if (executions := await self._try(report_ids, statuses=self.statuses)) is not None:
            if is_first_form:
                await self._fall_back(PollForm.ONE_STATUS)
            return executions
        if len(report_ids) > 1:
            return await self._halve(report_ids)
        return await self._try(report_ids) or []  # once more, before this report counts as refused

    async def _halve(self, report_ids: Sequence[str]) -> list[Execution]:
        """Find which of these, refused together, spoil the call; or that no call may ask for several."""
        middle = len(report_ids) // 2
        halves = [report_ids[:middle], report_ids[middle:]]
        answers = [await self._try(half) for half in halves]
        no_joined_works = not self._joined_works and all(
            answer is None or len(half) == 1 for half, answer in zip(halves, answers, strict=True)
        )
        if not no_joined_works and all(answer is not None for answer in answers):
            if len(report_ids) == _PAIR:
                self._alone.update(report_ids)  # both are good by themselves
            else:
                self._most_joined = max(map(len, halves))
        found: list[Execution] = []
        refused = 0
        for half, answer in zip(halves, answers, strict=True):
            if answer is not None:
                found += answer
            elif len(half) == 1:
                refused += 1
            elif no_joined_works:  # the form, or several ids, are bad
                for report_id in half:
                    alone = await self._try([report_id])
                    refused += alone is None
                    found += alone or []
            else:
                found += await self._halve(half)
        if no_joined_works and not refused:
            await self._fall_back(PollForm.ONE_REPORT)
        return found

    async def _try(self, report_ids: Sequence[str], *, statuses: Sequence[str] = ()) -> list[Execution] | None:
        """Their executions; `None` where the call is refused: one report in the simplest form, by itself."""
        self.calls += 1
        try:
            executions = await self.client.get_executions(
                report_ids, statuses=statuses or self.statuses, retry=self.retry
            )
        except RequestRejected as error:
            if len(report_ids) == 1 and not statuses:
                self.on_refused(report_ids[0], error)
            return None
        self._joined_works = self._joined_works or len(report_ids) > 1
        return executions

    async def _fall_back(self, form: PollForm) -> None:
        self.form = form
        self.events.emit(PollNarrowed(form=form.name.lower()))
        if self.remember is not None:
            await self.remember(form)


async def load_form(ledger: Ledger, *, now: datetime) -> PollForm:
    """The form of look-up that runs of the last week fell back to; else the cheapest one."""
    noted = await ledger.noted(PollFormFacts, since=now - REMEMBERED_FORM)
    names = [entry.facts.form.upper() for entry in reversed(noted)]
    return next((PollForm[name] for name in names if name in PollForm.__members__), PollForm.ALL_STATUSES)


async def remember_form(form: PollForm, *, ledger: Ledger, run_id: str, clock: Clock) -> None:
    """Note a form that the service made a run fall back to, for the runs of the next week."""
    await ledger.note(run_id, dataset="", facts=PollFormFacts(form.name.lower()), at=clock.now())
