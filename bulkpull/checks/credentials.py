"""Checks the credentials and their sources, the token cache, and the proxy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anyio import to_thread

from bulkpull import platforms
from bulkpull.auth import open_token_cache
from bulkpull.auth.sign_in import choose_grant, describe_sign_in
from bulkpull.checks.result import CheckResult, fine, problem, problem_from
from bulkpull.config.file import variable_of
from bulkpull.config.secrets import SECRETS, is_readable_by_all, vault_reference
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError
from bulkpull.formatting import plural
from bulkpull.transport.proxies import Proxies
from bulkpull.url_safety import origin

_SIGN_IN = (
    *("tenant_id", "client_id", "client_secret", "client_certificate_file", "client_certificate_password"),
    *("username", "password", "refresh_token", "grant"),
)


async def check_credentials(settings: Settings, *, origins: Mapping[str, str], config: str) -> list[CheckResult]:
    """All credential checks that need no call; `origins` say where each setting comes from, `config` is the file."""
    places = {name: _place(settings, name, origins[name], config) for name in _SIGN_IN if settings.has(name)}
    try:
        grant, description = await choose_grant(settings), await describe_sign_in(settings)
    except BulkpullError as error:
        found = problem("credentials", error.message, fix=error.fix, exit_code=error.exit_code, credentials=places)
    else:
        found = fine("credentials", f"signs in by {description}", grant=grant, credentials=places)
    return [found, await _check_secret_files(settings, origins=origins, config=config), await _check_cache(settings)]


async def _check_secret_files(settings: Settings, *, origins: Mapping[str, str], config: str) -> CheckResult:
    """Whether files that hold secrets may be read by every user of this machine (case C32)."""
    files = [getattr(settings, f"{name}_file") for name in SECRETS] + [settings.client_certificate_file]
    for name in (*SECRETS, "notify_url"):
        value = getattr(settings, name)
        # A reference to a secret elsewhere is none.
        if origins.get(name) == "file" and value and vault_reference(value.get_secret_value()) is None:
            files.append(Path(config))
            break
    files = [path for path in files if path is not None]
    if not files:
        return fine("files", "no setting takes a secret from a file", files=[])
    open_to_all = [str(path) for path in files if await to_thread.run_sync(is_readable_by_all, path)]
    facts: dict[str, Any] = {"files": [str(path) for path in files], "readable_by_all": open_to_all}
    if not open_to_all:
        return fine("files", f"{plural(len(files), 'file')} with secrets, not readable by everybody", **facts)
    message = f"every user of this machine may read the secret in {', '.join(open_to_all)}"
    return problem("files", message, fix=f"remove that permission: chmod o-r {shlex.join(open_to_all)}", **facts)


def _place(settings: Settings, name: str, where: str, config: str) -> str:
    if (command := getattr(settings, f"{name}_command", None)) is not None:
        return f"the command {platforms.current().split_command(command)[0]}"
    if name in SECRETS:
        if (path := getattr(settings, f"{name}_file")) is not None:
            return f"the file {path}"
        if reference := vault_reference(getattr(settings, name).get_secret_value()):
            return f"{reference.vault_url}, secret {reference.name}"
    if where == "environment":
        return variable_of(name)
    return {"file": f"the settings file {config}", "demo": "the demo"}.get(where, where)


async def _check_cache(settings: Settings) -> CheckResult:
    try:
        cache = open_token_cache(settings)
    except BulkpullError as error:
        return problem_from("token cache", error)
    if cache is None:
        off = settings.token_cache_folder is None
        message = "switched off: a rotated refresh token ends with its run" if off else "no user to store a token for"
        return fine("token cache", message, folder=None)
    facts: dict[str, Any] = {"folder": str(cache.folder)}
    try:
        found = await to_thread.run_sync(cache.load)
    except (OSError, ValueError) as refused:
        why = getattr(refused, "strerror", None) or str(refused)
        fix = "sign in again from here: `bulkpull auth login`; for cron, set `encrypt_token_cache` to false first"
        return problem("token cache", f"{cache.folder} cannot be read: {why}", fix=fix, exit_code=4, **facts)
    if found is None:
        whose = "tenant, client and user" if settings.username else "tenant and client, without a user"
        return fine("token cache", f"{cache.folder} holds no sign-in for this {whose}", **facts)
    entry, store = found
    used = entry.supersedes(settings.refresh_token.get_secret_value() if settings.refresh_token else None)
    facts |= {"account": entry.account, "kept_at": entry.kept_at, "encrypted": store.encrypted, "used": used}
    whose = f" of {entry.account}" if entry.account else ""
    message = f"a refresh token{whose}, kept {entry.kept_at}, {store.description}"
    return fine("token cache", message + ("" if used else "; not used: `refresh_token` was set to another"), **facts)


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
        return fine("proxy", f"none for {direct} (HTTPS_PROXY, NO_PROXY)", hosts=ways)
    return fine("proxy", f"{used}{f'; none for {direct} (NO_PROXY)' if direct else ''}", hosts=ways)
