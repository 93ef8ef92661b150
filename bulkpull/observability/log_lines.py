"""
Log lines: the log of a run and the log on standard error are made of the same entries.

An entry is time, level, event, and the event's facts without secrets, in this order.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bulkpull.clock import stamp_of
from bulkpull.event_types import Event
from bulkpull.redact import printable_value

Entry = dict[str, Any]


def event_entry(event: Event, *, at: datetime | None = None, **more: object) -> Entry:
    """The entry of an event that happened at `at`; by default, now. `more` are facts that go before its own."""
    facts = more | {"dataset": event.dataset} | {name: value for name, value in event.facts.items() if name not in more}
    return make_entry(event.name, facts, level=event.level, at=at)


def make_entry(name: str, facts: Mapping[str, object], *, level: int, at: datetime | None = None) -> Entry:
    """An entry with the facts that are known; their texts can neither steer a terminal nor break a line."""
    head = {
        "timestamp": stamp_of(at or datetime.now(UTC)),
        "level": logging.getLevelName(int(level)).lower(),
        "event": name,
    }
    return head | {key: printable_value(value, name=key) for key, value in facts.items() if value is not None}


def json_line(entry: Entry) -> str:
    """An entry as one line of JSON, without its end."""
    return json.dumps(entry, ensure_ascii=False)
