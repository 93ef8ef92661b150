"""
Verifies published data against its records: files, hashes, rows, pointer and links. Reads only.

What a running export deletes meanwhile does not count as damaged, and a snapshot that it makes current is checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path
from time import sleep

from bulkpull import platforms
from bulkpull.account import DEMO
from bulkpull.conversion.output_formats import format_of
from bulkpull.conversion.read_table import read_footer
from bulkpull.errors import DiskTrouble, QueryError
from bulkpull.formatting import join_some, plural
from bulkpull.output.cleanup import is_without_links
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.integrity import integrity_problems, location_problem
from bulkpull.output.layout import CURRENT, LATEST, RUN_ID, RUNS, latest_target
from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.output.owner import foreign_runs
from bulkpull.output.run_history import NO_EXPORT_FIX, load_manifest, run_ids
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.query import Statement, parse
from bulkpull.query.render import render_conditions, render_orderings
from bulkpull.redact import printable
from bulkpull.requested_data import EVERY, OPEN
from bulkpull.window_bounds import window_texts

_DEFAULT_METRICS = f"{EVERY}amounts"
# Longer than the time between a run's updates of the pointer and of the link.
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something published that differs from its record."""

    path: str
    what: str
    fix: str
    dataset: str | None = None
    run_id: str | None = None


@dataclass(slots=True)
class Findings:
    """What was checked, the problems found, and datasets of the requested run whose snapshots are `gone` since."""

    troubles: list[Trouble] = field(default_factory=list)
    snapshots: int = 0
    files: int = 0
    bytes: int = 0
    gone: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Verifier:
    """
    Verifies an output folder; where it is `quick`, only whether files are there and have their size.

    Args:
        ask_ledger: What a run has published, by dataset, where no manifest describes it; `None` for an unknown run.
        queries, config: The custom queries and the settings file, for the commands that are handed out.
        pause: Waits a moment before a problem is checked again.
    """

    store: OutputStore
    quick: bool
    ask_ledger: Callable[[str], Mapping[str, DatasetRecord] | None]
    queries: Collection[str] = ()
    config: Path | None = None
    pause: Callable[[], None] = lambda: sleep(_PAUSE_S)
    findings: Findings = field(default_factory=Findings)

    def verify_all(self) -> Findings:
        """Look at what `current.json` names, at `latest/`, and at every older snapshot that a manifest describes."""
        try:
            datasets = list(Current.load(self.store).datasets)
        except DiskTrouble as damaged:
            self.findings.troubles.append(
                Trouble(CURRENT, what=damaged.why or damaged.what, fix=damaged.fix or "restore it")
            )
            datasets = []
        else:
            if not datasets:
                self.findings.troubles.append(self._nothing_current())
        for dataset in datasets:
            self._check_current(dataset)
        foreign = foreign_runs(self.store, run_ids(self.store))
        for run_id in run_ids(self.store):
            for record in self._records_of(run_id):
                if run_id in foreign and self._is_there(record.dataset, run_id):
                    self.findings.troubles.append(self._foreign(record.dataset, run_id, foreign[run_id]))
                is_newest = self._current_run(record.dataset) == run_id
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
            if self._current_run(record.dataset) == owner:
                self._check_current(record.dataset)
            elif self._is_there(record.dataset, owner):
                self._check_older(record, owner)
            else:
                self.findings.gone.append(record.dataset)
        return self.findings

    def _nothing_current(self) -> Trouble:
        """Nothing was ever published, or `current.json` was lost and the snapshots exist."""
        store = self.store
        runs = {dataset: store.list_names(INSIDE.snapshots(dataset)) for dataset in store.list_names(INSIDE.datasets)}
        counts = {dataset: sum(bool(RUN_ID.search(name)) for name in names) for dataset, names in runs.items()}
        orphans = {dataset: count for dataset, count in counts.items() if count}
        if not orphans:
            return Trouble(CURRENT, what=f"nothing is published in {store} yet", fix=NO_EXPORT_FIX)
        state = "names no dataset" if store.exists(INSIDE.current) else "is gone"
        snapshots = plural(sum(orphans.values()), "snapshot")
        command = platforms.current().join_command(["bulkpull", "export", *orphans, "--output", str(store)])
        return Trouble(
            CURRENT,
            what=f"it {state}, and datasets/ holds {snapshots} of {join_some(list(orphans))}",
            fix=f"restore it from a backup, or run `{command}`: it publishes them again",
        )

    def _foreign(self, dataset: str, run_id: str, account: str) -> Trouble:
        path = INSIDE.snapshot(dataset, run_id).as_posix()
        fix = f"move it and {RUNS}/{run_id} to a folder of that account"
        if self._current_run(dataset) == run_id:
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
        place = self.store.place(INSIDE.snapshot(record.dataset, run_id))
        fix = f"remove {place} or restore it; the current snapshot is not affected"
        troubles = list(self._problems_of(record, run_id, fix=fix))
        if self._is_there(record.dataset, run_id):  # not retired during the check
            self._count([file.path for file in record.files])
            self.findings.troubles += troubles

    def _current_problems(self, dataset: str, snapshot: CurrentSnapshot) -> Iterator[Trouble]:
        run_id, fix = snapshot.run_id, self._republish_hint(dataset, snapshot)
        pointer = Trouble(CURRENT, what="", fix=fix, dataset=dataset, run_id=run_id)
        record = self._describe(dataset, run_id)
        if record is not None:
            if sorted(file.path for file in record.files) != sorted(snapshot.files) or record.rows != snapshot.rows:
                what = f"{dataset}: it names other files or another number of rows than the run's manifest"
                yield replace(pointer, what=what)
            yield from self._problems_of(record, run_id, fix=fix)
            return
        if self.ask_ledger(run_id) is None:
            yield replace(pointer, what=f"{dataset}: neither a manifest nor the ledger knows the run {run_id}")
        found = 0
        for path in snapshot.files:
            if not path.startswith(f"{INSIDE.snapshot(dataset, run_id).as_posix()}/") or ".." in path:
                yield replace(pointer, what=f"{dataset}: {path} is no file of its snapshot")
            elif (missing := location_problem(self.store, path)) is not None:
                yield replace(pointer, path=path, what=missing)
            elif not self.quick:
                rows, fault = inspect_file(self.store, Path(path), dataset=dataset, run_id=run_id)
                found += rows
                if fault:
                    yield replace(pointer, path=path, what=fault)
        if not self.quick and found != snapshot.rows:
            what = f"{dataset}: it says {snapshot.rows:,} rows, and the files have {found:,}"
            yield replace(pointer, what=what)

    def _problems_of(self, record: DatasetRecord, run_id: str, *, fix: str) -> Iterator[Trouble]:
        """The problems of a snapshot that has a record."""
        # A growing snapshot keeps files of earlier runs.
        made_by = {file.path: part.run_id or run_id for file, part in zip(record.files, record.parts, strict=False)}

        def check_file(file: PublishedFile) -> str | None:
            return content_problem(file, self.store, dataset=record.dataset, run_id=made_by.get(file.path, run_id))

        check = None if self.quick else check_file
        for path, what in integrity_problems(record, self.store, run_id=run_id, check_file=check):
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
        name = INSIDE.manifest(run_id)
        # Looked at twice: it may have been written in between.
        manifest = load_manifest(self.store, run_id)
        if manifest is None and self.store.exists(name):
            manifest = load_manifest(self.store, run_id)
            if manifest is None and all(trouble.path != name.as_posix() for trouble in self.findings.troubles):
                fix = "restore it; the data that it describes can be read"
                self.findings.troubles.append(Trouble(name.as_posix(), what="the manifest is damaged", fix=fix))
        return manifest.datasets if manifest else ()

    def _snapshot(self, dataset: str) -> CurrentSnapshot | None:
        try:
            return Current.load(self.store).datasets.get(dataset)
        except DiskTrouble:
            return None

    def _current_run(self, dataset: str) -> str | None:
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

    def _count(self, paths: Sequence[str]) -> None:
        self.findings.snapshots += 1
        self.findings.files += len(paths)
        for path in paths:
            with suppress(OSError):
                self.findings.bytes += self.store.size_bytes(Path(path))


def content_problem(file: PublishedFile, store: OutputStore, *, dataset: str, run_id: str) -> str | None:
    """The problem with the file's content (hash, rows, dataset or run), in words; `None` if there is none."""
    try:
        with store.open(Path(file.path)) as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as refused:
        return f"it cannot be read: {refused.strerror or refused}"
    if digest != file.sha256:
        return "its content has changed: the SHA-256 differs from the published one"
    rows, what = inspect_file(store, Path(file.path), dataset=dataset, run_id=run_id)
    if what is None and rows != file.rows:
        return f"it has {rows:,} rows, and the manifest says {file.rows:,}"
    return what


def inspect_file(store: OutputStore, path: Path, *, dataset: str, run_id: str) -> tuple[int, str | None]:
    """The rows of a published file, and the problem if it is not of that dataset and run."""
    try:
        footer = read_footer(path, source=store.source(path))
    except (OSError, ValueError) as refused:
        return 0, f"it is not a {format_of(path).name} file: {printable(str(refused), most=200)}"
    found = footer.lineage.get("dataset"), footer.lineage.get("run_id")
    if found != (dataset, run_id):
        return footer.rows, f"by its metadata it belongs to {found[0] or 'no dataset'}, run {found[1] or 'unknown'}"
    return footer.rows, None


def export_words(dataset: str, snapshot: CurrentSnapshot, *, queries: Collection[str] = ()) -> list[str]:
    """The words after `bulkpull`: pasted, they publish the same question and no other (case W11)."""
    question = snapshot.question or {}
    source = str(question.get("source") or dataset)
    if source == dataset or dataset.casefold() in {name.casefold() for name in queries}:
        return ["export", dataset, *_metrics(question.get("metrics")), *_span(snapshot)]
    words = ["export", source, "--as", dataset]
    with suppress(QueryError):
        words += _shape(parse(snapshot.query or ""), selects_all=list(question.get("columns") or ()) == [EVERY])
    return [*words, *_metrics(question.get("metrics")), *_span(snapshot)]


def _shape(statement: Statement, *, selects_all: bool) -> Iterator[str]:
    """The options that say what of a dataset is selected."""
    if not selects_all:
        yield from ("--select", ", ".join(name.text for name in statement.names))
    if statement.conditions:
        yield from ("--where", render_conditions(statement.conditions))
    if statement.orderings:
        yield from ("--order-by", render_orderings(statement.orderings))
    if statement.limit is not None:
        yield from ("--limit", str(statement.limit))
    if statement.distinct:
        yield "--distinct"


def _metrics(chosen: object) -> Iterator[str]:
    """The option `--metrics`, where another choice than the default was made."""
    names = list(chosen) if isinstance(chosen, list | tuple) else []
    if len(names) == 1 and str(names[0]).startswith(EVERY) and names != [_DEFAULT_METRICS]:
        yield from ("--metrics", str(names[0]).removeprefix(EVERY))


def _span(snapshot: CurrentSnapshot) -> Iterator[str]:
    """The options for the requested time."""
    question = snapshot.question or {}
    start, end = question.get("window") or window_texts(snapshot.window) or (None, None)
    if start is None:
        if span := snapshot.timespan or question.get("span"):
            yield from ("--timespan", str(span))
        return
    yield from ("--since", str(start)[:10])
    # An end within a day was "now": no option is needed, and the new command uses its own time.
    if end not in (None, OPEN) and datetime.fromisoformat(end).astimezone(UTC).time() == time():
        yield from ("--until", str(end)[:10])
