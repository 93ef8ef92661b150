"""No test reads or writes what the machine's owner keeps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from in_process import without_child_processes

# No test may fail because the machine is busy.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The per-user folder, where the token cache lies unless it is told otherwise; nobody made it yet."""
    home: Path = tmp_path_factory.getbasetemp() / f"user-{next(_numbers)}"
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture(autouse=True)
def _conversion_without_child_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Exports of this process convert in a thread, unless the test is about the children (`child_processes`)."""
    if request.node.get_closest_marker("child_processes"):
        yield
        return
    with without_child_processes():
        yield
