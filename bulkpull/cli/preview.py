"""`bulkpull preview`: the first rows of a dataset or a query, without a report, by the test-query call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
from rich.text import Text

from bulkpull.catalog import load_catalog
from bulkpull.cli import options
from bulkpull.cli.batch import find_query
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import PIPED_WIDTH, data_console, new_table, print_message, print_note, print_table
from bulkpull.cli.options import CommonOptions, option
from bulkpull.cli.service_call import NotOffered, call_service, command_settings
from bulkpull.cli.stdio import print_json
from bulkpull.errors import SettingsError
from bulkpull.formatting import plural
from bulkpull.query import check_query, normalise
from bulkpull.query.validate import find_query_drift
from bulkpull.redact import printable
from bulkpull.window_bounds import window_of

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings
    from bulkpull.insights.client import InsightsClient

app = new_app()

Rows = list[dict[str, Any]]
# As wide as a GUID.
_WIDEST_CELL = 36
_GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSubject:
    """What to preview: one of a dataset, a stored query's id and a query's text; `until` counts only with `since`."""

    dataset: Annotated[
        str | None, typer.Argument(metavar="[DATASET]", hidden=True, autocompletion=options.dataset_names)
    ] = None
    query_id: Annotated[str | None, option("--query-id", "A stored query instead of a dataset.", metavar="ID")] = None
    query: Annotated[str | None, option("--query", "A query's text instead of a dataset.", metavar="QUERY")] = None
    timespan: options.Timespan = None
    since: options.Since = None
    until: options.Until = None

    def check(self) -> None:
        given = sum(source is not None for source in (self.dataset, self.query_id, self.query))
        if given != 1:
            raise SettingsError(
                "only one of them can be previewed" if given else "nothing to preview is named",
                fix="give a DATASET, --query-id ID or --query TEXT",
            )
        if self.timespan is not None and (self.dataset is None or self.since is not None):
            raise SettingsError(
                "--timespan goes with a DATASET and without --since",
                why="a query has its own, and days override it",
                fix="leave --timespan out",
            )


@command(app)
def preview(subject: PreviewSubject, *, demo: options.Demo = False, common: CommonOptions) -> None:
    """
    Show up to 100 rows of DATASET, or of a query, as a table; creates nothing on the service.

    Examples:
        bulkpull preview Profile --demo
        bulkpull preview AzureUsage --timespan LAST_MONTH --json
        bulkpull preview OfficeUsage --since 2026-01-01 --until 2026-02-01
        bulkpull preview --demo --query "SELECT City, Country FROM Profile"
        bulkpull preview --query-id d1a4d75e-5ca8-4847-845f-ee0a9be6f07b --demo
    """
    subject.check()
    window = window_of(options.day_of(subject.since), options.day_of(subject.until), now=datetime.now(UTC))
    names = (subject.dataset,) if subject.dataset is not None else ()
    with command_settings(common, demo=demo, timespan=subject.timespan) as settings:
        # Source: behaviours 69, 78 and 79.
        async def fetch(client: InsightsClient) -> dict[str, Any]:
            if subject.dataset is not None:
                dataset, query_id, text = await _of_dataset(client, subject.dataset, settings=settings, common=common)
            else:
                dataset, query_id, text = await _of_query(client, subject, common=common)
            rows = await client.test_query(
                query_id=query_id,
                text=text if query_id is None else None,
                start=window.start if window else None,
                end=window.end if window else None,
            )
            found = {"dataset": dataset, "query_id": query_id, "query": text}
            return {"version": 1, **found, "data_redacted": client.redacted, "rows": rows}

        found = call_service(fetch, common, settings=settings, names=names)
    rows = found["rows"]
    if common.as_json:
        print_json(found)
    elif rows:
        _print_table(rows)
    if rows is None:
        print_message("no preview: the service needed too long; an export may still work")
    elif not rows:
        print_message(f"{found['dataset'] or 'the query'} has no rows in this span")


_Found = tuple[str | None, str | None, str | None]
"""The dataset, the id of a stored query and its text, as far as they are known."""


async def _of_dataset(client: InsightsClient, name: str, *, settings: Settings, common: CommonOptions) -> _Found:
    from bulkpull.insights import requests  # slow to load, as the next
    from bulkpull.pipeline.plan import plan_request
    from bulkpull.pipeline.request import PlanInputs, create_request, load_offer

    request = create_request((name,), settings=settings)
    offer = await load_offer(request, client)
    plan = plan_request(PlanInputs(request, offer, settings))
    if not plan.pulls:
        raise NotOffered(plan.unavailable[0].reason)
    pull = plan.pulls[0]
    for note in pull.notes:
        print_note(note, common)
    if requests.fits_into_address(pull.query_text):
        return pull.dataset, None, pull.query_text
    # Too long for an address (behaviour 69): a query that is stored can still be looked at, and none is stored for it.
    stored = await client.get_queries(include_system=True)
    for query in stored:
        if normalise(query.text) == normalise(pull.query_text):
            return pull.dataset, query.query_id, query.text
    for query in stored:
        drift = find_query_drift(query.text, offered=offer.datasets)
        if query.is_system and drift and drift.dataset.casefold() == pull.offered.name.casefold() and not drift.missing:
            print_note("the query of all columns is too long for a preview: this is the service's own query", common)
            return pull.dataset, query.query_id, query.text
    raise SettingsError(
        f"{pull.dataset}: the query of all columns is too long for a preview",
        fix="preview some columns: --query, or store a query and give its id: --query-id",
    )


async def _of_query(client: InsightsClient, subject: PreviewSubject, *, common: CommonOptions) -> _Found:
    if subject.query is not None:
        checked = check_query(subject.query, offered=await client.get_datasets(), catalog=load_catalog())
        for warning in checked.warnings:
            print_note(warning, common)
        return checked.offered.name, None, checked.text
    query = await find_query(client, subject.query_id or "")
    drift = find_query_drift(query.text, offered=())
    return drift.dataset if drift else None, query.query_id, query.text


def _print_table(rows: Rows) -> None:
    console = data_console()
    names = list(rows[0])
    is_piped = console.width >= PIPED_WIDTH  # piped output is never cut
    shown = names if is_piped else columns_that_fit(names, rows, width=console.width)
    table = new_table(shown, ([Text(_cell(row.get(name))) for name in shown] for row in rows))
    for name, column in zip(shown, table.columns, strict=True):
        column.max_width = None if is_piped else _width(name)
    print_table(table, console)
    if hidden := len(names) - len(shown):
        print_message(f"{plural(hidden, 'column')} did not fit: --json or a pipe shows all")


def columns_that_fit(names: Sequence[str], rows: Rows, *, width: int) -> list[str]:
    """The first columns that fit side by side into `width`; at least one (pure)."""
    shown: list[str] = []
    for name in names:
        longest = max(cell_len(name), *(cell_len(_cell(row.get(name))) for row in rows))
        width -= min(longest, _width(name)) + _GAP
        if shown and width < -_GAP:
            break
        shown.append(name)
    return shown


def _width(name: str) -> int:
    return max(_WIDEST_CELL, cell_len(name))


def _cell(value: Any) -> str:
    return "" if value is None else printable(str(value))
