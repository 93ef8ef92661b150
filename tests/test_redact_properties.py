"""No secret survives redaction, in whatever form it is quoted and however the text around it is cut."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull import redact as redaction
from bulkpull.cli.log_output import LogListener
from bulkpull.cli.options import CommonOptions, LogFormat, LogLevel
from bulkpull.errors import BulkpullError
from bulkpull.event_types import OtherEvent
from bulkpull.redact import plain, printable, redact, register_secret, register_token

# Letters that passwords have and that addresses, JSON, HTML and terminals write otherwise.
SECRETS = st.text(st.sampled_from("aZ9_-.~+/=&%\"'\\<>ü€ \t#?:;,{}[]"), min_size=8, max_size=40).map(
    lambda text: f"cAnArY{text}yRaNaC"
)
TEXTS = st.text(st.sampled_from("abc =&?\"'{}:,<>/%2F\n"), max_size=30)
FORMS: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "in an address": lambda secret: quote(secret, safe=""),
    "in an address, in small letters": lambda secret: re.sub("%..", lambda at: at[0].lower(), quote(secret, safe="")),
    "in a form": quote_plus,
    "in JSON": lambda secret: json.dumps({"x": secret}),
    "in JSON with its letters": lambda secret: json.dumps([secret], ensure_ascii=False),
    "in HTML": html.escape,
    "in a traceback": repr,
}


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_values", [])
    monkeypatch.setattr(redaction, "_lasting", {})
    monkeypatch.setattr(redaction, "_tokens", {})


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_a_secret_is_known_in_every_form_in_which_it_is_quoted(form: str, secret: str, before: str, after: str) -> None:
    register_secret(secret)
    quoted = FORMS[form](secret)

    for reported in (redact, plain, printable):
        assert "cAnArY" not in reported(f"{before}{quoted}{after}")


@given(secrets=st.lists(SECRETS, min_size=1, max_size=4, unique=True), texts=st.lists(TEXTS, min_size=5, max_size=5))
def test_secrets_side_by_side_and_within_one_another_all_go(secrets: list[str], texts: list[str]) -> None:
    nested = secrets[0] + secrets[-1]
    for secret in (*secrets, nested):
        register_secret(secret)
    reported = "".join(text + secret for text, secret in zip(texts, [*secrets, nested], strict=False))

    assert "cAnArY" not in redact(reported)


@given(secret=SECRETS, text=TEXTS, cuts=st.lists(st.integers(0, 120), max_size=4), is_json=st.booleans())
def test_no_secret_survives_however_a_text_is_split_over_the_values_of_a_log_line(
    secret: str, text: str, cuts: list[int], *, is_json: bool
) -> None:
    register_secret(secret)
    whole = f"{text}{secret}{text}"
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts = [whole[begin:end] for begin, end in pairwise(edges)]
    facts: dict[str, Any] = {f"part{number}": part for number, part in enumerate(parts)}
    facts |= {"whole": whole, "inner": [{"deep": whole}]}
    lines: list[str] = []
    common = CommonOptions(log_format=LogFormat.JSON if is_json else LogFormat.CONSOLE, log_level=LogLevel.DEBUG)

    LogListener(common, write=lines.append)(OtherEvent(event_name="x.happened", details=facts))

    (line,) = lines
    assert not [form for form in redaction._forms_of(secret) if form in line]


@given(secret=SECRETS, text=TEXTS, most=st.integers(1, 120))
def test_what_is_cut_short_is_cut_after_the_secrets_were_taken_out(secret: str, text: str, most: int) -> None:
    """A secret that is cut in two is not recognised any more, and half of it is worth something."""
    register_secret(secret)

    assert "cAnArY" not in printable(f"{text}{secret}{text}", most=most)


@given(secret=SECRETS, text=TEXTS)
def test_an_error_holds_no_secret_in_any_of_its_parts(secret: str, text: str) -> None:
    register_secret(secret)
    error = BulkpullError(f"{text}{secret}", why=f"{secret}{text}", fix=f"{text}{secret}{text}")

    reported = f"{error} {error!r} {error.args} {error.__dict__} {error.reason}"
    assert "cAnArY" not in reported


@pytest.mark.parametrize("field", ["refresh_token", "access_token", "id_token"])
def test_a_word_of_prose_after_the_name_of_a_token_stays(field: str) -> None:
    prose = f"no token for {field}: the application needs a client secret"

    assert redact(prose) == prose
    assert redact(f"{field}: expired") == f"{field}: expired"


@pytest.mark.parametrize("between", ["=", ":", ": ", '": "', "%3D", " = "])
@pytest.mark.parametrize("value", ["cAnArY", "canary1", "c.anary", "canarycanarycanary"])
def test_what_may_be_a_token_goes_wherever_its_field_is_named(between: str, value: str) -> None:
    assert value not in redact(f"refresh_token{between}{value} and more")
    assert "hunter" not in redact(f"password{between}hunter and more")
    assert "xyz" not in redact(f"client_secret{between}xyz")


def test_of_many_tokens_the_newest_are_known_and_a_secret_of_the_settings_is_never_forgotten() -> None:
    """Each run of a scheduler's process signs in anew; every line of a log is searched for all that is known."""
    known: list[int] = []
    register_secret("password-of-the-settings")
    for number in range(3 * redaction._MOST_TOKENS):
        register_token("password-of-the-settings")
        register_token(f"opaque/token+{number:06}")
        known.append(len(redaction._values))
        assert redact(f"given opaque/token+{number:06}") == "given ***"

    assert known[-1] == known[redaction._MOST_TOKENS]
    newest = [f"opaque/token+{3 * redaction._MOST_TOKENS - age:06}" for age in range(1, redaction._MOST_TOKENS)]
    assert {redact(token) for token in newest} == {"***"}
    assert redact("opaque/token+000000") == "opaque/token+000000"
    assert redact("password-of-the-settings") == "***"


def test_a_token_that_is_also_in_the_settings_is_never_forgotten() -> None:
    register_token("refresh/token+of+settings")
    register_secret("refresh/token+of+settings")
    for number in range(redaction._MOST_TOKENS + 1):
        register_token(f"opaque/token+{number:06}")

    assert redact("refresh/token+of+settings") == "***"
