"""The same done to several things, one after the other: what one refuses harms no other, and every one is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bulkpull import formatting as figures
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.work.ask import warn
from bulkpull.cli.work.kinds import Kind
from bulkpull.errors import AuthError, BulkpullError, NotConnected, NotDone, NotFound

T = TypeVar("T")
# What would befall all the others as well.
_ENDS_ALL = (AuthError, NotConnected)
_MOST_NAMED = 20


@dataclass(slots=True)
class RequestCounts(Generic[T]):
    """
    What became of each.

    Attributes:
        not_there: Ids that name nothing.
        failed: Ids with what happened to them.
        untried: Ids that were left, because their turn could only have brought the same failure.
    """

    done: list[T] = field(default_factory=list)
    not_there: list[str] = field(default_factory=list)
    failed: dict[str, BulkpullError] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        """What was not done, as JSON values."""
        failed = [{"id": its_id, "why": error.message, "fix": error.fix} for its_id, error in self.failed.items()]
        return {"not_there": self.not_there, "failed": failed, "not_tried": self.untried}

    def tell(self, kind: Kind, *, done: str, speech: OutputOptions) -> None:
        """
        Tell what was not done.

        Args:
            done: The participle: "deleted".

        Raises:
            BulkpullError: Something failed: the failure itself where one thing was named, else a list of all.
        """
        for its_id in self.not_there:
            warn(kind.not_there(its_id).reason, speech)
        if not self.failed:
            return
        first = next(iter(self.failed.values()))
        number = len(self.done) + len(self.not_there) + len(self.failed) + len(self.untried)
        if number == 1:
            raise first
        named = [f"{its_id} ({error.what})" for its_id, error in self.failed.items()]
        named += [f"{its_id} (not tried)" for its_id in self.untried]
        left = len(self.failed) + len(self.untried)
        raise NotDone(
            f"{left} of {number:,} {kind.many} were not {done}",
            why=figures.some(named, most=_MOST_NAMED),
            fix=first.fix,
            exit_code=first.exit_code,
        )


async def do_each(ids: Iterable[str], act: Callable[[str], Awaitable[T]]) -> RequestCounts[T]:
    """Do `act` to each of `ids`, whatever becomes of the others."""
    tally: RequestCounts[T] = RequestCounts()
    waiting: Sequence[str] = list(ids)
    for number, its_id in enumerate(waiting):
        try:
            tally.done.append(await act(its_id))
        except NotFound:
            tally.not_there.append(its_id)
        except BulkpullError as error:
            tally.failed[its_id] = error
            if isinstance(error, _ENDS_ALL):
                tally.untried = list(waiting[number + 1 :])
                break
    return tally
