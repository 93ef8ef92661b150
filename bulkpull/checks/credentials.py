"""Checks the credentials and their sources, the token cache, and the proxy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from anyio import to_thread

from bulkpull import platforms
from bulkpull.auth import open_token_cache
from bulkpull.auth.sign_in import choose_grant, describe_sign_in
from bulkpull.checks.result import CheckResult, fine, problem, problem_from
from bulkpull.config.file import variable_of
from bulkpull.config.secrets import is_readable_by_all, vault_reference
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError
from bulkpull.formatting import plural
from bulkpull.secret_sources import FROM_COMMAND, SECRETS
from bulkpull.transport.proxies import Proxies
from bulkpull.url_safety import origin

_SIGN_IN = (
    *("tenant_id", "client_id", "client_secret", "client_certificate_file", "client_certificate_password"),
    *("username", "password", "refresh_token", "grant"),
)


async def check_credentials(settings: Settings, *, origins: Mapping[str, str], config: str | None) -> list[CheckResult]:
    """All credential checks that need no call to the service."""
    origin_by_setting = {
        name: _place(settings, name, origins=origins, config=config) for name in _SIGN_IN if settings.has(name)
    }
    facts = {"credentials": origin_by_setting}
    try:
        grant, description = await choose_grant(settings), await describe_sign_in(settings)
    except BulkpullError as error:
        found = problem("credentials", error.message, fix=error.fix, exit_code=error.exit_code, facts=facts)
    else:
        found = fine("credentials", f"signs in by {description}", facts={"grant": grant, **facts})
    secret_files = await _check_secret_files(settings, origins=origins, config=config)
    return [found, secret_files, await _check_cache(settings)]


async def _check_secret_files(settings: Settings, *, origins: Mapping[str, str], config: str | None) -> CheckResult:
    """Whether files that hold secrets may be read by every user of this machine (case C32)."""
    files = [path for name in SECRETS if (path := getattr(settings, f"{name}_file")) is not None]
    files += [settings.client_certificate_file] if settings.client_certificate_file else []
    in_config = [name for name in (*SECRETS, "notify_url") if origins.get(name) == "file" and _holds(settings, name)]
    if in_config and config is not None:
        files.append(Path(config))
    if not files:
        return fine("files", "no setting takes a secret from a file", facts={"files": []})
    open_to_all = [path for path in files if await to_thread.run_sync(is_readable_by_all, path)]
    facts = {"files": [str(path) for path in files], "readable_by_all": [str(path) for path in open_to_all]}
    if not open_to_all:
        return fine("files", f"{plural(len(files), 'file')} with secrets, not readable by everybody", facts=facts)
    listed = ", ".join(map(str, open_to_all))
    message = f"every user of this machine may read the secret in {listed}"
    return problem(
        "files",
        message,
        fix=f"remove that permission: chmod o-r {' '.join(map(shlex.quote, facts['readable_by_all']))}",
        facts=facts,
    )


def _holds(settings: Settings, name: str) -> bool:
    """Whether the setting is a secret itself, and no reference to one elsewhere."""
    value = getattr(settings, name)
    return value is not None and vault_reference(value.get_secret_value()) is None


def _place(settings: Settings, name: str, *, origins: Mapping[str, str], config: str | None) -> str:
    where = origins[name]
    if name in FROM_COMMAND and (command := getattr(settings, f"{name}_command")) is not None:
        return f"the command {platforms.current().split_command(command)[0]}"
    if name in SECRETS:
        if (path := getattr(settings, f"{name}_file")) is not None:
            return f"the file {path}"
        if reference := vault_reference(getattr(settings, name).get_secret_value()):
            return f"{reference.vault_url}, secret {reference.name}"
    if where == "environment":
        return variable_of(name)
    return f"the settings file {config}" if where == "file" else where


async def _check_cache(settings: Settings) -> CheckResult:
    try:
        cache = open_token_cache(settings)
    except BulkpullError as error:
        return problem_from("token cache", error)
    if cache is None:
        off = settings.token_cache_folder is None
        message = "switched off: a rotated refresh token ends with its run" if off else "no user to store a token for"
        return fine("token cache", message, facts={"folder": None})
    facts: dict[str, object] = {"folder": str(cache.folder)}
    try:
        found = await to_thread.run_sync(cache.load)
    except (OSError, ValueError) as refused:
        why = getattr(refused, "strerror", None) or str(refused)
        fix = "sign in again from here: `bulkpull auth login`; for cron, set `encrypt_token_cache` to false first"
        return problem("token cache", f"{cache.folder} cannot be read: {why}", fix=fix, exit_code=4, facts=facts)
    if found is None:
        whose = "tenant, client and user" if settings.username else "tenant and client, without a user"
        return fine("token cache", f"{cache.folder} holds no sign-in for this {whose}", facts=facts)
    entry, store = found
    seed = settings.refresh_token.get_secret_value() if settings.refresh_token else None
    used = entry.supersedes(seed)
    facts |= {"account": entry.account, "kept_at": entry.kept_at, "encrypted": store.encrypted, "used": used}
    message = (
        f"a refresh token{f' of {entry.account}' if entry.account else ''}, kept {entry.kept_at}, {store.description}"
    )
    return fine(
        "token cache", message if used else f"{message}; not used: `refresh_token` was set to another", facts=facts
    )


def check_proxy(settings: Settings) -> CheckResult:
    """Through which proxy the API and the token endpoint are asked, without the proxy's own credentials."""
    proxies = Proxies()
    ways: dict[str, str | None] = {}
    for url in (settings.api_base_url, settings.token_address):
        proxy = proxies.proxy_for(url)
        ways[urlsplit(url).netloc] = origin(proxy.url) if proxy else None
    used = ", ".join(f"{proxy} for {host}" for host, proxy in ways.items() if proxy)
    direct = ", ".join(host for host, proxy in ways.items() if not proxy)
    if not used:
        return fine("proxy", f"none for {direct} (HTTPS_PROXY, NO_PROXY)", facts={"hosts": ways})
    return fine("proxy", f"{used}{f'; none for {direct} (NO_PROXY)' if direct else ''}", facts={"hosts": ways})
