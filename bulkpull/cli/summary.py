"""The end of an export on standard error: a table, what failed, each reason once, notes, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulkpull.cli.console import DATASET_WIDTH, new_table, print_line
from bulkpull.cli.error_output import name_settings_file
from bulkpull.cli.invocation import Invocation, invocation_path
from bulkpull.conversion import output_formats
from bulkpull.formatting import format_size, join_some, plural
from bulkpull.observability.failures import SUBMITTED, UNFINISHED, failed_datasets, failure_groups, status_for_people
from bulkpull.observability.run_summary import run_notes
from bulkpull.output.manifest import Manifest, Totals, is_lost
from bulkpull.output.store import INSIDE, open_store

_STYLES = {
    "complete": "green",
    "skipped": "dim",
    "unavailable": "yellow",
    "failed": "bold red",
    UNFINISHED: "yellow",
    SUBMITTED: "cyan",
}
_MOST_NAMED = 3
_METRICS_SHOWN = 9
"""More metrics than these are counted, not named."""


def print_summary(manifest: Manifest, console: Console, *, invocation: Invocation) -> None:
    all_submitted = manifest.submitted and len(manifest.datasets) > _MOST_NAMED
    if all_submitted:  # there are no rows or sizes for a table
        created = sum(record.status == "skipped" for record in manifest.datasets)
        words = f"reports created for {created} of {plural(len(manifest.datasets), 'dataset')}"
        console.print(f"{words}, {plural(manifest.requests.total, 'call')}", style="bold", soft_wrap=True)
    elif manifest.datasets and not _has_one_reason(manifest):
        console.print(_table(manifest))
        console.print(_totals(manifest), style="bold", soft_wrap=True)
    if metrics := describe_metrics({record.dataset: record.metrics for record in manifest.datasets if record.files}):
        print_line("metrics: ", metrics, style="bold", console=console)
    print_failures(manifest, console, config=invocation.config)
    # A line above says that all were submitted, and each has a report of its own.
    for note in run_notes(manifest, with_skipped=not all_submitted, most_misfits=_MOST_NAMED):
        print_line("note:  ", note, style="yellow", console=console)
    for word, line in _next_commands(manifest, invocation):
        console.print(Text.assemble((f"{word:<9} ", "bold"), line), soft_wrap=True)


def _has_one_reason(manifest: Manifest) -> bool:
    """Whether every dataset of a larger run failed for one reason: then a table would add nothing."""
    groups = failure_groups(manifest)
    offered = [record for record in manifest.datasets if record.status != "unavailable" or is_lost(record)]
    return len(groups) == 1 and len(groups[0].datasets) == len(offered) > _MOST_NAMED


def print_failures(manifest: Manifest, console: Console, *, config: Path | None = None) -> None:
    """Write what failed, worst first, each reason once; nothing when nothing was lost."""
    groups = failure_groups(manifest)
    if not groups:
        return
    count = sum(len(group.datasets) for group in groups)
    words = f"{count} of {plural(len(manifest.datasets), 'dataset')} not exported"
    print_line("error: ", words, style="bold red", console=console)
    for group in groups:
        # A reason without an error ends in the next step as well: one sentence that a person can act on.
        step = (group.error.fix if group.error else None) or group.reason.rpartition("; ")[2]
        reason = group.reason.removesuffix(f"; {step}")
        print_line("       ", f"{join_some(group.datasets)}: {reason}", style="", console=console)
        if step != reason:
            print_line("fix:   ", name_settings_file(step, config), style="bold", console=console)


def print_interruption(console: Console, *, resume: str | None) -> None:
    print_line("interrupted: ", "no partial data is visible", style="bold yellow", console=console)
    step = f"run the same command again, or `{resume}`: it resumes" if resume else "run the same command again"
    print_line("fix:   ", step, style="bold", console=console)


def _table(manifest: Manifest) -> Table:
    rows = []
    for record in manifest.datasets:
        status = status_for_people(record, interrupted=manifest.interrupted, submitted=manifest.submitted)
        counts = (f"{record.rows:,}", format_size(record.stored_bytes)) if record.files else ("", "")
        seconds = f"{record.seconds.total:,.1f}" if record.seconds.total else ""
        rows.append((record.dataset, Text(status, style=_STYLES[status]), *counts, seconds))
    numbers = ("rows", "size", "seconds")
    table = new_table(("dataset", "status", *numbers), rows, right=numbers, fold=["dataset"])
    table.columns[0].max_width = DATASET_WIDTH
    return table


def _totals(manifest: Manifest) -> str:
    there = [record for record in manifest.datasets if record.files]
    totals = Totals.of(there)
    size = f"{format_size(totals.stored_bytes)} {manifest.file_format}"
    datasets, calls = plural(len(manifest.datasets), "dataset"), plural(manifest.requests.total, "call")
    return f"{len(there)} of {datasets}, {plural(totals.rows, 'row')}, {size}, {calls}"


def describe_metrics(metrics: Mapping[str, Sequence[str]]) -> str:
    """The metrics beside the columns of each dataset, or their number where a line does not hold them."""
    chosen = {dataset: names for dataset, names in metrics.items() if names}
    total = sum(len(names) for names in chosen.values())
    if total <= _METRICS_SHOWN:
        return "; ".join(f"{dataset}: {', '.join(names)}" for dataset, names in chosen.items())
    counts = join_some([f"{dataset} {len(names)}" for dataset, names in chosen.items()])
    return f"{total} metrics beside the columns: {counts}; `bulkpull datasets NAME` names them"


def _next_commands(manifest: Manifest, invocation: Invocation) -> list[tuple[str, str]]:
    store = open_store(invocation.output)
    complete = [record.dataset for record in manifest.datasets if record.files]
    lost = [record.dataset for record in failed_datasets(manifest)]
    ways: list[tuple[str, str]] = []
    if complete:
        ways.append(("data", f"{store.place(INSIDE.latest_link('<Dataset>'))}/*{output_formats.WRITTEN.suffix}"))
    ways.append(("manifest", store.place(INSIDE.manifest(manifest.run_id))))
    ways.append(("page", store.place(INSIDE.report(manifest.run_id))))
    if complete:
        ways.append(("read", invocation.read(complete[0])))
    if manifest.submitted:
        ways.append(("collect", invocation.resume(manifest.run_id)))
    if lost and complete and not manifest.interrupted:
        ways.append(("again", invocation.export(lost)))
    if invocation.demo and complete and not manifest.interrupted:
        ways.append(("next", f"with your own data: {invocation_path('bulkpull')} init, which shows the next steps"))
    return ways
