"""A death at any outward effect, within this process: from the chosen effect on, nothing has an effect any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, current_thread

from journeys.kit import Killed
from trials.effects import Effects, install

_LOG_THREAD = "bulkpull run log"


class KillSwitch(Effects):
    """Lets a number of effects pass, and raises `Killed` in place of all later ones."""

    def __init__(self, root: Path) -> None:
        self._root, self._turn = str(root), Lock()
        self._left: int | None = None

    def strike(self, kind: str, what: object = "") -> None:
        """One effect is about to happen."""
        with self._turn:
            if self._left is None:
                return
            if current_thread().name == _LOG_THREAD:
                if self._left == 0:
                    raise OSError(f"{kind} {what}")  # it writes nothing any more; an error of its own it takes itself
                return  # when it makes the log's folder depends on the machine, so it is not counted
            self._left = max(0, self._left - 1)
            if self._left == 0:
                raise Killed(f"{kind} {what}")

    @contextmanager
    def armed(self, effects: int | None) -> Iterator[None]:
        """Die at an effect, counted from 1; `None` for never."""
        self._left = effects
        try:
            yield
        finally:
            self._left = None


@contextmanager
def kill_switch(root: Path) -> Iterator[KillSwitch]:
    """A switch for everything that has an effect below `root`, or on the network."""
    switch = KillSwitch(root)
    undo = install(switch)
    try:
        yield switch
    finally:
        undo()
