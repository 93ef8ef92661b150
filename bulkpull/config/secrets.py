"""
Secrets stored outside of settings: in a file, or in an Azure Key Vault.

A file is read together with the settings; a vault is read when the secret is needed, because that uses the network.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

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


def read_secret_file(path: Path, *, setting: str, where: str) -> str:
    """
    The secret in a file, without the line end that editors and `echo` leave behind it.

    Raises:
        SettingsError: It cannot be read, or holds no secret. Its content is never told.
    """
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
    """
    The Key Vault secret that a setting's value refers to; `None` when it is the secret itself.

    Raises:
        ValueError: It begins as a reference and is none.
    """
    if not value.startswith(VAULT_MARK):
        return None
    found = _VAULT_ADDRESS.fullmatch(value.removeprefix(VAULT_MARK).strip())
    if found is None:
        raise ValueError(
            f"a Key Vault reference is written {VAULT_MARK}https://NAME.vault.azure.net/secrets/SECRET, "
            "with /VERSION behind it where one certain version is meant"
        )
    return VaultReference(found["vault"].lower(), found["name"], found["version"])
