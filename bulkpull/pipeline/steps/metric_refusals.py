"""
Handles queries that the service refuses because of their metrics (pure).

No document says whether every listed metric can be selected together with every column; a related API refuses some
(behaviour 68). A refusal may cost the amounts but never the dataset: the query is sent again without metrics. The
refusal is stored in the output folder, so that later runs do not repeat it, and is tried again after a week.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

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


MetricRefusal = NotedFacts[RefusedMetricsFacts]


def metric_refusal(pull: Pull, error: BulkpullError, *, at: datetime) -> MetricRefusal:
    reason = printable(error.why or error.what, most=_REASON_SHOWN)
    return NotedFacts(pull.dataset, at, RefusedMetricsFacts(pull.metrics, reason))


def describe_refusal(refusal: MetricRefusal) -> str:
    missing = join_some(list(refusal.facts.metrics), most=_METRICS_SHOWN)
    return (
        f"exported without {missing}: the service refused the query with these metrics on {refusal.at:%Y-%m-%d} "
        f"({refusal.facts.reason}); they are requested again from {refusal.at + RETRY_AFTER:%Y-%m-%d} on"
    )


def recent_refusals(noted: Iterable[MetricRefusal], *, now: datetime) -> tuple[MetricRefusal, ...]:
    """Those that still count: not older than `RETRY_AFTER`."""
    return tuple(refusal for refusal in noted if now - refusal.at < RETRY_AFTER)


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


def without_refused(pull: Pull, refusals: Iterable[MetricRefusal]) -> Pull:
    """The pull without its metrics, and with a note, if the service lately refused exactly these, in any order."""
    if not pull.metrics or not pull.metrics_chosen:
        return pull
    of_pull = (pull.dataset, _folded(pull.metrics))
    same = [refusal for refusal in refusals if (refusal.dataset, _folded(refusal.facts.metrics)) == of_pull]
    newest = max(same, key=lambda refusal: refusal.at, default=None)
    if newest is None:
        return pull
    return replace(drop_metrics(pull), notes=(*pull.notes, describe_refusal(newest)))


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)
