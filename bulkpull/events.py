"""Passes the events of a run to its listeners: the display, the log, the recorder. No step knows its listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import iscoroutine

from bulkpull.event_types import Event, Level, ListenerDropped, present_dataset

__all__ = ["Event", "Events", "Level", "Listener", "about"]

Listener = Callable[[Event], None]


class Events:
    """
    Passes each event to all listeners, in their order.

    A listener that raises cannot harm the work that it listens to (case L4): it is dropped, the others hear of it once,
    and `raise_faults` raises its exception when the work has ended.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self._dropped: list[Listener] = []
        self._faults: list[Exception] = []

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            if self._dropped and any(listener is other for other in self._dropped):
                continue
            try:
                _call(listener, event)
            except Exception as fault:  # noqa: BLE001 - whatever a listener raises
                self._drop(listener, fault, event)

    def _drop(self, listener: Listener, fault: Exception, event: Event) -> None:
        name = getattr(listener, "__qualname__", type(listener).__qualname__)
        fault.add_note(f"raised by the listener {name} at the event {event.name}; it heard no further event")
        self._dropped.append(listener)
        self._faults.append(fault)
        self.emit(ListenerDropped(listener=name, reason=f"{type(fault).__name__}: {fault}"))

    def raise_faults(self) -> None:
        """Raise what a listener raised, now that the work has ended: the exception itself, of several the first."""
        if self._faults:
            raise self._faults[0]

    @contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Let `listener` hear every event while the block lasts, after the others."""
        before, self._listeners = self._listeners, (*self._listeners, listener)
        try:
            yield
        finally:
            self._listeners = before


def _call(listener: Listener, event: Event) -> None:
    result: object = listener(event)  # type: ignore[func-returns-value]
    if result is not None and iscoroutine(result):
        result.close()
        raise TypeError("the listener is a coroutine function, which nobody would await; give a plain function")


@contextmanager
def about(dataset: str) -> Iterator[None]:
    """Bind `dataset` to every event of this task, and of the tasks it starts, until the block ends."""
    token = present_dataset.set(dataset)
    try:
        yield
    finally:
        present_dataset.reset(token)
