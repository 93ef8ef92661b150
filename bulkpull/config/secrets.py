"""
Secrets: which of several settings gives one, and those that lie outside of settings, in a file or an Azure Key Vault.

A source of higher precedence overrides a lower one, whatever the form (value, file, command); two forms in one source
are an error. A file is read together with the settings; a vault when the secret is needed: that uses the network.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulkpull import platforms
from bulkpull.errors import SettingsError

# Longer than any secret, token or key; a wrong path may lead to a log file or a disk image.
_LONGEST_BYTES = 65_536
VAULT_MARK = "@keyvault:"
# The hosts of the public cloud and of the national ones: a secret's reference must not lead anywhere else.
_VAULT_ADDRESS = re.compile(
    r"(?P<vault>https://[a-z][a-z0-9-]{1,22}[a-z0-9]\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net))"
    r"/secrets/(?P<name>[a-z0-9-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?/?",
    re.IGNORECASE,
)


SECRETS = ("client_secret", "client_certificate_password", "password", "refresh_token")
"""Settings whose values are secrets."""
FAMILIES = {name: (name, f"{name}_file", f"{name}_command") for name in SECRETS} | {
    "client_certificate_password": ("client_certificate_password", "client_certificate_password_file"),
    # A certificate stands in place of the application's secret.
    "client_secret": ("client_secret", "client_secret_file", "client_secret_command", "client_certificate_file"),
}
"""By secret, all settings that can stand for it, itself first."""
FORMS = tuple(dict.fromkeys(form for family in FAMILIES.values() for form in family))
"""All settings that give a secret in some form."""


def without_outranked(found: Mapping[str, Any], *, higher: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a source, without secrets that a higher source gives in some form."""
    beaten = {form for family in FAMILIES.values() if any(form in higher for form in family) for form in family}
    return {name: value for name, value in found.items() if name not in beaten}


def given_twice(given: Mapping[str, Any]) -> tuple[str, str] | None:
    """Two forms of one secret that one source gives."""
    for family in FAMILIES.values():
        there = [form for form in family if given.get(form) is not None]
        if len(there) > 1:
            return there[0], there[1]
    return None


def origins_of_secrets(origins: Mapping[str, str], *, ranks: Iterable[str]) -> dict[str, str]:
    """Where each form of a secret comes from, once an outranked one counts as not given; a secret, as its form."""
    *given, default = ranks
    effective: dict[str, str] = {}
    for family in FAMILIES.values():
        best = next((rank for rank in given if any(origins[form] == rank for form in family)), default)
        effective |= {form: best if origins[form] == best else default for form in family}
        if any(effective[form] != default for form in family if form.startswith(family[0])):
            effective[family[0]] = best
    return effective


def read_secret_file(path: Path, *, setting: str, where: str) -> str:
    """The secret in a file, without the line end; `SettingsError`, which never tells the content, where it has none."""
    what = f"{where}: `{setting}` names {path}"
    fix = "check the path, and that this user may read the file"
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(_LONGEST_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as trouble:  # also a user without a home, or a path with a NUL
        raise SettingsError(what, why=getattr(trouble, "strerror", None) or str(trouble), fix=fix) from None
    if len(content) > _LONGEST_BYTES:
        raise SettingsError(what, why=f"more than {_LONGEST_BYTES:,} bytes is too long for a secret", fix=fix)
    try:
        secret = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(what, why="it is not UTF-8 text", fix="save it as text") from None
    if not secret.strip():
        raise SettingsError(what, why="the file is empty", fix="put the secret into it")
    return secret


def is_readable_by_all(path: Path) -> bool:
    """Whether every user of this machine may read the file; `False` where it cannot be looked at, and on Windows."""
    if platforms.current().user_id() is None:
        return False
    try:
        return bool(path.expanduser().stat().st_mode & stat.S_IROTH)
    except (OSError, RuntimeError):
        return False


@dataclass(frozen=True, slots=True)
class VaultReference:
    """A secret in an Azure Key Vault, such as `https://contoso.vault.azure.net`; of no version, the newest."""

    vault_url: str
    name: str
    version: str | None = None


def vault_reference(value: str) -> VaultReference | None:
    """The Key Vault secret that a value refers to, `None` for the secret itself; `ValueError` for a wrong reference."""
    if not value.startswith(VAULT_MARK):
        return None
    found = _VAULT_ADDRESS.fullmatch(value.removeprefix(VAULT_MARK).strip())
    if found is None:
        raise ValueError(
            f"a Key Vault reference is written {VAULT_MARK}https://NAME.vault.azure.net/secrets/SECRET, "
            "with /VERSION behind it where one certain version is meant"
        )
    return VaultReference(found["vault"].lower(), found["name"], found["version"])
