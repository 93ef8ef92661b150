"""What is offered, as the catalog has it, and the queries that the documents show."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.model import OfferedDataset

CATALOG = load_catalog()
RAW: list[dict[str, Any]] = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))["datasets"]
OFFERED = tuple(
    OfferedDataset(
        name=raw["name"],
        columns=tuple(column["name"] for column in raw["columns"]),
        metrics=tuple(raw["metrics"]),
        date_ranges=tuple(raw["date_ranges"]),
    )
    for raw in RAW
)
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
