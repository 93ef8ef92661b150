"""The environment variables passed to child processes: everything except secrets and settings (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bulkpull.config.file import ENV_PREFIX
from bulkpull.redact import redact

_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|ACCOUNT_?KEY|PRIVATE_?KEY|CONNECTION_?STRING"
    r"|(^|_)(PWD|SAS|AUTH|COOKIE)$",
    re.IGNORECASE,
)
# The present folder, which shells keep there; no password.
_PLAIN = {"PWD", "OLDPWD"}


def without_secrets(surroundings: Mapping[str, str]) -> dict[str, str]:
    """
    The variables that a child may have: no setting of ours, none whose name or value tells of a secret.

    An address (of a proxy) stays, without user name and password.
    """
    kept: dict[str, str] = {}
    for name, value in surroundings.items():
        is_secret = bool(_SECRET_NAME.search(name)) and name.upper() not in _PLAIN
        if is_secret or name.upper().startswith(ENV_PREFIX):
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
