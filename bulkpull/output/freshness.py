"""
Freshness of published data: the age of the data, and the age of the last successful check of the service.

A dataset that the service refreshes once a month has old data, so the last successful check decides whether it is late;
a run that failed or never started is not a check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Literal

from bulkpull.catalog import load_catalog
from bulkpull.clock import is_ahead
from bulkpull.conversion.read_table import read_footer
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.layout import RUN_ID
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.run_history import load_manifest, manifests, run_start_time
from bulkpull.output.store import OutputStore

State = Literal["current", "late", "missing", "unavailable"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """
    The published data of one dataset, and when it was last checked.

    Attributes:
        run_id: The run that published the current snapshot; `None` when there is none.
        rows_before: Rows of the snapshot before, where this one has fewer by more than `note_shrink`.
        published_at: When the snapshot became current, but never before the data were generated, by the service's
            clock; for a snapshot of an earlier version, when its run began.
        checked_at: The last successful check of the service, whether it found new data or not.
        unavailable: The newest run that could read the service's list found that it is not offered to this account.
        reason: Why the newest run was not successful, or why the dataset is unavailable.
        source: For a custom query the dataset that it reads; only its owner knows when it is late.
    """

    dataset: str
    run_id: str | None = None
    rows: int | None = None
    rows_before: int | None = None
    generated_at: datetime | None = None
    published_at: datetime | None = None
    checked_at: datetime | None = None
    unavailable: bool = False
    reason: str | None = None
    source: str | None = None

    def state(self, *, now: datetime, max_age: timedelta | None) -> State:
        """`late` if the last check is older than `max_age`, `missing` if nothing was ever published."""
        if self.run_id is None:
            return "unavailable" if self.unavailable else "missing"
        too_old = max_age is not None and (self.checked_at is None or now - self.checked_at > max_age)
        return "late" if too_old else "current"


def find_freshness(store: OutputStore, *, now: datetime | None = None) -> list[Freshness]:
    """
    Every dataset that is published or was requested in the newest run, in the catalog's order; reads only.

    A run that could not read the service's list does not tell what is offered: then the newest run before it that could
    read it counts as well. What was forgotten since a run began is not expected any more. Raises `DiskTrouble` where
    `current.json` is damaged.
    """
    now = now or datetime.now(UTC)
    pointer = Current.load(store)
    current = pointer.datasets
    recent = manifests(store)
    newest = next(recent, None)
    news = _expected(newest, pointer) if newest else {}
    if newest and not newest.tells_offer:
        news = _with_known_offer(news, manifests(store), pointer)
    looks = _last_looks(current, chain([newest] if newest else [], recent))
    places = {dataset.name: place for place, dataset in enumerate(load_catalog().datasets)}
    names = sorted({*news, *current}, key=lambda name: (places.get(name, len(places)), name))
    return [_freshness(name, store, current.get(name), news.get(name), looks.get(name), now=now) for name in names]


def _with_known_offer(
    news: Mapping[str, DatasetRecord], recent: Iterable[Manifest], pointer: Current
) -> dict[str, DatasetRecord]:
    """`news` and the newest run's records that tell what is offered; of datasets never published, any run's newest."""
    offers = (_expected(manifest, pointer) for manifest in recent if manifest.tells_offer)
    newest = next(offers, {})
    wanted = {*news, *newest} - pointer.datasets.keys()
    known: dict[str, DatasetRecord] = {}
    for offer in chain([newest], offers):
        known = {name: record for name, record in offer.items() if name in wanted} | known
        if wanted <= known.keys():
            break
    return {**news, **known}


def _expected(manifest: Manifest, pointer: Current) -> dict[str, DatasetRecord]:
    """The records of the datasets that were not forgotten since that run began."""
    forgotten = {name for name, forgotten_at in pointer.forgotten.items() if manifest.started_at <= forgotten_at}
    return {record.dataset: record for record in manifest.datasets if record.dataset not in forgotten}


def _last_looks(published: Iterable[str], recent: Iterable[Manifest]) -> dict[str, datetime]:
    """
    When each dataset was last complete or found unchanged (pure).

    A run that only submitted its reports saw no data. A look that brought a time ahead of the service's clock does not
    tell how old the data are, so it does not count either; nor does one that found a due execution still missing.
    """
    looks: dict[str, datetime] = {}
    wanted = set(published)
    for manifest in recent:
        for record in [] if manifest.submitted else manifest.datasets:
            is_waiting = record.status == "skipped" and record.due_at is not None
            is_believed = record.unbelieved_at is None and not is_ahead(record.generated_at, now=manifest.finished_at)
            has_looked = record.is_current and is_believed and not is_waiting
            if record.dataset in wanted and has_looked:
                looks.setdefault(record.dataset, manifest.finished_at)
        if wanted <= looks.keys():
            break
    return looks


def _freshness(
    dataset: str,
    store: OutputStore,
    snapshot: CurrentSnapshot | None,
    news: DatasetRecord | None,
    look: datetime | None,
    *,
    now: datetime,
) -> Freshness:
    reason = news.reason if news is not None and news.status in ("failed", "unavailable") else None
    if snapshot is None:
        is_not_offered = news is not None and news.status == "unavailable"
        return Freshness(dataset, unavailable=is_not_offered, reason=reason, source=news.source if news else None)
    began_at = run_start_time(snapshot.run_id) if RUN_ID.fullmatch(snapshot.run_id) else None
    lineage: Mapping[str, str] = {}
    generated_at: datetime | None = None
    with suppress(OSError, ValueError, IndexError):  # the file is gone or damaged
        first = Path(snapshot.files[0])
        store.size_bytes(first)  # a read from a pipe would block
        lineage = read_footer(first, source=store.source(first)).lineage
    with suppress(KeyError, ValueError):
        generated_at = datetime.fromisoformat(lineage["generated_at"])
    is_believed = "unbelieved_at" not in lineage and not is_ahead(generated_at, now=now)
    # A run that is still under way, or was killed, has published without a manifest: it has looked since it began.
    looks = [moment for moment in (look, began_at if is_believed else None) if moment is not None]
    published_at = snapshot.published_at or began_at
    if published_at and generated_at and is_believed:
        published_at = max(published_at, generated_at)
    source = lineage.get("source", dataset)
    manifest = load_manifest(store, snapshot.run_id)
    record = manifest.published.get(dataset) if manifest else None
    return Freshness(
        dataset,
        run_id=snapshot.run_id,
        rows=snapshot.rows,
        rows_before=record.rows_before if record else None,
        generated_at=generated_at if is_believed else None,
        published_at=published_at,
        checked_at=max(looks, default=None),
        reason=reason,
        source=source if source != dataset else None,
    )
