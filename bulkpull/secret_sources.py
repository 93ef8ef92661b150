"""
The forms of a secret setting (value, file, command), and which of several sources wins (pure).

A source of higher precedence overrides a lower one, whatever the form. Two forms in one source are an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SECRETS = ("client_secret", "client_certificate_password", "password", "refresh_token")
"""Settings whose values are secrets; each has a sister `…_file`."""
FROM_COMMAND = ("client_secret", "password", "refresh_token")
"""Those that have a sister `…_command` too."""


def forms_of(name: str) -> tuple[str, ...]:
    """The settings by which the secret `name` can be given, itself first."""
    return (name, f"{name}_file", *([f"{name}_command"] if name in FROM_COMMAND else []))


FAMILIES = {
    # A certificate stands in place of the application's secret.
    name: (*forms_of(name), *(["client_certificate_file"] if name == "client_secret" else []))
    for name in SECRETS
}
"""By secret, all settings that can stand for it."""
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
        own = forms_of(family[0])
        if any(effective[form] != default for form in own):
            effective[family[0]] = best
    return effective
