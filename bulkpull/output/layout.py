"""
The paths in an output folder (pure); no other module spells them.

```
current.json  README.md  views.sql
latest/<Dataset>                     link to the current snapshot
datasets/<Dataset>/run=<run>/        snapshots;  raw/<Dataset>/run=<run>/ their downloads, where they are kept
runs/<run>/                          manifest.json, report.html, log.jsonl
.bulkpull/                           private: the ledger, its lock, and staging
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")

CURRENT = "current.json"
README = "README.md"
VIEWS = "views.sql"
MANIFEST = "manifest.json"
REPORT = "report.html"
LOG = "log.jsonl"
DATASETS, RAW, RUNS, LATEST = "datasets", "raw", "runs", "latest"
WRITER = "writer.json"
_PRIVATE = ".bulkpull"
_SNAPSHOT = "run="


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one output folder."""

    root: Path

    @property
    def current(self) -> Path:
        """The list of published snapshots."""
        return self.root / CURRENT

    @property
    def readme(self) -> Path:
        """The description of the folder for people."""
        return self.root / README

    @property
    def views(self) -> Path:
        """The SQL script that makes every dataset a view."""
        return self.root / VIEWS

    @property
    def latest(self) -> Path:
        """The folder of links to current snapshots."""
        return self.root / LATEST

    def latest_link(self, dataset: str) -> Path:
        """The link to the current snapshot of a dataset."""
        return self.latest / dataset

    @property
    def datasets(self) -> Path:
        """The folder of all snapshots."""
        return self.root / DATASETS

    def snapshots(self, dataset: str, *, kind: str = DATASETS) -> Path:
        """The folder of a dataset's snapshots, or of their downloads where `kind` is `RAW`."""
        return self.root / kind / dataset

    def snapshot(self, dataset: str, run_id: str, *, kind: str = DATASETS) -> Path:
        """The snapshot that a run published, or its downloads where `kind` is `RAW`."""
        return self.snapshots(dataset, kind=kind) / snapshot_name(run_id)

    @property
    def runs(self) -> Path:
        """The folder of the runs' own files."""
        return self.root / RUNS

    def run(self, run_id: str) -> Path:
        """The folder of a run's own files."""
        return self.runs / run_id

    def manifest(self, run_id: str) -> Path:
        """What a run did."""
        return self.run(run_id) / MANIFEST

    def report(self, run_id: str) -> Path:
        """The page about a run."""
        return self.run(run_id) / REPORT

    def log(self, run_id: str) -> Path:
        """A run's own log."""
        return self.run(run_id) / LOG

    @property
    def private(self) -> Path:
        """What only this program reads; it may be a link to a folder elsewhere."""
        return self.root / _PRIVATE

    @property
    def ledger(self) -> Path:
        """The database of runs."""
        return ledger_file(self.private)

    @property
    def owner(self) -> Path:
        """Which account the folder belongs to."""
        return self.private / "account.json"

    @property
    def staging(self) -> Path:
        """The folder of unfinished work, one folder a run."""
        return self.private / "staging"

    def staged(self, run_id: str) -> Path:
        """The folder of one run's unfinished work."""
        return self.staging / run_id

    @property
    def retired(self) -> Path:
        """Where a folder is moved before it is deleted, so that no reader finds half of it."""
        return self.private / "retired"

    @property
    def no_links_mark(self) -> Path:
        """A file that is there where the file system has no links, so that there is no `latest/`."""
        return self.private / "no-links"


def snapshot_name(run_id: str) -> str:
    """The name of the folder of a run's snapshot."""
    return f"{_SNAPSHOT}{run_id}"


def run_of_snapshot(name: str) -> str:
    """The id of the run whose snapshot has this name."""
    return name.removeprefix(_SNAPSHOT)


def latest_target(dataset: str, run_id: str) -> str:
    """Where the link in `latest/` leads, relative to the folder that it is in."""
    return f"../{DATASETS}/{dataset}/{snapshot_name(run_id)}"


def ledger_file(private: Path) -> Path:
    """The database of runs in a private folder."""
    return private / "ledger.sqlite"


def lock_file(private: Path) -> Path:
    """The lock of a private folder, held by the run that writes."""
    return private / "lock"


def writer_file(private: Path) -> Path:
    """Which process holds the lock."""
    return private / WRITER
