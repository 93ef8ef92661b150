"""
Pulls the windows of one dataset in parallel: the newest first, a failed one in halves, up to a limit.

A reason that all windows share shows with the first few. Completed windows are kept, whatever happens to others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

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
from bulkpull.pipeline.converted_pull import ConvertedPull
from bulkpull.pipeline.date_windows import split_in_half
from bulkpull.pipeline.window_check import HoldsWhole, describe_window

# How many windows go ahead of the others.
_FIRST = 2
# So many windows that fail one after the other, without one that arrives, fail for a reason that others will share.
_IN_A_ROW = 3
# What no other window, and no smaller one, would do better.
_SHARED = (
    AccessDenied, AuthError, DiskTrouble, LedgerError, OutputLocked, RequestRejected, TimeNotReadable, TooManyReports,
    Unchanged, WindowNotHonoured,
)  # fmt: skip
# What says nothing of a window: a person is to read the reason alone.
_OF_NO_WINDOW = (
    AccessDenied, AuthError, DiskTrouble, HoldsWhole, LedgerError, OutputLocked, TimeNotReadable, TooManyReports,
    Unchanged,
)  # fmt: skip
# What a report of less may do better.
_TOO_MUCH = (ExecutionFailed, ExecutionOverdue)


class _NotOrdered(Exception):
    """A window that was no longer requested."""


@dataclass(slots=True)
class WindowPulls:
    """
    Pulls the windows of a dataset.

    Args:
        bring: Brings one pull; the number is how often its report may be asked for.
        attempts: How often a report of a whole window is asked for.
        may_halve: Whether a window may be asked for in halves where it fails with this error.
        tell_split: Hears of each window that is asked for in halves.
        was_split: Whether an earlier run asked for the window in halves.
        is_ordered: Whether a window's report, or its file, is there from an earlier run.
    """

    bring: Callable[[Pull, int], Awaitable[ConvertedPull]]
    attempts: int
    may_halve: Callable[[BulkpullError], bool]
    tell_split: Callable[[Pull, BulkpullError], Awaitable[None]]
    was_split: Callable[[Pull], bool] = lambda _: False
    is_ordered: Callable[[Pull], bool] = lambda _: False
    parts: list[ConvertedPull] = field(default_factory=list)
    """What has arrived, in no order."""
    _lost: list[tuple[Pull, BulkpullError]] = field(default_factory=list)
    _in_a_row: int = 0
    _is_stopped: bool = False
    _in_halves: bool = False

    async def gather(self, pulls: Sequence[Pull]) -> list[ConvertedPull]:
        """
        All parts, in the order of their windows.

        Args:
            pulls: All with a window, or a single one without.

        Raises:
            BulkpullError: The first fault that nothing could mend. The parts that arrived before and beside it are in
                `parts`, and on the disk.
        """
        newest_first = sorted(pulls, key=_start_of, reverse=True)
        new = [pull for pull in newest_first if not self.is_ordered(pull)]
        # What is ordered already costs nothing, and a quota has room for others once it is made.
        first = [pull for pull in newest_first if pull in new[:_FIRST] or pull not in new]
        rest = new[_FIRST:]
        if rest:
            await self._bring_first(first)
        await self._side_by_side(rest or first)
        if self._lost:
            raise self._explained(len(pulls))
        return sorted(self.parts, key=lambda part: _start_of(part.pull))

    def refuse_to_order(self) -> None:
        """
        Called before a report is ordered.

        Raises:
            _NotOrdered: The dataset is lost for a reason that this window shares.
        """
        if self._is_stopped:
            raise _NotOrdered

    async def _bring_first(self, first: Sequence[Pull]) -> None:
        """The newest windows; where all of them fail, whole and in halves, nothing more is ordered."""
        failed = await self._try(first, attempts=self.attempts)
        if len(failed) == len(first) and not all(self.may_halve(error) for _, error in failed):
            for pull, error in failed:
                self._lose(pull, error)
            self._is_stopped = True
            return
        for pull, error in failed:
            await self._bear(pull, error)
            if self._lost and not self.parts:
                self._is_stopped = True
                return
        self._in_halves = len(failed) == len(first)

    async def _side_by_side(self, pulls: Sequence[Pull]) -> None:
        async with anyio.create_task_group() as group:
            for pull in pulls:
                group.start_soon(self._bring_one, pull)

    async def _bring_one(self, pull: Pull) -> None:
        """One window, in halves where it fails; its fault ends here, noted."""
        for failed, error in await self._try([pull], attempts=self.attempts):
            await self._bear(failed, error)

    async def _try(self, pulls: Sequence[Pull], *, attempts: int) -> list[tuple[Pull, BulkpullError]]:
        """Bring pulls side by side; those that failed, with their errors."""
        failed: list[tuple[Pull, BulkpullError]] = []

        async def bring(pull: Pull) -> None:
            try:
                if self._goes_in_halves(pull, attempts=attempts):
                    await self._bring_halves(pull)
                else:
                    self.refuse_to_order()
                    self.parts.append(await self.bring(pull, attempts))
                    self._in_a_row = 0
            except _NotOrdered:
                pass
            except BulkpullError as error:
                self._is_stopped = self._is_stopped or isinstance(error, _SHARED)
                failed.append((pull, error))

        async with anyio.create_task_group() as group:
            for pull in pulls:
                group.start_soon(bring, pull)
        return failed

    def _goes_in_halves(self, pull: Pull, *, attempts: int) -> bool:
        is_known = self.was_split(pull) or (self._in_halves and attempts == self.attempts)
        return is_known and _halves(pull) is not None

    async def _bear(self, pull: Pull, error: BulkpullError) -> bool:
        """Ask for a window that failed in halves, where that may help; whether all of it came."""
        if self._is_stopped or not self.may_halve(error) or _halves(pull) is None:
            self._lose(pull, error)
            return False
        await self.tell_split(pull, error)
        return await self._bring_halves(pull)

    async def _bring_halves(self, pull: Pull, *, chances: int = 2) -> bool:
        """
        Both halves of a window; whether all of it came.

        Where both fail, one of them is tried in halves again; where these fail as well, it is not the size.
        """
        failed = await self._try(_halves(pull) or (), attempts=1)
        if len(failed) > 1:
            (one, error), (other, its_error) = failed
            if self._is_stopped or chances == 1 or not self.may_halve(error) or _halves(one) is None:
                self._lose(one, error)
                return False
            await self.tell_split(one, error)
            return await self._bring_halves(one, chances=chances - 1) and await self._bear(other, its_error)
        return all([await self._bear(half, error) for half, error in failed])

    def _lose(self, pull: Pull, error: BulkpullError) -> None:
        self._lost.append((pull, error))
        self._in_a_row += 1
        self._is_stopped = self._is_stopped or self._in_a_row >= _IN_A_ROW

    def _explained(self, count: int) -> BulkpullError:
        """The first fault, with its window and with what becomes of the others."""
        pull, error = next((lost for lost in self._lost if isinstance(lost[1], _SHARED)), self._lost[0])
        if pull.window is None or isinstance(error, _OF_NO_WINDOW):
            return error
        explained = copy(error)
        explained.what = f"the window {describe_window(pull.window)}: {error.what}"
        if self.parts:
            kept = f"{len(self.parts):,} of {count:,} windows are kept for the next run"
            explained.fix = f"{kept}; {error.fix}" if error.fix else kept
        explained.args = (explained.reason,)
        return explained


def _start_of(pull: Pull) -> float:
    return pull.window.start.timestamp() if pull.window else 0.0


def _halves(pull: Pull) -> tuple[Pull, ...] | None:
    halves = split_in_half(pull.window) if pull.window else None
    return halves and tuple(replace(pull, window=half) for half in halves)


def may_need_less(error: BulkpullError) -> bool:
    """Whether a report over less time may succeed where this one failed."""
    return isinstance(error, _TOO_MUCH)
