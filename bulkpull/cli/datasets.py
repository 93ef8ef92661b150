"""`bulkpull datasets`: what the service offers, beside what the documents say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkpull.catalog import Catalog, CatalogDataset, duplicate_flag, load_catalog
from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.command_settings import command_settings
from bulkpull.cli.console import LONGEST_QUERY, new_table, print_grid, print_message, print_table
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.queries import with_drift
from bulkpull.cli.service_call import NotOffered, call_service
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.errors import AccessDenied
from bulkpull.formatting import join_some, plural
from bulkpull.metric_selection import MetricsChoice, kind_of_metric, select_metrics
from bulkpull.model import OfferedDataset, Query
from bulkpull.query.render import unique_names
from bulkpull.redact import printable

if TYPE_CHECKING:
    from rich.table import Table

    from bulkpull.insights.client import InsightsClient

app = new_app()

_LEGEND = (
    "export: `bulkpull export` includes it, or only with --all or by its name\n"
    "refresh: how often the service renews it; repeat: the shortest interval of a scheduled report"
)
_SUMS = (
    "The service sums a metric over all rows that are equal in every column, and sends them as one row: "
    "the sums are kept, the number of rows is not."
)


@command(
    app, example_lines=("bulkpull datasets --demo", "bulkpull datasets AzureUsage --demo", "bulkpull datasets --json")
)
def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", hidden=True, autocompletion=options.dataset_names)
    ] = None,
    *,
    demo: options.Demo = False,
    common: CommonOptions,
) -> None:
    """
    Show what the service offers to this account.

    With NAME, that dataset's columns and their types, metrics, date ranges, how to sum rows that are repeated, and the
    service's own query with what is out of date in it.
    """
    names = (name,) if name is not None else ()
    with_queries = common.as_json or name is not None

    async def fetch(client: InsightsClient) -> tuple[list[OfferedDataset], list[Query]]:
        return await client.get_datasets(), await _system_queries(client) if with_queries else []

    with command_settings(common, demo=demo) as settings:
        offered, queries = call_service(fetch, settings=settings, common=common, names=names)
    catalog = load_catalog()
    offer = describe(offered, queries=queries, catalog=catalog, choice=settings.metrics)
    if name is not None:
        offer = [_pick(name, offer, catalog=catalog)]
    missing = [] if name else _not_offered(offer, catalog=catalog)
    if common.as_json:
        print_json({"version": 1, "api_base_url": settings.api_base_url, "datasets": offer, "not_offered": missing})
    elif name is not None:
        _print_one(offer[0])
    else:
        print_table(_table(offer))
        print_message(_LEGEND)
        if missing:
            print_message(f"not offered to this account, of the twenty: {join_some(missing, most=20)}")


async def _system_queries(client: InsightsClient) -> list[Query]:
    try:
        return await client.get_queries(only_system=True)
    except AccessDenied:  # a role may see the datasets and not the queries
        return []


def describe(
    offered: Sequence[OfferedDataset], *, queries: Sequence[Query], catalog: Catalog, choice: MetricsChoice = "amounts"
) -> list[dict[str, Any]]:
    """
    Each offered dataset as JSON values, under its canonical name, the twenty first (pure).

    Args:
        choice: The setting `metrics`: which of them a full export selects.
    """
    queries_of: dict[str, dict[str, Any]] = {}
    for query in queries:
        values = with_drift(query, offered)
        queries_of.setdefault(_canonical(values["dataset"] or "", catalog=catalog), values)
    described = []
    for dataset in offered:
        own = queries_of.get(_canonical(dataset.name, catalog=catalog))
        described.append(_describe(dataset, system_query=own, catalog=catalog, choice=choice))
    order = [dataset.name for dataset in catalog.datasets]
    known = {name: place for place, name in enumerate(order)}
    return sorted(described, key=lambda dataset: known.get(dataset["dataset"], len(order)))


def _canonical(name: str, *, catalog: Catalog) -> str:
    return catalog.canonical(name).casefold()


def _describe(
    offered: OfferedDataset, *, system_query: dict[str, Any] | None, catalog: Catalog, choice: MetricsChoice
) -> dict[str, Any]:
    known = catalog.find(offered.name)
    columns: list[dict[str, Any]] = []
    for name in offered.columns:
        column = known.column(name) if known else None
        columns.append(
            {
                "name": name,
                "declared": column.type.value if column else None,
                "identifier": column.identifier if column else False,
            }
        )
    return {
        "dataset": catalog.canonical(offered.name),
        "title": known.title if known else None,
        "of_the_twenty": bool(known and not known.extra),
        "offered_as": offered.name,
        "date_ranges": list(offered.date_ranges),
        "refresh_days": known.refresh_days if known else None,
        "minimum_recurrence_hours": offered.minimum_recurrence_h,
        "columns": columns,
        "metrics": _describe_metrics(offered, known=known, choice=choice),
        "duplicate_flag": duplicate_flag(offered.columns),
        "system_query": system_query,
    }


def _describe_metrics(
    offered: OfferedDataset, *, known: CatalogDataset | None, choice: MetricsChoice
) -> list[dict[str, Any]]:
    """Every listed metric: its kind, its documented type, and whether a full export selects it."""
    selected = set(select_metrics(offered, known=known, choice=choice).selected)
    described: list[dict[str, Any]] = []
    for name in unique_names(offered.metrics):
        documented = known.metric(name) if known else None
        described.append(
            {
                "name": name,
                "kind": kind_of_metric(name, offered=offered, known=known).value,
                "declared": documented.type.value if documented else None,
                "exported": name in selected,
            }
        )
    return described


def _pick(name: str, offer: Sequence[dict[str, Any]], *, catalog: Catalog) -> dict[str, Any]:
    wanted = _canonical(name, catalog=catalog)
    for dataset in offer:
        if wanted in (dataset["dataset"].casefold(), dataset["offered_as"].casefold()):
            return dataset
    from bulkpull.pipeline.plan_names import check_names  # slow to load

    check_names((name,), catalog=catalog)
    raise NotOffered(
        f"{catalog.canonical(name)}: not offered to this account by the service",
        fix="`bulkpull datasets` shows what is offered, which depends on the account's programs and role",
    )


def _not_offered(offer: Sequence[dict[str, Any]], *, catalog: Catalog) -> list[str]:
    there = {dataset["dataset"] for dataset in offer}
    return [dataset.name for dataset in catalog.standard if dataset.name not in there]


def _table(offer: Sequence[dict[str, Any]]) -> Table:
    # Short headers leave the date ranges enough room in 80 columns.
    columns = ("dataset", "export", "cols", "date ranges", "refresh", "repeat")
    table = new_table(*columns, right=["cols", "refresh", "repeat"], fold=["date ranges"])
    for dataset in offer:
        refresh = dataset["refresh_days"]
        table.add_row(
            dataset["dataset"],
            "yes" if dataset["of_the_twenty"] else "--all",
            str(len(dataset["columns"])),
            _ranges(dataset["date_ranges"]),
            f"{refresh} d" if refresh else "",
            f"≥{dataset['minimum_recurrence_hours']} h",
        )
    return table


def _ranges(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: a snapshot"


def _print_one(dataset: dict[str, Any]) -> None:
    refresh = dataset["refresh_days"]
    print_grid(
        ("dataset", dataset["dataset"]),
        ("title", dataset["title"]),
        ("offered as", dataset["offered_as"] if dataset["offered_as"] != dataset["dataset"] else None),
        ("in export", "yes" if dataset["of_the_twenty"] else "no: exported when named, or with --all"),
        ("date ranges", _ranges(dataset["date_ranges"])),
        ("refresh", f"every {plural(refresh, 'day')}" if refresh else None),
        ("recurrence", f"at least {dataset['minimum_recurrence_hours']} hours"),
        ("duplicates", _about_duplicates(dataset["duplicate_flag"])),
        ("system query", _about_query(dataset["system_query"])),
    )
    print_data("")
    table = new_table("column", "declared type", fold=["column", "declared type"])
    for column in dataset["columns"]:
        declared = column["declared"] or "not documented: text"
        table.add_row(column["name"], f"{declared}, an identifier: text" if column["identifier"] else declared)
    print_table(table)
    if dataset["metrics"]:
        print_data("")
        print_table(_metrics_table(dataset["metrics"]))
    if any(metric["exported"] for metric in dataset["metrics"]):
        print_data(f"\n{_SUMS}")
    if dataset["system_query"]:
        print_data(f"\n{printable(dataset['system_query']['query'], most=LONGEST_QUERY)}")


def _metrics_table(metrics: Sequence[dict[str, Any]]) -> Table:
    columns = ("metric", "kind", "declared type", "exported")
    table = new_table(*columns, fold=columns)
    for metric in metrics:
        declared = metric["declared"] or "not documented: a number"
        table.add_row(metric["name"], metric["kind"], declared, "yes" if metric["exported"] else "no")
    return table


def _about_duplicates(flag: str | None) -> str | None:
    if flag is None:
        return None
    return (
        "a customer's row comes once per attributed partner id, and an export keeps them all: "
        f"sum only rows whose {flag} is 0"
    )


def _about_query(query: dict[str, Any] | None) -> str | None:
    if query is None:
        return None
    words = f"{query['query_id']}, below"
    if not query["dataset_offered"]:
        return f"{words}; out of date: reads {query['dataset']}, which is not offered (exports do not use it)"
    if query["missing_columns"]:
        missing = ", ".join(query["missing_columns"])
        return f"{words}; out of date: selects {missing}, which the dataset does not have (exports do not use it)"
    left_out = plural(len(query["left_out_columns"]), "column")
    return f"{words}; leaves out {left_out}" if query["left_out_columns"] else words
