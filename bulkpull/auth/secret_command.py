"""Reads a secret from a program that the settings name, such as a password manager's command."""

from __future__ import annotations

import os
import subprocess

import anyio
from anyio.abc import ByteReceiveStream

from bulkpull import platforms
from bulkpull.child_process import end_process, without_secrets
from bulkpull.errors import AuthError, SettingsError
from bulkpull.redact import register_secret

# A person may have to confirm; an unattended run must not wait for that for ever.
LONGEST_S = 30.0
# Longer than any secret, token or key.
_LONGEST_BYTES = 65_536


async def read_from_command(command: str, *, setting: str, within_s: float = LONGEST_S) -> str:
    """
    The secret that a program, run without a shell and without input, writes to its standard output.

    What it writes is never shown, whether it is the secret or an error.

    Raises:
        SettingsError: There is no such program, or it may not be run.
        AuthError: It ended with another status than 0, took longer than `within_s`, or wrote no secret.
    """
    words = platforms.current().split_command(command)
    what = f"`{setting}`: {words[0]} gave no secret"
    fix = "run the command by hand as the same user; it must write the secret and nothing else"
    try:
        process = await anyio.open_process(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=without_secrets(os.environ),
            **platforms.current().own_group_options(),
        )
    except OSError as trouble:
        raise SettingsError(
            f"`{setting}`: {words[0]} cannot be run", why=trouble.strerror, fix="name a program by its whole path"
        ) from None
    written, status = b"", None
    try:
        with anyio.move_on_after(within_s):
            assert process.stdout is not None
            written = await _read(process.stdout)
            status = await process.wait() if len(written) <= _LONGEST_BYTES else None
    finally:
        await end_process(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    if len(written) > _LONGEST_BYTES:
        raise AuthError(what, why=f"it wrote more than {_LONGEST_BYTES:,} bytes", fix=fix)
    if status is None:
        raise AuthError(what, why=f"it was ended after {within_s:g} s", fix=fix)
    if status != 0:
        raise AuthError(what, why=f"it ended with status {status}", fix=fix)
    try:
        secret = written.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise AuthError(what, why="what it wrote is not UTF-8 text", fix=fix) from None
    if not secret.strip():
        raise AuthError(what, why="it wrote nothing", fix=fix)
    register_secret(secret)
    return secret


async def _read(stream: ByteReceiveStream) -> bytes:
    """All that is written, or a little more than a secret may have."""
    written = bytearray()
    async for chunk in stream:
        written += chunk
        if len(written) > _LONGEST_BYTES:
            break
    return bytes(written)
