"""An output that exists in memory alone: the double for tests of what works over a store."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path

from bulkpull.errors import OutputLocked
from bulkpull.output.symlink_safety import inner_parts


class MemoryStore:
    """Files by their names; one lock. There are no links, so that `latest/` is left out."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, ...], bytes] = {}
        self._versions: Counter[tuple[str, ...]] = Counter()
        self._locked_since: datetime | None = None

    def __str__(self) -> str:
        return "memory://"

    def place(self, name: Path) -> str:
        return f"memory://{name.as_posix()}"

    def read(self, name: Path) -> bytes | None:
        return self._files.get(_parts(name))

    @contextmanager
    def open(self, name: Path) -> Iterator[BytesIO]:
        yield self.source(name)

    def source(self, name: Path) -> BytesIO:
        return BytesIO(self._content(name))

    def size_bytes(self, name: Path) -> int:
        return len(self._content(name))

    def version(self, name: Path) -> str | None:
        return str(self._versions[_parts(name)]) if _parts(name) in self._files else None

    def exists(self, name: Path) -> bool:
        return _parts(name) in self._files or bool(self.list_names(name))

    def check_folder(self, name: Path) -> None:
        if _parts(name) in self._files:
            raise NotADirectoryError(errno.ENOTDIR, f"{name} is not a folder")

    def put(self, name: Path, text: str) -> None:
        self._put(_parts(name), text.encode())

    def put_file(self, file: Path, name: Path) -> None:
        self._put(_parts(name), file.read_bytes())

    def put_link(self, name: Path, target: str) -> bool:
        del target
        _parts(name)
        return False

    def link_target(self, name: Path) -> str | None:
        _parts(name)
        return None

    def is_same_folder(self, one: Path, other: Path) -> bool:
        return _parts(one) == _parts(other)

    def sync(self) -> None:
        """Nothing: what is put here is there at once."""

    def put_folder(self, folder: Path, name: Path) -> None:
        parts = _parts(name)
        found = {path.relative_to(folder).parts: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.delete(name)
        for inner, content in found.items():
            self._put((*parts, *inner), content)
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

    def lock(self, *, since: datetime) -> AbstractAsyncContextManager[Callable[[], None]]:
        return self._lock(since)

    @asynccontextmanager
    async def _lock(self, since: datetime) -> AsyncIterator[Callable[[], None]]:
        if self._locked_since is not None:
            raise OutputLocked(f"another run is writing since {self._locked_since}")
        self._locked_since = since
        try:
            yield lambda: None
        finally:
            self._locked_since = None

    def _put(self, parts: tuple[str, ...], content: bytes) -> None:
        self._files[parts] = content
        self._versions[parts] += 1

    def _content(self, name: Path) -> bytes:
        content = self.read(name)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, f"there is no {name}")
        return content


def _parts(name: Path) -> tuple[str, ...]:
    return inner_parts(name.as_posix())
