"""The sections of the HTML report besides the timeline: failures, datasets, notes, API calls (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bulkpull import platforms
from bulkpull.formatting import format_duration, format_size, join_some, plural
from bulkpull.observability.failures import FailureGroup, failure_groups, group_by_reason, is_interrupted_pull
from bulkpull.observability.html_markup import Html, breakable, element, joined, prose
from bulkpull.observability.run_summary import RunSummary, Severity
from bulkpull.output.manifest import DatasetRecord, Drift, is_lost

_UNFINISHED = "unfinished"
_STATUSES = {
    "complete": (Severity.GOOD, "✓"),
    "skipped": (Severity.QUIET, "→"),
    "unavailable": (Severity.MIXED, "–"),
    "failed": (Severity.BAD, "✕"),
    _UNFINISHED: (Severity.MIXED, "…"),
}
_MOST_REASONS = 6
_NONE = "–"


def draw_losses(account: RunSummary) -> Html:
    """What failed, each reason once, with the next command."""
    return element(
        "ol", *(_loss(loss, account) for loss in failure_groups(account.manifest)), class_="losses", role="list"
    )


def _loss(loss: FailureGroup, account: RunSummary) -> Html:
    error, what = loss.error, loss.reason
    explanation: list[Html] = []
    if error is not None:
        what = error.what.removeprefix(f"{loss.datasets[0]}: ")
        explanation += [element("p", element("b", "Why: "), prose(error.why))] if error.why else []
        explanation += [element("p", element("b", "What to do: "), prose(error.fix))] if error.fix else []
    command = platforms.current().join_command(["bulkpull", "export", *loss.datasets, "--output", str(account.output)])
    return element(
        "li",
        element("h3", ", ".join(loss.datasets)),
        element("p", prose(_capital(what))),
        *explanation,
        element("p", "Then, for these datasets only:", class_="soft small"),
        element("pre", element("code", command)),
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def draw_datasets(account: RunSummary) -> Html:
    """The table of datasets: status, rows and their change, size, and notes."""
    names = ("Rows", "Change", "Parquet", "Took")
    head = element(
        "tr",
        _column("Dataset"),
        _column("Status"),
        *(_column(name, class_="number") for name in names),
        _column("Notes"),
        role="row",
    )
    rows = [_dataset(record, account) for record in sorted(account.manifest.datasets, key=_rank)]
    caption = "Change: rows against the snapshot before. Took: all steps together, as in the manifest."
    return element(
        "table",
        element("caption", caption),
        element("thead", head, role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        class_="cards",
        role="table",
    )


def _rank(record: DatasetRecord) -> int:
    """What failed first, what is not offered last; else the manifest's order."""
    return {"failed": 0, "unavailable": 2}.get(record.status, 1)


def _column(name: str, **attributes: str) -> Html:
    return element("th", name, scope="col", role="columnheader", **attributes)


def _dataset(record: DatasetRecord, account: RunSummary) -> Html:
    word = _UNFINISHED if is_interrupted_pull(record, account.manifest) else record.status
    tone, sign = _STATUSES[word]
    has_data = record.status in ("complete", "skipped")
    took_s = record.seconds.total
    cells = {
        "Rows": f"{record.rows:,}" if has_data else _NONE,
        "Change": _change(record, account.rows_before.get(record.dataset)),
        "Parquet": format_size(sum(file.bytes for file in record.files)) if has_data else _NONE,
        "Took": format_duration(took_s) if took_s else _NONE,
    }
    return element(
        "tr",
        element("th", breakable(record.dataset), scope="row", role="rowheader"),
        element("td", element("span", f"{sign} {word}", class_=f"status {tone.value}"), role="cell", class_="state"),
        *(_cell(name, value) for name, value in cells.items()),
        element(
            "td", *(element("p", prose(note)) for note in _dataset_notes(record, account)), class_="told", role="cell"
        ),
        role="row",
    )


def _cell(name: str, value: str) -> Html:
    kind = "number none" if value == _NONE else "number"
    return element("td", element("span", value), class_=kind, role="cell", data_name=name)


def _change(record: DatasetRecord, before: int | None) -> str:
    if record.status == "skipped":
        return "unchanged"
    if record.status != "complete":
        return _NONE
    if before is None:
        return "first"
    if before == record.rows:
        return "±0"
    share = f" ({(record.rows - before) / before:+.1%})" if before else ""
    return f"{record.rows - before:+,}{share}".replace("-", "−")


def _dataset_notes(record: DatasetRecord, account: RunSummary) -> list[str]:
    """What is particular about a dataset; what hits many in the same way is told once, elsewhere."""
    sentences: list[str] = []
    if record.status == "skipped" and record.reason:
        sentences.append(record.reason.removeprefix(f"{record.dataset}: "))
    if record.drift:
        sentences += _drift(record.drift)
    if record.files and record.metrics:
        left_out = f"; left out: {', '.join(record.metrics_left_out)}" if record.metrics_left_out else ""
        sentences.append(f"Metrics: {', '.join(record.metrics)}{left_out}.")
    if record.data_redacted:
        sentences.append("The service withheld some of the data.")
    if record.parts:
        sentences.append(f"Requested in {plural(len(record.parts), 'part')}.")
    if breaks := account.chronicle.breaks[record.dataset]:
        sentences.append(f"The download resumed after {plural(breaks, 'break')}.")
    return sentences


def _drift(drift: Drift) -> list[str]:
    words = (("New columns", drift.appeared), ("Vanished columns", drift.vanished), ("Other types", drift.retyped))
    return [f"{word}: {', '.join(names)}." for word, names in words if names]


def draw_notes(account: RunSummary) -> Html | None:
    """What is worth knowing without being a fault; `None` when there is nothing."""
    manifest = account.manifest
    noted = [(record.dataset, _not_offered(record)) for record in manifest.datasets]
    noted += [(record.dataset, note) for record in manifest.datasets for note in record.notes]
    noted += [(record.dataset, _wider(record)) for record in manifest.datasets]
    notes = [*manifest.notes, *_grouped([(dataset, note) for dataset, note in noted if note])]
    misfits = [
        f"{record.dataset}.{column.name} (row {column.misfit['row']:,}: {column.misfit['value']!r})"
        for record in manifest.datasets
        for column in record.columns
        if column.misfit
    ]
    if misfits:
        notes.append(f"Kept as text, because a value did not fit: {', '.join(misfits)}.")
    return element("ul", *(element("li", prose(note)) for note in notes), class_="notes") if notes else None


def _not_offered(record: DatasetRecord) -> str:
    return record.reason or "" if record.status == "unavailable" and not is_lost(record) else ""


def _wider(record: DatasetRecord) -> str:
    if record.status != "complete" or record.window or not (record.timespan and record.wider_timespan):
        return ""
    return f"{record.timespan} was exported, {record.wider_timespan} is offered: `--timespan widest`"


def _grouped(reasons: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{join_some(datasets)}: {reason}" for datasets, reason in group_by_reason(reasons)]


def draw_requests(account: RunSummary) -> Html:
    """The number of API calls, and what slowed them down."""
    requests, chronicle = account.manifest.requests, account.chronicle
    total, again, throttled = plural(requests.total, "call"), requests.retried, requests.throttled
    sentences = [f"{total} in all, {again:,} retried, {throttled:,} answered with “too many requests” (429)."]
    if chronicle.quota_waits:
        longest_s = max(wait_s for wait_s, _ in chronicle.quota_waits)
        limits = [limit for _, limit in chronicle.quota_waits if limit is not None]
        words = f" of {limits[-1]} one-off reports" if limits else " of one-off reports"
        times = plural(len(chronicle.quota_waits), "time")
        sentences.append(
            f"The quota{words} was reached {times}; the longest wait for it was {format_duration(longest_s)}."
        )
    if chronicle.allowance is not None:
        limit, lowest = chronicle.allowance
        words = f"an allowance of {limit:,} calls a window" if limit is not None else "an allowance of calls"
        sentences.append(f"The service reported {words}; the lowest number left was {lowest:,}.")
    if chronicle.slowest_pace is not None:
        sentences.append(f"The service throttled calls: {chronicle.slowest_pace:.3g} a second at the slowest.")
    return joined(
        *(element("p", words) for words in sentences),
        _endpoints(account) if requests.by_endpoint else None,
        _retries(chronicle.retries) if chronicle.retries else None,
    )


def _endpoints(account: RunSummary) -> Html:
    calls = sorted(account.manifest.requests.by_endpoint.items(), key=lambda item: -item[1])
    rows = [
        element("tr", element("th", endpoint, scope="row"), element("td", f"{count:,}", class_="number"))
        for endpoint, count in calls
    ]
    head = element("tr", element("th", "Endpoint", scope="col"), element("th", "Calls", scope="col", class_="number"))
    return element(
        "details",
        element("summary", "Calls by endpoint"),
        element("table", element("thead", head), element("tbody", *rows), class_="short"),
    )


def _retries(retries: Counter[tuple[str, str]]) -> Html:
    alike: Counter[str] = Counter()
    first = {reason: reasons[0] for reasons, reason in group_by_reason((reason, reason) for _, reason in retries)}
    for (_, reason), count in retries.items():
        alike[first.get(reason, reason)] += count
    lines = [f"{plural(count, 'time')}: {reason}" for reason, count in alike.most_common(_MOST_REASONS)]
    if len(alike) > _MOST_REASONS:
        lines.append(f"and {len(alike) - _MOST_REASONS} other reasons; all of them are in the log")
    return element(
        "details",
        element("summary", "Why calls were retried"),
        element("ul", *(element("li", line) for line in lines), class_="notes"),
    )
