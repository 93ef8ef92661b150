"""The command that publishes a snapshot again: the same question, as `bulkpull export` takes it (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime, time

from bulkpull.errors import QueryError
from bulkpull.output.current import CurrentSnapshot
from bulkpull.query import Statement, parse
from bulkpull.query.render import render_conditions, render_orderings
from bulkpull.requested_data import EVERY, OPEN
from bulkpull.window_bounds import window_texts

_DEFAULT_METRICS = f"{EVERY}amounts"


def export_words(dataset: str, snapshot: CurrentSnapshot, *, queries: Collection[str] = ()) -> list[str]:
    """The words after `bulkpull`: pasted, they publish the same question and no other (case W11)."""
    question = snapshot.question or {}
    source = str(question.get("source") or dataset)
    if source == dataset or dataset.casefold() in {name.casefold() for name in queries}:
        return ["export", dataset, *_metrics(question.get("metrics")), *_span(snapshot)]
    words = ["export", source, "--as", dataset]
    with suppress(QueryError):
        words += _shape(parse(snapshot.query or ""), selects_all=list(question.get("columns") or ()) == [EVERY])
    return [*words, *_metrics(question.get("metrics")), *_span(snapshot)]


def _shape(statement: Statement, *, selects_all: bool) -> Iterator[str]:
    """The options that say what of a dataset is selected."""
    if not selects_all:
        yield from ("--select", ", ".join(name.text for name in statement.names))
    if statement.conditions:
        yield from ("--where", render_conditions(statement.conditions))
    if statement.orderings:
        yield from ("--order-by", render_orderings(statement.orderings))
    if statement.limit is not None:
        yield from ("--limit", str(statement.limit))
    if statement.distinct:
        yield "--distinct"


def _metrics(chosen: object) -> Iterator[str]:
    """The option `--metrics`, where another choice than the default was made."""
    names = list(chosen) if isinstance(chosen, list | tuple) else []
    if len(names) == 1 and str(names[0]).startswith(EVERY) and names != [_DEFAULT_METRICS]:
        yield from ("--metrics", str(names[0]).removeprefix(EVERY))


def _span(snapshot: CurrentSnapshot) -> Iterator[str]:
    """The options for the requested time."""
    question = snapshot.question or {}
    start, end = question.get("window") or window_texts(snapshot.window) or (None, None)
    if start is None:
        if span := snapshot.timespan or question.get("span"):
            yield from ("--timespan", str(span))
        return
    yield from ("--since", str(start)[:10])
    # An end within a day was "now": no option is needed, and the new command uses its own time.
    if end not in (None, OPEN) and datetime.fromisoformat(end).astimezone(UTC).time() == time():
        yield from ("--until", str(end)[:10])
