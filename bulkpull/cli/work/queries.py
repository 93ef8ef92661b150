"""The stored queries: shown beside the datasets that they read, created, and deleted when they are named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.ask import ask, warn
from bulkpull.cli.work.consoles import error_console, print_grid, print_table
from bulkpull.cli.work.deletion import delete_named, named
from bulkpull.cli.work.kinds import QUERIES
from bulkpull.cli.work.target import aimed
from bulkpull.cli.work.values import is_named, query_values
from bulkpull.errors import AccessDenied, ListNotTold, NotFound, SettingsError
from bulkpull.insights import validation as rules
from bulkpull.insights.client import InsightsClient
from bulkpull.model import OfferedDataset, Query, Report
from bulkpull.pipeline.naming import OWN_PREFIX, is_ours
from bulkpull.query import check_query
from bulkpull.query.drift import QueryDrift, find_query_drift
from bulkpull.redact import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFilter:
    """Which queries to list; `mine` are those that carry this tool's mark."""

    name: str | None = None
    system: bool = False
    everything: bool = False
    mine: bool = False

    def check(self) -> None:
        """
        Refuse what excludes each other.

        Raises:
            SettingsError: Two of the three kinds are asked for.
        """
        if sum((self.system, self.everything, self.mine)) > 1:
            raise SettingsError("--system, --all and --mine exclude each other", fix="give one of them")


def list_queries(wanted: QueryFilter, *, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Print the stored queries, and for each whether the dataset of today still has what it selects.

    Raises:
        SettingsError: The filters exclude each other.
    """
    wanted.check()

    async def look(client: InsightsClient) -> tuple[list[Query], list[OfferedDataset]]:
        list_those = partial(client.get_queries, include_system=wanted.everything, only_system=wanted.system)
        queries = await list_those(name=wanted.name)
        if wanted.name is not None and not queries:
            # Names that others gave may have blanks around them, which the service's own filter minds.
            queries = [query for query in await list_those() if is_named(query.name, wanted.name)]
        if wanted.mine:
            queries = [query for query in queries if is_ours(query)]
        return queries, await _offered(client) if queries else []

    with aimed(config, demo=demo) as settings:
        queries, offered = ask(look, settings=settings, speech=speech)
    if as_json:
        print_json({"version": 1, "queries": [with_drift(query, offered) for query in queries]})
    elif queries:
        print_table(_table(queries, offered))
    else:
        error_console().print("no such queries are stored", soft_wrap=True)


def show_query(query_id: str, *, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Print one query with its text.

    Raises:
        NotThere: There is none of that id.
    """

    async def look(client: InsightsClient) -> tuple[list[Query], list[OfferedDataset]]:
        return await client.get_queries(query_id=query_id, include_system=True), await _offered(client)

    with aimed(config, demo=demo) as settings:
        queries, offered = ask(look, settings=settings, speech=speech)
    if not queries:
        raise QUERIES.not_there(query_id.strip())
    if as_json:
        print_json({"version": 1, "queries": [with_drift(query, offered) for query in queries]})
    else:
        _print_one(queries[0], find_query_drift(queries[0].text, offered=offered))


def create_query(
    text: str,
    *,
    name: str,
    description: str | None,
    demo: bool,
    config: Path | None,
    as_json: bool,
    speech: OutputOptions,
) -> None:
    """
    Store a query: the text that was checked, on one line and with every name as the service spells it today.

    Raises:
        QueryError: The service would refuse its text, or answer with nothing; nothing was stored.
        SettingsError: The service would refuse its name, or it is one that marks queries of this tool.
    """
    name = name.strip()
    check_query_name(name)
    rules.check_query_text(name=name, text=text)

    async def store(client: InsightsClient) -> Query:
        checked = check_query(text, offered=await client.get_datasets(), catalog=load_catalog())
        for warning in checked.warnings:
            warn(warning, speech)
        with suppress(AccessDenied, ListNotTold):
            await client.get_queries(name=name)  # what is there before is not taken for what is stored now
        return await client.create_query(name=name, text=checked.text, description=description)

    with aimed(config, demo=demo) as settings:
        query = ask(store, settings=settings, speech=speech)
    if as_json:
        print_json({"version": 1, "queries": [query_values(query)]})
    else:
        _print_one(query, None)


def check_query_name(name: str) -> None:
    """
    Keep names apart: stored queries that bear this tool's mark are used and deleted by exports.

    Raises:
        SettingsError: The name looks like one of ours.
    """
    if f"{name} ".casefold().startswith(f"{OWN_PREFIX} "):
        raise SettingsError(
            f"a query cannot be named {printable(name, most=40)!r} here",
            why=f"names that begin with the word {OWN_PREFIX} are reserved: exports make and delete such queries",
            fix="choose another name",
        )


def delete_queries(
    query_ids: Sequence[str], *, yes: bool, force: bool, config: Path | None, as_json: bool, speech: OutputOptions
) -> int:
    """
    Delete the named queries, and no others; returns 2 when one of them is not there, else 0.

    Args:
        force: Also those under reports, which then produce nothing more.

    Raises:
        SettingsError: One is the system's, or is under a report (behaviours 75 and 98), or there is nobody to ask.
    """
    with aimed(config, demo=False) as settings:

        async def look(client: InsightsClient) -> tuple[list[Query], list[Report]]:
            queries = await client.get_queries(
                query_id=query_ids[0] if len(query_ids) == 1 else None, include_system=True
            )
            return queries, await client.get_reports(whole=True)

        listed, reports = ask(look, settings=settings, speech=speech)
        found, missing = named(query_ids, {query.query_id: query for query in listed})
        _check_deletable(found, reports, force=force)
        return delete_named(
            [query_values(query) for query in found],
            missing,
            kind=QUERIES,
            settings=settings,
            yes=yes,
            as_json=as_json,
            speech=speech,
        )


def with_drift(query: Query, offered: Sequence[OfferedDataset]) -> dict[str, Any]:
    """A query as JSON values, with what has become of the columns that it selects (pure)."""
    drift = find_query_drift(query.text, offered=offered)
    return query_values(query) | {
        "dataset": drift.dataset if drift else None,
        "dataset_offered": drift.offered if drift else None,
        "missing_columns": list(drift.missing) if drift else [],
        "left_out_columns": list(drift.left_out) if drift else [],
    }


def told_drift(drift: QueryDrift | None) -> str:
    """What has become of a query, in a few words (pure)."""
    if drift is None:
        return "cannot be read"
    if not drift.offered:
        return "dataset not offered"
    return f"lacks {figures.some(list(drift.missing))}" if drift.missing else "no"


async def _offered(client: InsightsClient) -> list[OfferedDataset]:
    try:
        return await client.get_datasets()
    except NotFound:
        return []


def _check_deletable(queries: Sequence[Query], reports: Sequence[Report], *, force: bool) -> None:
    for query in queries:
        if query.is_system:
            raise SettingsError(
                f"the query {query.query_id} cannot be deleted", why="it is the service's own", fix="leave it out"
            )
        using = [report.report_id for report in reports if report.query_id.casefold() == query.query_id.casefold()]
        if using and not force:
            raise SettingsError(
                f"the query {query.query_id} was not deleted: reports that use it would produce nothing more",
                why=f"used by {figures.some(using)}",
                fix=f"first: bulkpull reports delete {' '.join(using[:3])}; or add --force",
            )


def _table(queries: Sequence[Query], offered: Sequence[OfferedDataset]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("query", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("drifted", overflow="fold")
    for query in queries:
        table.add_row(
            query.query_id, printable(query.name), printable(told_drift(find_query_drift(query.text, offered=offered)))
        )
    return table


def _print_one(query: Query, drift: QueryDrift | None) -> None:
    print_grid(
        ("query", query.query_id),
        ("name", query.name),
        ("description", query.description),
        ("owner", "the service" if query.is_system else "this user"),
        ("created", query_values(query)["created_at"]),
        ("drifted", told_drift(drift) if drift else None),
        ("leaves out", ", ".join(drift.left_out) if drift else None),
        text=query.text,
    )
