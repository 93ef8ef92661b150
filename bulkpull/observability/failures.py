"""The failures of a run, worst first (pure). Datasets with the same reason form one group: an outage is one failure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bulkpull.errors import AuthError, BulkpullError, DiskTrouble
from bulkpull.output.manifest import DatasetRecord, Manifest, is_lost

# Ids, counts and times differ from dataset to dataset within one and the same reason.
_ID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_VARYING = re.compile(rf"{_ID}|\d[\d.,]*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MOMENT_OR_ID = re.compile(rf"{_MOMENT.pattern}|{_ID}")
_UNKNOWN = "no reason known"
UNFINISHED = "unfinished"
"""The status of a dataset whose run goes on or was interrupted."""
SUBMITTED = "submitted"
"""The status of a dataset whose report was created and is not collected yet."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Datasets that failed for the same reason; `error` is the first's, `None` in a manifest that was read back."""

    datasets: list[str]
    reason: str
    error: BulkpullError | None = None

    @property
    def what(self) -> str:
        """What happened, as a sentence begins, without the name of a dataset."""
        what = self.error.what.removeprefix(f"{self.datasets[0]}: ") if self.error else self.reason
        return what[:1].upper() + what[1:]


def failure_groups(manifest: Manifest) -> list[FailureGroup]:
    """Requested datasets that failed, by reason: credentials first, then the most frequent, last what is absent."""
    records = failed_datasets(manifest)
    by_name = {record.dataset: record for record in records}
    groups = [
        FailureGroup(datasets, reason, by_name[datasets[0]].error)
        for datasets, reason in group_by_reason((record.dataset, _reason_of(record)) for record in records)
    ]

    def rank(group: FailureGroup) -> tuple[bool, bool, int]:
        is_refused = isinstance(group.error, AuthError)
        is_absent = by_name[group.datasets[0]].status == "unavailable"
        return is_absent and not is_refused, not is_refused, -len(group.datasets)

    return sorted(groups, key=rank)


def _reason_of(record: DatasetRecord) -> str:
    """The reason of a record; of a disk error without the file, which differs from dataset to dataset."""
    error = record.error
    if isinstance(error, DiskTrouble) and error.fix:
        return f"{record.dataset}: {error.what}; {error.fix}"
    return record.reason or _UNKNOWN


def failed_datasets(manifest: Manifest) -> list[DatasetRecord]:
    """Requested datasets that failed, in the manifest's order; a pull that an interruption left unfinished did not."""
    return [
        record
        for record in manifest.datasets
        if is_lost(record) and status_for_people(record, interrupted=manifest.interrupted) != UNFINISHED
    ]


def status_for_people(record: DatasetRecord, *, interrupted: bool, submitted: bool = False) -> str:
    """The record's status, or `UNFINISHED` after an interruption, or `SUBMITTED` where `runs resume` collects it."""
    if interrupted and record.status == "failed" and record.error is None:
        return UNFINISHED
    is_awaited = record.decision is not None and record.decision.action != "skip"
    return SUBMITTED if submitted and record.status == "skipped" and is_awaited else record.status


def group_by_reason(
    reasons: Iterable[tuple[str, str]], *, may_differ: Literal["numbers", "moments", "nothing"] = "numbers"
) -> list[tuple[list[str], str]]:
    """
    Datasets by reason, each once (pure); a reason may begin with its dataset's name.

    Reasons of one group may differ in ids and numbers, where the first stands for all; or in moments and ids alone, of
    which the earliest and the latest, or the first and a number, are shown.
    """
    varying = {"numbers": _VARYING, "moments": _MOMENT_OR_ID, "nothing": None}[may_differ]
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for dataset, reason in reasons:
        bare = reason.removeprefix(f"{dataset}: ")
        shape = bare.replace(dataset, "#")
        datasets, texts = groups.setdefault(varying.sub("#", shape) if varying else shape, ([], []))
        texts.append(bare)
        if dataset not in datasets:
            datasets.append(dataset)
    is_spanned = may_differ == "moments"
    return [(datasets, _spanned(texts) if is_spanned else texts[0]) for datasets, texts in groups.values()]


def _spanned(reasons: Sequence[str]) -> str:
    """Reasons that differ in moments and ids alone, as one: each moment as a span, and of several ids the first."""
    found = [_MOMENT_OR_ID.findall(reason) for reason in reasons]
    alike = iter([list(dict.fromkeys(texts)) for texts in zip(*found, strict=True)])

    def shown(found: re.Match[str]) -> str:
        preposition: str = found["preposition"] or ""
        values: list[str] = next(alike)
        if len(values) == 1:
            return f"{preposition}{values[0]}"
        if not _MOMENT.fullmatch(values[0]):
            return f"{preposition}{values[0]} and {len(values) - 1} more"
        first, last = min(values), max(values)
        if preposition == "at ":
            return f"between {first} and {last}"
        return f"than their data of {first} to {last}" if preposition else f"{first} to {last}"

    return re.sub(rf"(?P<preposition>\bat |\bthan )?(?:{_MOMENT_OR_ID.pattern})", shown, reasons[0])
