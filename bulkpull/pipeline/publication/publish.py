"""
Publishes Parquet files as a snapshot: one rename, then `current.json`.

The order matters: sync the files, rename the snapshot's folder into place, sync the rename, then update the pointer. A
crash between any two steps leaves readers with the complete old or new snapshot. Once the pointer is updated the
dataset is complete; the clean-up that follows (`tidy`) may fail without changing that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from bulkpull.account import Account
from bulkpull.clock import Clock
from bulkpull.event_types import CleanupPostponed, SnapshotPublished
from bulkpull.events import Events
from bulkpull.model import Pull
from bulkpull.output.atomic_files import disk_errors, link_or_copy, makedirs_durable, sync_folder, to_disk_error
from bulkpull.output.cleanup import Undone, clean_up
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.layout import RAW, run_of_snapshot
from bulkpull.output.manifest import PublishedFile, whole_second
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import remove_beneath
from bulkpull.requested_data import requested_data

if TYPE_CHECKING:  # a run without news does not load what converts files
    from bulkpull.pipeline.steps.converted_pull import ConvertedPull


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot that is visible to readers; the paths of its files are relative to the output folder."""

    files: list[PublishedFile]
    undone: tuple[Undone, ...] = ()


@dataclass(slots=True)
class Publisher:
    """
    Publishes snapshots one at a time, because they share `current.json`.

    Of each dataset `retain_runs` snapshots are kept, the current one included. `check_lock` raises if this run no
    longer holds the lock of the output folder.
    """

    store: OutputStore
    run_id: str
    retain_runs: int
    clock: Clock
    events: Events
    check_lock: Callable[[], None] = lambda: None
    account: Account | None = None
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def publish_snapshot(
        self, pull: Pull, folder: Path, files: Sequence[PublishedFile], *, raw: Sequence[Path] = ()
    ) -> Published:
        """
        Show a converted snapshot to readers.

        A second call for the same dataset and run, after the first was interrupted anywhere, ends the same way.

        Args:
            folder: Holds the `files` and nothing else, on the file system of the output folder.
            raw: The files as downloaded, to be kept beside it; empty when they are not kept.

        Raises:
            DiskTrouble: The disk refused; readers still see the snapshot that was current.
            LockLost: The output folder is no longer this run's.
        """
        async with self._turn:
            # Shielded: publishing takes milliseconds, and an interruption can wait for it.
            with anyio.CancelScope(shield=True), disk_errors(str(self.store)):
                published = await anyio.to_thread.run_sync(self._publish, pull, folder, files, raw)
        self.events.emit(SnapshotPublished(rows=sum(file.rows for file in files), files=len(files)))
        for undone in published.undone:
            self.events.emit(CleanupPostponed(step=undone.step, reason=undone.reason))
        return published

    def _publish(self, pull: Pull, folder: Path, files: Sequence[PublishedFile], raw: Sequence[Path]) -> Published:
        self.check_lock()
        dataset, requested = pull.dataset, requested_data(pull)
        snapshot = INSIDE.snapshot(dataset, self.run_id)
        files = [file.model_copy(update={"path": (snapshot / file.path).as_posix()}) for file in files]
        current = Current.load(self.store)
        named = current.datasets.get(dataset)
        if named is None or named.run_id != self.run_id or not _are_there(files, self.store):
            # An existing folder belongs to this run, which was interrupted before it updated `current.json`.
            self.store.put_folder(folder, snapshot)
        self._keep_raw(dataset, raw)
        now = whole_second(self.clock.now())
        current.datasets[dataset] = CurrentSnapshot(
            run_id=self.run_id,
            rows=sum(file.rows for file in files),
            files=[file.path for file in files],
            question=requested.as_dict(),
            question_sha256=requested.sha256,
            query=pull.query_text,
            timespan=requested.span,
            window=pull.window,
            published_at=now,
            replaced=self._replaced(dataset, named, at=now),
        )
        current.account = self.account.as_dict() if self.account else current.account
        current.updated_at = now
        undone = self._commit(current, dataset)
        # The new snapshot is visible to readers: a later error does not make the dataset a failure.
        undone += clean_up(self.store, [dataset], current=current, retain=self.retain_runs, now=self.clock.now())
        return Published(files, tuple(undone))

    def _commit(self, current: Current, dataset: str) -> list[Undone]:
        """Update the pointer; if only the sync of its folder failed, the next run repeats that."""
        try:
            current.save(self.store)
        except OSError as trouble:
            named, expected = Current.load(self.store).datasets.get(dataset), current.datasets[dataset]
            if named is None or (named.run_id, named.files) != (expected.run_id, expected.files):
                raise
            return [Undone(dataset, "pointer", to_disk_error(trouble, str(self.store)).message)]
        return []

    def _replaced(self, dataset: str, named: CurrentSnapshot | None, *, at: datetime) -> dict[str, datetime]:
        """When the existing older snapshots, and the one replaced now, ceased to be current."""
        names = self.store.list_names(INSIDE.snapshots(dataset))
        there = {run_of_snapshot(name) for name in names}
        known = dict(named.replaced) if named else {}
        if named is not None and named.run_id != self.run_id:
            known[named.run_id] = at
        return {run_id: moment for run_id, moment in known.items() if run_id in there and run_id != self.run_id}

    def _keep_raw(self, dataset: str, raw: Sequence[Path]) -> None:
        folder = INSIDE.snapshot(dataset, self.run_id, kind=RAW)
        for number, path in enumerate(raw):
            with path.open("rb") as file:
                ending = ".csv.gz" if file.read(2) == b"\x1f\x8b" else ".csv"
            several = f"-{number:05}" if len(raw) > 1 else ""
            self.store.put_file(path, folder / f"{dataset}{several}{ending}")


def _are_there(files: Sequence[PublishedFile], store: OutputStore) -> bool:
    """Whether exactly these files are in place, left by a run that was interrupted after it named them."""
    for file in files:
        try:
            with store.open(Path(file.path)) as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                    return False
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


async def stage_files(
    parts: Sequence[ConvertedPull], folder: Path, *, private: Path, run_id: str
) -> list[PublishedFile]:
    """
    Link or copy the files of all parts into `folder`; the parts keep theirs until the snapshot is named.

    Their names there contain the run: a reader that lists one snapshot and opens another fails instead of mixing them.
    """
    files = [file for part in parts for file in part.table.files]
    named = [
        PublishedFile(
            path=f"part-{number:05}-{run_id}{file.path.suffix}", rows=file.rows, bytes=file.bytes, sha256=file.sha256
        )
        for number, file in enumerate(files)
    ]

    def gather() -> None:
        remove_beneath(folder, root=private)
        makedirs_durable(folder, root=private)
        for file, target in zip(files, named, strict=True):
            link_or_copy(file.path, folder / target.path)
        sync_folder(folder)

    with disk_errors(folder):
        await anyio.to_thread.run_sync(gather)
    return named
