"""Secrets that the settings only refer to: those that a command writes, and those of an Azure Key Vault."""

from __future__ import annotations

import os
import subprocess

import anyio
from anyio.abc import ByteReceiveStream
from pydantic import SecretStr

from bulkpull import platforms
from bulkpull.auth.token_errors import reason_of
from bulkpull.child_process import end_process, without_secrets
from bulkpull.config.secrets import VaultReference, vault_reference
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, SettingsError
from bulkpull.extras import install_command
from bulkpull.redact import register_secret

# A person may have to confirm; an unattended run must not wait for that for ever.
LONGEST_S = 30.0
# Longer than any secret, token or key.
_LONGEST_BYTES = 65_536


async def read_secret(settings: Settings, name: str) -> str | None:
    """The secret setting `name`, wherever its value is; errors as of `read_from_command` and `read_from_vault`."""
    if (command := getattr(settings, f"{name}_command", None)) is not None:
        return await read_from_command(command, setting=f"{name}_command")
    secret: SecretStr | None = getattr(settings, name)
    value = secret.get_secret_value() if secret else None
    reference = vault_reference(value) if value else None
    return await read_from_vault(reference, setting=name) if reference else value


async def read_from_command(command: str, *, setting: str, within_s: float = LONGEST_S) -> str:
    """
    The secret that a program, run without a shell and without input, writes to its standard output.

    What it writes is never shown, whether it is the secret or an error.

    Raises:
        SettingsError: There is no such program, or it may not be run.
        AuthError: It ended with another status than 0, took longer than `within_s`, or wrote no secret.
    """
    words = platforms.current().split_command(command)
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
    written, secret, why = b"", "", f"it was ended after {within_s:g} s"
    try:
        with anyio.move_on_after(within_s):
            assert process.stdout is not None
            written = await _read(process.stdout)
            if len(written) > _LONGEST_BYTES:
                why = f"it wrote more than {_LONGEST_BYTES:,} bytes"
            elif (status := await process.wait()) != 0:
                why = f"it ended with status {status}"
            else:
                why = "it wrote nothing"
                secret = written.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        why = "what it wrote is not UTF-8 text"
    finally:
        await end_process(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    if not secret.strip():
        fix = "run the command by hand as the same user; it must write the secret and nothing else"
        raise AuthError(f"`{setting}`: {words[0]} gave no secret", why=why, fix=fix)
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


async def read_from_vault(reference: VaultReference, *, setting: str) -> str:
    """Ask the vault, as whoever this machine is to Azure; `AuthError` where it gives this identity no such secret."""
    what = f"`{setting}`: the secret {reference.name} of {reference.vault_url} cannot be read"
    try:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - an extra, and slow to load
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - the same
    except ImportError:
        raise SettingsError(
            what, why="the libraries for Azure are not installed", fix=install_command("azure")
        ) from None
    try:
        async with DefaultAzureCredential() as credential, SecretClient(reference.vault_url, credential) as client:
            value = (await client.get_secret(reference.name, reference.version)).value
        why = "it is empty"
    except Exception as error:  # noqa: BLE001 - the libraries raise errors of many families, with addresses in them
        value, why = None, reason_of(error)
    if not value:
        fix = "check the reference, and that this machine's identity has the role Key Vault Secrets User there"
        raise AuthError(what, why=why, fix=fix)
    register_secret(value)
    return value
