"""
Compares the service's list of datasets with what this folder has published (pure).

The list depends on role and account (behaviour 27), so a dataset that was never exported may simply be missing from it.
A list without any requested dataset, or without a dataset that was published here before, means that a role was
removed, the wrong account signed in, or the service has an error. Such a run must not count as complete.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bulkpull.catalog import Catalog
from bulkpull.errors import AuthError, NotFound
from bulkpull.model import OfferedDataset
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.plan import Plan, Unavailable
from bulkpull.pipeline.plan_options import PlanOptions

_ROLE = (
    "check that `api_base_url` is right, and that the user is of the right partner account and still has the role "
    '"Executive report viewer", which works after up to an hour (`bulkpull auth check`)'
)


def published_datasets(published: Mapping[str, DatasetRecord], *, catalog: Catalog) -> frozenset[str]:
    """The datasets with a snapshot in this folder, by canonical name; custom queries have names of their own."""
    return frozenset(
        name
        for name, record in published.items()
        # Without its manifest the query of a snapshot is unknown, and may be a custom one.
        if record.source in (None, name) and (record.query is not None or catalog.find(name) is not None)
    )


def check_offer(
    plan: Plan,
    *,
    offered: Collection[OfferedDataset],
    published: frozenset[str],
    options: PlanOptions,
    is_list_found: bool = True,
) -> Plan:
    """
    The plan, with datasets that are no longer listed as failed.

    Args:
        published: As `published_datasets` gives it.
        options: With `everything`, what was listed once is wanted as well.
        is_list_found: Whether the service answered with a list, and not with 404.

    Returns:
        The same plan but for `unavailable`. A published dataset that is gone is `failed`; so is every dataset when
        nothing at all is on offer, or nothing of the usual datasets. When all that was published is gone the error is
        an `AuthError`.
    """
    on_offer = {options.catalog.canonical(dataset.name) for dataset in offered if dataset.columns}
    gone = published - on_offer
    is_access_lost = bool(published) and gone == published
    is_nothing_there = not any(pull.source is None for pull in plan.pulls)
    planned = {pull.dataset for pull in plan.pulls} | {one.dataset for one in plan.unavailable}
    forgotten = sorted(gone - planned) if options.everything else []
    missing = [*plan.unavailable, *(Unavailable(dataset, "", named=False) for dataset in forgotten)]

    def as_failed(one: Unavailable) -> Unavailable:
        if one.source is not None or one.failed:
            return one
        if is_access_lost:
            error = AuthError(
                f"{one.dataset}: the service lists none of the datasets that this folder has published "
                f"({len(published)})",
                why="the role may have been removed, or this is another account",
                fix=_ROLE,
            )
            return replace(one, reason=error.reason, failed=True, error=error)
        if one.dataset in gone:
            lost = NotFound(
                f"{one.dataset}: the service does not list it any more, though this folder has published it",
                fix=f"{_ROLE}; `bulkpull datasets` shows what is listed, and the published snapshot stays as it is",
            )
            return replace(one, reason=lost.reason, failed=True, error=lost)
        if is_nothing_there and (not offered or not one.named):
            what = "offers no dataset at all" if not offered else "offers none of the requested datasets"
            if not is_list_found:
                what = "has no list of datasets at this address (404)"
            nothing = NotFound(f"{one.dataset}: the service {what}", fix=_ROLE)
            return replace(one, reason=nothing.reason, failed=True, error=nothing)
        return one

    return replace(plan, unavailable=tuple(as_failed(one) for one in missing))
