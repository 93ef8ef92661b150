"""The types of settings, and their allowed values."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bulkpull import platforms
from bulkpull.config.secrets import vault_reference
from bulkpull.redact import register_secret
from bulkpull.timespans import WIDEST, is_span_name
from bulkpull.url_safety import AMBIGUOUS, is_loopback

# A scheme of two letters or more; one letter is a drive of Windows. `Path` makes one slash of two.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def _trimmed(value: object) -> object:
    # The documented token request prints a blank before every value (behaviour 1): people paste them so.
    return value.strip() if isinstance(value, str) else value


def _remembered(secret: SecretStr) -> SecretStr:
    if vault_reference(secret.get_secret_value()) is None:
        register_secret(secret.get_secret_value())
    return secret


def expanded(path: Path) -> Path:
    """The path with `~` replaced by the user's folder; raises `ValueError` where there is none."""
    if "\0" in str(path):
        raise ValueError("a path cannot have a NUL character")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{path} begins with ~, and the system knows no home folder of this user") from None


def check_output(path: Path) -> Path:
    """An output folder; raises `ValueError` for an address, and where it is not UTF-8, as Parquet's libraries need."""
    if _SCHEME.match(str(path)):
        raise ValueError("this version writes to folders, not to addresses; name a folder")
    path = expanded(path)
    whole = os.path.abspath(path)  # noqa: PTH100 - links are kept
    try:
        is_utf8 = whole.encode("utf-8") == os.fsencode(whole)
    except UnicodeEncodeError:
        is_utf8 = False
    if not is_utf8:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise ValueError(
            f"the path {shown} is not UTF-8, or not in this locale: choose a path of plain letters, or a UTF-8 locale "
            "(LC_ALL=C.UTF-8)"
        )
    return path


def _named(kind: str) -> BeforeValidator:
    """Refuses an empty path, which would mean the present folder."""

    def check(path: object) -> object:
        if isinstance(path, str) and not path.strip():
            raise ValueError(f"names no {kind}")
        return path

    return BeforeValidator(check)


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"no file at {file}")
    return file


def _timespan(name: str) -> str:
    # Whether it is offered, only the service can tell: its datasets list names that no document has.
    if name.casefold() == WIDEST:
        return WIDEST
    if not is_span_name(name):
        raise ValueError(f"write it as the service does, such as LAST_3_MONTHS, or use {WIDEST}")
    return name.upper()


def _checked_secret_address(address: SecretStr) -> SecretStr:
    # Whoever knows the address of a webhook may post to it, and some carry a signature.
    _checked_address(address.get_secret_value())
    return address


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port  # a port that is no number is only noticed when it is asked for
    except ValueError:
        raise ValueError("must be an address; its host or its port cannot be read") from None
    if AMBIGUOUS.search(address):
        raise ValueError("must be an address without blanks, control characters and backslashes")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with https://")
    if parts.scheme == "http" and not is_loopback(address):
        raise ValueError("plain http:// is accepted for loopback addresses only; use https://")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password")
    return address.rstrip("/")


def _like(pattern: str, otherwise: str) -> AfterValidator:
    """Refuses a text of another form; `otherwise` says which form it has to have."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if form.fullmatch(text) is None:
            raise ValueError(otherwise)
        return text

    return AfterValidator(check)


def _check_hosts(text: str) -> str:
    for host in filter(None, map(str.strip, text.split(","))):
        if re.search(r"[\s/]", host) or host.count(":") == 1:
            raise ValueError("must be names of hosts, separated by commas, without https://, port and path")
    return text


def _check_cache_folder(text: str) -> str:
    expanded(Path(text))
    return text


def _as_command(given: object) -> object:
    """A program with its arguments, as one text quoted as for a shell; a list of words is taken too."""
    if isinstance(given, list | tuple) and all(isinstance(word, str) for word in given):
        given = platforms.current().join_command(given)
    if isinstance(given, str):
        try:
            words = platforms.current().split_command(given)
        except ValueError as refused:
            raise ValueError(f"it cannot be split into words: {refused}") from None
        if not words or not words[0]:
            raise ValueError("names no program")
    return given


Command = Annotated[str, BeforeValidator(_as_command)]
"""A program and its arguments, run without a shell."""
Text = Annotated[str, BeforeValidator(_trimmed)]
Secret = Annotated[SecretStr, BeforeValidator(_trimmed), AfterValidator(_remembered)]
"""A secret itself, kept out of every text from now on, or a reference to one in a vault."""
SecretAddress = Annotated[Secret, AfterValidator(_checked_secret_address)]
Address = Annotated[Text, AfterValidator(_checked_address)]
RootAddress = Annotated[Address, _like(r"[^?#]*", "must end with a path: names of operations are appended to it")]
TokenAddress = Annotated[Address, _like(r"([^{}]|\{tenant_id\})*", "may hold the placeholder {tenant_id} and no other")]
Tenant = Annotated[
    Text,
    _like(
        r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?",
        "must be the id of the directory or one of its domains, such as contoso.onmicrosoft.com: letters, digits, "
        "- and . only",
    ),
]
Client = Annotated[
    Text,
    _like(
        r"([A-Za-z0-9][A-Za-z0-9._-]*)?",
        "must be the application (client) id that the portal shows: letters, digits and - only",
    ),
]
Programme = Annotated[Literal["mpn", "cmp"], _like("mpn", "this version exports Partner Insights only; allowed: mpn")]
Timespan = Annotated[Text, AfterValidator(_timespan)]
Word = Annotated[Text, _like(r"\S*", "must not have blanks")]
Hosts = Annotated[Text, AfterValidator(_check_hosts)]
CacheFolder = Annotated[Text, AfterValidator(_check_cache_folder)]
OutputPath = Annotated[Path, _named("folder"), AfterValidator(check_output)]
FilePath = Annotated[Path, _named("file"), AfterValidator(expanded)]
ExistingFile = Annotated[FilePath, AfterValidator(_existing)]
# More than thirty years, as seconds: dates, to which they are added, end with the year 9999.
Positive = Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
Few = Annotated[int, Field(ge=1, le=250)]
