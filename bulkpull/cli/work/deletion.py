"""Deleting what was named, and nothing else: asked for at a terminal, told one by one, never taken for granted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from bulkpull import formatting as figures
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.cli.work.ask import ask
from bulkpull.cli.work.kinds import Kind
from bulkpull.cli.work.one_by_one import RequestCounts, do_each
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.insights.client import InsightsClient
from bulkpull.redact import printable

COMPLETE, NOT_THERE = 0, 2


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
    speech: OutputOptions,
) -> int:
    """
    Delete `found` after the user has agreed; returns 2 when something that was named is not there, else 0.

    What the service refuses for one ends none of the others, and what was deleted is told in either case.

    Args:
        found: JSON values of what is to go.
        missing: Ids that name nothing.
        yes: The user has agreed already, by `--yes`.

    Raises:
        SettingsError: There is nobody to ask.
        BulkpullError: One of them, or more, could not be deleted.
        typer.Abort: The user said no.
    """
    by_id = {str(each[kind.id_key]): each for each in found}
    if found:
        _confirm(f"Delete {_told(found, kind)}?", yes=yes)

    async def delete(client: InsightsClient, its_id: str) -> dict[str, Any]:
        await kind.delete(client, its_id)
        if not as_json:
            print_data(printable(f"deleted {its_id} {by_id[its_id]['name']}"))
        return by_id[its_id]

    tally: RequestCounts[dict[str, Any]] = RequestCounts()
    if found:
        tally = ask(
            lambda client: do_each(by_id, lambda its_id: delete(client, its_id)), settings=settings, speech=speech
        )
    tally.not_there[:0] = missing
    if as_json:
        print_json({"version": 1, kind.many: tally.done, **tally.as_values(), "deleted": bool(tally.done)})
    tally.tell(kind, done="deleted", speech=speech)
    return NOT_THERE if tally.not_there else COMPLETE


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
