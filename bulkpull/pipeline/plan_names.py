"""Names of datasets: those of a request, those of the service's list, and what to say of unknown ones (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bulkpull.catalog import load_catalog
from bulkpull.errors import SettingsError
from bulkpull.model import OfferedDataset
from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean, nearest_names

# A dataset's name is used as a folder name, so other names are refused.
_SAFE_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,119}")
NAME_SHOWN = 80
"""Most characters of a foreign name that a message shows."""


def check_names(names: Iterable[str], *, queries: Sequence[str] = ()) -> None:
    """Refuse names that the catalog does not know, where the service cannot be asked; the error names the nearest."""
    ours = {query.casefold() for query in queries}
    for name in names:
        if load_catalog().find(name) is None and name.strip().casefold() not in ours:
            raise _unknown(name, others=queries)


def by_canonical_name(offered: Sequence[OfferedDataset]) -> tuple[dict[str, OfferedDataset], tuple[str, ...]]:
    """The listed datasets by canonical name, and notes about entries that cannot be used."""
    listed: dict[str, OfferedDataset] = {}
    notes: list[str] = []
    for dataset in offered:
        known = load_catalog().find(dataset.name)
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
    names: Sequence[str], *, listed: Mapping[str, OfferedDataset], queries: Sequence[str], everything: bool
) -> list[str]:
    """The canonical names of the requested datasets, each once; the twenty where none is named; refuse unknown ones."""
    catalog = load_catalog()
    if not names:
        standard = [dataset.name for dataset in catalog.standard]
        return standard + [name for name in listed if everything and name not in standard]
    folded = {name.casefold(): name for name in listed}
    requested: dict[str, None] = {}
    for name in names:
        known = catalog.find(name)
        canonical = known.name if known else folded.get(name.strip().casefold())
        if canonical is None:
            raise _unknown(name, others=(*listed, *queries))
        requested[canonical] = None
    return list(requested)


def _unknown(name: str, *, others: Sequence[str]) -> SettingsError:
    if "," in name:
        return SettingsError(
            f"unknown dataset {name.strip()!r}", why="a name cannot contain a comma", fix="give each name by itself"
        )
    hint = did_you_mean(name, [*(dataset.name for dataset in load_catalog().datasets), *others])
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
