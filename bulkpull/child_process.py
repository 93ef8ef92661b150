"""Child processes: the environment variables they get, and their end with the processes that they started."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.to_thread

from bulkpull import platforms
from bulkpull.config.file import ENV_PREFIX
from bulkpull.redact import redact


async def end_process(process: anyio.abc.Process) -> None:
    """End a process and the group that it leads; returns when it is gone, whatever is cancelled meanwhile."""
    if process.returncode is None:
        with anyio.CancelScope(shield=True), suppress(OSError, subprocess.TimeoutExpired):
            await anyio.to_thread.run_sync(platforms.current().end_with_children, process.pid)
        with suppress(OSError):
            process.kill()
    with anyio.CancelScope(shield=True):
        await process.wait()


_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|ACCOUNT_?KEY|PRIVATE_?KEY|CONNECTION_?STRING"
    r"|_PWD$|(^|_)(SAS|AUTH|COOKIE)$",  # PWD alone is the present folder, as shells keep it
    re.IGNORECASE,
)


def without_secrets(surroundings: Mapping[str, str]) -> dict[str, str]:
    """No setting of ours, and no variable whose name or value tells of a secret; of an address no user and password."""
    kept: dict[str, str] = {}
    for name, value in surroundings.items():
        if _SECRET_NAME.search(name) or name.upper().startswith(ENV_PREFIX):
            continue
        bare = _without_user(value)
        if redact(f"{name}={bare}") == f"{name}={bare}":
            kept[name] = bare
    return kept


def _without_user(value: str) -> str:
    """An address without what stands before its host; anything else as it is."""
    separator = "://" in value
    text = value if separator else f"//{value}"
    try:
        parts = urlsplit(text)
    except ValueError:
        return value
    if "@" not in parts.netloc or (not separator and ":" not in parts.netloc.partition("@")[0]):
        return value
    host = parts.netloc.rpartition("@")[2]
    bare = parts._replace(netloc=host).geturl()
    return bare if separator else bare.removeprefix("//")
