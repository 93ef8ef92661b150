"""
The HTML report of a run: one self-contained file (pure).

The outcome is at the top, failures come before successes, and every chart is repeated in words.
"""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files
from urllib.parse import urlsplit

from bulkpull.formatting import format_duration, format_size
from bulkpull.observability.failures import failed_datasets
from bulkpull.observability.html_markup import Html, element, joined
from bulkpull.observability.html_sections import draw_datasets, draw_losses, draw_notes, draw_requests
from bulkpull.observability.html_timeline import draw_timeline, phase_label, timeline_table
from bulkpull.observability.run_summary import RunOutcome, RunSummary, Severity, run_outcome
from bulkpull.output.layout import LOG, MANIFEST
from bulkpull.output.manifest import DatasetRecord, Manifest

# No script runs and nothing is fetched, whatever a text on the page says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = files("bulkpull.observability").joinpath("page.css").read_text(encoding="utf-8")
_SIGNS = {Severity.GOOD: "✓", Severity.QUIET: "→", Severity.MIXED: "!", Severity.BAD: "✕"}


def render_report(account: RunSummary) -> str:
    """
    The page `runs/<run_id>/report.html`.

    Args:
        account: What happened. Every text in it is escaped, and secrets are removed from it once more.
    """
    manifest = account.manifest
    verdict = run_outcome(manifest)
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name="color-scheme", content="light dark"),
            element("link", rel="icon", href="data:,"),
            element("title", f"{verdict.word}: bulkpull run {manifest.run_id}"),
            element("style", Html(_STYLE)),
        ),
        element("body", _header(account, verdict), element("main", *_sections(account)), _footer(manifest)),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _header(account: RunSummary, verdict: RunOutcome) -> Html:
    manifest = account.manifest
    return element(
        "header",
        element("p", f"bulkpull run {manifest.run_id}", class_="soft small mono"),
        element("span", f"{_SIGNS[verdict.tone]} {verdict.word}", class_=f"status {verdict.tone.value}"),
        element("h1", verdict.sentence),
        _slowest(account),
        element("dl", *_facts(account), class_="facts"),
    )


def _slowest(account: RunSummary) -> Html | None:
    slowest = account.chronicle.slowest()
    if slowest is None:
        return None
    words = f"The slowest step: {slowest.dataset}, {phase_label(slowest.phase)}, {format_duration(slowest.length_s)}."
    return element("p", words, class_="soft")


def _facts(account: RunSummary) -> list[Html]:
    manifest, records = account.manifest, account.manifest.datasets
    fresh = [record for record in records if record.status == "complete"]
    facts = {
        "Started (UTC)": _moment(manifest.started_at),
        "Took": format_duration(_worked_s(account)),
        "Rows": f"{sum(record.rows for record in fresh):,}",
        "Downloaded": format_size(sum(record.downloaded_bytes for record in records if record.status != "skipped")),
        "As Parquet": format_size(sum(stored_bytes(record) for record in fresh)),
        "Calls": f"{manifest.requests.total:,}",
    }
    return [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()]


def _worked_s(account: RunSummary) -> float:
    """Without the time between an interruption and its resumption, where that is known."""
    if account.chronicle.length_s:
        return account.chronicle.length_s
    manifest = account.manifest
    return (datetime.fromisoformat(manifest.finished_at) - datetime.fromisoformat(manifest.started_at)).total_seconds()


def stored_bytes(record: DatasetRecord) -> int:
    """Bytes of Parquet."""
    return sum(file.bytes for file in record.files)


def _sections(account: RunSummary) -> list[Html]:
    datasets = [record.dataset for record in account.manifest.datasets]
    moved = [dataset for dataset in datasets if account.chronicle.of(dataset)]
    sections: list[Html] = []
    if failed_datasets(account.manifest):
        sections.append(_section("What failed, worst first", "failed", draw_losses(account)))
    if moved:
        figure = joined(
            draw_timeline(account.chronicle, moved),
            element("details", element("summary", "The timeline in numbers"), timeline_table(account.chronicle, moved)),
        )
        sections.append(_section("Timeline", "timeline", figure))
    if datasets:
        sections.append(_section("Datasets", "datasets", draw_datasets(account)))
    if (notes := draw_notes(account)) is not None:
        sections.append(_section("Worth knowing", "notes", notes))
    sections.append(_section("Calls to the service", "calls", draw_requests(account)))
    return sections


def _section(title: str, name: str, content: Html) -> Html:
    return element("section", element("h2", title, id=name), content, aria_labelledby=name)


def _footer(manifest: Manifest) -> Html:
    host = urlsplit(manifest.api_base_url).hostname or "the service"
    ended = _moment(manifest.finished_at)
    return element(
        "footer",
        element(
            "p",
            f"Ended {ended} UTC, asked {host}, written by {manifest.tool.name} {manifest.tool.version}.",
            " Beside this page: ",
            element("a", MANIFEST, href=MANIFEST),
            " and ",
            element("a", LOG, href=LOG),
            ".",
            class_="soft small",
        ),
    )


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%d %b %Y, %H:%M}"
