"""Delete exactly the named objects, after a confirmation at a terminal or with `--yes`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from bulkpull.cli.batch import BatchResult, Kind, for_each
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.service import call_service
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.errors import SettingsError
from bulkpull.formatting import join_some
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings
    from bulkpull.insights.client import InsightsClient

T = TypeVar("T")


def find_named(ids: Sequence[str], items: Mapping[str, T]) -> tuple[list[T], list[str]]:
    """The items that the ids name, each once and in their order, and the ids that name nothing (pure)."""
    by_id = {item_id.casefold(): item for item_id, item in items.items()}
    wanted = list(dict.fromkeys(item_id.strip().casefold() for item_id in ids))
    found = [by_id[item_id] for item_id in wanted if item_id in by_id]
    return found, [item_id for item_id in wanted if item_id not in by_id]


def delete_named(
    found: Sequence[dict[str, Any]],
    missing: Sequence[str],
    *,
    kind: Kind,
    settings: Settings,
    yes: bool,
    common: CommonOptions,
) -> int:
    """
    Delete `found` after the user has agreed; returns 2 when something that was named is not there, else 0.

    An error for one item does not stop the others; deleted items are always reported.

    Raises:
        SettingsError: There is no terminal to confirm at.
        BulkpullError: One of them, or more, could not be deleted.
        typer.Abort: The user said no.
    """
    by_id = {str(item[kind.id_key]): item for item in found}
    if found:
        _confirm(f"Delete {_describe(found, kind)}?", yes=yes)

    async def delete(client: InsightsClient, item_id: str) -> dict[str, Any]:
        await kind.delete(client, item_id)
        if not common.as_json:
            print_data(printable(f"deleted {item_id} {by_id[item_id]['name']}"))
        return by_id[item_id]

    result: BatchResult[dict[str, Any]] = BatchResult()
    if found:
        result = call_service(
            lambda client: for_each(by_id, lambda item_id: delete(client, item_id)), settings=settings, common=common
        )
    result.not_there[:0] = missing
    if common.as_json:
        print_json({"version": 1, kind.many: result.done, **result.as_values(), "deleted": bool(result.done)})
    result.report(kind, done="deleted", common=common)
    return result.exit_code


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            "nothing was deleted",
            why="there is no terminal for the question",
            fix="add --yes to delete without a question",
        )
    # Not typer's own prompt: it writes a blank to standard output, which is for data.
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        typer.echo("nothing was deleted", err=True)
        raise typer.Abort


def _describe(found: Sequence[dict[str, Any]], kind: Kind) -> str:
    names = [f"{printable(item['name'], most=60)!r} ({item[kind.id_key]})" for item in found]
    return f"the {kind.one} {names[0]}" if len(names) == 1 else f"{len(names)} {kind.many}: {join_some(names)}"
