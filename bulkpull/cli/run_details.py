"""One run: how it began and ended, and the timeline of every pull, from the ledger and the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.cli.json_output import format_time
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import iso_utc
from bulkpull.errors import LedgerError
from bulkpull.formatting import format_clock, format_size, join_some, plural
from bulkpull.observability.failures import UNFINISHED, group_by_reason, status_for_people
from bulkpull.output.ledger import Ledger, RunEnding, RunEntry, StepEntry, read_facts
from bulkpull.output.ledger_facts import PublicationFacts
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.run_history import ask_ledger, known_runs, load_manifest, resolve_run_id
from bulkpull.output.store import open_store
from bulkpull.pipeline.open_run import INTERRUPTED
from bulkpull.redact import printable

_IDS = ("query_id", "report_id", "execution_id")
_HASHES = ("mark", "question_sha256", "query_digest")
"""Facts that only programs compare; --json has them."""
_INDENT = "  "
_LEAST_SHOWN_S = 0.05
# Steps of one dataset that are shown one by one; more belong to many windows.
_MOST_STEPS = 24
# Runs over more datasets are shown with one line each.
_MOST_IN_FULL = 3


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    entry: RunEntry | None = None
    endings: Sequence[RunEnding] = ()
    resumptions: Sequence[datetime] = ()
    steps: Sequence[StepEntry] = field(default_factory=list)


def show_run(run: str | None, *, folder: Path, as_json: bool, verbose: bool = False) -> None:
    """Print the newest run of a folder, or the one whose id begins with `run`; many datasets in full if `verbose`."""
    run_id = resolve_run_id(run, known=known_runs(folder), output=folder)
    manifest = load_manifest(open_store(folder), run_id)
    facts = LedgerFacts()
    # A run with a manifest can be shown without the ledger.
    with suppress(*(LedgerError,) if manifest else ()):
        facts = ask_ledger(folder, lambda ledger: ledger_facts(ledger, run_id)) or facts
    details = describe(run_id, facts, manifest)
    if as_json:
        print_json({"version": 1, "output": str(folder), **details})
    else:
        is_short = not verbose and len(details["datasets"]) > _MOST_IN_FULL
        lines = _short_lines(details) if is_short else run_lines(details)
        print_data("\n".join(_safe(line) for line in lines))


async def ledger_facts(ledger: Ledger, run_id: str) -> LedgerFacts:
    entries = [entry for entry in await ledger.runs() if entry.run_id == run_id]
    return LedgerFacts(
        entry=entries[0] if entries else None,
        endings=await ledger.endings(run_id),
        resumptions=await ledger.resumptions(run_id),
        steps=await ledger.steps(run_id),
    )


def describe(run_id: str, facts: LedgerFacts, manifest: Manifest | None) -> dict[str, Any]:
    """A run as JSON values (pure). Datasets are in the manifest's order, others in the order of their first steps."""
    entry, endings = facts.entry, facts.endings
    steps: dict[str, list[StepEntry]] = {}
    for step in facts.steps:
        steps.setdefault(step.dataset, []).append(step)
    records = {record.dataset: record for record in manifest.datasets} if manifest else {}
    is_interrupted = bool(endings) and endings[-1].status == INTERRUPTED
    is_submitted = manifest is not None and manifest.submitted
    started_at = entry.started_at if entry else manifest.started_at if manifest else None
    finished_at = endings[-1].at if endings else None if entry or not manifest else manifest.finished_at
    pulls = []
    for dataset in dict.fromkeys([*records, *steps]):
        taken, record = steps.get(dataset, []), records.get(dataset)
        if record is None and (published := read_facts(PublicationFacts, taken)):
            record = published[-1].facts.record  # of a killed run
        status = UNFINISHED
        if record is not None:
            status = status_for_people(record, interrupted=is_interrupted, submitted=is_submitted)
        pulls.append(_pull(dataset, record, status, taken, since=started_at))
    return {
        "run_id": run_id,
        "command": entry.command if entry else None,
        "status": _status(facts, manifest),
        "started_at": format_time(started_at),
        "finished_at": format_time(finished_at),
        "resumed_at": list(map(iso_utc, facts.resumptions)),
        "endings": [{"at": iso_utc(ending.at), "status": ending.status} for ending in endings],
        "request": dict(entry.request) if entry else None,
        "requests": manifest.requests.model_dump(mode="json") if manifest else None,
        "parts": 1 + len(facts.resumptions),
        "parts_without_count": max(0, 1 + len(facts.resumptions) - len(endings)) if entry else 0,
        "notes": list(manifest.notes) if manifest else [],
        "datasets": pulls,
    }


def _status(facts: LedgerFacts, manifest: Manifest | None) -> str:
    endings = facts.endings
    if endings and (not facts.resumptions or facts.resumptions[-1] <= endings[-1].at):
        return endings[-1].status
    # Without a manifest it is under way, or was killed.
    return manifest.status if facts.entry is None and manifest is not None else UNFINISHED


def _pull(
    dataset: str, record: DatasetRecord | None, status: str, steps: Sequence[StepEntry], *, since: datetime | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for step in steps:
        facts |= {name: value for name, value in step.facts.items() if name in _IDS and value}
    times = [since, *(step.at for step in steps)]
    has_files = record is not None and bool(record.files)
    return {
        "dataset": dataset,
        "status": status,
        "reason": record.reason if record else None,
        "rows": record.rows if record and has_files else None,
        "bytes": record.stored_bytes if record and has_files else None,
        **{name: (getattr(record, name) if record else None) or facts.get(name) for name in _IDS},
        "seconds": record.seconds.model_dump() if record else None,
        "notes": list(record.notes) if record else [],
        "steps": [
            {
                "step": step.step,
                "at": iso_utc(step.at),
                "after_seconds": (step.at - before).total_seconds() if before else None,
                "facts": {name: value for name, value in step.facts.items() if name != "record"},
            }
            for before, step in zip(times, steps, strict=False)
        ],
    }


def _began(details: Mapping[str, Any]) -> str:
    """The start of a run, and how long it took if it has ended: `…Z, took 1:02`."""
    start, end = details["started_at"], details["finished_at"]
    if not start or not end:
        return str(start)
    took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return f"{start}, took {format_clock(took.total_seconds())}"


def _retries_and_parts(details: Mapping[str, Any]) -> str:
    """What follows the number of calls: retries, and of a resumed run how many of its parts are counted."""
    requests, parts, lacking = details["requests"], details["parts"], details["parts_without_count"]
    counts = f"{requests['throttled']} throttled, {requests['retried']} retried"
    if parts == 1:
        return counts
    return f"{counts}, in {f'{parts - lacking} of its' if lacking else 'all'} {parts} parts"


def run_lines(details: Mapping[str, Any]) -> list[str]:
    """A run in full; of a dataset in many windows, each kind of step once."""
    facts: list[tuple[str, str | None]] = [
        ("run", details["run_id"]),
        ("command", details["command"]),
        ("status", details["status"]),
        ("began", _began(details)),
        *(("resumed", moment) for moment in details["resumed_at"]),
        *(("ended", f"{ending['at']}, {ending['status']}") for ending in details["endings"]),
    ]
    if details["request"] is not None:
        request = {name: value for name, value in details["request"].items() if value not in (None, False, [], "")}
        request.pop("nightly", None)  # the command says it
        if names := request.get("datasets"):
            request["datasets"] = [load_catalog().canonical(name) for name in names]
        facts.append(("request", _facts(request)))
    if requests := details["requests"]:
        by_endpoint = ", ".join(f"{name} {number}" for name, number in requests["by_endpoint"].items())
        total = f"{requests['total']} ({by_endpoint})" if by_endpoint else requests["total"]
        facts.append(("calls", f"{total}, {_retries_and_parts(details)}"))
    facts += [("note", note) for note in details["notes"]]
    lines = [f"{word:<9} {text}" for word, text in facts if text is not None]
    for pull in details["datasets"]:
        lines += ["", *_lines_of_pull(pull, day=str(details["started_at"])[:10])]
    return lines


def _short_lines(details: Mapping[str, Any]) -> list[str]:
    """A run over twenty datasets within 24 lines of 80 characters, unless something failed."""
    words = ("run", details["run_id"], details["command"], details["status"])
    lines = ["  ".join(filter(None, words)), f"began {_began(details)}"]
    if requests := details["requests"]:
        lines.append(f"{plural(requests['total'], 'call')}, {_retries_and_parts(details)}")
    for pull in details["datasets"]:
        rows, size = ("", "") if pull["rows"] is None else (f"{pull['rows']:,} rows", format_size(pull["bytes"]))
        lines.append(f"{pull['dataset']:<33}{pull['status']:<12}{rows:>18}{size:>10}".rstrip())
    failed = [pull for pull in details["datasets"] if pull["status"] == "failed" and pull["reason"]]
    groups = group_by_reason((pull["dataset"], pull["reason"]) for pull in failed)
    lines += [f"reason  {join_some(datasets)}: {reason}" for datasets, reason in groups]
    return [*lines, "details: --verbose, or --json"]


def _lines_of_pull(pull: Mapping[str, Any], *, day: str) -> list[str]:
    data = [] if pull["rows"] is None else [plural(pull["rows"], "row"), format_size(pull["bytes"])]
    first = ", ".join([f"{pull['dataset']}  {pull['status']}", *data])
    lines = [f"{name.removesuffix('_id'):<9} {pull[name]}" for name in _IDS if pull[name]]
    spent = [f"{name} {value:,.1f} s" for name, value in (pull["seconds"] or {}).items() if value >= _LEAST_SHOWN_S]
    lines += [f"{'spent':<9} {', '.join(spent)}"] if spent else []
    for step in _shown(pull["steps"]):
        at = step["at"].removeprefix(f"{day}T")
        after = "" if step["after_seconds"] is None else f"+{format_clock(step['after_seconds'])}"
        # Nested values are shown with --json only.
        shown = {
            name: value
            for name, value in step["facts"].items()
            if name not in (*_IDS, *_HASHES) and not isinstance(value, dict | list)
        }
        lines.append(f"{at:<9} {after:<7} {step['step']:<9} {_facts(shown)}")
    lines += [f"{'reason':<9} {pull['reason']}"] if pull["reason"] else []
    lines += [f"{'note':<9} {note}" for note in pull["notes"]]
    return [first, *(_INDENT + line for line in lines)]


def _shown(steps: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """The steps; of a dataset in many windows, how often each step was taken, and when first and last."""
    if len(steps) <= _MOST_STEPS:
        return steps
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        by_name.setdefault(step["step"], []).append(step)
    return (
        {
            **group[0],
            "after_seconds": None,
            "facts": {"times": len(group), "the last": group[-1]["at"]} if len(group) > 1 else group[0]["facts"],
        }
        for group in by_name.values()
    )


def _facts(facts: Mapping[str, Any]) -> str:
    """Names and values as text; of what is true the name alone."""
    known = {name: value for name, value in facts.items() if value is not None}
    return ", ".join(name if value is True else f"{name} {_text_of(value)}" for name, value in known.items())


def _text_of(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({_facts(value)})"
    return ", ".join(map(_text_of, value)) if isinstance(value, list) else str(value)


def _safe(line: str) -> str:
    """A line without what steers a terminal; its indentation stays."""
    text = line.lstrip()
    return line[: len(line) - len(text)] + printable(text)
