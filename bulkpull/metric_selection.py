"""
Chooses the metrics that a full export selects after the columns (pure).

The live service lists money and seats as metrics, not as columns, so an export of columns alone has neither (behaviour
159). A metric is computed for every combination of the selected columns; with all columns selected the sums
are kept, and rows that are equal in every column come as one (behaviours 63, 162 and 163).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bulkpull.catalog import CatalogDataset, MetricKind
from bulkpull.model import OfferedDataset
from bulkpull.query.render import can_stand_in_query, unique_names

MetricsChoice = Literal["amounts", "all", "none"]

_TOTAL, _COUNT = "total", "count"


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """
    The listed metrics of a dataset, selected or left out; names as the service spells them, in its order.

    Attributes:
        not_queryable: Those left out only because no query can carry their name (behaviour 68).
    """

    selected: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    not_queryable: tuple[str, ...] = ()


def kind_of_metric(name: str, *, offered: OfferedDataset, known: CatalogDataset | None) -> MetricKind:
    """
    What a listed metric adds to all listed columns of its dataset.

    The catalog tells amounts and counts. A total counts as one only while the column that it sums is listed: without
    that column its values are nowhere else. A metric that the catalog does not know is judged by its name.
    """
    documented = known.metric(name) if known else None
    if documented is not None and documented.kind is not MetricKind.TOTAL:
        return documented.kind
    folded = name.casefold()
    if documented is None and folded.endswith(_COUNT):
        return MetricKind.COUNT
    columns = {column.casefold() for column in offered.columns}
    return MetricKind.TOTAL if folded in columns or folded.removeprefix(_TOTAL) in columns else MetricKind.AMOUNT


def select_metrics(offered: OfferedDataset, *, known: CatalogDataset | None, choice: MetricsChoice) -> MetricChoice:
    """Choose among the listed metrics; one that is listed as a column too is selected as that column in any case."""
    columns = {column.casefold() for column in offered.columns}
    listed = [name for name in unique_names(offered.metrics) if name.casefold() not in columns]
    wanted = {
        name
        for name in listed
        if choice == "all"
        or (choice == "amounts" and kind_of_metric(name, offered=offered, known=known) is MetricKind.AMOUNT)
    }
    not_queryable = tuple(name for name in listed if name in wanted and not can_stand_in_query(name))
    selected = tuple(name for name in listed if name in wanted and name not in not_queryable)
    return MetricChoice(selected, tuple(name for name in listed if name not in selected), not_queryable)
