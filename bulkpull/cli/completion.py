"""What the shell offers on Tab: names that the catalog and the simulator know; the service is never asked."""

from __future__ import annotations


def dataset_names(incomplete: str) -> list[str]:
    """Datasets of the catalog that begin like this, in any case."""
    from bulkpull.catalog import load_catalog

    return _beginning_with(incomplete, [dataset.name for dataset in load_catalog().datasets])


def timespans(incomplete: str) -> list[str]:
    """Time spans of the catalog that begin like this, the shortest first, and `widest`."""
    from bulkpull.catalog import load_catalog
    from bulkpull.timespans import WIDEST, order_by_length

    catalog = load_catalog()
    names = {*catalog.timespans, *(name for dataset in catalog.datasets for name in dataset.date_ranges)}
    return _beginning_with(incomplete, [*order_by_length(sorted(names)), WIDEST])


def fault_names(incomplete: str) -> list[str]:
    """Rows of the fault matrix and faults of the simulator that begin like this."""
    from bulkpull.simulator import FAULT_TABLE, STORIES

    return _beginning_with(incomplete, [*(row.id for row in FAULT_TABLE), *STORIES])


def _beginning_with(incomplete: str, names: list[str]) -> list[str]:
    # Keep the typed characters: typer drops candidates that begin otherwise, and names match in any case.
    return [incomplete + name[len(incomplete) :] for name in names if name.casefold().startswith(incomplete.casefold())]
