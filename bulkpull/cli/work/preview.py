"""The test-query call: the first rows of a dataset, as a table. The service gives up on slow ones; that is no fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from bulkpull import figures
from bulkpull.catalog import load_catalog
from bulkpull.cli.speech import Speech
from bulkpull.cli.streams import print_json
from bulkpull.cli.work.ask import NotOffered, ask
from bulkpull.cli.work.consoles import PIPED_WIDTH, data_console, error_console, print_table
from bulkpull.cli.work.target import aimed
from bulkpull.journey.plan import make_plan
from bulkpull.model import Pull
from bulkpull.redact import printable
from bulkpull.reporting.client import ReportingClient

Rows = list[dict[str, Any]]
# As wide as a GUID.
_WIDEST_CELL = 36
_GAP = 2


def show_preview(
    dataset: str, *, demo: bool, config: Path | None, timespan: str | None, as_json: bool, speech: Speech
) -> None:
    """
    Print up to 100 rows. Where the service needs too long there is no preview, and one sentence says so.

    Raises:
        SettingsError: The dataset is unknown.
        NotOffered: It is not offered to this account.

    Source: behaviours 78 and 79.
    """
    with aimed(config, demo=demo, timespan=timespan) as settings:

        async def look(client: ReportingClient) -> tuple[Pull, Rows | None]:
            plan = make_plan(
                [dataset], offered=await client.get_datasets(), catalog=load_catalog(), timespan=settings.timespan
            )
            if not plan.pulls:
                raise NotOffered(plan.unavailable[0].reason)
            return plan.pulls[0], await client.test_query(text=plan.pulls[0].query_text)

        pull, rows = ask(look, settings=settings, speech=speech, names=(dataset,))
    if as_json:
        print_json({"version": 1, "dataset": pull.dataset, "query": pull.query_text, "rows": rows})
    elif rows:
        _print_table(rows)
    if rows is None:
        _say("no preview: the service needed too long for it, which says nothing against the report; export it instead")
    elif not rows:
        _say(f"{pull.dataset} has no rows in this span")


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
