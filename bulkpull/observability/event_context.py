"""Adds the dataset to events about a report: the poller knows reports but not datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bulkpull.event_types import Event


@dataclass(slots=True)
class EventContext:
    """Learns the dataset of each report from earlier events, and adds it where it is missing."""

    _dataset_of: dict[str, str] = field(default_factory=dict)

    def of(self, event: Event) -> Event:
        """The event, with its dataset if that is known."""
        report_id = getattr(event, "report_id", None)
        if report_id is None:
            return event
        if event.dataset is not None:
            self._dataset_of[report_id] = event.dataset
            return event
        return replace(event, dataset=self._dataset_of.get(report_id))
