"""
How far a run is, told each minute while it lasts (pure).

A log without new lines, or an old metrics file, does not tell a run that waits for the service from one that hangs.
"""

from __future__ import annotations

from typing import Any

from bulkpull.formatting import join_some
from bulkpull.observability.progress import Progress

INTERVAL_S = 60.0
"""Seconds between two of these messages."""
_MOST_NAMED = 4


def progress_facts(progress: Progress, *, now_s: float) -> dict[str, Any]:
    """
    The facts of the event `run.progressed`.

    Args:
        now_s: The present moment, on the scale of `progress.began_s`.

    Returns:
        `done`, `failed` and `total` datasets, `elapsed_s`, `downloaded_bytes`; for each step the datasets that are in
        it (`waiting` for the service to begin, `running` while it makes the report); how many are `not_started`; and
        in `slowed_by` what holds the run up.
    """
    done, failed, total = progress.counts()
    datasets = {state: join_some(names, most=_MOST_NAMED) for state, names in progress.datasets_by_state().items()}
    return {
        "done": done,
        "failed": failed,
        "total": total,
        "elapsed_s": round(now_s - progress.began_s),
        "downloaded_bytes": progress.done_bytes(),
        **datasets,
        "not_started": total - len(progress.lines) or None,
        "slowed_by": "; ".join(progress.hindrances(now_s=now_s)) or None,
    }
