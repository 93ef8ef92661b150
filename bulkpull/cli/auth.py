"""`bulkpull auth`: try the credentials, obtain them, forget them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bulkpull._version import __version__
from bulkpull.cli import options
from bulkpull.cli.command_decorator import LOCAL, command, new_app
from bulkpull.cli.console import print_message
from bulkpull.cli.error_output import Interrupted
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.service_call import command_settings, load_settings
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import SystemClock, iso_utc
from bulkpull.errors import AuthError, DiskTrouble, SettingsError
from bulkpull.events import Events

if TYPE_CHECKING:
    from bulkpull.auth import TokenCache
    from bulkpull.auth.device_code import DeviceCode, SignedIn
    from bulkpull.config.settings import Settings

app = new_app("auth", "bulkpull auth login", "bulkpull auth check")
# The time that a renewal takes, with some retries.
_LOCK_WAIT_S = 30.0


@command(app, "check", common=LOCAL, short_help="Check the credentials, step by step.")
def check(*, demo: options.Demo = False, common: CommonOptions) -> int:
    """
    Try the credentials and show step by step what works: settings, proxy, token, MFA, role, datasets.

    Changes nothing on the service. Exit status: 0, or that of the worst problem: 2 settings, 4 credentials, else 1.

    Examples:
        bulkpull auth check
        bulkpull auth check --json
        bulkpull auth check --demo
    """
    from bulkpull.cli.run_checks import run_checks  # slow to load

    return run_checks(common, demo=demo, only_sign_in=True)


@command(app, "login", common=LOCAL, short_help="Sign in once, with a code in a browser.")
def login(*, demo: options.Demo = False, common: CommonOptions) -> int:
    """
    Sign in once, with MFA, by a code that is entered in a browser on any device; the refresh token is stored.

    Needs an application that allows public client flows.
    `tenant_id` and `client_id` have to be set. No secret is shown.

    Examples:
        bulkpull auth login
        bulkpull auth login --config bulkpull.toml
    """
    from bulkpull.auth.device_code import sign_in_by_device_code  # slow to load, as all of these
    from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
    from bulkpull.cli.signals import run_interruptibly
    from bulkpull.transport.http import Http

    log = LogListener(common, write=write_line, default=LogLevel.WARNING)
    with command_settings(common, demo=demo) as settings, libraries_logged_by(log):
        cache = None if demo else _open_cache(settings)
        done: list[SignedIn] = []

        async def sign_in() -> None:
            clock = SystemClock()
            http = Http(ca_file=settings.ca_file, events=Events(log), clock=clock, user_agent=f"bulkpull/{__version__}")
            async with http:
                done.append(await sign_in_by_device_code(settings, http=http, clock=clock, show=_show))

        if run_interruptibly(sign_in, when_asked=lambda: None):
            raise Interrupted("interrupted: no sign-in was made")
        kept = _store_token(done[0], cache, settings) if cache else None
    account = done[0].account
    if common.as_json:
        print_json({"version": 1, "account": account, "kept": kept})
        return 0
    print_data(f"signed in as {account or 'an unnamed user'}")
    print_data(f"the refresh token is stored {kept['place']}" if kept else "the demo does not store it")
    if cache and settings.grant not in (None, "refresh_token"):
        print_data(f"`grant` is {settings.grant}: unset it, or runs will not use this sign-in")
    if cache:
        print_data("next: `bulkpull doctor`")
    return 0


@command(app, "logout", common=LOCAL, short_help="Delete the stored refresh token.")
def logout(*, common: CommonOptions) -> None:
    """
    Delete the stored refresh token of this tenant and client, wherever it is stored.

    Examples:
        bulkpull auth logout
        bulkpull auth logout --json
    """
    settings = load_settings(common)
    cache = _open_cache(settings)
    try:
        with _locked(cache):
            removed = cache.forget()
    except OSError as trouble:
        raise DiskTrouble(f"the token cache {cache.folder} cannot be changed", why=trouble.strerror) from None
    if common.as_json:
        print_json({"version": 1, "removed": removed})
        return
    for store in removed:
        print_data(f"deleted: the refresh token stored {store}")
    if not removed:
        print_data(f"nothing is stored for this tenant and client in {cache.folder}")
    else:
        print_data("the service may accept it until it expires; an administrator can revoke the user's sessions")
    if settings.has("refresh_token"):
        print_data("`refresh_token` is still set, and later runs use it")


def _open_cache(settings: Settings) -> TokenCache:
    from bulkpull.auth import open_token_cache
    from bulkpull.config.file import variable_of

    missing = [name for name in ("tenant_id", "client_id") if not getattr(settings, name)]
    if missing:
        keys = " and ".join(f"`{name}`" for name in missing)
        variables = " and ".join(map(variable_of, missing))
        raise AuthError(
            f"the sign-in endpoint is unknown: {', '.join(missing)} not set",
            fix=f"set {keys} in the settings file, or {variables}",
        )
    if (cache := open_token_cache(settings)) is None:
        raise SettingsError("the token cache is switched off", why="`token_cache` is off", fix="unset it")
    return cache


def _show(code: DeviceCode) -> None:
    print_message(f"open   {code.address}")
    print_message(f"enter  {code.user_code}")
    within = f"within {code.lives_s / 60:,.0f} minutes"
    print_message(f"as a user with the role Executive report viewer, {within}; Ctrl-C cancels")


@contextmanager
def _locked(cache: TokenCache) -> Iterator[None]:
    """Keep runs from renewing the token meanwhile, which would store theirs instead; a run that hangs is ignored."""
    is_locked = cache.folder.exists() and cache.take_turn(patience_s=_LOCK_WAIT_S)
    try:
        yield
    finally:
        if is_locked:
            cache.release()


def _store_token(signed_in: SignedIn, cache: TokenCache, settings: Settings) -> dict[str, Any]:
    from bulkpull.auth import TokenEntry, token_fingerprint

    identity = cache.identity
    entry = TokenEntry(
        tenant_id=identity.tenant_id,
        client_id=identity.client_id,
        token_url=identity.token_url,
        account=signed_in.account,
        public=True,
        descends_from=token_fingerprint(settings.refresh_token.get_secret_value()) if settings.refresh_token else None,
        kept_at=iso_utc(SystemClock().now()),
        refresh_token=signed_in.refresh_token,
    )
    try:
        with _locked(cache):
            store = cache.save(entry)
    except OSError as trouble:
        raise DiskTrouble(
            f"the refresh token cannot be stored in {cache.folder}",
            why=trouble.strerror,
            fix="set `token_cache` to a folder that this user can write, and sign in again",
        ) from None
    return {"place": store.description, "encrypted": store.encrypted, "folder": str(cache.folder)}
