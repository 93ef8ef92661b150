"""
The runs that left a trace in an output folder, read back: their manifests, newest first.

For readers beside a run: nothing is locked, created or changed, and what retention takes away meanwhile is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from bulkpull.records.files import load_json
from bulkpull.records.manifest import Manifest

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
RUNS = "runs"


def begun_at(run_id: str) -> datetime:
    """The moment at which a run began, as its id tells (aware, UTC)."""
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def run_ids(output: Path) -> list[str]:
    """The runs that have a folder in `output/runs`, newest first; what is not named like a run is passed over."""
    try:
        names = [path.name for path in (output / RUNS).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((name for name in names if RUN_ID.fullmatch(name)), reverse=True)


def load_manifest(output: Path, run_id: str) -> Manifest | None:
    """The manifest of a run; `None` when there is none, or none that can be read."""
    try:
        content = load_json(output / RUNS / run_id / "manifest.json")
        return None if content is None else Manifest.model_validate(content)
    except (OSError, ValueError, ValidationError):
        return None


def manifests(output: Path) -> Iterator[Manifest]:
    """Every manifest that can be read, newest run first; each is loaded when it is asked for."""
    for run_id in run_ids(output):
        manifest = load_manifest(output, run_id)
        if manifest is not None:
            yield manifest
