"""
What the simulated service offers: the catalog's datasets with their live columns.

The simulator reads the catalog's data file itself: a reader shared with the client would hide a shared mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from bulkpull.simulator.scenario import ColumnDrift, Scenario

# Months that LIFETIME covers where the catalog knows no lookback (behaviour 156).
_LOOKBACK_MONTHS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    A live column.

    Attributes:
        name: As it is listed, selected and written in the file's header.
        origin: The published name, which the generated values follow from; a renamed column keeps its values.
        type: The catalog's word for what it holds.
        is_metric: It is computed for every combination of the other columns selected (behaviour 63).
        values: The words it is written in (flags), or the known ones (categories).
    """

    name: str
    origin: str
    type: str
    values: tuple[str, ...] = ()
    identifier: bool = False
    is_metric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    A dataset as it is offered.

    Attributes:
        name: The canonical name, which scenarios and faults use.
        listed_name: The live spelling, which listings show and queries must use (behaviour 49).
        time_column: What a TIMESPAN cuts along; `None` for snapshots, which have no TIMESPAN (behaviour 51).
        sensitive: Columns that a mere viewer does not see (behaviour 23).
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

    def column(self, name: str) -> Column | None:
        """The column of that name, in any case (behaviour 60)."""
        wanted = name.casefold()
        return next((column for column in self.columns if column.name.casefold() == wanted), None)

    def drifted(self, drift: ColumnDrift) -> Table:
        """The same dataset with other live columns."""
        return replace(self, columns=_drifted(self.columns, drift, known=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemQuery:
    """A query that the service itself stores (behaviours 74 to 77)."""

    query_id: str
    name: str
    text: str


def offered_tables(scenario: Scenario) -> dict[str, Table]:
    """The datasets that the scenario offers, by canonical name, in the catalog's order; unknown names are an error."""
    known = {raw["name"]: raw for raw in _catalog()["datasets"]}
    if scenario.datasets is None:
        wanted = {name for name, raw in known.items() if scenario.extras or not raw["extra"]}
    else:
        wanted = set(scenario.datasets)
    for name in (*wanted, *(() if isinstance(scenario.drift, bool) else scenario.drift)):
        if name not in known:
            raise ValueError(f"the catalog has no dataset {name!r}")
    return {name: _table(raw, scenario) for name, raw in known.items() if name in wanted}


def system_queries(tables: Iterable[Table]) -> list[SystemQuery]:
    """The stored system queries of the offered datasets; some select columns that are gone (behaviour 76)."""
    known = {raw["name"]: raw["system_query"] for raw in _catalog()["datasets"]}
    found = []
    for table in tables:
        raw = known[table.name]
        if raw:
            span = f" TIMESPAN {raw['timespan']}" if raw.get("timespan") else ""
            text = f"SELECT {','.join(raw['columns'])} FROM {table.listed_name}{span}"  # noqa: S608 - the service's own language, not SQL
            found.append(SystemQuery(query_id=raw["query_id"], name=table.listed_name, text=text))
    return found


@cache
def _catalog() -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((files("bulkpull") / "catalog.json").read_text(encoding="utf-8"))
    return raw


def _table(raw: dict[str, Any], scenario: Scenario) -> Table:
    columns = tuple(_column(each) for each in raw["columns"])
    if isinstance(scenario.drift, bool):
        drift = _known_drift(raw) if scenario.drift else ColumnDrift()
    else:
        drift = scenario.drift.get(raw["name"], ColumnDrift())
    return Table(
        name=raw["name"],
        listed_name=scenario.dataset_names.get(raw["name"], raw["name"]),
        columns=_drifted(columns, drift, known=raw.get("drift_columns", [])),
        metrics=tuple(
            Column(name=name, origin=name, type=_catalog()["metric_types"].get(name, "decimal"), is_metric=True)
            for name in raw["metrics"]
        ),
        date_ranges=tuple(raw["date_ranges"]),
        minimum_recurrence_h=raw["minimum_recurrence_hours"],
        lookback_months=raw["lookback_months"] or _LOOKBACK_MONTHS,
        time_column=raw["time_column"],
        sensitive=frozenset(raw["sensitive"]["revenue"]) | frozenset(raw["sensitive"]["personal"]),
        refresh_days=raw["refresh_days"],
    )


def _column(raw: dict[str, Any]) -> Column:
    return Column(
        name=raw["name"],
        origin=raw["name"],
        type=raw["type"],
        values=tuple(raw.get("values") or raw.get("known_values") or ()),
        identifier=raw.get("identifier", False),
    )


def _known_drift(raw: dict[str, Any]) -> ColumnDrift:
    """Every change that the catalog has seen: a column that replaces another renames it, the rest are new."""
    names = {each["name"].casefold() for each in raw["columns"]}
    renamed, added = {}, []
    for each in raw.get("drift_columns", []):
        if each["name"].casefold() in names:
            continue
        replaced = each.get("replaced_by")
        if replaced and replaced not in renamed and any(column["name"] == replaced for column in raw["columns"]):
            renamed[replaced] = each["name"]
        else:
            added.append(each["name"])
    return ColumnDrift(added=tuple(added), renamed=renamed)


def _drifted(columns: tuple[Column, ...], drift: ColumnDrift, *, known: Iterable[dict[str, Any]]) -> tuple[Column, ...]:
    types = {each["name"]: each["type"] for each in known}
    kept = [column for column in columns if column.name not in drift.removed]
    named = [replace(column, name=drift.renamed.get(column.name, column.name)) for column in kept]
    new = [Column(name=name, origin=name, type=types.get(name, "string")) for name in drift.added]
    return (*named, *new)
