"""
Which states of a disk a power cut may leave, from a recording of what was done to it.

POSIX promises little: bytes are there for certain when their file was synced after them, a name (made, moved or
removed) when its folder was. Everything later may be there or not, each thing for itself. A rename happens whole or
not at all, and lasts when one of its two folders was synced.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

NOTHING = ""
"""The digest of a file without bytes."""


@dataclass(eq=False, slots=True)
class Node:
    """
    A file, a folder or a link, whatever its name.

    Attributes:
        contents: When (number of the entry) which bytes were in the file, and whether they were synced then.
        synced: When the names in the folder were.
    """

    kind: Literal["file", "folder", "link"]
    target: str = ""
    contents: list[tuple[int, str, bool]] = field(default_factory=list)
    synced: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """A name in a folder that came, went (`node` is `None`), or came from elsewhere (`source`)."""

    number: int
    folder: Node
    name: str
    node: Node | None
    source: tuple[Node, str] | None = None

    def lasts_at(self, number: int) -> bool:
        """Whether it was durable when entry `number` had been written."""
        folders = (self.folder, self.source[0]) if self.source else (self.folder,)
        return any(self.number < synced <= number for folder in folders for synced in folder.synced)


Names = dict[Node, dict[str, Node]]


class Disk:
    """
    The history of a folder.

    Args:
        log: What a `Recorder` has written.
        before: A copy of the folder as it was before; it is taken to be durable.
    """

    def __init__(self, log: Path, *, before: Path | None = None) -> None:
        self.entries = [json.loads(line) for line in (log / "entries.jsonl").read_text("utf-8").splitlines()]
        self._bytes = log / "bytes"
        self.root = Node("folder")
        self._changes: list[Change] = []
        self._first: Names = {self.root: {}}
        if before is not None:
            self._copy(before, self.root)
        self._live: Names = {folder: dict(names) for folder, names in self._first.items()}
        for number, (kind, *facts) in enumerate(self.entries):
            getattr(self, f"_{kind}", lambda *_: None)(number, *facts)

    def __len__(self) -> int:
        return len(self.entries)

    def recorded(self, kind: str, number: int) -> str | None:
        """The last fact of that kind up to entry `number`."""
        return next((facts[0] for word, *facts in reversed(self.entries[: number + 1]) if word == kind), None)

    def after(self, number: int, *, chance: Chance) -> State:
        """A state that a power cut may leave right after entry `number`."""
        names: Names = {folder: dict(held) for folder, held in self._first.items()}
        for change in self._changes:
            if change.number <= number and (change.lasts_at(number) or chance.keeps_name()):
                _apply(change, names)
        found: dict[str, tuple[str, str]] = {}
        facts: dict[Node, str] = {}
        for path, node in self._reached(names):
            if node not in facts:  # a file may have several names
                known = [item for item in node.contents if item[0] <= number]
                facts[node] = chance.bytes_of(known) if node.kind == "file" else node.target
            found[path] = (node.kind, facts[node])
        return State(found, self._bytes)

    def _reached(self, names: Names) -> Iterator[tuple[str, Node]]:
        """Path and node of all that hangs together with the root, folders before what they hold."""
        left = [("", self.root)]
        while left:
            path, folder = left.pop()
            for name, node in sorted(names.get(folder, {}).items()):
                yield f"{path}{name}", node
                if node.kind == "folder":
                    left.append((f"{path}{name}/", node))

    # What each kind of entry does.

    def _mkdir(self, number: int, path: str) -> None:
        self._come(number, path, Node("folder"))

    def _symlink(self, number: int, path: str, target: str) -> None:
        self._come(number, path, Node("link", target))

    def _link(self, number: int, path: str, named: str) -> None:
        folder, name = self._place(path)
        self._come(number, named, self._live[folder][name])

    def _content(self, number: int, path: str, digest: str, *, is_synced: bool = False) -> None:
        folder, name = self._place(path)
        node = self._live[folder].get(name)
        if node is None:
            node = Node("file")
            self._come(number, path, node)
        node.contents.append((number, digest, is_synced))

    def _sync(self, number: int, path: str, digest: str) -> None:
        self._content(number, path, digest, is_synced=True)

    def _syncdir(self, number: int, path: str) -> None:
        (self._find(path) if path else self.root).synced.append(number)

    def _remove(self, number: int, path: str) -> None:
        folder, name = self._place(path)
        del self._live[folder][name]
        self._changes.append(Change(number, folder, name, None))

    def _rename(self, number: int, before: str, after: str) -> None:
        source, folder = self._place(before), self._place(after)
        node = self._live[source[0]].pop(source[1])
        self._live[folder[0]][folder[1]] = node
        self._changes.append(Change(number, *folder, node, source))

    def _come(self, number: int, path: str, node: Node) -> None:
        folder, name = self._place(path)
        self._live[folder][name] = node
        self._live.setdefault(node, {})
        self._changes.append(Change(number, folder, name, node))

    def _place(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.rpartition("/")
        return (self._find(folder) if folder else self.root), name

    def _find(self, path: str) -> Node:
        node = self.root
        for name in path.split("/"):
            node = self._live[node][name]
        return node

    def _copy(self, folder: Path, node: Node) -> None:
        for path in folder.iterdir():
            if path.is_symlink():
                made = Node("link", str(path.readlink()))
            elif path.is_dir():
                made = Node("folder")
                self._first[made] = {}
                self._copy(path, made)
            else:
                made = Node("file", contents=[(-1, str(path), True)])
            self._first[node][path.name] = made


@dataclass(frozen=True, slots=True)
class State:
    """
    What a disk holds.

    Attributes:
        found: By path: its kind, and its target or the digest of its bytes.
    """

    found: dict[str, tuple[str, str]]
    _bytes: Path

    @property
    def key(self) -> tuple[tuple[str, tuple[str, str]], ...]:
        """Equal for equal states."""
        return tuple(sorted(self.found.items()))

    def lay_out(self, root: Path) -> None:
        """Make it so in the empty folder `root`."""
        for path, (kind, fact) in self.found.items():
            match kind:
                case "folder":
                    (root / path).mkdir()
                case "link":
                    (root / path).symlink_to(fact)
                case _:
                    (root / path).write_bytes(self.content(fact))

    def content(self, digest: str) -> bytes:
        """The bytes of that digest, or of the file that it names; `#n` at the end means the first n of them."""
        whole, _, cut = digest.partition("#")
        content = (self._bytes / whole).read_bytes() if whole else b""
        return content[: int(cut)] if cut else content


class Chance:
    """What becomes of that which was not synced: here, nothing of it is kept."""

    def keeps_name(self) -> bool:
        """Whether a change of a name outlives the cut."""
        return False

    def bytes_of(self, contents: list[tuple[int, str, bool]]) -> str:
        """Which bytes a file has, of those that it had in turn."""
        return next((digest for _, digest, is_synced in reversed(contents) if is_synced), NOTHING)


class NamesOnly(Chance):
    """Names are kept and bytes are not, as by file systems that write their journal first."""

    def keeps_name(self) -> bool:
        return True


class Everything(NamesOnly):
    """All is kept, as after the death of the process alone."""

    def bytes_of(self, contents: list[tuple[int, str, bool]]) -> str:
        return contents[-1][1] if contents else NOTHING


class Mixed(Chance):
    """Each thing for itself, by the throw of a die; bytes may be cut."""

    def __init__(self, seed: object) -> None:
        self._die = random.Random(str(seed))  # noqa: S311 - a choice of cases

    def keeps_name(self) -> bool:
        return self._die.random() < 0.5

    def bytes_of(self, contents: list[tuple[int, str, bool]]) -> str:
        kept = super().bytes_of(contents)
        last = max((number for number, _, is_synced in contents if is_synced), default=-1)
        later = [digest for number, digest, is_synced in contents if number > last and not is_synced]
        choices = [kept, *later, *(f"{digest}#{self._die.randrange(1, 400)}" for digest in later)]
        return self._die.choice(choices)


def _apply(change: Change, names: Names) -> None:
    held = names.setdefault(change.folder, {})
    if change.node is None:
        held.pop(change.name, None)
        return
    if change.source is not None:
        folder, name = change.source
        if names.get(folder, {}).get(name) is change.node:
            del names[folder][name]
    held[change.name] = change.node


def prefixes(disk: Disk, *, most: int | None) -> Iterator[int]:
    """The numbers of entries to cut after: every effect on the disk, or `most` of them spread evenly."""
    effects = [number for number, (kind, *_) in enumerate(disk.entries) if kind not in ("surroundings", "ledger")]
    count = len(effects) if most is None else min(most, len(effects))
    yield from (effects[len(effects) * turn // count] for turn in range(count))
