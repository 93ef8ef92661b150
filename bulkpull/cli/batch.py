"""One action on several queries or reports; a failure of one does not stop the others, and deletions are confirmed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from bulkpull.cli.console import print_note
from bulkpull.cli.json_output import query_values, report_values
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.service_call import NotThere, call_service
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.errors import AuthError, BulkpullError, NotConnected, NotDone, NotFound, SettingsError
from bulkpull.formatting import join_some
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings
    from bulkpull.insights.client import InsightsClient
    from bulkpull.model import Query, Report


T = TypeVar("T")
N = TypeVar("N", "Query", "Report")
COMPLETE, NOT_THERE = 0, 2
# Every other item would fail the same way.
_ENDS_ALL = (AuthError, NotConnected)
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """Queries or reports; `delete` raises `NotFound` if nothing has that id."""

    one: str
    many: str
    delete: Callable[[InsightsClient, str], Awaitable[None]]
    values: Callable[[Any], dict[str, Any]]

    def only(self, found: Sequence[N], item_id: str) -> N:
        """What the service found under that id; raises `NotThere` where it found nothing."""
        if not found:
            raise self.not_there(item_id.strip())
        return found[0]

    def not_there(self, item_id: str) -> NotThere:
        return NotThere(
            f"there is no {self.one} {item_id} for this user", fix=f"`bulkpull {self.many} list` shows what exists"
        )


QUERIES = Kind("query", "queries", lambda client, query_id: client.delete_query(query_id), query_values)
REPORTS = Kind("report", "reports", lambda client, report_id: client.delete_report(report_id), report_values)


async def find_by_name(get: Callable[..., Awaitable[list[N]]], name: str | None) -> list[N]:
    """What has that name, or everything without one."""
    found = await get(name=name)
    if name is not None and not found:
        # Names that others gave may have blanks around them, which the service's own filter minds.
        found = [item for item in await get() if item.name.strip().casefold() == name.strip().casefold()]
    return found


async def find_query(client: InsightsClient, query_id: str) -> Query:
    """The query of that id, a system query too; raises `NotThere` where there is none."""
    return QUERIES.only(await client.get_queries(query_id=query_id, include_system=True), query_id)


@dataclass(slots=True)
class BatchResult(Generic[T]):
    """The outcome of each item; `untried` are ids that were left out, because they would have failed the same way."""

    done: list[T] = field(default_factory=list)
    not_there: list[str] = field(default_factory=list)
    failed: dict[str, BulkpullError] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        failed = [{"id": item_id, "why": error.message, "fix": error.fix} for item_id, error in self.failed.items()]
        return {"not_there": self.not_there, "failed": failed, "not_tried": self.untried}

    def report(self, kind: Kind, *, done: str, common: CommonOptions) -> int:
        """Report what failed, or raise the failure of the only item; returns 2 when an id names nothing, else 0."""
        for item_id in self.not_there:
            print_note(kind.not_there(item_id).reason, common)
        if not self.failed:
            return NOT_THERE if self.not_there else COMPLETE
        first = next(iter(self.failed.values()))
        left = len(self.failed) + len(self.untried)
        number = len(self.done) + len(self.not_there) + left
        if number == 1:
            raise first
        named = [f"{item_id} ({error.what})" for item_id, error in self.failed.items()]
        named += [f"{item_id} (not tried)" for item_id in self.untried]
        raise NotDone(
            f"{left} of {number:,} {kind.many} were not {done}",
            why=join_some(named, most=_MOST_NAMED),
            fix=first.fix,
            exit_code=first.exit_code,
        )


async def for_each(ids: Iterable[str], act: Callable[[str], Awaitable[T]]) -> BatchResult[T]:
    """Call `act` with each of `ids`; only a failure that all the others would share ends it early."""
    result: BatchResult[T] = BatchResult()
    waiting = iter(ids)
    for item_id in waiting:
        try:
            result.done.append(await act(item_id))
        except NotFound:
            result.not_there.append(item_id)
        except BulkpullError as error:
            result.failed[item_id] = error
            if isinstance(error, _ENDS_ALL):
                result.untried = list(waiting)  # which ends the loop
    return result


def find_named(ids: Sequence[str], items: Mapping[str, T]) -> tuple[list[T], list[str]]:
    """The items that the ids name, each once and in their order, and the ids that name nothing (pure)."""
    by_id = {item_id.casefold(): item for item_id, item in items.items()}
    wanted = list(dict.fromkeys(item_id.strip().casefold() for item_id in ids))
    found = [by_id[item_id] for item_id in wanted if item_id in by_id]
    return found, [item_id for item_id in wanted if item_id not in by_id]


def delete_named(
    found: Sequence[N],
    missing: Sequence[str] = (),
    *,
    kind: Kind,
    settings: Settings,
    yes: bool,
    common: CommonOptions,
) -> int:
    """Delete `found` after the user has agreed; an error for one does not stop the others. Returns the exit status."""
    by_id = {item[f"{kind.one}_id"]: item for item in map(kind.values, found)}

    async def delete(client: InsightsClient, item_id: str) -> dict[str, Any]:
        await kind.delete(client, item_id)
        if not common.as_json:
            print_data(printable(f"deleted {item_id} {by_id[item_id]['name']}"))
        return by_id[item_id]

    async def delete_all(client: InsightsClient) -> BatchResult[dict[str, Any]]:
        return await for_each(by_id, partial(delete, client))

    result: BatchResult[dict[str, Any]] = BatchResult()
    if found:
        names = [f"{printable(item['name'], most=60)!r} ({item_id})" for item_id, item in by_id.items()]
        what = f"the {kind.one} {names[0]}" if len(names) == 1 else f"{len(names)} {kind.many}: {join_some(names)}"
        if not yes:
            _confirm(what)
        result = call_service(delete_all, common, settings=settings)
    result.not_there[:0] = missing
    if common.as_json:
        print_json({"version": 1, kind.many: result.done, **result.as_values(), "deleted": bool(result.done)})
    return result.report(kind, done="deleted", common=common)


def _confirm(what: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            "nothing was deleted",
            why="there is no terminal for the question",
            fix="add --yes to delete without a question",
        )
    # Not typer's own prompt: it writes a blank to standard output, which is for data.
    typer.echo(f"Delete {what}? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        typer.echo("nothing was deleted", err=True)
        raise typer.Abort
