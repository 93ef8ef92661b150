"""The test-query call: the first rows of a dataset, as a table. The service gives up on slow ones; that is no fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from bulkpull import formatting as figures
from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.ask import NotOffered, ask, warn
from bulkpull.cli.work.consoles import PIPED_WIDTH, data_console, error_console, print_table
from bulkpull.cli.work.kinds import QUERIES
from bulkpull.cli.work.target import aimed
from bulkpull.config.settings import Settings
from bulkpull.days import window_of
from bulkpull.errors import SettingsError
from bulkpull.insights import requests as calls
from bulkpull.insights.client import InsightsClient
from bulkpull.pipeline.request import asked_for, plan_with
from bulkpull.query import check_query, normalise
from bulkpull.query.drift import find_query_drift
from bulkpull.redact import printable

Rows = list[dict[str, Any]]
# As wide as a GUID.
_WIDEST_CELL = 36
_GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """
    What to preview: one of a dataset, a stored query's id and a query's text.

    Attributes:
        since, until: Days `[since, until)` in place of the query's own span; `until` counts only with `since`.
    """

    dataset: str | None = None
    query_id: str | None = None
    text: str | None = None
    timespan: str | None = None
    since: date | None = None
    until: date | None = None

    def check(self) -> None:
        """
        Refuse what excludes each other.

        Raises:
            SettingsError: With the rule.
        """
        if sum(given is not None for given in (self.dataset, self.query_id, self.text)) != 1:
            raise SettingsError("one thing is previewed", fix="give a DATASET, --query-id ID or --query TEXT")
        if self.timespan is not None and (self.dataset is None or self.since is not None):
            raise SettingsError(
                "--timespan goes with a DATASET and without --since", why="a query has its own, and days override it"
            )


@dataclass(frozen=True, slots=True)
class Preview:
    """What came of it; no rows at all (`None`) where the service needed too long."""

    dataset: str | None
    query_id: str | None
    text: str | None
    rows: Rows | None
    redacted: bool

    def as_values(self) -> dict[str, Any]:
        """The preview as JSON values."""
        return {
            "version": 1,
            "dataset": self.dataset,
            "query_id": self.query_id,
            "query": self.text,
            "data_redacted": self.redacted,
            "rows": self.rows,
        }


def show_preview(subject: Subject, *, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Print up to 100 rows. Where the service needs too long there is no preview, and one sentence says so.

    Raises:
        SettingsError: The dataset is unknown, options exclude each other, or the text is too long for an address.
        QueryError: The query asks for what is not there; it was not sent.
        NotOffered: The dataset is not offered to this account.
        NotThere: There is no such query.

    Source: behaviours 69, 78 and 79.
    """
    subject.check()
    window = window_of(subject.since, subject.until, now=datetime.now(UTC))
    names = (subject.dataset,) if subject.dataset is not None else ()
    with aimed(config, demo=demo, timespan=subject.timespan) as settings:

        async def look(client: InsightsClient) -> Preview:
            if subject.dataset is not None:
                dataset, query_id, text = await _of_dataset(client, subject.dataset, settings=settings, speech=speech)
            else:
                dataset, query_id, text = await _of_query(client, subject, speech=speech)
            rows = await client.test_query(
                query_id=query_id,
                text=text if query_id is None else None,
                start=window.start if window else None,
                end=window.end if window else None,
            )
            return Preview(dataset, query_id, text, rows, client.redacted)

        preview = ask(look, settings=settings, speech=speech, names=names)
    if as_json:
        print_json(preview.as_values())
    elif preview.rows:
        _print_table(preview.rows)
    if preview.rows is None:
        _say("no preview: the service needed too long for it, which says nothing against the report; export it instead")
    elif not preview.rows:
        _say(f"{preview.dataset or 'the query'} has no rows in this span")


_Found = tuple[str | None, str | None, str | None]
"""The dataset, the id of a stored query and its text, as far as they are known."""


async def _of_dataset(client: InsightsClient, name: str, *, settings: Settings, speech: OutputOptions) -> _Found:
    """A dataset, or a query of the settings by its name."""
    offered = await client.get_datasets()
    plan = await plan_with(asked_for((name,), settings=settings), client, offered=offered, settings=settings)
    if not plan.pulls:
        raise NotOffered(plan.unavailable[0].reason)
    pull = plan.pulls[0]
    for note in pull.notes:
        warn(note, speech)
    if calls.fits_into_address(pull.query_text):
        return pull.dataset, None, pull.query_text
    # Too long for an address (behaviour 69): a query that is stored can still be looked at, and none is stored for it.
    stored = await client.get_queries(include_system=True)
    equal = [query for query in stored if normalise(query.text) == normalise(pull.query_text)]
    if equal:
        return pull.dataset, equal[0].query_id, equal[0].text
    for query in stored:
        drift = find_query_drift(query.text, offered=offered)
        if query.is_system and drift and drift.dataset.casefold() == pull.offered.name.casefold() and not drift.missing:
            warn("the query of all columns is too long for a preview: this is the service's own query", speech)
            return pull.dataset, query.query_id, query.text
    raise SettingsError(
        f"{pull.dataset}: the query of all columns is too long for a preview",
        fix="preview some columns: --query, or store a query and give its id: --query-id",
    )


async def _of_query(client: InsightsClient, subject: Subject, *, speech: OutputOptions) -> _Found:
    if subject.text is not None:
        checked = check_query(subject.text, offered=await client.get_datasets(), catalog=load_catalog())
        for warning in checked.warnings:
            warn(warning, speech)
        return checked.offered.name, None, checked.text
    wanted = subject.query_id or ""
    found = await client.get_queries(query_id=wanted, include_system=True)
    if not found:
        raise QUERIES.not_there(wanted.strip())
    drift = find_query_drift(found[0].text, offered=())
    return drift.dataset if drift else None, found[0].query_id, found[0].text


def _print_table(rows: Rows) -> None:
    console = data_console()
    names = list(rows[0])
    # What is piped onward is cut nowhere.
    shown = names if console.width >= PIPED_WIDTH else that_fit(names, rows, width=console.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name in shown:
        widest = None if console.width >= PIPED_WIDTH else _width(name)
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=widest)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in shown))
    print_table(table, console)
    hidden = len(names) - len(shown)
    if hidden:
        _say(f"{figures.count(hidden, 'column')} did not fit: --json shows all, and so does a pipe")


def that_fit(names: Sequence[str], rows: Rows, *, width: int) -> list[str]:
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


def _say(sentence: str) -> None:
    error_console().print(sentence, soft_wrap=True)
