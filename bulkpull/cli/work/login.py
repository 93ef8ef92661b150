"""Sign-in by device code, what is kept of it, and forgetting that again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulkpull._version import __version__
from bulkpull.auth import TokenCache, TokenEntry, token_cache, token_fingerprint
from bulkpull.auth.device_code import DeviceCode, SignedIn, sign_in_by_device_code
from bulkpull.cli.errors import INTERRUPTED, LogLevel, OutputOptions, write_error
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.signals import run_interruptibly
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.cli.work.consoles import error_console
from bulkpull.cli.work.target import aimed
from bulkpull.clock import SystemClock, iso_utc
from bulkpull.config.settings import ENV_PREFIX, Settings
from bulkpull.errors import AuthError, DiskTrouble, SettingsError
from bulkpull.events import Events
from bulkpull.transport.http import Http

# As long as a renewal takes, with some repetitions.
_PATIENCE_S = 30.0


def sign_in(*, demo: bool, config: Path | None, as_json: bool, speech: OutputOptions) -> int:
    """
    Let a person sign in, and keep the refresh token; returns the exit status.

    Raises:
        AuthError: Tenant or client is not set, or nobody signed in.
        SettingsError: There is nowhere to keep the token, or MSAL is not installed.
        DiskTrouble: The token cannot be kept.
    """
    log = LogListener(speech, write=write_line, default=LogLevel.WARNING)
    with aimed(config, demo=demo) as settings, libraries_logged_by(log):
        cache = _cache_of(settings, demo=demo)
        done: list[SignedIn] = []

        async def work() -> None:
            clock = SystemClock()
            http = Http(ca_file=settings.ca_file, events=Events(log), clock=clock, user_agent=f"bulkpull/{__version__}")
            async with http:
                done.append(await sign_in_by_device_code(settings, http=http, clock=clock, show=_show))

        if run_interruptibly(work, when_asked=lambda: None):
            write_error(speech, "interrupted: nobody signed in", exit_code=INTERRUPTED)
            return INTERRUPTED
        kept = _keep(done[0], cache, settings=settings) if cache else None
    account = done[0].account
    if as_json:
        print_json({"version": 1, "account": account, "kept": kept})
        return 0
    print_data(f"signed in as {account or 'a user whom the directory does not name'}")
    print_data(f"the refresh token is kept {kept['told']}" if kept else "the demo keeps nothing of it")
    for hint in _hints(settings) if cache else ():
        print_data(hint)
    return 0


def sign_out(*, config: Path | None, as_json: bool) -> None:
    """
    Forget what is kept for the tenant and client of the settings.

    Raises:
        AuthError: Tenant or client is not set.
        SettingsError: The token cache is switched off.
        DiskTrouble: It cannot be removed.
    """
    settings = Settings.load(config)
    cache = _cache_of(settings, demo=False)
    assert cache is not None
    try:
        with _turn_of(cache):
            removed = cache.forget()
    except OSError as trouble:
        raise DiskTrouble(f"the token cache {cache.folder} cannot be changed", why=trouble.strerror) from None
    if as_json:
        print_json({"version": 1, "removed": removed})
        return
    for each in removed:
        print_data(f"forgotten: the refresh token kept {each}")
    if not removed:
        print_data(f"nothing is kept for this tenant and client in {cache.folder}")
    else:
        print_data("the service itself may take it until it ends; an administrator can revoke the user's sessions")
    if settings.has("refresh_token"):
        print_data("`refresh_token` is still set, and later runs use it")


def _cache_of(settings: Settings, *, demo: bool) -> TokenCache | None:
    missing = [name for name in ("tenant_id", "client_id") if not getattr(settings, name)]
    if missing:
        variables = " and ".join(f"{ENV_PREFIX}{name.upper()}" for name in missing)
        raise AuthError(f"it is not known where to sign in: {', '.join(missing)} not set", fix=f"set {variables}")
    cache = token_cache(settings)
    if cache is None and not demo:
        raise SettingsError("there is nowhere to keep a sign-in", why="`token_cache` is off", fix="unset it")
    return cache


def _show(code: DeviceCode) -> None:
    console = error_console()
    console.print(f"open   {code.address}", soft_wrap=True)
    console.print(f"enter  {code.user_code}", soft_wrap=True)
    console.print(
        f"as a user with the role Executive report viewer, within {code.lives_s / 60:,.0f} minutes; Ctrl-C gives up",
        soft_wrap=True,
    )


@contextmanager
def _turn_of(cache: TokenCache) -> Iterator[None]:
    """Change the cache while no run renews, which would put its own token there; one that hangs is not waited for."""
    is_mine = cache.folder.exists() and cache.take_turn(patience_s=_PATIENCE_S)
    try:
        yield
    finally:
        if is_mine:
            cache.release()


def _keep(signed_in: SignedIn, cache: TokenCache, *, settings: Settings) -> dict[str, Any]:
    identity = cache.identity
    seed = settings.refresh_token.get_secret_value() if settings.refresh_token else None
    entry = TokenEntry(
        tenant_id=identity.tenant_id,
        client_id=identity.client_id,
        token_url=identity.token_url,
        account=signed_in.account,
        public=True,
        descends_from=token_fingerprint(seed) if seed else None,
        kept_at=iso_utc(SystemClock().now()),
        refresh_token=signed_in.refresh_token,
    )
    try:
        with _turn_of(cache):
            store = cache.save(entry)
    except OSError as trouble:
        raise DiskTrouble(
            f"the refresh token cannot be kept in {cache.folder}",
            why=trouble.strerror,
            fix="point `token_cache` at a folder that this user may write, and sign in again",
        ) from None
    return {"told": store.description, "encrypted": store.encrypted, "folder": str(cache.folder)}


def _hints(settings: Settings) -> list[str]:
    """What a person may want to know next."""
    hints = ["next: `bulkpull auth check`"]
    if settings.grant not in (None, "refresh_token"):
        hints.insert(0, f"`grant` is {settings.grant}: unset it, or runs go on without this sign-in")
    return hints
