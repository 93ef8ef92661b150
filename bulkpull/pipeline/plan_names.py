"""What a plan is made from: its options, and the names of datasets, requested and listed (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bulkpull.catalog import Catalog, load_catalog
from bulkpull.custom_query import Selection
from bulkpull.errors import SettingsError
from bulkpull.metric_selection import MetricsChoice
from bulkpull.model import OfferedDataset, Window
from bulkpull.pipeline.steps.metric_refusals import MetricRefusal
from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean, nearest_names

# A dataset's name is used as a folder name, so other names are refused.
_SAFE_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,119}")
NAME_SHOWN = 80
"""Most characters of a foreign name that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """
    The options of a plan, for whole datasets and custom queries; those of `ExportRequest` have its names.

    Attributes:
        queries: The named queries of the settings, one of which a misspelled name may mean.
        timespan: A TIMESPAN name, `widest`, or `None` for the widest up to the catalog's default.
        system_texts: The text of each system query that a selection names, by its id; others are not stored.
        refusals: Recent refusals of metrics: their datasets are requested without these metrics.
        history_starts: Where the published histories begin, by the names of their selections.
        now: End of the window of a history that is requested without a window; `None` leaves it open.
    """

    catalog: Catalog = field(default_factory=load_catalog)
    queries: Sequence[str] = ()
    timespan: str | None = None
    window: Window | None = None
    everything: bool = False
    selections: Sequence[Selection] = ()
    only_selections: bool = False
    system_texts: Mapping[str, str] = field(default_factory=dict)
    metrics: MetricsChoice = "amounts"
    refusals: tuple[MetricRefusal, ...] = ()
    history_starts: Mapping[str, datetime] = field(default_factory=dict)
    now: datetime | None = None


def check_names(names: Iterable[str], *, catalog: Catalog, queries: Sequence[str] = ()) -> None:
    """Refuse names that the catalog does not know, where the service cannot be asked; the error names the nearest."""
    ours = {query.casefold() for query in queries}
    for name in names:
        if catalog.find(name) is None and name.strip().casefold() not in ours:
            raise _unknown(name, known=[*(dataset.name for dataset in catalog.datasets), *queries])


def by_canonical_name(
    offered: Sequence[OfferedDataset], *, catalog: Catalog
) -> tuple[dict[str, OfferedDataset], tuple[str, ...]]:
    """The listed datasets by canonical name, and notes about entries that cannot be used."""
    listed: dict[str, OfferedDataset] = {}
    notes: list[str] = []
    for dataset in offered:
        known = catalog.find(dataset.name)
        name = known.name if known else dataset.name
        if not _SAFE_DATASET.fullmatch(name):
            notes.append(
                f"the service lists a dataset named {printable(name, most=NAME_SHOWN)!r}, which is left out: "
                "a dataset's name has to begin with a letter and go on with letters, digits, - and _"
            )
        # Listed under its own name and an alias of another edition: its own name wins.
        elif name not in listed or dataset.name == name:
            listed[name] = dataset
    return listed, tuple(notes)


def requested_datasets(
    names: Sequence[str], *, listed: Mapping[str, OfferedDataset], options: PlanOptions
) -> list[str]:
    """
    The canonical names of the requested datasets, each once; the twenty of the catalog where none is named.

    Raises:
        SettingsError: A name is known neither to the catalog nor to the service.
    """
    catalog = options.catalog
    if not names:
        standard = [dataset.name for dataset in catalog.standard]
        return standard + [name for name in listed if options.everything and name not in standard]
    folded = {name.casefold(): name for name in listed}
    requested: dict[str, None] = {}
    for name in names:
        known = catalog.find(name)
        canonical = known.name if known else folded.get(name.strip().casefold())
        if canonical is None:
            raise _unknown(name, known=[*(dataset.name for dataset in catalog.datasets), *listed, *options.queries])
        requested[canonical] = None
    return list(requested)


def _unknown(name: str, *, known: Sequence[str]) -> SettingsError:
    if "," in name:
        return SettingsError(
            f"unknown dataset {name.strip()!r}", why="a name cannot contain a comma", fix="give each name by itself"
        )
    hint = did_you_mean(name, known)
    return SettingsError(
        f"unknown dataset {name.strip()!r}",
        why="no known dataset has that name or alias",
        fix=f"{hint + ' ' if hint else ''}`bulkpull datasets` shows the names",
    )


def not_offered_reason(dataset: str, *, listed: Mapping[str, OfferedDataset]) -> str:
    """Why a dataset that the catalog knows cannot be exported, with the nearest names that can."""
    near = nearest_names(dataset, listed, n=2, cutoff=0.5)
    hint = f"; nearest on offer: {', '.join(near)}" if near else ""
    return (
        f"{dataset}: not offered to this account by the service{hint}; "
        "`bulkpull datasets` shows what is offered, which depends on the account's programs and role"
    )
