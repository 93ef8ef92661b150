"""`bulkpull datasets`: what the service offers, beside what the documents say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkpull.catalog import Catalog, duplicate_flag, load_catalog
from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import LONGEST_QUERY, new_table, print_grid, print_message, print_table
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.queries import with_drift
from bulkpull.cli.service_call import NotOffered, call_service, command_settings
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.errors import AccessDenied
from bulkpull.formatting import join_some, plural
from bulkpull.metric_selection import MetricsChoice, kind_of_metric, select_metrics
from bulkpull.model import OfferedDataset, Query
from bulkpull.query.render import unique_names
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.insights.client import InsightsClient

app = new_app()

_LEGEND = (
    "export: `bulkpull export` includes it, or only with --all or by its name\n"
    "refresh: how often the service renews it; repeat: the shortest interval of a scheduled report"
)
_COLUMN, _METRIC = ("column", "declared type"), ("metric", "kind", "declared type", "exported")
_DUPLICATES = "a customer's row comes once per attributed partner id, and an export keeps them all"
_SUMS = (
    "The service sums a metric over all rows that are equal in every column, and sends them as one row: "
    "the sums are kept, the number of rows is not."
)


@command(app)
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

    Examples:
        bulkpull datasets --demo
        bulkpull datasets AzureUsage --demo
        bulkpull datasets --json
    """
    names = (name,) if name is not None else ()
    with_queries = common.as_json or name is not None

    async def fetch(client: InsightsClient) -> tuple[list[OfferedDataset], list[Query]]:
        offered = await client.get_datasets()
        with suppress(AccessDenied):  # a role may see the datasets and not the queries
            return offered, await client.get_queries(only_system=True) if with_queries else []
        return offered, []

    with command_settings(common, demo=demo) as settings:
        offered, queries = call_service(fetch, common, settings=settings, names=names)
    catalog = load_catalog()
    offer = describe(offered, queries=queries, catalog=catalog, choice=settings.metrics)
    if name is not None:
        offer = [_pick(name, offer, catalog=catalog)]
    there = {dataset["dataset"] for dataset in offer}
    missing = [] if name else [dataset.name for dataset in catalog.standard if dataset.name not in there]
    if common.as_json:
        print_json({"version": 1, "api_base_url": settings.api_base_url, "datasets": offer, "not_offered": missing})
    elif name is not None:
        _print_one(offer[0])
    else:
        # Short headers leave the date ranges enough room in 80 columns.
        columns = ("dataset", "export", "cols", "date ranges", "refresh", "repeat")
        right = ("cols", "refresh", "repeat")
        print_table(new_table(columns, map(_row, offer), right=right, fold=["date ranges"]))
        print_message(_LEGEND)
        if missing:
            print_message(f"not offered to this account, of the twenty: {join_some(missing, most=20)}")


def describe(
    offered: Sequence[OfferedDataset], *, queries: Sequence[Query], catalog: Catalog, choice: MetricsChoice = "amounts"
) -> list[dict[str, Any]]:
    """Each offered dataset as JSON values, under its canonical name, the twenty first (pure); `choice` of metrics."""
    queries_of: dict[str, dict[str, Any]] = {}
    for query in queries:
        values = with_drift(query, offered)
        queries_of.setdefault(catalog.canonical(values["dataset"] or "").casefold(), values)
    described = [_describe(dataset, queries_of, catalog=catalog, choice=choice) for dataset in offered]
    places = {dataset.name: place for place, dataset in enumerate(catalog.datasets)}
    return sorted(described, key=lambda dataset: places.get(dataset["dataset"], len(places)))


def _describe(
    offered: OfferedDataset, queries_of: Mapping[str, dict[str, Any]], *, catalog: Catalog, choice: MetricsChoice
) -> dict[str, Any]:
    name, known = catalog.canonical(offered.name), catalog.find(offered.name)
    columns = [(column, known.column(column) if known else None) for column in offered.columns]
    metrics = [(metric, known.metric(metric) if known else None) for metric in unique_names(offered.metrics)]
    selected = select_metrics(offered, known=known, choice=choice).selected
    return {
        "dataset": name,
        "title": known.title if known else None,
        "of_the_twenty": bool(known and not known.extra),
        "offered_as": offered.name,
        "date_ranges": list(offered.date_ranges),
        "refresh_days": known.refresh_days if known else None,
        "minimum_recurrence_hours": offered.minimum_recurrence_h,
        "columns": [
            {
                "name": column,
                "declared": documented.type.value if documented else None,
                "identifier": bool(documented and documented.identifier),
            }
            for column, documented in columns
        ],
        "metrics": [
            {
                "name": metric,
                "kind": kind_of_metric(metric, offered=offered, known=known).value,
                "declared": documented.type.value if documented else None,
                "exported": metric in selected,
            }
            for metric, documented in metrics
        ],
        "duplicate_flag": duplicate_flag(offered.columns),
        "system_query": queries_of.get(name.casefold()),
    }


def _pick(name: str, offer: Sequence[dict[str, Any]], *, catalog: Catalog) -> dict[str, Any]:
    wanted = catalog.canonical(name).casefold()
    for dataset in offer:
        if wanted in (dataset["dataset"].casefold(), dataset["offered_as"].casefold()):
            return dataset
    from bulkpull.pipeline.plan_names import check_names  # slow to load

    check_names((name,))
    raise NotOffered(
        f"{catalog.canonical(name)}: not offered to this account by the service",
        fix="`bulkpull datasets` shows what is offered, which depends on the account's programs and role",
    )


def _row(dataset: dict[str, Any]) -> tuple[str, ...]:
    return (
        dataset["dataset"],
        "yes" if dataset["of_the_twenty"] else "--all",
        str(len(dataset["columns"])),
        _ranges(dataset),
        f"{dataset['refresh_days']} d" if dataset["refresh_days"] else "",
        f"≥{dataset['minimum_recurrence_hours']} h",
    )


def _ranges(dataset: dict[str, Any]) -> str:
    return ", ".join(dataset["date_ranges"]) or "none: a snapshot"


def _print_one(dataset: dict[str, Any]) -> None:
    refresh, flag, metrics = dataset["refresh_days"], dataset["duplicate_flag"], dataset["metrics"]
    print_grid(
        ("dataset", dataset["dataset"]),
        ("title", dataset["title"]),
        ("offered as", dataset["offered_as"] if dataset["offered_as"] != dataset["dataset"] else None),
        ("in export", "yes" if dataset["of_the_twenty"] else "no: exported when named, or with --all"),
        ("date ranges", _ranges(dataset)),
        ("refresh", f"every {plural(refresh, 'day')}" if refresh else None),
        ("recurrence", f"at least {dataset['minimum_recurrence_hours']} hours"),
        ("duplicates", f"{_DUPLICATES}: sum only rows whose {flag} is 0" if flag is not None else None),
        ("system query", _about_query(dataset["system_query"])),
    )
    print_data("")
    rows = [(column["name"], _declared(column, "text")) for column in dataset["columns"]]
    print_table(new_table(_COLUMN, rows, fold=_COLUMN))
    if metrics:
        print_data("")
        values = [
            (metric["name"], metric["kind"], _declared(metric, "a number"), "yes" if metric["exported"] else "no")
            for metric in metrics
        ]
        print_table(new_table(_METRIC, values, fold=_METRIC))
    if any(metric["exported"] for metric in metrics):
        print_data(f"\n{_SUMS}")
    if dataset["system_query"]:
        print_data(f"\n{printable(dataset['system_query']['query'], most=LONGEST_QUERY)}")


def _declared(column: dict[str, Any], read_as: str) -> str:
    declared = column["declared"] or f"not documented: {read_as}"
    return f"{declared}, an identifier: text" if column.get("identifier") else declared


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
