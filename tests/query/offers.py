"""What the documents say is offered, dataset by dataset, and the queries that they show."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.model import OfferedDataset
from bulkpull.simulator import Scenario
from bulkpull.simulator.listed_datasets import Table, offered_tables

CATALOG = load_catalog()
RAW: list[dict[str, Any]] = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))["datasets"]
TABLES = tuple(offered_tables(Scenario(edition="documents", extras=True)).values())


def offer_of(table: Table) -> OfferedDataset:
    """A dataset of the simulator as the client reads it from the list."""
    return OfferedDataset(
        name=table.name,
        columns=tuple(column.name for column in table.columns),
        metrics=tuple(metric.name for metric in table.metrics),
        date_ranges=table.date_ranges,
    )


OFFERED = tuple(offer_of(table) for table in TABLES)
LIVE = tuple(offer_of(table) for table in offered_tables(Scenario(edition="live")).values())
SYSTEM_QUERIES = {
    raw["name"]: "SELECT {}\nFROM {}{}".format(
        ",".join(raw["system_query"]["columns"]),
        raw["system_query"]["dataset"],
        f" TIMESPAN {raw['system_query']['timespan']}" if raw["system_query"]["timespan"] else "",
    )
    for raw in RAW
    if raw["system_query"]
}
SAMPLES = tuple(
    block
    for block in (Path(__file__).parent / "samples.sql").read_text(encoding="utf-8").split("\n\n")
    if not block.startswith("--")
)
LISTED = tuple(text for text in SAMPLES if "PGAPartnerID" not in text)
"""The samples but for one, which names columns that no edition of the definitions has."""
