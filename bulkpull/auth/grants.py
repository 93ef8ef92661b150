"""OAuth grants: the form of a token request, as in Microsoft's walkthrough, and the lifetime of a token. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bulkpull.config.settings import NEEDED_SETTINGS
from bulkpull.errors import SettingsError

# The assumed lifetime without a credible `expires_in`: short enough for renewal, and no busy loop.
DEFAULT_LIFE_S = 300.0
LONGEST_LIFE_S = 86_400.0
MARGIN_S = 300.0


class Grant(StrEnum):
    """The ways to sign in, as the setting `grant` names them, that ask the token endpoint."""

    PASSWORD = "password"  # noqa: S105 -- the grant's name
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 -- the grant's name
    CLIENT_CREDENTIALS = "client_credentials"


DEVICE_CODE = "device_code"
"""The grant of `bulkpull auth login`; no setting names it."""
REFUSED: Mapping[str, str] = {
    Grant.PASSWORD: "the sign-in with user name and password is refused",
    Grant.REFRESH_TOKEN: "the sign-in with `refresh_token` is refused",
    Grant.CLIENT_CREDENTIALS: "the sign-in as the application itself is refused",
    DEVICE_CODE: "the sign-in with a code in a browser is refused",
}
"""What an error says first, by grant."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    The application, and the user or the refresh token; blanks around a value are dropped (behaviour 1).

    An application with a certificate signs an assertion for a token endpoint in place of a secret.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    sign: Callable[[str], str] | None = field(default=None, repr=False)


_OWN = ("client_id", "client_secret", "username", "password", "refresh_token")
# RFC 7523; Entra takes it wherever it takes a secret, in both versions.
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def token_form(grant: Grant, *, credentials: Credentials, resource: str, token_url: str) -> dict[str, str]:
    """The form that asks for a token; `SettingsError` where a needed value is missing (behaviours 1 and 14)."""
    own = {name: (getattr(credentials, name) or "").strip() for name in _OWN}
    missing = [name for name in NEEDED_SETTINGS[grant.value] if name in own and not own[name]]
    # A certificate stands in for it, and a public client has none (AADSTS700025).
    if "client_secret" in missing and (credentials.sign is not None or grant is not Grant.CLIENT_CREDENTIALS):
        missing.remove("client_secret")
    if missing:
        raise SettingsError(f"the grant {grant} needs {' and '.join(f'`{name}`' for name in missing)}")
    form = {"client_id": own["client_id"], "client_secret": own["client_secret"], "grant_type": grant.value}
    match grant:
        case Grant.PASSWORD:
            form |= {"username": own["username"], "password": own["password"]}
        case Grant.REFRESH_TOKEN:
            form["refresh_token"] = own["refresh_token"]
    resource = resource.strip().rstrip("/")
    if "/oauth2/v2.0/" in token_url:
        scope = ".default" if grant is Grant.CLIENT_CREDENTIALS else "user_impersonation"
        form["scope"] = f"{resource}/{scope}"
    else:
        form["resource"] = resource
        if grant is not Grant.CLIENT_CREDENTIALS:
            form["scope"] = "openid"
    if credentials.sign is not None:
        form |= {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": credentials.sign(token_url)}
    return {name: value for name, value in form.items() if value}


def life_of(expires_in: object) -> float:
    """Seconds that a token lives (behaviour 4): at most a day, and `DEFAULT_LIFE_S` for what is no number above 0."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return DEFAULT_LIFE_S
    try:
        life_s = float(expires_in)
    except (ValueError, OverflowError):  # a whole number may have more digits than a float holds
        return DEFAULT_LIFE_S
    return min(life_s, LONGEST_LIFE_S) if life_s > 0 else DEFAULT_LIFE_S


def margin_of(life_s: float) -> float:
    """Seconds before its end at which a token is renewed: five minutes, or a fifth of a short life."""
    return min(MARGIN_S, life_s / 5)
