"""
The catalog: what is known of the datasets before the service is asked.

Names and aliases, declared column types, refresh intervals and date ranges, gathered from public documents. The list
that the service gives today always beats it (behaviour 54); the catalog only adds what the service does not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any


class ColumnType(StrEnum):
    """What a column holds, as the documents describe it. Files are text, and every value may be empty."""

    STRING = "string"
    INT = "int"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    MONTH = "month"
    BOOL = "bool"
    GUID = "guid"


# Which of a customer's rows to sum: exactly one of them carries 0 (behaviour 147).
_DUPLICATE_FLAGS = ("IsDuplicateRowForPGA", "IsACRDuplicateAtPGALevel")


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """
    A column of a dataset.

    Attributes:
        identifier: Stays text whatever its values look like: leading zeros count (behaviour 152).
        aliases: Other spellings of the same column, also the headers of downloads (behaviour 56).
        values: All words that a flag is written in (behaviour 154); empty where no document tells them.
        known_values: Words that a document mentions; others occur.
    """

    name: str
    type: ColumnType
    identifier: bool = False
    aliases: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    known_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogDataset:
    """
    A dataset as the documents describe it.

    Attributes:
        extra: Beyond the twenty of the main job; exported only when named or with `--all`.
        refresh_days: Days between two refreshes of its data (behaviour 142); `None` when no document says.
        snapshot: It has no time axis, so a query carries no TIMESPAN (behaviour 51).
        time_column: The column that a window cuts along; `None` for snapshots.
        metrics: Aggregates that a query may select (behaviour 63).
        drift_columns: Names that other editions of the documents use, and that a live list may have (behaviour 54).
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    extra: bool
    columns: tuple[CatalogColumn, ...]
    date_ranges: tuple[str, ...]
    refresh_days: int | None
    snapshot: bool
    time_column: str | None
    system_query_id: str | None
    metrics: tuple[str, ...] = ()
    drift_columns: tuple[str, ...] = ()

    def column(self, name: str) -> CatalogColumn | None:
        """The column of that name or alias, in any case; `None` when the catalog does not know it."""
        wanted = name.casefold()
        for column in self.columns:
            if wanted == column.name.casefold() or wanted in (alias.casefold() for alias in column.aliases):
                return column
        return None


@dataclass(frozen=True, slots=True)
class Catalog:
    """
    All known datasets, in the order of the documents.

    Attributes:
        metric_types: What each known metric counts in, by its name in lower case.
    """

    datasets: tuple[CatalogDataset, ...]
    timespans: tuple[str, ...]
    default_timespan: str
    metric_types: Mapping[str, ColumnType]

    def metric(self, name: str) -> CatalogColumn:
        """A metric as a column of a report, in any case; an unknown one holds numbers of some kind."""
        return CatalogColumn(name, self.metric_types.get(name.casefold(), ColumnType.DECIMAL))

    def find(self, name: str) -> CatalogDataset | None:
        """The dataset of that name or alias, in any case and whatever blanks surround it; `None` when unknown."""
        wanted = name.strip().casefold()
        for dataset in self.datasets:
            if wanted == dataset.name.casefold() or wanted in (alias.casefold() for alias in dataset.aliases):
                return dataset
        return None

    @property
    def column_names(self) -> frozenset[str]:
        """Every name that some column of some dataset has, had, or is known by."""
        return frozenset(
            name
            for dataset in self.datasets
            for name in chain(dataset.drift_columns, *((column.name, *column.aliases) for column in dataset.columns))
        )

    @property
    def standard(self) -> tuple[CatalogDataset, ...]:
        """The twenty datasets of the main job."""
        return tuple(dataset for dataset in self.datasets if not dataset.extra)


def duplicate_flag(columns: Iterable[str]) -> str | None:
    """The column among these that tells a customer's first row from its repetitions; `None` where none repeats."""
    spelled = {column.casefold(): column for column in columns}
    return next((spelled[flag.casefold()] for flag in _DUPLICATE_FLAGS if flag.casefold() in spelled), None)


def _column(raw: dict[str, Any]) -> CatalogColumn:
    return CatalogColumn(
        name=raw["name"],
        type=ColumnType(raw["type"]),
        identifier=raw.get("identifier", False),
        aliases=tuple(raw.get("aliases", ())),
        values=tuple(raw.get("values", ())),
        known_values=tuple(raw.get("known_values", ())),
    )


def _dataset(raw: dict[str, Any]) -> CatalogDataset:
    system_query = raw["system_query"] or {}
    return CatalogDataset(
        name=raw["name"],
        title=raw["title"],
        aliases=tuple(raw["aliases"]),
        extra=raw["extra"],
        columns=tuple(_column(column) for column in raw["columns"]),
        date_ranges=tuple(raw["date_ranges"]),
        refresh_days=raw["refresh_days"],
        snapshot=raw["snapshot"],
        time_column=raw["time_column"],
        system_query_id=system_query.get("query_id"),
        metrics=tuple(raw["metrics"]),
        drift_columns=tuple(column["name"] for column in raw.get("drift_columns", ())),
    )


@cache
def load_catalog() -> Catalog:
    """Read the catalog that ships in the package; it is read once and never changes."""
    raw = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))
    return Catalog(
        datasets=tuple(_dataset(dataset) for dataset in raw["datasets"]),
        timespans=tuple(raw["timespans"]),
        default_timespan=raw["default_timespan"],
        metric_types={name.casefold(): ColumnType(kind) for name, kind in raw["metric_types"].items()},
    )
