"""Whose data: the account that an output folder belongs to (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DIFFERENCES = {
    "tenant_id": ("tenant", "another tenant at the same address"),
    "api_base_url": ("api_root", "the same tenant at another address"),
    "programme": ("programme", "the same tenant in another programme"),
}
"""By setting, the field of the account, and what it is where two accounts differ in that field only."""


@dataclass(frozen=True, slots=True)
class Account:
    """One customer of the service, as `of` normalises it."""

    api_root: str
    programme: str
    tenant: str | None

    @classmethod
    def of(cls, *, api_root: str, programme: str, tenant: str | None) -> Account:
        """The account that settings name, in its normal form."""
        return cls(normalise_root(api_root), programme.casefold(), (tenant or "").strip().casefold() or None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Account:
        return cls.of(api_root=values["api_root"], programme=values["programme"], tenant=values["tenant"])

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)

    def differing_settings(self, other: Account) -> list[str]:
        """The names of the settings in which two accounts differ."""
        mine, theirs = asdict(self), asdict(other)
        return [name for name, (field, _) in _DIFFERENCES.items() if mine[field] != theirs[field]]

    def describe_difference(self, other: Account) -> str | None:
        """The one setting in which this account, of a folder, differs from a run's; `None` where several do."""
        differing = self.differing_settings(other)
        if len(differing) != 1:
            return None
        field, kind = _DIFFERENCES[differing[0]]
        there, here = (asdict(account)[field] or "(not set)" for account in (self, other))
        return f"{kind}: `{differing[0]}` {there} there, {here} in this run"

    def __str__(self) -> str:
        return f"tenant {self.tenant or '(not set)'} at {self.api_root}, programme {self.programme}"


DEMO = Account("demo", "mpn", "demo")
"""The account of `--demo`, whose address has another port every time."""


def normalise_root(address: str) -> str:
    """An address with its host in lower case, without a default port and without a slash at its end."""
    parts = urlsplit(address.strip())
    if not parts.hostname:
        return address.strip().rstrip("/")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def sign_in_digest(*, client_id: str | None, username: str | None) -> str | None:
    """A digest that differs between users and applications of one tenant; `None` where neither is known."""
    parts = [(part or "").strip().casefold() for part in (client_id, username)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16] if any(parts) else None
