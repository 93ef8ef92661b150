"""
The paths in an output folder (pure); no other module spells them.

```
current.json  README.md  views.sql   published snapshots; a description for people; every dataset as an SQL view
latest/<Dataset>                     link to the current snapshot
datasets/<Dataset>/run=<run>/        snapshots;  raw/<Dataset>/run=<run>/ their downloads, where they are kept
runs/<run>/                          manifest.json, report.html, log.jsonl
.bulkpull/                           private, or a link to a folder elsewhere: the ledger, its lock, the account
.bulkpull/staging/<run>/             unfinished work
.bulkpull/retired/                   a folder that is being deleted, so that no reader finds half of it
.bulkpull/no-links                   there where the file system has no links, so that there is no latest/
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
WRITER, OWNER, NO_LINKS = "writer.json", "account.json", "no-links"
PUBLIC_FILES, RUN_FILES, PRIVATE_FILES = {CURRENT, README, VIEWS}, {MANIFEST, REPORT}, {WRITER, OWNER, NO_LINKS}
"""The files that are replaced as a whole: in the output folder, in a run's folder, and in the private folder."""
_PRIVATE = ".bulkpull"
_SNAPSHOT = "run="


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one output folder. `kind` is `DATASETS`, or `RAW` for the downloads of snapshots."""

    root: Path

    @property
    def current(self) -> Path:
        return self.root / CURRENT

    @property
    def readme(self) -> Path:
        return self.root / README

    @property
    def views(self) -> Path:
        return self.root / VIEWS

    @property
    def latest(self) -> Path:
        return self.root / LATEST

    def latest_link(self, dataset: str) -> Path:
        return self.latest / dataset

    @property
    def datasets(self) -> Path:
        return self.root / DATASETS

    def snapshots(self, dataset: str, *, kind: str = DATASETS) -> Path:
        return self.root / kind / dataset

    def snapshot(self, dataset: str, run_id: str, *, kind: str = DATASETS) -> Path:
        return self.snapshots(dataset, kind=kind) / snapshot_name(run_id)

    @property
    def runs(self) -> Path:
        return self.root / RUNS

    def run(self, run_id: str) -> Path:
        return self.runs / run_id

    def manifest(self, run_id: str) -> Path:
        return self.run(run_id) / MANIFEST

    def report(self, run_id: str) -> Path:
        return self.run(run_id) / REPORT

    def log(self, run_id: str) -> Path:
        return self.run(run_id) / LOG

    @property
    def private(self) -> Path:
        return self.root / _PRIVATE

    @property
    def ledger(self) -> Path:
        return ledger_file(self.private)

    @property
    def owner(self) -> Path:
        return self.private / OWNER

    def staged(self, run_id: str) -> Path:
        return self.private / "staging" / run_id

    @property
    def retired(self) -> Path:
        return self.private / "retired"

    @property
    def no_links_mark(self) -> Path:
        return self.private / NO_LINKS


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
    return private / "ledger.sqlite"


def lock_file(private: Path) -> Path:
    return private / "lock"


def writer_file(private: Path) -> Path:
    """Which process holds the lock."""
    return private / WRITER
