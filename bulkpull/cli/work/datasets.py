"""What the service offers, beside what the documents say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.catalog import Catalog, CatalogDataset, duplicate_flag, load_catalog
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.cli.work.ask import NotOffered, ask
from bulkpull.cli.work.consoles import LONGEST_QUERY, error_console, print_table
from bulkpull.cli.work.queries import with_drift
from bulkpull.cli.work.target import aimed
from bulkpull.errors import AccessDenied
from bulkpull.insights.client import InsightsClient
from bulkpull.metrics import MetricsChoice, kind_of_metric, select_metrics
from bulkpull.model import OfferedDataset, Query
from bulkpull.pipeline.plan import check_names
from bulkpull.query.names import unique_names
from bulkpull.redact import printable

_SUMS = (
    "The service sums a metric over all rows that are alike in every column, and sends them as one row: "
    "the sums are kept, the number of rows is not."
)


def show_datasets(name: str | None, *, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Print the offer, or one dataset of it.

    Raises:
        SettingsError: `name` is known neither to the catalog nor to the service.
        NotOffered: The dataset exists, but not for this account.
    """
    names = (name,) if name is not None else ()
    with_queries = as_json or name is not None

    async def look(client: InsightsClient) -> tuple[list[OfferedDataset], list[Query]]:
        return await client.get_datasets(), await _system_queries(client) if with_queries else []

    with aimed(config, demo=demo) as settings:
        offered, queries = ask(look, settings=settings, speech=speech, names=names)
    catalog = load_catalog()
    offer = describe(offered, queries=queries, catalog=catalog, choice=settings.metrics)
    if name is not None:
        offer = [_pick(name, offer, catalog=catalog)]
    missing = [] if name else _not_offered(offer, catalog=catalog)
    if as_json:
        print_json({"version": 1, "api_base_url": settings.api_base_url, "datasets": offer, "not_offered": missing})
    elif name is not None:
        _print_one(offer[0])
    else:
        print_table(_table(offer))
        if missing:
            told = f"not offered to this account, of the twenty: {figures.some(missing, most=20)}"
            error_console().print(told, soft_wrap=True)


async def _system_queries(client: InsightsClient) -> list[Query]:
    try:
        return await client.get_queries(only_system=True)
    except AccessDenied:  # a role may see the datasets and not the queries
        return []


def describe(
    offered: Sequence[OfferedDataset],
    *,
    queries: Sequence[Query],
    catalog: Catalog,
    choice: MetricsChoice = "amounts",
) -> list[dict[str, Any]]:
    """
    Each offered dataset as JSON values, under its canonical name, the twenty first (pure).

    Args:
        queries: The service's own.
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
    return sorted(described, key=lambda each: known.get(each["dataset"], len(order)))


def _canonical(name: str, *, catalog: Catalog) -> str:
    known = catalog.find(name)
    return (known.name if known else name).casefold()


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
        "dataset": known.name if known else offered.name,
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
    known = catalog.find(name)
    wanted = (known.name if known else name.strip()).casefold()
    for each in offer:
        if wanted in (each["dataset"].casefold(), each["offered_as"].casefold()):
            return each
    check_names((name,), catalog=catalog)
    raise NotOffered(
        f"{known.name if known else name}: the service does not list it for this account",
        fix="`bulkpull datasets` shows what it does list, which depends on the account's programs and role",
    )


def _not_offered(offer: Sequence[dict[str, Any]], *, catalog: Catalog) -> list[str]:
    there = {each["dataset"] for each in offer}
    return [dataset.name for dataset in catalog.standard if dataset.name not in there]


def _table(offer: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Short headers leave the date ranges enough room in 80 columns.
    table.add_column("dataset", no_wrap=True)
    table.add_column("job", no_wrap=True)
    table.add_column("cols", justify="right", no_wrap=True)
    table.add_column("date ranges", overflow="fold")
    table.add_column("refresh", justify="right", no_wrap=True)
    table.add_column("recur", justify="right", no_wrap=True)
    for each in offer:
        refresh = each["refresh_days"]
        table.add_row(
            each["dataset"],
            "main" if each["of_the_twenty"] else "extra",
            str(len(each["columns"])),
            _ranges(each["date_ranges"]),
            f"{refresh} d" if refresh else "",
            f"≥{each['minimum_recurrence_hours']} h",
        )
    return table


def _ranges(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: a snapshot"


def _print_one(each: dict[str, Any]) -> None:
    about = Table.grid(padding=(0, 2))
    refresh = each["refresh_days"]
    for word, told in (
        ("dataset", each["dataset"]),
        ("title", each["title"]),
        ("offered as", each["offered_as"] if each["offered_as"] != each["dataset"] else None),
        ("main job", "yes" if each["of_the_twenty"] else "no: exported when named, or with --all"),
        ("date ranges", _ranges(each["date_ranges"])),
        ("refresh", f"every {figures.count(refresh, 'day')}" if refresh else None),
        ("recurrence", f"at least {each['minimum_recurrence_hours']} hours"),
        ("duplicates", _told_duplicates(each["duplicate_flag"])),
        ("system query", _told_query(each["system_query"])),
    ):
        if told:
            about.add_row(word, told)
    print_table(about)
    print_data("")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("column", overflow="fold")
    table.add_column("declared type")
    for column in each["columns"]:
        declared = column["declared"] or "not documented: text"
        table.add_row(column["name"], f"{declared}, an identifier: text" if column["identifier"] else declared)
    print_table(table)
    if each["metrics"]:
        print_data("")
        print_table(_metrics_table(each["metrics"]))
    if any(metric["exported"] for metric in each["metrics"]):
        print_data(f"\n{_SUMS}")
    if each["system_query"]:
        print_data(f"\n{printable(each['system_query']['query'], most=LONGEST_QUERY)}")


def _metrics_table(metrics: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", overflow="fold")
    table.add_column("kind")
    table.add_column("declared type")
    table.add_column("exported")
    for metric in metrics:
        declared = metric["declared"] or "not documented: a number"
        table.add_row(metric["name"], metric["kind"], declared, "yes" if metric["exported"] else "no")
    return table


def _told_duplicates(flag: str | None) -> str | None:
    if flag is None:
        return None
    return (
        "a customer's row comes once per attributed partner id, and an export keeps them all: "
        f"sum only rows whose {flag} is 0"
    )


def _told_query(query: dict[str, Any] | None) -> str | None:
    if query is None:
        return None
    told = f"{query['query_id']}, below"
    if not query["dataset_offered"]:
        return f"{told}; out of date: reads {query['dataset']}, which is not offered (exports do not use it)"
    if query["missing_columns"]:
        missing = ", ".join(query["missing_columns"])
        return f"{told}; out of date: selects {missing}, which the dataset has not (exports do not use it)"
    left_out = figures.count(len(query["left_out_columns"]), "column")
    return f"{told}; leaves out {left_out}" if query["left_out_columns"] else told
