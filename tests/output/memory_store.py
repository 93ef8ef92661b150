"""An output that exists in memory alone: the double for tests of what works over a store."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bulkpull.errors import OutputLocked
from bulkpull.output.no_follow import inner_parts


class MemoryStore:
    """Files by their names; one lock."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, ...], bytes] = {}
        self._locked_since: str | None = None

    def read(self, name: Path) -> bytes | None:
        return self._files.get(_parts(name))

    def put(self, name: Path, text: str) -> None:
        self._files[_parts(name)] = text.encode()

    def put_folder(self, folder: Path, name: Path) -> None:
        parts = _parts(name)
        found = {path.relative_to(folder).parts: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.delete(name)
        self._files |= {(*parts, *inner): content for inner, content in found.items()}
        shutil.rmtree(folder)

    def swap_pointer(self, name: Path, text: str) -> None:
        self.put(name, text)

    def list_names(self, name: Path) -> list[str]:
        parts = _parts(name)
        depth = len(parts)
        return sorted({path[depth] for path in self._files if path[:depth] == parts and len(path) > depth})

    def delete(self, name: Path) -> bool:
        parts = _parts(name)
        self._files = {path: content for path, content in self._files.items() if path[: len(parts)] != parts}
        return True

    def delete_leftovers(self) -> None:
        """Nothing: what is deleted here is gone at once."""

    def lock(self, *, since: str) -> AbstractAsyncContextManager[Callable[[], None]]:
        return self._lock(since)

    @asynccontextmanager
    async def _lock(self, since: str) -> AsyncIterator[Callable[[], None]]:
        if self._locked_since is not None:
            raise OutputLocked(f"another run is writing since {self._locked_since}")
        self._locked_since = since
        try:
            yield lambda: None
        finally:
            self._locked_since = None


def _parts(name: Path) -> tuple[str, ...]:
    return inner_parts(name.as_posix())
