"""Storage of a cache entry: a private file, or by msal-extensions DPAPI, the keychain or libsecret."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulkpull import platforms
from bulkpull.output.atomic_files import remove_stale_temp_files, sync_folder, write_atomically

_SYSTEMS = {"win32": "DPAPI", "darwin": "the keychain", "linux": "libsecret"}


class PrivateFile:
    """A file of mode 0600, replaced as a whole."""

    encrypted = False

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def description(self) -> str:
        return f"unencrypted in {self._path}, which only this user may read"

    def load(self) -> str | None:
        with suppress(FileNotFoundError):
            return self._path.read_text(encoding="utf-8")
        return None

    def save(self, text: str) -> None:
        write_atomically(self._path, text, private=True)

    def remove_unfinished(self) -> None:
        """Remove what a killed process had written and not yet put in place; the caller holds the entry's lock."""
        remove_stale_temp_files(self._path.parent, root=self._path.parent, names={self._path.name})

    def forget(self) -> bool:
        self.remove_unfinished()
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        sync_folder(self._path.parent)
        return True


class SystemStore:
    """The operating system's own store."""

    encrypted = True

    def __init__(self, path: Path, persistence: Any) -> None:
        self._path, self._persistence = path, persistence

    @property
    def description(self) -> str:
        return f"encrypted by {_SYSTEMS.get(sys.platform, 'the operating system')}, as {self._path} marks"

    def load(self) -> str | None:
        if not self._path.exists():
            return None
        return str(_asked(self._persistence.load)) or None

    def save(self, text: str) -> None:
        _asked(self._persistence.save, text)
        descriptor = platforms.current().open_file(self._path, os.O_RDWR)
        try:
            platforms.current().sync_file(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self._path.parent)

    def forget(self) -> bool:
        """The libraries have no removal, so the text is emptied before its mark goes."""
        if not self._path.exists():
            return False
        with suppress(OSError):
            _asked(self._persistence.save, "")
        self._path.unlink(missing_ok=True)
        return True


Store = PrivateFile | SystemStore
"""Holds the text of one entry; every method raises `OSError` where the disk or the system refuses."""


def _asked(method: Any, *arguments: str) -> Any:
    """Ask the system; whatever its libraries raise (each its own kind) becomes an `OSError` with no secret in it."""
    try:
        return method(*arguments)
    except Exception as refused:  # noqa: BLE001 - see above
        trouble = type(refused).__name__
    raise OSError(0, f"the operating system's store does not answer ({trouble})")


def system_store(path: Path) -> SystemStore | None:
    """The operating system's store over `path`; `None` where there is none, or msal-extensions is not installed."""
    # It logs a traceback where libsecret's Python package is missing, which is no fault but the usual case on servers.
    logging.getLogger("msal_extensions").propagate = False
    try:
        from msal_extensions import build_encrypted_persistence  # noqa: PLC0415 - an extra, and slow to load

        return SystemStore(path, build_encrypted_persistence(str(path)))
    except Exception:  # noqa: BLE001 - each system's libraries have errors of their own: all mean that there is no store
        return None
