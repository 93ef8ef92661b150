"""The support bundle: everything recorded about a run, without data, secrets and links (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from bulkpull.output.layout import LOG, MANIFEST
from bulkpull.redact import plain, printable_value

_QUOTED = re.compile(r"'(?:[^']|'')*'")
_QUERIES = frozenset({"query", "query_text", "text", "where"})
# Facts in which a value of the data may stand.
_VALUES = frozenset({"misfit", "value"})

ABOUT = """\
What bulkpull knows of run {run_id}, to be sent to whoever helps.

  log.jsonl       the run's own log, from single calls on, with request ids
  manifest.json   what the run did
  ledger.json     how it was asked for, its endings, and the steps of its pulls
  settings.json   the settings as they were when this was made, and where each came from
  machine.json    versions, platform, free disk, the clock against the service's

It holds no exported data, no secret and no link. Values that did not fit a column are reduced to their shape
(letters x, digits 9), and what stood in quotes within queries is left out. Names of datasets, columns and folders, the
tenant, the application and the name of the user that signs in (`username`) are in it: look through it before you pass
it on.
"""


def files_of(
    *,
    run_id: str,
    log: Iterable[str],
    manifest: Mapping[str, Any] | None,
    ledger: Mapping[str, Any] | None,
    settings: list[dict[str, Any]],
    machine: Mapping[str, Any],
) -> dict[str, str]:
    """The bundle's files, name and text, of its parts as JSON values; `None` for what there is not."""
    lines = [cleaned for line in log if (cleaned := _line(line))]
    parts: dict[str, Any] = {
        MANIFEST: without_data(manifest),
        "ledger.json": without_data(ledger),
        "settings.json": printable_value(settings, name="settings"),
        "machine.json": printable_value(dict(machine) | {"clock_skew_s": clock_skew(lines)}, name="machine"),
    }
    files = {"README.txt": ABOUT.format(run_id=run_id)}
    if lines:
        files[LOG] = "".join(f"{line}\n" for line in lines)
    for name, part in parts.items():
        if part is not None:
            files[name] = json.dumps(part, indent=2, ensure_ascii=False) + "\n"
    return files


def without_data(value: Any, *, name: str = "") -> Any:
    """JSON values without secrets and without values from the data."""
    if isinstance(value, Mapping):
        return {key: without_data(item, name=key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_data(item, name=name) for item in value]
    if isinstance(value, str):
        if name in _VALUES:
            return shape_of(value)
        if name in _QUERIES:
            value = _QUOTED.sub("'…'", value)
    return printable_value(value, name=name)


def shape_of(value: str) -> str:
    """`12-AB` → `99-xx`: shows why a value is not a number or date, but not the value."""
    return "".join("9" if char.isdigit() else "x" if char.isalpha() else char for char in plain(value))


def clock_skew(lines: Iterable[str]) -> dict[str, float]:
    """By endpoint, the median of how far its clock was ahead of this machine's, by its replies; seconds."""
    skews_s: dict[str, list[float]] = {}
    for line in lines:
        entry = json.loads(line) if '"skew_s"' in line else {}
        if isinstance(entry.get("skew_s"), (int, float)):
            skews_s.setdefault(str(entry.get("endpoint")), []).append(entry["skew_s"])
    return {endpoint: median(values) for endpoint, values in sorted(skews_s.items())}


def _line(line: str) -> str | None:
    try:
        return json.dumps(without_data(json.loads(line)), ensure_ascii=False)
    except ValueError:
        return None  # cut short by a kill, or not ours
