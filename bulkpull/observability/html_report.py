"""
The HTML report of a run: one self-contained file, `report.html.j2` filled with values (pure).

The template escapes every text, and what steers a terminal or could be a secret is taken out of it before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from bulkpull import platforms
from bulkpull.formatting import format_duration, format_size, plural
from bulkpull.observability.failures import (
    SUBMITTED,
    UNFINISHED,
    FailureGroup,
    failure_groups,
    group_by_reason,
    status_for_people,
)
from bulkpull.observability.html_timeline import BOX, PHASE_LABELS, draw_timeline
from bulkpull.observability.run_summary import RunSummary, Severity, run_notes, run_outcome
from bulkpull.output.layout import LOG, MANIFEST
from bulkpull.output.manifest import DatasetRecord, Totals
from bulkpull.redact import plain

_SIGNS = {Severity.GOOD: "✓", Severity.QUIET: "→", Severity.MIXED: "!", Severity.BAD: "✕"}
_STATUSES = {
    "complete": (Severity.GOOD, "✓"),
    "skipped": (Severity.QUIET, "→"),
    "unavailable": (Severity.MIXED, "–"),
    "failed": (Severity.BAD, "✕"),
    UNFINISHED: (Severity.MIXED, "…"),
    SUBMITTED: (Severity.QUIET, "…"),
}
_MOST_REASONS = 6
_NONE = "–"
_MOMENT = "%d %b %Y, %H:%M"
# Where a name such as `AzureUsage` may be broken.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A row of the table of datasets; `cells` are numbers as text, by column."""

    dataset: str
    status: str
    tone: Severity
    sign: str
    cells: dict[str, str]
    notes: Sequence[str]


def render_report(account: RunSummary) -> str:
    """The page `runs/<run_id>/report.html`; every text is escaped, and secrets are removed from it once more."""
    manifest, timings = account.manifest, account.timings
    outcome = run_outcome(manifest)
    # What failed first, what is not offered last; else the manifest's order.
    ranked = sorted(manifest.datasets, key=lambda record: {"failed": 0, "unavailable": 2}.get(record.status, 1))
    moved = [record.dataset for record in manifest.datasets if timings.of(record.dataset)]
    calls = {
        "sentences": _call_sentences(account),
        "by_endpoint": sorted(manifest.requests.by_endpoint.items(), key=lambda item: -item[1]),
        "retries": _retry_lines(timings.retries),
    }
    return load_template().render(
        style=Markup(_resource("report.css")),  # noqa: S704 - a file of ours
        manifest=manifest,
        outcome=outcome,
        outcome_sign=_SIGNS[outcome.tone],
        slowest=_slowest(account),
        facts=_facts(account),
        failures=[(group, _retry_command(group, account)) for group in failure_groups(manifest)],
        timeline=draw_timeline(timings, moved) if moved else None,
        box=BOX,
        datasets=[_dataset_row(record, account) for record in ranked],
        none_sign=_NONE,
        notes=run_notes(manifest, with_skipped=False),
        calls=calls,
        ended=f"{manifest.finished_at:{_MOMENT}}",
        host=urlsplit(manifest.api_base_url).hostname or "the service",
        manifest_name=MANIFEST,
        log_name=LOG,
    )


@cache
def load_template() -> Template:
    """The template of the page, compiled."""
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=_safe_text,
    )
    environment.filters |= {"prose": prose, "breakable": breakable}
    environment.globals |= {"zip": zip, "numbers": _number_columns}
    return environment.from_string(_resource("report.html.j2"))


def _resource(name: str) -> str:
    return files("bulkpull.observability").joinpath(name).read_text(encoding="utf-8")


def _safe_text(value: Any) -> Any:
    """A value as it is written: what is HTML already stays, any other text loses secrets and control characters."""
    return value if isinstance(value, Markup) else plain(str(value))


def _number_columns(names: Iterable[str]) -> list[tuple[str, bool]]:
    return [(name, True) for name in names]


def prose(text: str) -> Markup:
    """A sentence as HTML, in which what stands between backticks is code."""
    pieces = [escape(plain(piece)) for piece in text.split("`")]
    if len(pieces) % 2 == 0:  # one backtick has no partner
        return escape(plain(text))
    marked = (Markup("<code>{}</code>").format(piece) if number % 2 else piece for number, piece in enumerate(pieces))
    return Markup("").join(marked)


def breakable(name: str) -> Markup:
    """A dataset's name as HTML, which may be broken between its words where the page is narrow."""
    return Markup("<wbr>").join(escape(plain(piece)) for piece in _HUMP.split(name))


def _slowest(account: RunSummary) -> str | None:
    slowest = account.timings.slowest()
    if slowest is None:
        return None
    return f"The slowest step: {slowest.dataset}, {PHASE_LABELS[slowest.phase]}, {format_duration(slowest.length_s)}."


def _facts(account: RunSummary) -> dict[str, str]:
    manifest, records = account.manifest, account.manifest.datasets
    published = Totals.of(manifest.published.values())
    fetched = Totals.of(record for record in records if record.status != "skipped")
    whole_s = (manifest.finished_at - manifest.started_at).total_seconds()
    return {
        "Started (UTC)": f"{manifest.started_at:{_MOMENT}}",
        # Without the time between an interruption and its resumption, where that is known.
        "Took": format_duration(account.timings.length_s or whole_s),
        "Rows": f"{published.rows:,}",
        "Downloaded": format_size(fetched.downloaded_bytes),
        f"As {manifest.file_format}": format_size(published.stored_bytes),
        "Calls": f"{manifest.requests.total:,}",
    }


def _retry_command(group: FailureGroup, account: RunSummary) -> str:
    return platforms.current().join_command(["bulkpull", "export", *group.datasets, "--output", str(account.output)])


def _dataset_row(record: DatasetRecord, account: RunSummary) -> DatasetRow:
    manifest = account.manifest
    status = status_for_people(record, interrupted=manifest.interrupted, submitted=manifest.submitted)
    tone, sign = _STATUSES[status]
    has_data, took_s = record.is_current, record.seconds.total
    cells = {
        "Rows": f"{record.rows:,}" if has_data else _NONE,
        "Change": _change(record, account.rows_before.get(record.dataset)),
        account.manifest.file_format: format_size(record.stored_bytes) if has_data else _NONE,
        "Took": format_duration(took_s) if took_s else _NONE,
    }
    return DatasetRow(record.dataset, status, tone, sign, cells, _dataset_notes(record, account))


def _change(record: DatasetRecord, before: int | None) -> str:
    if record.status == "skipped":
        return "none"
    if record.status != "complete":
        return _NONE
    if before is None:
        return "first"
    if before == record.rows:
        return "±0"
    share = f" ({(record.rows - before) / before:+.1%})" if before else ""
    return f"{record.rows - before:+,}{share}".replace("-", "−")


def _dataset_notes(record: DatasetRecord, account: RunSummary) -> list[str]:
    """Remarks about one dataset; what concerns many datasets stands once, elsewhere."""
    sentences: list[str] = []
    if record.status == "skipped" and record.reason:
        sentences.append(record.reason.removeprefix(f"{record.dataset}: "))
    if drift := record.drift:
        changes = (
            ("New columns", drift.appeared),
            ("Vanished columns", drift.vanished),
            ("Other types", drift.retyped),
        )
        sentences += [f"{change}: {', '.join(names)}." for change, names in changes if names]
    if record.files and record.metrics:
        left_out = f"; left out: {', '.join(record.metrics_left_out)}" if record.metrics_left_out else ""
        sentences.append(f"Metrics: {', '.join(record.metrics)}{left_out}.")
    if record.data_redacted:
        sentences.append("The service withheld some of the data.")
    if record.parts:
        sentences.append(f"Requested in {plural(len(record.parts), 'part')}.")
    if breaks := account.timings.breaks[record.dataset]:
        sentences.append(f"The download resumed after {plural(breaks, 'break')}.")
    return sentences


def _call_sentences(account: RunSummary) -> list[str]:
    """The number of API calls, and what slowed them down."""
    requests, timings = account.manifest.requests, account.timings
    total, again, throttled = plural(requests.total, "call"), requests.retried, requests.throttled
    sentences = [f"{total} in all, {again:,} retried, {throttled:,} answered with “too many requests” (429)."]
    if timings.quota_waits:
        longest_s = max(wait_s for wait_s, _ in timings.quota_waits)
        limits = [limit for _, limit in timings.quota_waits if limit is not None]
        words = f" of {limits[-1]} one-off reports" if limits else " of one-off reports"
        times = plural(len(timings.quota_waits), "time")
        sentences.append(
            f"The quota{words} was reached {times}; the longest wait for it was {format_duration(longest_s)}."
        )
    if timings.allowance is not None:
        limit, lowest = timings.allowance
        words = f"an allowance of {limit:,} calls a window" if limit is not None else "an allowance of calls"
        sentences.append(f"The service reported {words}; the lowest number left was {lowest:,}.")
    if timings.slowest_pace is not None:
        sentences.append(f"The service throttled calls: {timings.slowest_pace:.3g} a second at the slowest.")
    return sentences


def _retry_lines(retries: Counter[tuple[str, str]]) -> list[str]:
    """Why calls were sent again, each reason once."""
    alike: Counter[str] = Counter()
    first = {reason: reasons[0] for reasons, reason in group_by_reason((reason, reason) for _, reason in retries)}
    for (_, reason), count in retries.items():
        alike[first.get(reason, reason)] += count
    lines = [f"{plural(count, 'time')}: {reason}" for reason, count in alike.most_common(_MOST_REASONS)]
    if len(alike) > _MOST_REASONS:
        lines.append(f"and {len(alike) - _MOST_REASONS} other reasons; all of them are in the log")
    return lines
