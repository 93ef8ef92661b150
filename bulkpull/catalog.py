"""
The catalog: what is known about the datasets without asking the service.

Columns, metrics, time spans and recurrence are those of the one public list of the live service (February 2023); types,
other spellings and refresh intervals come from public documents. The service's current list always overrides it
(behaviour 54); the catalog only adds what the service does not report.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class ColumnType(StrEnum):
    """The documented type of a column. Files are text, and every value may be empty."""

    STRING = "string"
    INT = "int"
    DECIMAL = "decimal"
    NUMBER = "number"
    """A metric that no document describes: a number, whole or not."""
    DATE = "date"
    DATETIME = "datetime"
    MONTH = "month"
    BOOL = "bool"
    GUID = "guid"

    @property
    def is_number(self) -> bool:
        return self in (ColumnType.INT, ColumnType.DECIMAL, ColumnType.NUMBER)

    @property
    def is_time(self) -> bool:
        return self in (ColumnType.MONTH, ColumnType.DATE, ColumnType.DATETIME)

    @property
    def is_text(self) -> bool:
        """Whether its values are compared as text."""
        return self is not ColumnType.BOOL and not self.is_number


class MetricKind(StrEnum):
    """What a metric adds to a query that selects every column (behaviour 162)."""

    AMOUNT = "amount"
    """Money, seats or users that no column holds; an export needs it."""
    TOTAL = "total"
    """The sum of a column that is listed as well."""
    COUNT = "count"
    """How many customers, tenants, subscriptions or users a row stands for."""


# The words of a flag that Parquet holds as a number or a truth value.
_BOOLEAN_WORDS = ({"0", "1"}, {"true", "false"})
# Which of a customer's rows to sum: exactly one of them carries 0 (behaviour 147).
_DUPLICATE_FLAGS = ("IsDuplicateRowForPGA", "IsACRDuplicateAtPGALevel")


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """
    A column of a dataset.

    Attributes:
        identifier: It stays text, since leading zeros count (behaviour 152).
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

    @property
    def parquet_type(self) -> ColumnType:
        """What its values become: a flag in words like Y and N is text, since no Boolean gives them back (154)."""
        words = {word.casefold() for word in self.values}
        is_text = self.type is ColumnType.BOOL and bool(words) and words not in _BOOLEAN_WORDS
        return ColumnType.STRING if is_text else self.type


@dataclass(frozen=True, slots=True)
class CatalogMetric:
    """A metric of a dataset: summed or counted over every combination of the columns selected (behaviour 63)."""

    name: str
    type: ColumnType
    kind: MetricKind


@dataclass(frozen=True, slots=True)
class CatalogDataset:
    """
    A dataset as the live list of 2023 has it; where that list lacks it, as the documents describe it.

    Attributes:
        extra: Beyond the twenty of the main job; exported only when named or with `--all`.
        columns, metrics: As listed, in that order and spelling (behaviours 52, 159 and 169).
        date_ranges: The listed time spans (behaviours 164 and 165).
        refresh_days: Days between two refreshes of its data (behaviour 142).
        snapshot: It has no time axis, so a query carries no TIMESPAN (behaviour 51).
        time_column: The column that a window cuts along.
        minimum_recurrence_hours: The shortest interval of a scheduled report (behaviours 50 and 166).
        further_columns, further_metrics, further_date_ranges: What documents have and the list of 2023 has not; a
            list may have it again.
        drift_columns: Columns of other editions of the documents, which a list may have as well (behaviour 54).
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
    further_date_ranges: tuple[str, ...] = ()
    minimum_recurrence_hours: int = 24
    metrics: tuple[CatalogMetric, ...] = ()
    further_columns: tuple[CatalogColumn, ...] = ()
    further_metrics: tuple[CatalogMetric, ...] = ()
    drift_columns: tuple[CatalogColumn, ...] = ()

    def column(self, name: str) -> CatalogColumn | None:
        """The column of that name or alias, in any case; a metric counts, since documents list some as columns."""
        wanted = name.casefold()
        for column in self.every_column:
            if wanted == column.name.casefold():
                return column
        for column in self.every_column:
            if wanted in (alias.casefold() for alias in column.aliases):
                return column
        metric = self.metric(name)
        return CatalogColumn(metric.name, metric.type) if metric else None

    def metric(self, name: str) -> CatalogMetric | None:
        """The metric of that name, in any case."""
        wanted = name.casefold()
        return next((metric for metric in self.every_metric if metric.name.casefold() == wanted), None)

    @property
    def every_column(self) -> tuple[CatalogColumn, ...]:
        """Every column that some list or document has: what a query on some edition may select."""
        return (*self.columns, *self.further_columns, *self.drift_columns)

    @property
    def every_metric(self) -> tuple[CatalogMetric, ...]:
        return (*self.metrics, *self.further_metrics)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All known datasets, in the order of the documents."""

    datasets: tuple[CatalogDataset, ...]
    timespans: tuple[str, ...]
    default_timespan: str

    def metric(self, name: str) -> CatalogColumn:
        """A metric of any dataset as a column of a report, in any case; an unknown one holds numbers of some kind."""
        known = next((found for dataset in self.datasets if (found := dataset.metric(name))), None)
        return CatalogColumn(name, known.type if known else ColumnType.NUMBER)

    def find(self, name: str) -> CatalogDataset | None:
        """The dataset of that name or alias, in any case and whatever blanks surround it; `None` when unknown."""
        wanted = name.strip().casefold()
        for dataset in self.datasets:
            if wanted == dataset.name.casefold() or wanted in (alias.casefold() for alias in dataset.aliases):
                return dataset
        return None

    def canonical(self, name: str) -> str:
        """The catalog's name of a dataset; of an unknown one the name as written, without blanks around it."""
        known = self.find(name)
        return known.name if known else name.strip()

    def is_same(self, name: str, other: str) -> bool:
        """Whether two names, in any case and of any edition, are of one dataset."""
        return self.canonical(name).casefold() == self.canonical(other).casefold()

    @property
    def column_names(self) -> frozenset[str]:
        """Every name that some column or metric of some dataset has, had, or is known by."""
        names: set[str] = set()
        for dataset in self.datasets:
            names.update(metric.name for metric in dataset.every_metric)
            for column in dataset.every_column:
                names.update((column.name, *column.aliases))
        return frozenset(names)

    @property
    def standard(self) -> tuple[CatalogDataset, ...]:
        """The twenty datasets of the main job."""
        return tuple(dataset for dataset in self.datasets if not dataset.extra)


def duplicate_flag(columns: Iterable[str]) -> str | None:
    """The column among these that tells a customer's first row from its repetitions; `None` where none repeats."""
    spelled = {column.casefold(): column for column in columns}
    return next((spelled[flag.casefold()] for flag in _DUPLICATE_FLAGS if flag.casefold() in spelled), None)


def _column(raw: Mapping[str, Any]) -> CatalogColumn:
    words = (tuple(raw.get(name, ())) for name in ("aliases", "values", "known_values"))
    return CatalogColumn(raw["name"], ColumnType(raw["type"]), raw.get("identifier", False), *words)


def _metric(raw: Mapping[str, Any]) -> CatalogMetric:
    return CatalogMetric(raw["name"], ColumnType(raw["type"]), MetricKind(raw["kind"]))


def _dataset(raw: Mapping[str, Any]) -> CatalogDataset:
    plain = ("name", "title", "extra", "refresh_days", "snapshot", "time_column", "minimum_recurrence_hours")
    values: dict[str, Any] = {name: raw[name] for name in plain}
    values |= {name: tuple(raw[name]) for name in ("aliases", "date_ranges", "further_date_ranges")}
    values |= {name: tuple(map(_column, raw[name])) for name in ("columns", "further_columns", "drift_columns")}
    values |= {name: tuple(map(_metric, raw[name])) for name in ("metrics", "further_metrics")}
    return CatalogDataset(**values)


@cache
def load_catalog() -> Catalog:
    """Read the catalog that ships in the package; it is read once and never changes."""
    raw = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))
    return Catalog(
        datasets=tuple(_dataset(dataset) for dataset in raw["datasets"]),
        timespans=tuple(raw["timespans"]),
        default_timespan=raw["default_timespan"],
    )
