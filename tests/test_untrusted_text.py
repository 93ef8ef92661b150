"""Text of others passes one door: it can be written, it cannot act, and no part of a secret is left at a cut."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import can_act

from bulkpull import redact
from bulkpull.errors import BulkpullError
from bulkpull.output.manifest import DatasetRecord, Manifest, Requests, Tool
from bulkpull.redact import printable, register_secret
from bulkpull.transport.json_fields import json_object, shown, text
from bulkpull.untrusted_text import escaped_json, visible, writable

ANY_TEXT = st.text(st.characters(codec=None))
HOSTILE = "\x1b]0;title\x07 \x9b31m \u202eevil\u2066 \u2028 \u200f \x7f \x00 \ud800"


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_values", [])


@pytest.mark.case("C20", "C31")
@given(expected=ANY_TEXT | st.just(HOSTILE))
def test_no_character_that_acts_or_cannot_be_written_passes(expected: str) -> None:
    made = visible(expected)

    assert not [letter for letter in made if can_act(letter)]
    assert made.encode().decode() == made
    assert visible(made) == made


@pytest.mark.case("C31")
@given(expected=ANY_TEXT)
def test_a_text_of_several_lines_keeps_its_line_breaks_and_nothing_else_that_acts(expected: str) -> None:
    made = visible(expected, lines=True)

    assert not [letter for letter in made if can_act(letter) and letter not in "\t\n\r"]
    assert made.count("\n") == expected.count("\n")


def test_ordinary_text_of_any_language_is_left_alone() -> None:
    reported = "Müller & Söhne, 株式会社, شركة, עברית, 👩‍💻 naïve"

    assert visible(reported) == reported


@pytest.mark.case("C20")
def test_a_reason_phrase_in_latin_1_is_read_as_such() -> None:
    assert visible("Acc\udce8s refus\udce9") == "Accès refusé"


@pytest.mark.case("C31")
@given(value=st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_text_reads_as_the_same_values_and_holds_no_raw_character_that_acts(value: object) -> None:
    made = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))

    assert json.loads(made) == value
    assert not [letter for letter in made if can_act(letter) and letter != "\n"]
    made.encode()


@pytest.mark.case("C20")
@given(reason=ANY_TEXT)
def test_a_manifest_can_be_written_whatever_it_says(reason: str) -> None:
    record = DatasetRecord(dataset="Profile", status="failed", reason=reason, earlier_types={reason: "String"})
    now = datetime(2026, 11, 23, 2, tzinfo=UTC)
    manifest = Manifest(
        run_id="r", status="failed", started_at=now, finished_at=now, tool=Tool(version="1"), api_base_url=reason,
        requests=Requests(), datasets=[record], notes=[reason],
    )  # fmt: skip

    written = json.dumps(manifest.as_dict(), ensure_ascii=False).encode()

    assert json.loads(written)["datasets"][0]["dataset"] == "Profile"


@given(value=st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_what_can_be_written_is_not_changed(value: dict[str, object]) -> None:
    assert writable(value) == value


@pytest.mark.case("C30")
@given(
    secret=st.text(st.sampled_from("pass word-\t'<é"), min_size=12, max_size=60),
    before=st.integers(0, 260),
    after=st.sampled_from([0, 300, 200_000]),
)
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(secret: str, before: int, after: int) -> None:
    secret = f"QQZ{secret}ZQQ"
    redact._values[:] = []
    register_secret(secret)
    reported = f"{'x ' * (before // 2)}{secret}{' y' * (after // 2)}"

    for cut in (printable(reported, most=200), shown(reported.encode()), BulkpullError(reported, why=reported).reason):
        assert "QQZ" not in cut


@pytest.mark.case("C30")
def test_no_half_secret_is_left_at_the_end_of_what_is_examined() -> None:
    secret = "correct horse battery staple " * 4
    register_secret(secret)
    for before in range(65_536, 65_536 + 8_192, 500):
        assert "horse" not in printable("y" * before + secret + "z" * 100_000, most=70_000)


@pytest.mark.case("C24")
@pytest.mark.parametrize("body", [b'{"message": "two\nlines\x01"}', b'{"message": "x"}\0', b'{"message": "x"}\r\n\0\0'])
def test_json_with_raw_control_characters_or_a_nul_after_its_end_is_read(body: bytes) -> None:
    raw = json_object(body)

    assert raw is not None
    assert text(raw["message"]) in ("x", "two lines\\x01")


@pytest.mark.case("C22")
def test_a_number_of_any_length_as_a_name_is_no_fault() -> None:
    assert text(int("9" * 400)) == "9" * 400
    assert text(int("9" * 4_000) * 10**4_000) is None
