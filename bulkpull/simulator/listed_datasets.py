"""
The datasets that the simulated service lists, with their live columns.

There are two editions. "live" lists what the one public list of the live service had (February 2023): amounts are
metrics there (behaviour 159). "documents" lists what the documents describe, where amounts are columns. The simulator
reads the catalog's data file itself: a reader shared with the client would hide a shared mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import polars as pl

from bulkpull.simulator.scenario import ColumnDrift, Scenario

# Months that LIFETIME covers where the catalog knows no lookback (behaviour 156).
_LOOKBACK_MONTHS = 24
# Observed for one dataset of the live service (behaviours 185 and 186); for the others nothing is known.
_FORMS: Mapping[str, Mapping[str, str]] = {"AzureUsage": {"month": "%^b-%Y", "date": "%Y%m%d"}}
PROVENANCE = "Provenance"
"""The column that says which question made a row (`Scenario.provenance`)."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    A live column.

    Attributes:
        origin: The published name, which the generated values follow from; a renamed column keeps its values.
        values: The words it is written in (flags), or the known ones (categories).
        is_metric: It is computed for every combination of the other columns selected (behaviour 63).
        kind: What the live list has as a metric (behaviour 162). A total's `origin` is the column that it sums.
        form: Of dates and months in the file, as for `strftime`; ISO by default (behaviours 185 and 186).
    """

    name: str
    origin: str
    type: str
    values: tuple[str, ...] = ()
    identifier: bool = False
    is_metric: bool = False
    kind: Literal["amount", "total", "count"] | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    A dataset as it is offered.

    Attributes:
        listed_name: The live spelling, which queries must use (behaviour 49); scenarios and faults use `name`.
        time_column: What a TIMESPAN cuts along; `None` for snapshots, which have no TIMESPAN (behaviour 51).
        sensitive: Columns that a mere viewer does not see (behaviour 23), in lower case.
        refresh_days: Days between two refreshes of its data (behaviour 142); `None` where none is documented.
    """

    name: str
    listed_name: str
    columns: tuple[Column, ...]
    metrics: tuple[Column, ...]
    date_ranges: tuple[str, ...]
    minimum_recurrence_h: int
    lookback_months: int
    time_column: str | None
    sensitive: frozenset[str]
    refresh_days: int | None

    def drifted(self, drift: ColumnDrift, *, known: Iterable[Record] = ()) -> Table:
        """The same dataset with other live columns; `known` is where new ones have their types from."""
        types = {column["name"]: column["type"] for column in known}
        kept = (column for column in self.columns if column.name not in drift.removed)
        named = (replace(column, name=drift.renamed.get(column.name, column.name)) for column in kept)
        new = (Column(name=name, origin=name, type=types.get(name, "string")) for name in drift.added)
        return replace(self, columns=(*named, *new))


def offered_tables(scenario: Scenario) -> dict[str, Table]:
    """The datasets that the scenario offers, by canonical name, in the catalog's order; unknown names are an error."""
    catalog, wanted = _catalog(), scenario.datasets
    if wanted is None:
        wanted = tuple(name for name, entry in catalog.items() if _is_listed(entry, scenario))
    for name in (*wanted, *(() if isinstance(scenario.drift, bool) else scenario.drift)):
        if name not in catalog:
            raise ValueError(f"the catalog has no dataset {name!r}")
    return {name: _table(entry, scenario) for name, entry in catalog.items() if name in wanted}


def system_queries(tables: Iterable[Table]) -> Iterator[tuple[str, str, str]]:
    """Id, name and text of the stored system queries (behaviours 74 to 77); some select columns that are gone."""
    for table in tables:
        raw = _catalog()[table.name]["system_query"]
        if raw:
            span = f" TIMESPAN {raw['timespan']}" if raw.get("timespan") else ""
            text = f"SELECT {','.join(raw['columns'])} FROM {table.listed_name}{span}"  # noqa: S608 - the service's own language, not SQL
            yield raw["query_id"], table.listed_name, text


@cache
def _catalog() -> dict[str, Record]:
    catalog = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in catalog["datasets"]}


def _is_listed(raw: Record, scenario: Scenario) -> bool:
    """Whether the edition lists the dataset; the documents' further datasets are listed only on demand."""
    if scenario.edition == "live":
        return "live" in raw["editions"] or (scenario.extras and raw["extra"])
    return "documents" in raw["editions"] and (scenario.extras or not raw["extra"])


def _listing(raw: Record, edition: str) -> Record:
    if edition == "live" or "documents" not in raw:
        return raw
    documents: Record = raw["documents"]
    known = {column["name"].casefold(): column for column in reversed(_every_record(raw))}
    known |= {alias.casefold(): column for column in raw["columns"] for alias in column.get("aliases", ())}
    named = {
        kind: [{**known[name.casefold()], "name": name} for name in documents[kind]] for kind in ("columns", "metrics")
    }
    return {**documents, **named}


def _every_record(raw: Record) -> list[Record]:
    return [*raw["columns"], *raw["further_columns"], *raw["metrics"], *raw["further_metrics"]]


def _table(raw: Record, scenario: Scenario) -> Table:
    name = raw["name"]
    table = _listed_table(name, edition=scenario.edition)
    if isinstance(scenario.drift, bool):
        drift = _known_drift(raw, _listing(raw, scenario.edition)) if scenario.drift else ColumnDrift()
    else:
        drift = scenario.drift.get(name, ColumnDrift())
    if drift != ColumnDrift():
        table = table.drifted(drift, known=[*_every_record(raw), *raw["drift_columns"]])
    provenance = (Column(name=PROVENANCE, origin=PROVENANCE, type="string"),) if scenario.provenance else ()
    return replace(
        table,
        listed_name=scenario.dataset_names.get(name, name),
        columns=(*table.columns, *provenance),
        date_ranges=tuple(scenario.date_ranges.get(name, table.date_ranges)),
    )


@cache
def _listed_table(name: str, *, edition: str) -> Table:
    """The dataset as the edition lists it; cached, because each of many simulators in one process has all of them."""
    raw = _catalog()[name]
    listing = _listing(raw, edition)
    forms = _FORMS.get(name, {}) if edition == "live" else {}
    columns = tuple(_column(column, form=forms.get(column["type"])) for column in listing["columns"])
    return Table(
        name=name,
        listed_name=name,
        columns=columns,
        metrics=tuple(_metric(metric, columns) for metric in listing["metrics"]),
        date_ranges=tuple(listing["date_ranges"]),
        minimum_recurrence_h=listing["minimum_recurrence_hours"],
        lookback_months=raw["lookback_months"] or _LOOKBACK_MONTHS,
        time_column=raw["time_column"],
        sensitive=frozenset(name.casefold() for names in raw["sensitive"].values() for name in names),
        refresh_days=raw["refresh_days"],
    )


def _column(raw: Record, *, form: str | None = None) -> Column:
    return Column(
        name=raw["name"],
        origin=raw["name"],
        type=raw["type"],
        values=tuple(raw.get("values") or raw.get("known_values") or ()),
        identifier=raw.get("identifier", False),
        kind=raw.get("kind"),
        form=form,
    )


def _metric(raw: Record, columns: Iterable[Column]) -> Column:
    """A metric; the total of a listed column is drawn and typed as that column is, so that the two agree."""
    metric = replace(_column(raw), is_metric=True)
    if metric.kind != "total":
        return metric
    summed = metric.name.removeprefix("Total").casefold()
    column = next((candidate for candidate in columns if candidate.name.casefold() == summed), metric)
    return replace(metric, origin=column.origin, type=column.type)


def _known_drift(raw: Record, listing: Record) -> ColumnDrift:
    """Every change that the catalog has seen: a column that replaces another renames it, the rest are new."""
    columns = {column["name"] for column in listing["columns"]}
    names = {item["name"].casefold() for item in (*listing["columns"], *listing["metrics"])}
    renamed: dict[str, str] = {}
    added = []
    for column in (*raw["columns"], *raw["further_columns"], *raw["drift_columns"]):
        if column["name"].casefold() in names:
            continue
        replaced = column.get("replaced_by")
        if replaced and replaced not in renamed and replaced in columns:
            renamed[replaced] = column["name"]
        else:
            added.append(column["name"])
    return ColumnDrift(added=tuple(added), renamed=renamed)


def written(column: Column) -> pl.Expr:
    """The column's values as its file writes them; a value that is no date stays as it is."""
    text = pl.col(column.name)
    if column.form is None:
        return text
    dates = text.cast(pl.String).str.to_date("%Y-%m-%d", strict=False)
    shown = dates.dt.strftime(column.form.replace("%^b", "%b"))
    shown = shown.str.to_uppercase() if "%^b" in column.form else shown
    return shown.fill_null(text).alias(column.name)


def as_iso(value: str, column: Column) -> str:
    """A compared value in the form of the data inside, in lower case: the service converts it (behaviour 66)."""
    if column.form is not None:
        try:
            return datetime.strptime(value.strip(), column.form.replace("%^b", "%b")).date().isoformat()  # noqa: DTZ007 - a day, no moment
        except ValueError:
            pass
    return value.lower()
