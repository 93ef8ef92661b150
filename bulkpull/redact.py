"""
Removes secrets from text: registered values wherever they occur, and what stands in fields that carry secrets (`sig=`,
`access_token`, …), percent-encoded or not.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Any

from bulkpull.untrusted_text import visible

STARS = "***"
# Shorter values (a one-letter password) would blank out innocent text everywhere.
_SHORTEST_SECRET = 6
# Small letters alone are a word: a token of so few of them is none that a directory gives out.
_LONGEST_WORD = 15
_FIELDS = "sig|access_token|refresh_token|id_token|client_secret|client_assertion|password|assertion"
_FIELD_VALUE = re.compile(
    rf"""(?ix) (?: (?<![a-z0-9_]) | (?<=%[0-9a-f]{{2}}) )
    ((?:{_FIELDS}) (?:["'] \s* : \s* ["'] | \s*[=:]\s* | %3d))   # sig=…, "access_token": "…", sig%3D…
    (?! (?<=_token:[ ]) (?-i:[a-z]{{1,{_LONGEST_WORD}}}) (?!\S) )   # refresh_token: followed by a word of prose
    ( [^\s"'&<>,;]+ )"""
)
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_SHORTEST_BEARER = len("bearer") + 8
_BEARER = re.compile(r"(?i)(bearer\s+)[a-z0-9._~+/=-]{8,}")
# What a JWT can be a part of. Which part, `_without_jwt` finds by steps that go forward only: one pattern for it would
# begin again at every `eyJ` of a long text (case C14).
_JWT_LETTERS = re.compile(r"[A-Za-z0-9._-]{14,}")
_JWT_HEAD = "eyJ"
_SHORTEST_JWT_PART = 5
# A longer text is cut before its secrets are looked for, and what lies at the cut is dropped: it may be half a secret.
_EXAMINED_CHARACTERS = 65_536
_DROPPED_CHARACTERS = 8_192

# A process that signs in for months keeps the newest tokens: more than can be valid, few enough for a quick search.
_MOST_TOKENS = 200

# Every form of every secret, the longest first: a secret may be a part of another.
_values: list[str] = []
# The forms of each secret that is kept as long as the process lasts, and of each token, the newest last.
_lasting: dict[str, set[str]] = {}
_tokens: dict[str, set[str]] = {}
_registering = Lock()


def register_secret(value: str) -> None:
    """Remove `value`, in every form in which it may be quoted, from every text redacted from now on in this process."""
    _register(value, _lasting)


def register_token(value: str) -> None:
    """As `register_secret`, for what a sign-in sends or is given: only the newest two hundred are remembered."""
    _register(value, _tokens)


def _register(value: str, kept: dict[str, set[str]]) -> None:
    value = value.strip()
    if len(value) < _SHORTEST_SECRET:
        return
    with _registering:
        kept.pop(value, None)
        kept[value] = _forms_of(value)
        forms = {*_values, *kept[value]}
        if len(_tokens) > _MOST_TOKENS:
            del _tokens[next(iter(_tokens))]
            forms = set().union(*_lasting.values(), *_tokens.values())
        _values[:] = sorted(forms, key=len, reverse=True)


def _forms_of(value: str) -> set[str]:
    """A secret as it stands, and as addresses, forms, JSON, HTML and tracebacks write it."""
    # Needed only where there is a secret: `import bulkpull` and `--help` are quick without them.
    import html  # noqa: PLC0415 - see above, as the next
    import json  # noqa: PLC0415
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    encoded = {quote(value, safe=""), quote_plus(value)}
    lowered = {_PERCENT.sub(lambda found: found[0].lower(), form) for form in encoded}
    return {
        value,
        *encoded,
        *lowered,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        repr(value)[1:-1],
        # As text of others is kept: a service that echoes it back has its line breaks and control characters made
        # visible before anybody looks for secrets.
        visible(value),
        visible(value, lines=True),
    }


def redact(text: str) -> str:
    """Replace each secret in `text` by stars: registered values, fields that carry secrets, bearer tokens."""
    for value in _values:
        if value in text:
            text = text.replace(value, STARS)
    # Most texts are names and numbers: what neither pattern can be in is not searched.
    if "=" in text or ":" in text or "%" in text:
        text = _FIELD_VALUE.sub(rf"\1{STARS}", text)
    if len(text) > _SHORTEST_BEARER and "bearer" in text.lower():
        text = _BEARER.sub(rf"\1{STARS}", text)
    return _JWT_LETTERS.sub(_without_jwt, text) if _JWT_HEAD in text else text


def _without_jwt(found: re.Match[str]) -> str:
    run = found[0]
    begin, dot = run.find(_JWT_HEAD), -1
    while begin >= 0:
        if dot < begin:
            dot = run.find(".", begin)
        if dot < 0 or len(run) - dot - 1 < _SHORTEST_JWT_PART:
            return run
        if dot - begin - len(_JWT_HEAD) >= _SHORTEST_JWT_PART:
            return run[:begin] + STARS
        begin = run.find(_JWT_HEAD, begin + 1)
    return run


def plain(text: str) -> str:
    """`text` on one line, without secrets; characters that steer a terminal or turn the writing are spelled out."""
    return visible(redact(text))


def printable(text: str, *, most: int = 2_000) -> str:
    """
    The beginning of a text of others, `most` characters at most, fit for a terminal, a log line and the manifest.

    Secrets are removed first and the text is cut afterwards, so that no part of a secret is left at the cut.
    """
    longest = max(len(_values[0]) if _values else 0, _DROPPED_CHARACTERS)
    examined = max(_EXAMINED_CHARACTERS, 2 * most) + longest
    is_cut = len(text) > examined
    text = redact(text[:examined])
    text = visible(text[: len(text) - longest] if is_cut else text).strip()
    return text if len(text) <= most and not is_cut else text[: most - 1] + "…"


def printable_value(value: Any, *, name: str) -> Any:
    """A fact fit for a log, its texts printable; by its name a field that carries secrets is known for what it is."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [printable_value(item, name=name) for item in value]
    if isinstance(value, dict):
        return {printable(str(inner)): printable_value(item, name=str(inner)) for inner, item in value.items()}
    return printable(f"{name}={value}").removeprefix(f"{name}=")
