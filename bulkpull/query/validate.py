"""
Checks a query against what the service lists today, and returns the query to send or an error with its position.

The service's errors name neither the column nor the position (behaviour 73), and it does not report a value that cannot
occur (behaviour 67). So everything is checked here, before any call creates something. Stored queries do not follow
their dataset: even system queries select removed columns (behaviour 76) and leave out new ones (behaviour 77).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bulkpull.catalog import Catalog, CatalogColumn
from bulkpull.errors import QueryError
from bulkpull.formatting import join_some
from bulkpull.model import OfferedDataset
from bulkpull.query.ast import Condition, Name, Operator, Ordering, Statement
from bulkpull.query.parser import parse
from bulkpull.query.render import build
from bulkpull.query.value_checks import check_value
from bulkpull.suggestions import did_you_mean

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """
    A query that the service can answer, every name as the service spells it today.

    Attributes:
        columns: What is selected, in the order of the file; `metrics` are those of them that are metrics.
        warnings: Possible surprises, one sentence each.
    """

    text: str
    statement: Statement
    offered: OfferedDataset
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryDrift:
    """
    A stored query beside the dataset that it reads, which the service may not list for this account.

    Attributes:
        missing: Names in the query that are neither a column nor a metric of the dataset.
        left_out: Columns that the dataset has and the query does not select.
    """

    dataset: str
    offered: bool
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def check_query(
    text: str, *, offered: Sequence[OfferedDataset], catalog: Catalog, is_whole: bool = False
) -> CheckedQuery:
    """
    Parse a query and check it against what the service lists (behaviours 59 to 68 and 76).

    The metrics of a query that selects every column (`is_whole`) need no warning. Raises `QueryError`.
    """
    statement = parse(text, names=odd_names(offered))
    dataset = _find_dataset(statement.dataset, text, offered=offered, catalog=catalog)
    return _Check(text, dataset, catalog, is_whole=is_whole).of(statement)


def find_query_drift(query_text: str, *, offered: Sequence[OfferedDataset]) -> QueryDrift | None:
    """Compare a query with what the service lists; `None` for a text that is no query."""
    try:
        statement = parse(query_text, names=odd_names(offered))
    except QueryError:
        return None
    dataset = next((candidate for candidate in offered if candidate.name.casefold() == statement.dataset.folded), None)
    if dataset is None:
        return QueryDrift(statement.dataset.text, offered=False)
    parts: tuple[Condition | Ordering, ...] = (*statement.conditions, *statement.orderings)
    named = {name.folded: name.text for name in (*statement.names, *(part.name for part in parts))}
    there = {name.casefold() for name in (*dataset.columns, *dataset.metrics)}
    selected = {name.folded for name in statement.names}
    return QueryDrift(
        statement.dataset.text,
        offered=True,
        missing=tuple(text for name, text in named.items() if name not in there),
        left_out=tuple(name for name in dataset.columns if name.casefold() not in selected),
    )


def odd_names(offered: Iterable[OfferedDataset]) -> frozenset[str]:
    """Every name that any dataset lists; the parser takes from it those that hold blanks or punctuation."""
    return frozenset(chain.from_iterable((*dataset.columns, *dataset.metrics) for dataset in offered))


def _find_dataset(name: Name, text: str, *, offered: Sequence[OfferedDataset], catalog: Catalog) -> OfferedDataset:
    known = catalog.find(name.text)
    for dataset in offered:
        if catalog.is_same(name.text, dataset.name):
            return dataset
    names = [dataset.name for dataset in offered]
    what = f"the service does not list {known.name} for this account" if known else f"there is no dataset {name.text}"
    hint = did_you_mean(name.text, names if known else (*names, *(dataset.name for dataset in catalog.datasets)))
    fix = hint or "`bulkpull datasets` lists the names"
    raise QueryError(what, text=text, at=name.at, length=len(name.text), fix=fix)


class _Check:
    """The checks of one statement against one dataset."""

    def __init__(self, text: str, dataset: OfferedDataset, catalog: Catalog, *, is_whole: bool) -> None:
        self.text, self.dataset, self.catalog = text, dataset, catalog
        self.known = catalog.find(dataset.name)
        self.label = self.known.name if self.known else dataset.name
        self.columns = {name.casefold(): name for name in reversed(dataset.columns)}
        self.metrics = {name.casefold(): name for name in dataset.metrics}
        self.is_whole = is_whole
        self.warnings: list[str] = []

    def of(self, statement: Statement) -> CheckedQuery:
        names = tuple(self._listed(name) for name in statement.names)
        self._refuse_doubles(names)
        checked = replace(
            statement,
            names=names,
            dataset=replace(statement.dataset, text=self.dataset.name),
            conditions=tuple(map(self._condition, statement.conditions)),
            orderings=tuple(replace(ordering, name=self._listed(ordering.name)) for ordering in statement.orderings),
            timespan=self._timespan(statement.timespan) if statement.timespan else None,
        )
        metrics = tuple(name.text for name in names if name.folded in self.metrics and name.folded not in self.columns)
        self._warn(checked, metrics=() if self.is_whole else metrics)
        return CheckedQuery(
            text=build(checked),
            statement=checked,
            offered=self.dataset,
            columns=tuple(name.text for name in names),
            metrics=metrics,
            warnings=tuple(self.warnings),
        )

    def _listed(self, name: Name) -> Name:
        """The name as the service spells it."""
        spelled = self.columns.get(name.folded) or self.metrics.get(name.folded)
        if spelled is None:
            raise self._unknown(name)
        if name.folded not in self.columns and "(" in spelled:
            raise self._error(f"the service refuses the metric {spelled}, because of its brackets", name)
        return replace(name, text=spelled)

    def _unknown(self, name: Name) -> QueryError:
        documented = self._documented(name.text)
        why = hint = None
        if documented is not None:
            spellings = (documented.name, *documented.aliases)
            today = next((alias for alias in spellings if alias.casefold() in self.columns), None)
            why = "it is documented, but the service does not list it today"
            hint = f"it is listed as {today}" if today else None
        hint = hint or did_you_mean(name.text, (*self.dataset.columns, *self.dataset.metrics))
        fix = hint or f"`bulkpull datasets {self.label}` lists the columns"
        return self._error(f"{self.label} has no column {name.text}", name, why=why, fix=fix)

    def _refuse_doubles(self, names: Sequence[Name]) -> None:
        seen: set[str] = set()
        for name in names:
            if name.folded in seen:
                raise self._error(f"{name.text} is selected twice", name, fix="name each column once")
            seen.add(name.folded)

    def _condition(self, condition: Condition) -> Condition:
        name = self._listed(condition.name)
        is_metric = name.folded not in self.columns
        column = self.catalog.metric(name.text) if is_metric else self._documented(name.text)
        for value in condition.values:
            doubt = check_value(value.text, column=column, operator=condition.operator)
            if doubt is None:
                continue
            what = f"{name.text} {condition.operator} '{value.text}'"
            if doubt.is_fatal:
                excludes = condition.operator in (Operator.UNEQUAL, Operator.NOT_IN)
                what = f"{what} {'leaves out' if excludes else 'matches'} no row"
                why = doubt.why.removesuffix(", so no row can match")
                raise QueryError(what, text=self.text, at=value.at, length=value.length, why=why, fix=doubt.fix)
            self.warnings.append(f"{what}: {doubt.why}" + (f"; {doubt.fix}" if doubt.fix else ""))
        # Text is sent in quotes, so that nobody takes 007 for a number (behaviours 66 and 152).
        is_text = column is not None and column.type.is_text
        values = tuple(replace(value, quoted=value.quoted or is_text) for value in condition.values)
        return replace(condition, name=name, values=values)

    def _timespan(self, name: Name) -> Name:
        ranges = self.dataset.date_ranges
        if not ranges:
            raise self._error(f"{self.label} has no time axis", name, fix="leave TIMESPAN out")
        for spelled in ranges:
            if spelled.casefold() == name.folded:
                return replace(name, text=spelled)
        hint = did_you_mean(name.text, ranges)
        fix = f"{hint + ' ' if hint else ''}it offers {', '.join(ranges)}"
        raise self._error(f"{self.label} has no time span {name.text}", name, fix=fix)

    def _warn(self, statement: Statement, *, metrics: Sequence[str]) -> None:
        if metrics:
            plain = "every combination of the other columns"
            names = join_some(metrics, most=_SHOWN)
            self.warnings.append(f"{names}: a metric is computed for {plain}, so rows are not those of the dataset")
        if statement.distinct:
            self.warnings.append("DISTINCT drops rows that are alike, which are legitimate in this data")
        undirected = [ordering.name.text for ordering in statement.orderings if ordering.direction is None]
        if undirected:
            self.warnings.append(
                f"ORDER BY {join_some(undirected, most=_SHOWN)} sorts descending, because no direction is given"
            )
        if statement.limit is not None and not statement.orderings:
            self.warnings.append(f"LIMIT {statement.limit} without ORDER BY: which rows come is not defined")
        if any("'" in value.text for condition in statement.conditions for value in condition.values):
            self.warnings.append("a value holds a quote, which is sent doubled; no document says this is understood")

    def _documented(self, name: str) -> CatalogColumn | None:
        return self.known.column(name) if self.known else None

    def _error(self, what: str, name: Name, *, why: str | None = None, fix: str | None = None) -> QueryError:
        return QueryError(what, text=self.text, at=name.at, length=len(name.text), why=why, fix=fix)
