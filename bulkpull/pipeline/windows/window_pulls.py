"""
Pulls the windows of one dataset in parallel, the newest first; halves failed windows, up to a limit.

The first few windows show an error that affects all of them. Completed windows are kept if others fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field

import anyio

from bulkpull.errors import (
    AccessDenied,
    AuthError,
    BulkpullError,
    DiskTrouble,
    ExecutionFailed,
    ExecutionOverdue,
    LedgerError,
    OutputLocked,
    RequestRejected,
    TimeNotReadable,
    TooManyReports,
    Unchanged,
    WindowNotHonoured,
)
from bulkpull.model import Pull
from bulkpull.pipeline.earlier_work import ReusableWork
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.windows.date_windows import describe_window, halves_of
from bulkpull.pipeline.windows.window_merge import HoldsWhole

# How many windows are pulled before the others.
_FIRST = 2
# After this many failures in a row the other windows are expected to fail too.
_IN_A_ROW = 3
# Errors that do not depend on a window: the message does not name one.
_OF_NO_WINDOW = (
    AccessDenied, AuthError, DiskTrouble, HoldsWhole, LedgerError, OutputLocked, TimeNotReadable, TooManyReports,
    Unchanged,
)  # fmt: skip
# Errors that apply to every window, whatever its size.
_SHARED = (*_OF_NO_WINDOW, RequestRejected, WindowNotHonoured)
# Errors that a smaller window may avoid.
WORTH_HALVING = (ExecutionFailed, ExecutionOverdue)


class _NotCreated(Exception):
    """A window that was no longer requested."""


@dataclass(slots=True)
class WindowPulls:
    """
    Pulls the windows of a dataset.

    Args:
        run_pull: Runs one pull; the number is how often its report may be requested: `attempts` for a whole window.
        may_halve: Whether a window that fails with this error may be requested in halves.
        on_split: Called for each window that is requested in halves.
        reusable: What earlier runs left: reports and files of windows, and which windows they requested in halves.
    """

    run_pull: Callable[[Pull, int], Awaitable[ConvertedPull]]
    attempts: int
    may_halve: Callable[[BulkpullError], bool]
    on_split: Callable[[Pull, BulkpullError], Awaitable[None]]
    reusable: ReusableWork = field(default_factory=ReusableWork)
    parts: list[ConvertedPull] = field(default_factory=list)
    """Completed windows, in no order."""
    _failures: list[tuple[Pull, BulkpullError]] = field(default_factory=list)
    _in_a_row: int = 0
    _is_stopped: bool = False
    _in_halves: bool = False

    async def gather(self, pulls: Sequence[Pull]) -> list[ConvertedPull]:
        """All parts, in the order of their windows; raises the first error that no retry could fix."""
        newest_first = sorted(pulls, key=_start_of, reverse=True)
        new = [pull for pull in newest_first if not self.reusable.has(pull_fingerprint(pull))]
        # Existing reports cost nothing; once they are made, the quota has room for others.
        first = [pull for pull in newest_first if pull in new[:_FIRST] or pull not in new]
        rest = new[_FIRST:]
        if rest:
            await self._pull_first(first)
        async with anyio.create_task_group() as group:
            for pull in rest or first:
                group.start_soon(self._pull_one, pull)
        if self._failures:
            raise self._dataset_error(len(pulls))
        return sorted(self.parts, key=lambda part: _start_of(part.pull))

    def check_may_create(self) -> None:
        """Called before a report is created."""
        if self._is_stopped:
            raise _NotCreated

    async def _pull_first(self, first: Sequence[Pull]) -> None:
        """Pull the newest windows; if all of them fail, whole and in halves, no more reports are created."""
        failed = await self._pull_each(first, attempts=self.attempts)
        if len(failed) == len(first) and not all(self.may_halve(error) for _, error in failed):
            for pull, error in failed:
                self._record_failure(pull, error)
            self._is_stopped = True
            return
        for pull, error in failed:
            await self._retry_in_halves(pull, error)
            if self._failures and not self.parts:
                self._is_stopped = True
                return
        self._in_halves = len(failed) == len(first)

    async def _pull_one(self, pull: Pull) -> None:
        """Pull one window, in halves if it fails; an error is recorded, not raised."""
        for part, error in await self._pull_each([pull], attempts=self.attempts):
            await self._retry_in_halves(part, error)

    async def _pull_each(self, pulls: Sequence[Pull], *, attempts: int) -> list[tuple[Pull, BulkpullError]]:
        """Run pulls in parallel; return those that failed, with their errors."""
        failed: list[tuple[Pull, BulkpullError]] = []

        async def pull_window(pull: Pull) -> None:
            was_split = pull_fingerprint(pull) in self.reusable.splits
            try:
                if (was_split or (self._in_halves and attempts == self.attempts)) and halves_of(pull):
                    await self._pull_halves(pull)
                else:
                    self.check_may_create()
                    self.parts.append(await self.run_pull(pull, attempts))
                    self._in_a_row = 0
            except _NotCreated:
                pass
            except BulkpullError as error:
                self._is_stopped = self._is_stopped or isinstance(error, _SHARED)
                failed.append((pull, error))

        async with anyio.create_task_group() as group:
            for pull in pulls:
                group.start_soon(pull_window, pull)
        return failed

    async def _retry_in_halves(self, pull: Pull, error: BulkpullError, *, chances: int = 2) -> bool:
        """Request a failed window in halves where that may help; return whether all of it was pulled."""
        if self._is_stopped or chances == 0 or not self.may_halve(error) or not halves_of(pull):
            self._record_failure(pull, error)
            return False
        await self.on_split(pull, error)
        return await self._pull_halves(pull, chances=chances)

    async def _pull_halves(self, pull: Pull, *, chances: int = 2) -> bool:
        """If both fail, one of them is halved again; if its halves fail too, the size is not the cause."""
        failed = await self._pull_each(halves_of(pull), attempts=1)
        if len(failed) > 1:
            (one, error), (other, its_error) = failed
            is_one_pulled = await self._retry_in_halves(one, error, chances=chances - 1)
            return is_one_pulled and await self._retry_in_halves(other, its_error)
        return all([await self._retry_in_halves(half, error) for half, error in failed])

    def _record_failure(self, pull: Pull, error: BulkpullError) -> None:
        self._failures.append((pull, error))
        self._in_a_row += 1
        self._is_stopped = self._is_stopped or self._in_a_row >= _IN_A_ROW

    def _dataset_error(self, count: int) -> BulkpullError:
        """The first error, with its window and the number of windows that are kept."""
        pull, error = next((pair for pair in self._failures if isinstance(pair[1], _SHARED)), self._failures[0])
        if pull.window is None or isinstance(error, _OF_NO_WINDOW):
            return error
        described = copy(error)
        described.what = f"the window {describe_window(pull.window)}: {error.what}"
        if self.parts:
            kept = f"{len(self.parts):,} of {count:,} windows are kept for the next run"
            described.fix = f"{kept}; {error.fix}" if error.fix else kept
        described.args = (described.reason,)
        return described


def _start_of(pull: Pull) -> float:
    return pull.window.start.timestamp() if pull.window else 0.0
