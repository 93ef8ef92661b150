"""Where the file system has no locks nothing pretends to hold one: a lock by a file's existence survives a kill."""

from __future__ import annotations

import errno
import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpull.auth import Identity, TokenCache
from bulkpull.errors import DiskTrouble
from bulkpull.output.lock import locked


@pytest.fixture(autouse=True)
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems answer."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)


@pytest.mark.case("C42")
async def test_a_run_says_that_it_cannot_lock_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble, match="file system without locks"):
        async with locked(tmp_path / ".bulkpull", since=datetime(2026, 11, 23, 2, tzinfo=UTC)):
            pass


@pytest.mark.case("C42")
def test_a_sign_in_is_not_rotated_under_a_soft_lock(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "tokens", Identity("tenant-1", "app-1", "https://login.example/t"), encrypt=False)

    with pytest.raises(OSError, match=r"not implemented|ot supported|lock") as caught:
        cache.take_turn()

    assert caught.value.errno in (errno.ENOSYS, errno.ENOTSUP)
