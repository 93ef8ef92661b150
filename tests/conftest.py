"""No test reads or writes what the machine's owner keeps."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The per-user folder, where the token cache lies unless it is told otherwise; nobody made it yet."""
    home: Path = tmp_path_factory.getbasetemp() / f"user-{next(_numbers)}"
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
