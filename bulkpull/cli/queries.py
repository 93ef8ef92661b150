"""`bulkpull queries`: the queries that the service stores for this user, and its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkpull.catalog import load_catalog
from bulkpull.cli import options
from bulkpull.cli.batch import QUERIES, delete_named, find_by_name, find_named, find_query
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import new_table, print_grid, print_message, print_note, print_table
from bulkpull.cli.json_output import format_time, query_values
from bulkpull.cli.options import CommonOptions, option
from bulkpull.cli.service_call import call_service, load_settings
from bulkpull.cli.stdio import print_json
from bulkpull.errors import AccessDenied, ListUnknown, NotFound, SettingsError
from bulkpull.formatting import join_some
from bulkpull.model import OfferedDataset, Query, Report
from bulkpull.query import check_query
from bulkpull.query.validate import QueryDrift, find_query_drift
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.insights.client import InsightsClient

app = new_app("queries", "bulkpull queries list", "bulkpull queries create --help")

QueryId = Annotated[str, typer.Argument(metavar="ID", help="A query's id, as `queries list` shows it.")]
QueryIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of queries.")]


@command(app, "list", short_help="Show the stored queries.")
def list_queries(
    *,
    name: Annotated[str | None, option("--name", "Only the query of this name.", metavar="NAME")] = None,
    system: Annotated[bool, option("--system", "System queries instead of the user's.")] = False,
    everything: Annotated[bool, option("--all", "User and system queries.")] = False,
    mine: Annotated[bool, option("--mine", "Only those that this tool created.")] = False,
    demo: options.Demo = False,
    common: CommonOptions,
) -> None:
    """
    Show the stored queries, and whether their dataset still has what they select.

    Examples:
        bulkpull queries list
        bulkpull queries list --system --demo
        bulkpull queries list --mine --json
    """
    if sum((system, everything, mine)) > 1:
        raise SettingsError("--system, --all and --mine exclude each other", fix="give one of them")
    from bulkpull.pipeline.steps.naming import is_ours  # slow to load

    async def fetch(client: InsightsClient) -> tuple[list[Query], list[OfferedDataset]]:
        get_queries = partial(client.get_queries, include_system=everything, only_system=system)
        queries = await find_by_name(get_queries, name)
        if mine:
            queries = [query for query in queries if is_ours(query)]
        return queries, await _offered(client) if queries else []

    queries, offered = call_service(fetch, common, demo=demo)
    if common.as_json:
        print_json({"version": 1, "queries": [with_drift(query, offered) for query in queries]})
    elif queries:
        drifts = [_describe_drift(find_query_drift(query.text, offered=offered)) for query in queries]
        rows = (
            (query.query_id, printable(query.name), printable(drift))
            for query, drift in zip(queries, drifts, strict=True)
        )
        print_table(new_table(("query", "name", "drifted"), rows, fold=["name", "drifted"]))
    else:
        print_message("no such queries are stored")


@command(app, "show", short_help="Show one query with its text.")
def show_query(query_id: QueryId, *, demo: options.Demo = False, common: CommonOptions) -> None:
    """
    Show one query with its text; exit status 2 when there is none of that id.

    Examples:
        bulkpull queries show 7d19305c-56db-4edc-b776-428340e3a9c8
        bulkpull queries show d1a4d75e-5ca8-4847-845f-ee0a9be6f07b --demo
    """

    async def fetch(client: InsightsClient) -> tuple[Query, list[OfferedDataset]]:
        return await find_query(client, query_id), await _offered(client)

    query, offered = call_service(fetch, common, demo=demo)
    if common.as_json:
        print_json({"version": 1, "queries": [with_drift(query, offered)]})
    else:
        _print_one(query, find_query_drift(query.text, offered=offered))


@command(app, "create")
def create_query(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and blanks.")],
    text: Annotated[str, typer.Argument(metavar="QUERY", help="The query's text.")],
    *,
    description: Annotated[str | None, option("--description", "Description.")] = None,
    demo: options.Demo = False,
    common: CommonOptions,
) -> None:
    """
    Store the query QUERY under the name NAME.

    Examples:
        bulkpull queries create --demo Customers "SELECT Month FROM OfficeUsage"
        bulkpull queries create "Our names" "SELECT PartnerName FROM Profile" --json
    """
    from bulkpull.insights.definitions import QueryDefinition  # slow to load

    name = name.strip()
    check_query_name(name)
    QueryDefinition(name=name, text=text).check()

    # Stored is the text that was checked: on one line, with every name as the service spells it today.
    async def store(client: InsightsClient) -> Query:
        checked = check_query(text, offered=await client.get_datasets(), catalog=load_catalog())
        for warning in checked.warnings:
            print_note(warning, common)
        with suppress(AccessDenied, ListUnknown):
            await client.get_queries(name=name)  # existing ones are not the new query
        return await client.create_query(name=name, text=checked.text, description=description)

    query = call_service(store, common, demo=demo)
    if common.as_json:
        print_json({"version": 1, "queries": [query_values(query)]})
    else:
        _print_one(query)


@command(app, "delete")
def delete_queries(
    query_ids: QueryIds,
    *,
    yes: options.Yes = False,
    force: Annotated[bool, option("--force", "Also those that reports use.")] = False,
    common: CommonOptions,
) -> int:
    """
    Delete the named queries, and nothing else.

    Reports that use a deleted query produce nothing more, so such a query stays unless --force is given.

    Examples:
        bulkpull queries delete 7d19305c-56db-4edc-b776-428340e3a9c8
        bulkpull queries delete --yes 7d19305c-56db-4edc-b776-428340e3a9c8
    """
    settings = load_settings(common)

    async def fetch(client: InsightsClient) -> tuple[list[Query], list[Report]]:
        queries = await client.get_queries(query_id=query_ids[0] if len(query_ids) == 1 else None, include_system=True)
        return queries, await client.get_reports(whole=True)

    listed, reports = call_service(fetch, common, settings=settings)
    found, missing = find_named(query_ids, {query.query_id: query for query in listed})
    _check_deletable(found, reports, force=force)
    return delete_named(found, missing, kind=QUERIES, settings=settings, yes=yes, common=common)


def check_query_name(name: str) -> None:
    """Refuse a name with this tool's prefix: exports use and delete such queries."""
    from bulkpull.pipeline.steps.naming import OWN_PREFIX

    if f"{name} ".casefold().startswith(f"{OWN_PREFIX} "):
        raise SettingsError(
            f"a query cannot be named {printable(name, most=40)!r} here",
            why=f"names that begin with the word {OWN_PREFIX} are reserved: exports create and delete such queries",
            fix="choose another name",
        )


def with_drift(query: Query, offered: Sequence[OfferedDataset]) -> dict[str, Any]:
    """A query as JSON values, with the selected columns that its dataset no longer has (pure)."""
    drift = find_query_drift(query.text, offered=offered)
    return query_values(query) | {
        "dataset": drift.dataset if drift else None,
        "dataset_offered": drift.offered if drift else None,
        "missing_columns": list(drift.missing) if drift else [],
        "left_out_columns": list(drift.left_out) if drift else [],
    }


def _describe_drift(drift: QueryDrift | None) -> str:
    if drift is None:
        return "cannot be read"
    if not drift.offered:
        return "dataset not offered"
    return f"lacks {join_some(list(drift.missing))}" if drift.missing else "no"


async def _offered(client: InsightsClient) -> list[OfferedDataset]:
    with suppress(NotFound):
        return await client.get_datasets()
    return []


def _check_deletable(queries: Sequence[Query], reports: Sequence[Report], *, force: bool) -> None:
    for query in queries:
        if query.is_system:
            raise SettingsError(
                f"the query {query.query_id} cannot be deleted", why="it is a system query", fix="leave it out"
            )
        using = [report.report_id for report in reports if report.query_id.casefold() == query.query_id.casefold()]
        if using and not force:
            raise SettingsError(
                f"the query {query.query_id} was not deleted: reports that use it would stop working",
                why=f"used by {join_some(using)}",
                fix=f"first: bulkpull reports delete {' '.join(using[:3])}; or add --force",
            )


def _print_one(query: Query, drift: QueryDrift | None = None) -> None:
    print_grid(
        ("query", query.query_id),
        ("name", query.name),
        ("description", query.description),
        ("owner", "the service" if query.is_system else "this user"),
        ("created", format_time(query.created_at)),
        ("drifted", _describe_drift(drift) if drift else None),
        ("leaves out", ", ".join(drift.left_out) if drift else None),
        text=query.text,
    )
