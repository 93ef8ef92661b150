"""Chooses how a run signs in: from settings, the cached sign-in, and secrets stored elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream
from pydantic import SecretStr

from bulkpull import platforms
from bulkpull.auth import TokenCache, TokenEntry, TokenRotation, open_token_cache
from bulkpull.auth.azure_identity import fetch_secret
from bulkpull.auth.certificate import load_certificate
from bulkpull.auth.grants import Credentials, Grant
from bulkpull.child_process import end_process, without_secrets
from bulkpull.clock import Clock
from bulkpull.config.secrets import vault_reference
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, SettingsError
from bulkpull.events import Events
from bulkpull.redact import register_secret

# A person may have to confirm; an unattended run must not wait for that for ever.
LONGEST_S = 30.0
# Longer than any secret, token or key.
_LONGEST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SignIn:
    """The grant, its credentials, and the storage of the refresh token (none for other grants or without a cache)."""

    grant: Grant
    credentials: Credentials
    keeper: TokenRotation | None = None


async def choose_grant(settings: Settings) -> str:
    """How this run would sign in: one of our grants, or `azure`; asks nobody."""
    return (await _choose(settings, seed=_plain(settings.refresh_token)))[0]


async def describe_sign_in(settings: Settings) -> str:
    """How this run would sign in and as whom, and which secret it would not send; asks nobody. Raises as above."""
    grant, _, stored = await _choose(settings, seed=_plain(settings.refresh_token))
    user = f" of {stored.account}" if stored and stored.account else ""
    match grant:
        case "azure":
            return "the identity of this machine in Azure (`grant` is azure)"
        case "password":
            return f"the password of {settings.username}"
        case "client_credentials":
            return "the application itself, without a user"
    if stored is None:
        return "`refresh_token` of the settings"
    if not stored.public:
        return f"the newest refresh token{user} from the token cache"
    unused = [name for name in ("client_secret", "client_certificate_file", "password") if settings.has(name)]
    listed = " and ".join(f"`{name}`" for name in unused)
    rest = f"; {listed} {'is' if len(unused) == 1 else 'are'} not sent, and so not checked" if unused else ""
    return f"the sign-in{user} that `bulkpull auth login` stored{rest}"


async def prepare_sign_in(settings: Settings, *, events: Events, clock: Clock) -> SignIn:
    """
    All that a token endpoint asks for; a Key Vault is asked, and commands are run, for the secrets that they hold.

    Raises:
        AuthError: A credential is missing, or a vault or a command does not give it.
        SettingsError: The certificate cannot be used, or a library for it is not installed.
    """
    seed = await _secret(settings, "refresh_token") if settings.grant in (None, "refresh_token") else None
    chosen, cache, kept = await _choose(settings, seed=seed)
    grant = Grant(chosen)
    public = kept is not None and kept.public and grant is Grant.REFRESH_TOKEN
    credentials = Credentials(
        client_id=settings.client_id or "",
        # A public client must not send a secret (AADSTS700025).
        client_secret=None if public else await _secret(settings, "client_secret"),
        username=settings.username,
        password=await _secret(settings, "password") if grant is Grant.PASSWORD else None,
        refresh_token=seed,
        sign=None if public else await _signer(settings, clock=clock),
    )
    keeper = None
    if cache is not None and grant is Grant.REFRESH_TOKEN:
        keeper = TokenRotation(cache, seed=seed, clock=clock, events=events)
    return SignIn(grant, credentials, keeper)


async def _choose(settings: Settings, *, seed: str | None) -> tuple[str, TokenCache | None, TokenEntry | None]:
    """The grant, the cache, and what it holds that is to be used with these settings."""
    cache, entry, unread = open_token_cache(settings), None, None
    if cache is not None and settings.grant in (None, "refresh_token"):
        try:
            found = await to_thread.run_sync(cache.load)
        except (OSError, ValueError) as trouble:
            found, unread = None, getattr(trouble, "strerror", None) or str(trouble)
        if found is not None and found[0].supersedes(seed):
            entry = found[0]
    try:
        grant = settings.chosen_grant(kept=entry is not None, public=entry is not None and entry.public)
    except AuthError as missing:
        if cache is None or settings.grant not in (None, "refresh_token"):
            raise
        step = ""
        if unread is not None:
            found_there = f"the token cache {cache.folder} cannot be read: {unread}"
        elif others := await to_thread.run_sync(cache.other_sign_ins):
            found_there = f"the token cache has only a sign-in {' and one '.join(map(str, others))}"
            step = f"{' or '.join(other.step for other in others)}; or "
        else:
            found_there = "the token cache holds no sign-in for them"
        is_named = settings.tenant_id and settings.client_id
        why = f"`refresh_token` is not set, and {found_there}" if is_named else f"{missing.why}; {found_there}"
        raise AuthError(missing.what, why=why, fix=f"{step}{missing.fix}") from None
    return grant, cache, entry


async def _signer(settings: Settings, *, clock: Clock) -> Callable[[str], str] | None:
    if settings.client_certificate_file is None:
        return None
    password = await _secret(settings, "client_certificate_password")
    load = partial(load_certificate, settings.client_certificate_file, password=password)
    certificate = await to_thread.run_sync(load)
    return partial(certificate.assertion, client_id=(settings.client_id or "").strip(), clock=clock)


async def _secret(settings: Settings, name: str) -> str | None:
    if (command := getattr(settings, f"{name}_command", None)) is not None:
        return await read_from_command(command, setting=f"{name}_command")
    value = _plain(getattr(settings, name))
    reference = vault_reference(value) if value else None
    return await fetch_secret(reference, setting=name) if reference else value


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


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
