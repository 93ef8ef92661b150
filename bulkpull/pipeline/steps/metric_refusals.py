"""
Handles queries that the service refuses because of their metrics (pure).

No document says whether every listed metric can be selected together with every column; a related API refuses some
(behaviour 68). A refusal may cost the amounts but never the dataset: the query is sent again without metrics. The
refusal is stored in the output folder, so that later runs do not repeat it, and is tried again after a week.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from bulkpull.errors import BulkpullError, ExecutionFailed, QuotaExceeded, RequestRejected
from bulkpull.formatting import join_some
from bulkpull.model import Pull
from bulkpull.output.ledger import NotedFacts
from bulkpull.output.ledger_facts import RefusedMetricsFacts
from bulkpull.query.render import unique_names
from bulkpull.redact import printable

RETRY_AFTER = timedelta(days=7)

_REASON_SHOWN = 200
_METRICS_SHOWN = 8
# Words with which a failed execution blames its query; other failures have nothing to do with metrics.
_BLAMES_QUERY = re.compile(r"metric|measure|aggregat|syntax|column|select|invalid|too long", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MetricRefusal:
    """The service refused to answer a dataset's query with these metrics; `refused_at` is aware UTC."""

    dataset: str
    metrics: tuple[str, ...]
    reason: str
    refused_at: datetime

    @classmethod
    def of(cls, pull: Pull, error: BulkpullError, *, at: datetime) -> Self:
        return cls(pull.dataset, pull.metrics, printable(error.why or error.what, most=_REASON_SHOWN), at)

    @property
    def note(self) -> str:
        missing = join_some(list(self.metrics), most=_METRICS_SHOWN)
        again = self.refused_at + RETRY_AFTER
        return (
            f"exported without {missing}: the service refused the query with these metrics on "
            f"{self.refused_at:%Y-%m-%d} ({self.reason}); they are requested again from {again:%Y-%m-%d} on"
        )


@dataclass(frozen=True, slots=True)
class MetricRefusals:
    """The refusals of an output folder that are still valid."""

    known: tuple[MetricRefusal, ...] = field(default=())

    @classmethod
    def read(cls, entries: Iterable[NotedFacts[RefusedMetricsFacts]], *, now: datetime) -> Self:
        """Read them off the ledger; those older than `RETRY_AFTER` do not count."""
        recent = [entry for entry in entries if now - entry.at < RETRY_AFTER]
        return cls(
            tuple(MetricRefusal(entry.dataset, entry.facts.metrics, entry.facts.reason, entry.at) for entry in recent)
        )

    def find(self, dataset: str, metrics: Sequence[str]) -> MetricRefusal | None:
        """The newest refusal of exactly these metrics of `dataset`, in any order; `None` where there is none."""
        wanted = _folded(metrics)
        found = [refusal for refusal in self.known if refusal.dataset == dataset and _folded(refusal.metrics) == wanted]
        return max(found, key=lambda refusal: refusal.refused_at, default=None) if wanted else None


def may_be_due_to_metrics(error: BulkpullError, pull: Pull) -> bool:
    """
    Whether a fault may be the service's refusal of the metrics that this tool added to the query of `pull`.

    A 400 in whatever words may be one, except for a used-up quota, and a failed execution whose words blame the query.
    Whether it is one shows only when the query without metrics is accepted.
    """
    if not pull.metrics or not pull.metrics_chosen:
        return False
    if isinstance(error, ExecutionFailed):
        return _BLAMES_QUERY.search((error.why or "")[: 10 * _REASON_SHOWN]) is not None
    return isinstance(error, RequestRejected) and not isinstance(error, QuotaExceeded)


def drop_metrics(pull: Pull) -> Pull:
    """The same pull without the metrics that were chosen for it."""
    columns = tuple(name for name in pull.columns if name not in pull.metrics)
    missing = _folded((*pull.metrics, *pull.metrics_left_out))
    names, fewer = ", ".join(pull.columns), ", ".join(columns)
    return replace(
        pull,
        columns=columns,
        query_text=pull.query_text.replace(f" {names} FROM ", f" {fewer} FROM ", 1),
        metrics=(),
        metrics_left_out=tuple(name for name in unique_names(pull.offered.metrics) if name.casefold() in missing),
    )


def without_refused(pull: Pull, refusals: MetricRefusals) -> Pull:
    """The pull without its metrics, and with a note, if the service refused them lately."""
    refusal = refusals.find(pull.dataset, pull.metrics) if pull.metrics_chosen else None
    if refusal is None:
        return pull
    return replace(drop_metrics(pull), notes=(*pull.notes, refusal.note))


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)
