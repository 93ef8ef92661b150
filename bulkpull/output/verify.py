"""
Verifies published data against its records: files, hashes, rows, pointer and links.

It only reads, also beside a running export. What retention deletes meanwhile does not count as damaged, and a snapshot
that becomes current meanwhile is checked instead of the earlier one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bulkpull import platforms
from bulkpull.account import DEMO
from bulkpull.errors import DiskTrouble
from bulkpull.formatting import join_some, plural
from bulkpull.output.cleanup import is_without_links
from bulkpull.output.content_check import content_problem, inspect_file
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.integrity import integrity_problems, location_problem, size_of
from bulkpull.output.layout import CURRENT, LATEST, RUN_ID, RUNS, latest_target
from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.output.owner import foreign_runs
from bulkpull.output.rerun_command import export_words
from bulkpull.output.run_history import NO_EXPORT_FIX, load_manifest, run_ids
from bulkpull.output.store import INSIDE, OutputStore

# Longer than the time between a run's updates of the pointer and of the link.
_PAUSE_S = 0.5


def _pause() -> None:
    time.sleep(_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something published that differs from its record."""

    path: str
    what: str
    fix: str
    dataset: str | None = None
    run_id: str | None = None


# Asks the ledger what a run has published, by dataset; `None` for a run that it does not know.
AskLedger = Callable[[str], Mapping[str, DatasetRecord] | None]


@dataclass(slots=True)
class Findings:
    """
    The checked items, and the problems found.

    Attributes:
        gone: Snapshots of the requested run that retention has removed since, by dataset.
    """

    troubles: list[Trouble] = field(default_factory=list)
    snapshots: int = 0
    files: int = 0
    bytes: int = 0
    gone: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Verifier:
    """
    Verifies an output folder.

    Args:
        quick: Only whether files are there and have their size; nothing is read.
        ask_ledger: Called for what no manifest describes: a run is under way, or was killed.
        queries: Names of the custom queries in the settings, for the commands that are handed out.
        config: The settings file that was given, for the same.
        pause: Waits a moment before a problem is checked again.
    """

    store: OutputStore
    quick: bool
    ask_ledger: AskLedger
    queries: Collection[str] = ()
    config: Path | None = None
    pause: Callable[[], None] = _pause
    findings: Findings = field(default_factory=Findings)

    def verify_all(self) -> Findings:
        """Look at what `current.json` names, at `latest/`, and at every older snapshot that a manifest describes."""
        try:
            datasets = list(Current.load(self.store).datasets)
        except DiskTrouble as damaged:
            self._add_problem(CURRENT, what=damaged.why or damaged.what, fix=damaged.fix or "restore it")
            datasets = []
        else:
            if not datasets:
                self._report_nothing_current()
        for dataset in datasets:
            self._check_current(dataset)
        foreign = foreign_runs(self.store, run_ids(self.store))
        for run_id in run_ids(self.store):
            for record in self._records_of(run_id):
                if run_id in foreign and self._is_there(record.dataset, run_id):
                    self.findings.troubles.append(self._foreign(record.dataset, run_id, foreign[run_id]))
                is_newest = self._current(record.dataset) == run_id
                if record.status == "complete" and not is_newest and self._is_there(record.dataset, run_id):
                    self._check_older(record, run_id)
        return self.findings

    def verify_run(self, run_id: str) -> Findings:
        """Look at the snapshots that the run published, or found to be still the newest."""
        for record in self._records_of(run_id) or (self.ask_ledger(run_id) or {}).values():
            named = RUN_ID.search(record.files[0].path) if record.files else None
            if named is None:
                continue
            owner = named[0]  # of a skipped dataset: the run whose snapshot stayed current
            if self._current(record.dataset) == owner:
                self._check_current(record.dataset)
            elif self._is_there(record.dataset, owner):
                self._check_older(record, owner)
            else:
                self.findings.gone.append(record.dataset)
        return self.findings

    def _report_nothing_current(self) -> None:
        """Report an empty `current.json`: nothing was ever published, or the file was lost and the snapshots exist."""
        store = self.store
        names = {dataset: store.list_names(INSIDE.snapshots(dataset)) for dataset in store.list_names(INSIDE.datasets)}
        counts = {dataset: sum(bool(RUN_ID.search(name)) for name in found) for dataset, found in names.items()}
        orphans = {dataset: count for dataset, count in counts.items() if count}
        if not orphans:
            self._add_problem(CURRENT, what=f"nothing is published in {store} yet", fix=NO_EXPORT_FIX)
            return
        state = "names no dataset" if store.exists(INSIDE.current) else "is gone"
        snapshots = plural(sum(orphans.values()), "snapshot")
        command = platforms.current().join_command(["bulkpull", "export", *orphans, "--output", str(self.store)])
        self._add_problem(
            CURRENT,
            what=f"it {state}, and datasets/ holds {snapshots} of {join_some(list(orphans))}",
            fix=f"restore it from a backup, or run `{command}`: it publishes them again",
        )

    def _foreign(self, dataset: str, run_id: str, account: str) -> Trouble:
        path = f"datasets/{dataset}/run={run_id}"
        fix = f"move it and {RUNS}/{run_id} to a folder of that account"
        if self._current(dataset) == run_id:
            fix = f"{fix}; {CURRENT} names it, so restore {CURRENT} as well"
        return Trouble(path, what=f"it belongs to another account: {account}", fix=fix, dataset=dataset, run_id=run_id)

    def _check_current(self, dataset: str) -> None:
        """The current snapshot of a dataset; looked at again when another one becomes current meanwhile."""
        before: list[Trouble] | None = None
        while (snapshot := self._snapshot(dataset)) is not None:
            troubles = [*self._current_problems(dataset, snapshot), *self._link_problems(dataset, snapshot)]
            if troubles and troubles != before:
                before = troubles
                self.pause()  # the pointer moves an instant before the link
                continue
            self._count(snapshot.files)
            self.findings.troubles += troubles
            return

    def _check_older(self, record: DatasetRecord, run_id: str) -> None:
        troubles = list(self._problems_of(record, run_id, fix=self._forget_hint(record.dataset, run_id)))
        if not self._is_there(record.dataset, run_id):
            return  # retired during the check
        self._count([file.path for file in record.files])
        self.findings.troubles += troubles

    def _current_problems(self, dataset: str, snapshot: CurrentSnapshot) -> Iterator[Trouble]:
        run_id, fix = snapshot.run_id, self._republish_hint(dataset, snapshot)
        where = {"dataset": dataset, "run_id": run_id}
        record = self._describe(dataset, run_id)
        if record is None and self.ask_ledger(run_id) is None:
            what = f"{dataset}: neither a manifest nor the ledger knows the run {run_id}"
            yield Trouble(CURRENT, what=what, fix=fix, **where)
        if record is not None:
            if sorted(file.path for file in record.files) != sorted(snapshot.files) or record.rows != snapshot.rows:
                what = f"{dataset}: it names other files or another number of rows than the run's manifest"
                yield Trouble(CURRENT, what=what, fix=fix, **where)
            yield from self._problems_of(record, run_id, fix=fix)
            return
        found = 0
        for path in snapshot.files:
            if not path.startswith(f"datasets/{dataset}/run={run_id}/") or ".." in path:
                yield Trouble(CURRENT, what=f"{dataset}: {path} is no file of its snapshot", fix=fix, **where)
            elif (missing := location_problem(self.store, path)) is not None:
                yield Trouble(path, what=missing, fix=fix, **where)
            elif not self.quick:
                rows, fault = inspect_file(self.store, Path(path), dataset=dataset, run_id=run_id)
                found += rows
                if fault:
                    yield Trouble(path, what=fault, fix=fix, **where)
        if not self.quick and found != snapshot.rows:
            what = f"{dataset}: it says {snapshot.rows:,} rows, and the files have {found:,}"
            yield Trouble(CURRENT, what=what, fix=fix, **where)

    def _problems_of(self, record: DatasetRecord, run_id: str, *, fix: str) -> Iterator[Trouble]:
        """The problems of a snapshot that has a record."""
        # A growing snapshot keeps files of earlier runs.
        made_by = {file.path: part.run_id or run_id for file, part in zip(record.files, record.parts, strict=False)}

        def check_file(file: PublishedFile) -> str | None:
            maker = made_by.get(file.path, run_id)
            return content_problem(file, self.store, dataset=record.dataset, run_id=maker)

        for path, what in integrity_problems(
            record, self.store, run_id=run_id, check_file=None if self.quick else check_file
        ):
            yield Trouble(path, what=what, fix=fix, dataset=record.dataset, run_id=run_id)

    def _link_problems(self, dataset: str, snapshot: CurrentSnapshot) -> Iterator[Trouble]:
        link, wanted = INSIDE.latest_link(dataset), latest_target(dataset, snapshot.run_id)
        if is_without_links(self.store) and not self.store.exists(link):
            return  # left out, as the folder's README says
        target = self.store.link_target(link)
        if target is not None and (
            Path(target) == Path(wanted) or self.store.is_same_folder(link, INSIDE.snapshot(dataset, snapshot.run_id))
        ):
            return
        what = "the link is missing" if target is None else f"the link leads to {target}"
        command = platforms.current().join_command(["ln", "-sfn", wanted, self.store.place(link)])
        yield Trouble(
            f"{LATEST}/{dataset}",
            what=f"{what}, and {CURRENT} names {snapshot.run_id}",
            fix=f"run `{command}`; the next export of the dataset sets it as well",
            dataset=dataset,
            run_id=snapshot.run_id,
        )

    def _describe(self, dataset: str, run_id: str) -> DatasetRecord | None:
        for record in self._records_of(run_id):
            if record.dataset == dataset and record.status == "complete":
                return record
        return (self.ask_ledger(run_id) or {}).get(dataset)

    def _records_of(self, run_id: str) -> Sequence[DatasetRecord]:
        manifest = load_manifest(self.store, run_id)
        if manifest is not None:
            return manifest.datasets
        path = INSIDE.manifest(run_id).as_posix()
        is_new = all(trouble.path != path for trouble in self.findings.troubles)
        if is_new and self.store.exists(INSIDE.manifest(run_id)) and load_manifest(self.store, run_id) is None:
            self._add_problem(
                path, what="the manifest is damaged", fix="restore it; the data that it describes can be read"
            )
        return ()

    def _snapshot(self, dataset: str) -> CurrentSnapshot | None:
        try:
            return Current.load(self.store).datasets.get(dataset)
        except DiskTrouble:
            return None

    def _current(self, dataset: str) -> str | None:
        snapshot = self._snapshot(dataset)
        return snapshot.run_id if snapshot else None

    def _is_there(self, dataset: str, run_id: str) -> bool:
        return self.store.exists(INSIDE.snapshot(dataset, run_id))

    def _republish_hint(self, dataset: str, snapshot: CurrentSnapshot) -> str:
        words = ["bulkpull", *export_words(dataset, snapshot, queries=self.queries), "--output", str(self.store)]
        if Current.load(self.store).account == DEMO.as_dict():
            words.append("--demo")
        if self.config is not None:
            words += ["--config", str(self.config)]
        return f"run `{platforms.current().join_command(words)}`: it publishes the dataset again"

    def _forget_hint(self, dataset: str, run_id: str) -> str:
        place = self.store.place(INSIDE.snapshot(dataset, run_id))
        return f"remove {place} or restore it; the current snapshot is not affected"

    def _count(self, paths: Sequence[str]) -> None:
        self.findings.snapshots += 1
        self.findings.files += len(paths)
        self.findings.bytes += sum(size_of(self.store, path) or 0 for path in paths)

    def _add_problem(self, path: str, *, what: str, fix: str) -> None:
        self.findings.troubles.append(Trouble(path, what=what, fix=fix))
