"""What a plan is made from, besides names and the service's list: one value for whole datasets and custom queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bulkpull.catalog import Catalog, load_catalog
from bulkpull.custom_query import Selection
from bulkpull.metric_selection import MetricsChoice
from bulkpull.model import Window
from bulkpull.pipeline.steps.metric_refusals import MetricRefusals


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """
    The options of a plan.

    Attributes:
        queries: The named queries of the settings, one of which a misspelled name may mean.
        timespan: A TIMESPAN name, `widest`, or `None` for the widest up to the catalog's default.
        window: Days to ask for beyond what a TIMESPAN can say.
        everything: All that the service lists, beyond the twenty.
        selections: Custom queries, published under their own names.
        only_selections: No other dataset is requested.
        system_texts: The text of each system query that a selection names, by its id; others are not stored.
        metrics: Which metrics are selected where all columns are.
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
    refusals: MetricRefusals = field(default_factory=MetricRefusals)
    history_starts: Mapping[str, datetime] = field(default_factory=dict)
    now: datetime | None = None
