"""Deleting what was named, and nothing else: asked for at a terminal, told one by one, never taken for granted."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from bulkpull import figures
from bulkpull.cli.speech import Speech
from bulkpull.cli.streams import print_data, print_json
from bulkpull.cli.work.ask import NotThere, ask, warn
from bulkpull.errors import NotFound, SettingsError
from bulkpull.redact import printable
from bulkpull.reporting.client import ReportingClient
from bulkpull.settings import Settings

COMPLETE, NOT_THERE = 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    Queries or reports, as far as deleting them goes.

    Attributes:
        one, many: What they are called.
        id_key: Where the id stands in their JSON values.
        delete: The call; it raises `NotFound` where there is nothing of that id.
    """

    one: str
    many: str
    id_key: str
    delete: Callable[[ReportingClient, str], Awaitable[None]]

    def not_there(self, its_id: str) -> NotThere:
        """The error for an id that names nothing."""
        return NotThere(
            f"there is no {self.one} {its_id} for this user", fix=f"`bulkpull {self.many} list` shows what there is"
        )


QUERIES = Kind(one="query", many="queries", id_key="query_id", delete=ReportingClient.delete_query)
REPORTS = Kind(one="report", many="reports", id_key="report_id", delete=ReportingClient.delete_report)


def named(ids: Sequence[str], things: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """What the ids name, each once and in their order, and the ids that name nothing (pure)."""
    by_id = {each.casefold(): thing for each, thing in things.items()}
    wanted = list(dict.fromkeys(each.strip().casefold() for each in ids))
    return [by_id[each] for each in wanted if each in by_id], [each for each in wanted if each not in by_id]


def delete_named(
    found: Sequence[dict[str, Any]],
    missing: Sequence[str],
    *,
    kind: Kind,
    settings: Settings,
    yes: bool,
    as_json: bool,
    speech: Speech,
) -> int:
    """
    Delete `found` after the user has agreed; returns 3 when something that was named is not there, else 0.

    What was deleted is told also when the rest fails.

    Args:
        found: JSON values of what is to go.
        missing: Ids that name nothing.
        yes: The user has agreed already, by `--yes`.

    Raises:
        SettingsError: There is nobody to ask.
        typer.Abort: The user said no.
    """
    gone = list(missing)
    deleted: list[dict[str, Any]] = []
    if found:
        _confirm(f"Delete {_told(found, kind)}?", yes=yes)

    async def delete(client: ReportingClient) -> None:
        for each in found:
            try:
                await kind.delete(client, each[kind.id_key])
            except NotFound:
                gone.append(each[kind.id_key])
            else:
                deleted.append(each)
                if not as_json:
                    print_data(printable(f"deleted {each[kind.id_key]} {each['name']}"))

    try:
        if found:
            ask(delete, settings=settings, speech=speech)
    finally:
        if as_json:
            print_json({"version": 1, kind.many: deleted, "not_there": gone, "deleted": True})
    for its_id in gone:
        warn(kind.not_there(its_id).reason, speech)
    return NOT_THERE if gone else COMPLETE


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            "nothing was deleted", why="there is no terminal to ask at", fix="add --yes to delete without being asked"
        )
    # Not typer's own prompt: it writes a blank to standard output, which is for data.
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        typer.echo("nothing was deleted", err=True)
        raise typer.Abort


def _told(found: Sequence[dict[str, Any]], kind: Kind) -> str:
    names = [f"{printable(each['name'], most=60)!r} ({each[kind.id_key]})" for each in found]
    return f"the {kind.one} {names[0]}" if len(names) == 1 else f"{len(names)} {kind.many}: {figures.some(names)}"
