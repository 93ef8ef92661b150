"""
The token cache of one sign-in: its entry, and the lock between processes.

A folder of mode 0700 holds, per sign-in, `NAME.json` (a private file) or `NAME.bin` (the system's), and `NAME.lock`.
Where the folder that the settings name is shared with others, a private one is made within it.

A refresh token in the settings is the seed of a chain: each redemption may return the next token. The cached token is
used as long as the seed stays the same; a new seed in the settings wins.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bulkpull import platforms
from bulkpull.auth.token_stores import PrivateFile, Store, system_store
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.redact import register_token


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose tokens these are: application, user where the settings name one, and the endpoint that gives them."""

    tenant_id: str
    client_id: str
    token_url: str
    username: str | None = None

    @property
    def name(self) -> str:
        """A file name that reveals nothing; the same for the same sign-in, whatever its letter case."""
        identity = "\n".join((self.tenant_id, self.client_id, self.token_url, self.username or ""))
        return hashlib.sha256(identity.casefold().encode()).hexdigest()[:32]


class TokenEntry(BaseModel):
    """
    One sign-in, of `account` as far as that is known.

    A `public` token was given to a client without a secret, and is redeemed without one (else AADSTS700025). It
    `descends_from` the seed in the settings with this fingerprint, or replaced it when a person signed in.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    version: Literal[1] = 1
    tenant_id: str
    client_id: str
    token_url: str
    account: str | None = None
    public: bool = False
    descends_from: str | None = None
    kept_at: str
    refresh_token: str = Field(repr=False, min_length=1)

    def supersedes(self, seed: str | None) -> bool:
        """Whether this token is to be used although the settings hold `seed`."""
        return seed is None or self.refresh_token == seed or self.descends_from == token_fingerprint(seed)


def token_fingerprint(refresh_token: str) -> str:
    """SHA-256 of a token: identifies it without revealing it."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


def parse_token_entry(text: str) -> TokenEntry:
    try:
        return TokenEntry.model_validate_json(text)
    except ValidationError:
        raise ValueError("it is damaged, or of a later version of bulkpull") from None


@dataclass(frozen=True, slots=True)
class OtherSignIn:
    """A sign-in of the same application that the settings do not lead to, made while `username` was set or not."""

    account: str | None
    has_username: bool

    def __str__(self) -> str:
        made = "made with another `username`" if self.has_username else "made without `username`"
        return f"of {self.account or 'an unnamed user'}, {made}"

    @property
    def step(self) -> str:
        """What leads to it."""
        if not self.has_username:
            return "unset `username` to use that sign-in"
        return f"set `username` to {self.account}" if self.account else "set `username` as it was for that sign-in"


_WITHIN_SHARED = "bulkpull-tokens"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class TokenCache:
    """Reads and writes one entry; every method reads or writes the disk and raises `OSError` where that refuses."""

    def __init__(self, folder: Path, identity: Identity, *, encrypt: bool) -> None:
        self.folder, self.identity = folder, identity
        self._encrypt = encrypt
        self._file = PrivateFile(folder / f"{identity.name}.json")
        self._sealed = folder / f"{identity.name}.bin"
        # Not bound to a thread: it is taken and dropped in whichever worker thread is free.
        self._lock = FileLock(
            folder / f"{identity.name}.lock", timeout=0, thread_local=False, mode=0o600, fallback_to_soft=False
        )

    @cached_property
    def store(self) -> Store:
        """Where a new entry is put: with the system where that is wanted and possible, else in a private file."""
        return (self._encrypt and self._system) or self._file

    @cached_property
    def _system(self) -> Store | None:
        # A libsecret that answers can be told only by trying it, and it puts its mark into the folder.
        self._make_folder()
        return system_store(self._sealed)

    def load(self) -> tuple[TokenEntry, Store] | None:
        """The entry and where it lies, or `None`; `OSError` if the store does not answer, `ValueError` for damage."""
        if self._sealed.exists():
            if self._system is None:
                raise OSError(
                    0, "it is encrypted by the operating system, whose store cannot be reached from this session"
                )
            if text := self._system.load():
                return self._read(text), self._system
        text = self._file.load()
        return (self._read(text), self._file) if text else None

    def other_sign_ins(self) -> list[OtherSignIn]:
        """The application's sign-ins in private files with another `username`, or without one."""
        found: list[OtherSignIn] = []
        nameless = replace(self.identity, username=None).name
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            with suppress(OSError, ValueError):
                entry = parse_token_entry(path.read_text(encoding="utf-8"))
                mine = self.identity
                application = (entry.tenant_id, entry.client_id, entry.token_url)
                if path.stem != mine.name and application == (mine.tenant_id, mine.client_id, mine.token_url):
                    found.append(OtherSignIn(entry.account, has_username=path.stem != nameless))
        return found

    def save(self, entry: TokenEntry) -> Store:
        """Replace the entry, durably; returns where it lies now. Nothing is left in the other place."""
        self._make_folder()
        text = entry.model_dump_json()
        store = self.store
        try:
            store.save(text)
        except OSError:
            if store is self._file:
                raise
            store = self._file  # DPAPI and the keychain fail only when they are used
            store.save(text)
        if store is self._file and self._sealed.exists():
            self._sealed.unlink()
        elif store is not self._file:
            self._file.forget()
        return store

    def forget(self) -> list[str]:
        """Remove the entry from both places; returns what was removed, in words."""
        removed = [self._file.description] if self._file.forget() else []
        if self._sealed.exists():
            if self._system is not None and self._system.forget():
                removed.append(self._system.description)
            else:
                self._sealed.unlink()
                removed.append(f"marked by {self._sealed}; the system's store, out of reach from here, has it still")
        return removed

    def take_turn(self, *, patience_s: float = 0.0) -> bool:
        """Take the lock if it is free, or becomes so within `patience_s`; `release` gives it back."""
        self._make_folder()
        try:
            self._lock.acquire(timeout=patience_s)
        except Timeout:
            return False
        self._file.remove_unfinished()
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def _read(self, text: str) -> TokenEntry:
        entry = parse_token_entry(text)
        register_token(entry.refresh_token)
        return entry

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(self.folder):
            raise OSError(errno.EPERM, f"{self.folder} is a link, or open to others: a private folder is needed")


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user's own that nobody else may enter. Windows keeps its own rules for that."""
    user_id = platforms.current().user_id()
    if user_id is None:
        return True
    status = folder.lstat()
    is_ours = status.st_uid == user_id
    return stat.S_ISDIR(status.st_mode) and is_ours and not status.st_mode & _OTHERS


def _private_folder(folder: Path) -> Path:
    """The folder itself where it is private or still to be made; else one within it, so that it keeps its mode."""
    folder = Path(os.path.realpath(folder))
    with suppress(OSError):
        return folder if _is_private(folder) else folder / _WITHIN_SHARED
    return folder


def open_token_cache(settings: Settings) -> TokenCache | None:
    """
    The cache for the sign-in that the settings describe; `None` when it is switched off, or they describe none yet.

    Reads no entry. `SettingsError` where it would lie in the output folder, by its name or by a link.
    """
    folder = settings.token_cache_folder
    if folder is None or not (settings.tenant_id and settings.client_id):
        return None
    by_name = Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(settings.output))  # noqa: PTH100 - links are kept
    if by_name or Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(settings.output)):
        raise SettingsError(
            f"`token_cache` {folder} lies in the output folder", fix="choose another folder: tokens must stay private"
        )
    identity = Identity(
        tenant_id=settings.tenant_id,
        client_id=settings.client_id,
        token_url=settings.token_address,
        username=settings.username,
    )
    return TokenCache(_private_folder(folder), identity, encrypt=settings.encrypt_token_cache)
