"""
Publish: Parquet files → a snapshot, in one rename, then `current.json`.

The order is the promise: files durable, the snapshot's folder renamed into place, the rename durable, then the pointer,
then the link. A crash between any two of them leaves readers with the old snapshot or the new one, whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from bulkpull.clock import Clock, iso_utc
from bulkpull.errors import HeldBack
from bulkpull.events import Events
from bulkpull.identity import Account
from bulkpull.journey.retire import retire_snapshots
from bulkpull.records.files import (
    explained,
    link_or_copy,
    make_folders,
    point_link,
    remove_tree,
    sync_folder,
    write_atomically,
)
from bulkpull.records.manifest import Current, CurrentSnapshot, Drift, PublishedColumn, PublishedFile

README = """\
# What to read here

- `latest/<Dataset>/*.parquet`: the newest complete snapshot of each dataset; safe to read by pattern.
- `current.json`: the same as a list of files, with run and row count.

Do not read `datasets/<Dataset>/run=*/`: every run is a whole snapshot, so a pattern over several runs counts every row
several times. `runs/<run>/manifest.json` tells what each run did. `.bulkpull/` is private to the tool.
"""


@dataclass(frozen=True, slots=True)
class Staged:
    """
    A snapshot that is converted and not yet visible.

    Attributes:
        folder: Holds the Parquet files and nothing else, on the file system of the output folder.
        raw: The files as downloaded, to be kept beside it; empty when they are not kept.
    """

    dataset: str
    folder: Path
    files: Sequence[PublishedFile]
    rows: int
    raw: Sequence[Path] = ()


@dataclass(slots=True)
class Publisher:
    """
    Makes snapshots visible, one at a time: they share `current.json`.

    Args:
        output: The output folder; absolute.
        retain_runs: Snapshots kept per dataset, the current one included.
        account: The one that the folder belongs to.
    """

    output: Path
    run_id: str
    retain_runs: int
    clock: Clock
    events: Events
    account: Account | None = None
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def publish_snapshot(self, staged: Staged) -> list[PublishedFile]:
        """
        Show the snapshot to readers.

        A second call for the same dataset and run, after the first was cut off anywhere, ends the same way.

        Returns:
            The files, with their paths relative to the output folder.

        Raises:
            DiskTrouble: The disk refused; readers still see the snapshot that was current.
        """
        async with self._turn:
            # Shielded: a snapshot half renamed is finished in milliseconds, and an interruption comes right after.
            with anyio.CancelScope(shield=True), explained(self.output):
                files = await anyio.to_thread.run_sync(self._publish, staged)
        self.events.emit("snapshot.published", rows=staged.rows, files=len(files))
        return files

    def _publish(self, staged: Staged) -> list[PublishedFile]:
        snapshot = self.output / "datasets" / staged.dataset / f"run={self.run_id}"
        make_folders(snapshot.parent)
        relative = snapshot.relative_to(self.output).as_posix()
        files = [file.model_copy(update={"path": f"{relative}/{file.path}"}) for file in staged.files]
        current = Current.load(self.output)
        named = current.datasets.get(staged.dataset)
        if named is None or named.run_id != self.run_id or not _are_there(files, self.output):
            sync_folder(staged.folder)
            if snapshot.exists():
                remove_tree(snapshot)  # of this very run, cut off before `current.json` named it
            staged.folder.rename(snapshot)
            sync_folder(snapshot.parent)
        if staged.raw:
            self._keep_raw(staged)
        current.datasets[staged.dataset] = CurrentSnapshot(
            run_id=self.run_id, rows=staged.rows, files=[file.path for file in files]
        )
        current.account = self.account.as_dict() if self.account else current.account
        current.updated_at = iso_utc(self.clock.now())
        current.save(self.output)
        self._point_latest(staged.dataset)
        retire_snapshots(
            self.output, staged.dataset, current=self.run_id, retain=self.retain_runs, now=self.clock.now()
        )
        return files

    def _keep_raw(self, staged: Staged) -> None:
        folder = self.output / "raw" / staged.dataset / f"run={self.run_id}"
        make_folders(folder)
        for number, path in enumerate(staged.raw):
            ending = ".csv.gz" if _is_gzip(path) else ".csv"
            several = f"-{number:05}" if len(staged.raw) > 1 else ""
            link_or_copy(path, folder / f"{staged.dataset}{several}{ending}")
        sync_folder(folder)

    def _point_latest(self, dataset: str) -> None:
        latest = self.output / "latest"
        make_folders(latest)
        point_link(latest / dataset, f"../datasets/{dataset}/run={self.run_id}")
        readme = self.output / "README.md"
        if not readme.exists():
            write_atomically(readme, README)


def _are_there(files: Sequence[PublishedFile], output: Path) -> bool:
    """Whether these very files stand where they are to be named: a run that was cut off right after naming them."""
    for file in files:
        try:
            with (output / file.path).open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                    return False
        except FileNotFoundError:
            return False
    return True


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def find_drift(published: Mapping[str, str], columns: Sequence[PublishedColumn]) -> Drift:
    """
    How the columns differ from those of the snapshot that is current (pure).

    Args:
        published: Parquet type by column name, as published; empty when nothing is.
    """
    if not published:
        return Drift()
    now = {column.name: column.type for column in columns}
    first = {column.name: _first_that_did_not_fit(column) for column in columns}
    return Drift(
        appeared=[name for name in now if name not in published],
        vanished=[name for name in published if name not in now],
        retyped=[
            f"{name}: {published[name]} → {kind}{first[name]}"
            for name, kind in now.items()
            if published.get(name, kind) != kind
        ],
    )


def _first_that_did_not_fit(column: PublishedColumn) -> str:
    told = column.misfit or column.outgrown
    return f" (row {told['row']:,}: {told['value']!r})" if told else ""


def hold_back(
    dataset: str,
    *,
    rows: int,
    current_rows: int | None,
    drift: Drift,
    data_redacted: bool,
    on_shrink: str,
    on_drift: str,
    fail_on_redacted: bool,
) -> None:
    """
    Refuse to publish what would hurt readers (pure).

    Raises:
        HeldBack: No rows where the current snapshot has some, drift with `on_drift = "fail"`, or redacted data with
            `fail_on_redacted`.
    """
    if fail_on_redacted and data_redacted:
        raise HeldBack(
            f"{dataset}: the service withheld revenue or personal data",
            why="the role of this user does not see it (dataRedacted)",
            fix="give the user the Executive report viewer role, or set `fail_on_redacted = false`",
        )
    if rows == 0 and current_rows and on_shrink == "hold":
        raise HeldBack(
            f"{dataset}: the report has no rows, and the current snapshot has {current_rows:,}",
            fix='the current one stays; set `on_shrink = "publish"` if an empty answer is right',
        )
    if drift and on_drift == "fail":
        raise HeldBack(
            f"{dataset}: the columns differ from the published snapshot",
            why=describe_drift(drift),
            fix='adapt what reads them, then run once with `on_drift = "warn"`',
        )


def describe_drift(drift: Drift) -> str:
    """The differences in one line."""
    told = (("appeared", drift.appeared), ("vanished", drift.vanished), ("another type", drift.retyped))
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in told if names)
