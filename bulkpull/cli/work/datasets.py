"""What the service offers, beside what the documents say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import figures
from bulkpull.catalog import Catalog, load_catalog
from bulkpull.cli.speech import Speech
from bulkpull.cli.streams import print_data, print_json
from bulkpull.cli.work.ask import NotOffered, ask
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.cli.work.target import aimed
from bulkpull.journey.plan import check_names
from bulkpull.model import OfferedDataset


def show_datasets(name: str | None, *, demo: bool, config: Path | None, as_json: bool, speech: Speech) -> None:
    """
    Print the offer, or one dataset of it.

    Raises:
        SettingsError: `name` is known neither to the catalog nor to the service.
        NotOffered: The dataset exists, but not for this account.
    """
    names = (name,) if name is not None else ()
    with aimed(config, demo=demo) as settings:
        offered = ask(lambda client: client.get_datasets(), settings=settings, speech=speech, names=names)
    catalog = load_catalog()
    offer = describe(offered, catalog=catalog)
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


def describe(offered: Sequence[OfferedDataset], *, catalog: Catalog) -> list[dict[str, Any]]:
    """Each offered dataset as JSON values, under its canonical name, the twenty first (pure)."""
    described = [_describe(dataset, catalog=catalog) for dataset in offered]
    order = [dataset.name for dataset in catalog.datasets]
    known = {name: place for place, name in enumerate(order)}
    return sorted(described, key=lambda each: known.get(each["dataset"], len(order)))


def _describe(offered: OfferedDataset, *, catalog: Catalog) -> dict[str, Any]:
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
        "metrics": list(offered.metrics),
    }


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
        ("metrics", ", ".join(each["metrics"])),
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
