"""
The differences between operating systems, behind one interface: `posix` has it, with macOS; `windows` overrides it.

The rest of the program calls `current()` and never reads `os.name` or `sys.platform`. The tests run all three
implementations on one machine. No real run on Windows has been done yet; the release workflow contains one.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from pathlib import Path

from bulkpull.platforms.posix import INTERRUPTED, MacOS, Platform

__all__ = ["INTERRUPTED", "NO_ROOM", "Platform", "choose_platform", "current", "mount_point"]


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of an `OSError` that mean a full disk, or a quota that is used up."""


def choose_platform(name: str) -> Platform:
    """The implementation for a value of `sys.platform`: POSIX if not Windows or macOS."""
    if name == "win32":
        from bulkpull.platforms.windows import Windows  # noqa: PLC0415 - elsewhere it is not needed

        return Windows()
    return MacOS() if name == "darwin" else Platform()


@cache
def current() -> Platform:
    """The implementation for the system that this process runs on."""
    return choose_platform(sys.platform)


def mount_point(path: Path) -> Path:
    """Where the file system that holds `path` is mounted: the name of the disk in messages."""
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if os.path.ismount(folder)), path.parents[-1])
