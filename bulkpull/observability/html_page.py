"""
The layout of a run's page: values become one self-contained HTML file (pure).

No script runs and nothing is fetched, whatever a text on the page says: its Content-Security-Policy forbids both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap

from markupsafe import Markup

from bulkpull.observability.html_elements import breakable, element, prose, shape, void_element
from bulkpull.observability.html_timeline import BOX, Bar, DatasetTimeline, Timeline
from bulkpull.observability.run_summary import Severity

NO_VALUE = "–"
"""Stands in a table where there is no number."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LINE_END = Markup("\n")


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed for one reason, and the command that tries it again."""

    datasets: Sequence[str]
    what: str
    why: str | None
    fix: str | None
    command: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A row of the table of datasets; `cells` are numbers as text, by column."""

    dataset: str
    status: str
    tone: Severity
    sign: str
    cells: dict[str, str]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls to the service: sentences about them, their number by endpoint, and why they were retried."""

    sentences: Sequence[str]
    by_endpoint: Sequence[tuple[str, int]]
    retries: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """
    What a page says, from top to bottom; empty parts are left out.

    Attributes:
        style: The style sheet, as HTML.
        word, sentence: The outcome.
        beside: Files that lie beside the page.
    """

    style: Markup
    run_id: str
    word: str
    tone: Severity
    sign: str
    sentence: str
    slowest: str | None
    facts: Mapping[str, str]
    failures: Sequence[Failure]
    timeline: Timeline | None
    datasets: Sequence[DatasetRow]
    notes: Sequence[str]
    calls: Calls
    end: str
    beside: tuple[str, str]

    def render(self) -> str:
        """The page as HTML."""
        main = [
            _failures(self.failures) if self.failures else None,
            _timeline(self.timeline) if self.timeline else None,
            _datasets(self.datasets) if self.datasets else None,
            _section("notes", "Worth knowing", _notes(self.notes)) if self.notes else None,
            _calls(self.calls),
        ]
        body = element("body", self._header(), element("main", _lines(part for part in main if part)), self._footer())
        return f"<!DOCTYPE html>\n{element('html', self._head(), body, lang='en')}\n"

    def _head(self) -> Markup:
        return element(
            "head",
            void_element("meta", charset="utf-8"),
            void_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            void_element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            void_element("meta", name="color-scheme", content="light dark"),
            void_element("link", rel="icon", href="data:,"),
            element("title", f"{self.word}: bulkpull run {self.run_id}"),
            element("style", self.style),
        )

    def _header(self) -> Markup:
        return element(
            "header",
            element("p", f"bulkpull run {self.run_id}", class_="soft small mono"),
            _status(self.tone, self.sign, self.word),
            element("h1", self.sentence),
            element("p", self.slowest, class_="soft") if self.slowest else "",
            element("dl", *starmap(_fact, self.facts.items()), class_="facts"),
        )

    def _footer(self) -> Markup:
        links = [element("a", name, href=name) for name in self.beside]
        return element(
            "footer",
            element("p", f"{self.end} Beside this page: ", links[0], " and ", links[1], ".", class_="soft small"),
        )


def _lines(parts: Iterable[Markup]) -> Markup:
    return _LINE_END.join(parts)


def _section(name: str, title: str, *content: Markup) -> Markup:
    return element("section", element("h2", title, id=name), *content, aria_labelledby=name)


def _status(tone: Severity, sign: str, word: str) -> Markup:
    return element("span", f"{sign} {word}", class_=f"status {tone.value}")


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def _notes(sentences: Iterable[str]) -> Markup:
    return element("ul", _lines(element("li", prose(sentence)) for sentence in sentences), class_="notes")


def _failures(failures: Iterable[Failure]) -> Markup:
    items = _lines(map(_failure, failures))
    return _section("failed", "What failed, worst first", element("ol", items, class_="losses", role="list"))


def _failure(failure: Failure) -> Markup:
    return element(
        "li",
        element("h3", ", ".join(failure.datasets)),
        element("p", prose(failure.what)),
        element("p", element("b", "Why: "), prose(failure.why)) if failure.why else "",
        element("p", element("b", "What to do: "), prose(failure.fix)) if failure.fix else "",
        element("p", "Then, for these datasets only:", class_="soft small"),
        element("pre", element("code", failure.command)),
    )


def _timeline(timeline: Timeline) -> Markup:
    legend = [element("li", element("svg", _rect(bar), aria_hidden="true"), words) for bar, words in timeline.legend]
    if timeline.resumptions:
        words = "resumed after an interruption; the time in between is left out"
        legend.append(element("li", element("svg", _upright("again", "50%"), aria_hidden="true"), words))
    labels = _lines(element("text", mark.label, x=mark.x, y="14", text_anchor=mark.anchor) for mark in timeline.marks)
    axis = element(
        "div",
        element("span"),
        element("svg", labels, height="20"),
        element("span", "done after"),
        class_="axis",
        aria_hidden="true",
    )
    rows = element("ul", _lines(_bars(row, timeline) for row in timeline.rows), class_="pulls", role="list")
    figure = element(
        "figure", element("ul", _lines(legend), class_="legend", role="list"), axis, rows, aria_labelledby="timeline"
    )
    numbers = element("details", element("summary", "The timeline in numbers"), _timeline_table(timeline))
    return _section("timeline", "Timeline", figure, numbers)


def _bars(row: DatasetTimeline, timeline: Timeline) -> Markup:
    drawing = element(
        "svg",
        element("title", row.words),
        *(_upright("grid", mark.x) for mark in timeline.marks),
        *(_upright("again", x) for x in timeline.resumptions),
        *map(_rect, row.bars),
        role="img",
        aria_label=row.words,
        height=BOX,
    )
    name = element("span", breakable(row.dataset), class_="name")
    return element("li", name, drawing, element("span", row.took, class_="took number"), class_="pull")


def _rect(bar: Bar) -> Markup:
    # Without its outline, what takes a thousandth of the run would not be seen.
    return shape("rect", x=bar.x, y=bar.y, width=bar.width, height=bar.height, class_=bar.phase, stroke_width="1")


def _upright(kind: str, x: str) -> Markup:
    return shape("line", x1=x, x2=x, y1="0", y2=BOX, class_=kind)


def _timeline_table(timeline: Timeline) -> Markup:
    rows = (_row(row.dataset, *map(_number, timeline.columns, row.cells)) for row in timeline.rows)
    head = _table_head({"Dataset": False, **dict.fromkeys(timeline.columns, True)})
    caption = "Time in each phase; repeated phases are added up."
    return _table(caption, head, rows, class_="cards lines")


def _datasets(datasets: Sequence[DatasetRow]) -> Markup:
    numbers = dict.fromkeys(datasets[0].cells, True)
    head = _table_head({"Dataset": False, "Status": False, **numbers, "Notes": False})
    caption = "Change: rows against the snapshot before. Took: all steps together, as in the manifest."
    return _section("datasets", "Datasets", _table(caption, head, map(_dataset, datasets), class_="cards"))


def _dataset(row: DatasetRow) -> Markup:
    status = element("td", _status(row.tone, row.sign, row.status), role="cell", class_="state")
    cells = [
        _number(name, element("span", value), tone=" none" if value == NO_VALUE else "")
        for name, value in row.cells.items()
    ]
    notes = element("td", *(element("p", prose(note)) for note in row.notes), class_="told", role="cell")
    return _row(row.dataset, status, *cells, notes)


def _number(name: str, value: str, *, tone: str = "") -> Markup:
    return element("td", value, class_=f"number{tone}", role="cell", data_name=name)


def _row(dataset: str, *cells: Markup) -> Markup:
    name = element("th", breakable(dataset), scope="row", role="rowheader")
    return element("tr", name, *cells, role="row")


def _table(caption: str, head: Markup, rows: Iterable[Markup], *, class_: str) -> Markup:
    body = element("tbody", _lines(rows), role="rowgroup")
    return element("table", element("caption", caption), head, body, class_=class_, role="table")


def _table_head(columns: Mapping[str, bool]) -> Markup:
    """The head of a table; `True` for a column of numbers."""
    cells = (
        element("th", name, scope="col", role="columnheader", class_="number" if is_number else None)
        for name, is_number in columns.items()
    )
    return element("thead", element("tr", *cells, role="row"), role="rowgroup")


def _calls(calls: Calls) -> Markup:
    content = [element("p", sentence) for sentence in calls.sentences]
    if calls.by_endpoint:
        head = element(
            "tr", element("th", "Endpoint", scope="col"), element("th", "Calls", scope="col", class_="number")
        )
        rows = (
            element("tr", element("th", endpoint, scope="row"), element("td", count, class_="number"))
            for endpoint, count in calls.by_endpoint
        )
        table = element("table", element("thead", head), element("tbody", _lines(rows)), class_="short")
        content.append(element("details", element("summary", "Calls by endpoint"), table))
    if calls.retries:
        reasons = element("ul", _lines(element("li", reason) for reason in calls.retries), class_="notes")
        content.append(element("details", element("summary", "Why calls were retried"), reasons))
    return _section("calls", "Calls to the service", *content)
