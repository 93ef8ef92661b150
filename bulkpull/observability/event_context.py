"""Which dataset an event of a report concerns: the poller watches reports and knows no datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bulkpull.events import Event


@dataclass(slots=True)
class EventContext:
    """Learns whose report is whose, from the events that tell it, and adds the dataset where it is missing."""

    _dataset_of: dict[str, str] = field(default_factory=dict)

    def of(self, event: Event) -> Event:
        """The event, with its dataset if that is known."""
        report_id = event.facts.get("report_id")
        if not isinstance(report_id, str):
            return event
        if event.dataset is not None:
            self._dataset_of[report_id] = event.dataset
            return event
        return replace(event, dataset=self._dataset_of.get(report_id))
