"""A service whose names, ids and messages hold control characters: no command lets one through, as table or as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_line import Command, Outcome, Serve, small
from relay import relayed
from support import can_act

from bulkpull.simulator import Fault, Simulator, api_replies

# ESC, BEL, C1, marks of writing direction, a line separator, a lone surrogate.
HOSTILE = "\x1b]0;title\x07\x9b31m\u202eevil\u2066\u2028\u200f\x7f\ud800"
# Ids and names by which commands find things stay as they are on the first entry of every listing.
_TEXTS = {"description", "message", "callbackurl"}
FORMS: tuple[tuple[str, ...], ...] = (
    ("datasets",),
    ("datasets", "Profile"),
    ("preview", "Profile"),
    ("queries", "list"),
    ("queries", "list", "--system"),
    ("queries", "show", "QUERY"),
    ("queries", "create", "A fresh one", "SELECT MPNId FROM Profile"),
    ("queries", "create", "Wrong", "SELECT Nonsense FROM Profile"),
    ("queries", "delete", "QUERY", "--yes"),
    ("reports", "list"),
    ("reports", "show", "REPORT"),
    ("reports", "create", "--dataset", "Profile", "--now"),
    ("reports", "create", "--dataset", "Profile", "--every", "48"),
    ("reports", "update", "REPORT", "--every", "72"),
    ("reports", "pause", "REPORT"),
    ("reports", "resume", "REPORT"),
    ("reports", "delete", "--orphans", "--yes"),
    ("reports", "delete", "REPORT", "--yes"),
    ("executions", "REPORT"),
    ("executions", "REPORT", "--all"),
    ("export", "Profile", "--plan"),
    ("export", "Profile"),
    ("export", "OfficeUsage", "--submit-only"),
    ("nightly", "Profile", "--plan"),
    ("nightly", "Profile"),
    ("status",),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "verify"),
    ("runs", "resume"),
    ("auth", "check"),
    ("doctor",),
)
WITH_FOLDER = {"export", "nightly", "status", "runs", "doctor"}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of the simulator that is built from now on bears the characters."""
    plain = api_replies.json_reply

    def spoiled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: spoiled(inner, name) for name, inner in value.items()}
        return f"{value}{HOSTILE}" if isinstance(value, str) and key.casefold() in _TEXTS else value

    def wholly(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: wholly(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [wholly(inner) for inner in value]
        return f"{value}{HOSTILE}" if isinstance(value, str) else value

    def reply(body: Any, **options: Any) -> Any:
        records = body.get("value") if isinstance(body, dict) else None
        if isinstance(records, list) and records:
            body = {**body, "value": [*map(spoiled, records), wholly(records[0])]}
        replied = plain({}, **options)
        replied.body = json.dumps(spoiled(body)).encode()
        return replied

    monkeypatch.setattr(api_replies, "json_reply", reply)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated is repeated without a pause to speak of."""
    monkeypatch.setenv("BULKPULL_REQUEST_ATTEMPTS", "1")
    monkeypatch.setenv("BULKPULL_REPORT_ATTEMPTS", "1")


def check(outcome: Outcome, *, of: str) -> None:
    for name, text in (("standard output", outcome.out), ("standard error", outcome.err)):
        raw = sorted({f"U+{ord(letter):04X}" for letter in text if can_act(letter) and letter not in "\n\t"})
        assert raw == [], f"{of} lets {raw} through to {name}"
    assert outcome.code != 1 or "unexpected" not in outcome.err, f"{of}: {outcome.err}"


@pytest.mark.case("C31")
@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_no_form_of_a_command_lets_a_character_through_that_acts(
    command: Command, serve: Serve, hostile: None, as_json: bool
) -> None:
    simulator = serve(small(rows=5))
    query = simulator.service.query_store.keep(name="Kept", text="SELECT MPNId FROM Profile", description="kept")
    reported = 0
    for form in FORMS:
        report = next(iter(simulator.service.reports), "none")
        words = [{"QUERY": query.query_id, "REPORT": report}.get(word, word) for word in form]
        words += ["--output", "data"] if form[0] in WITH_FOLDER else []
        words += ["--json"] if as_json else []
        outcome = command(*words)
        check(outcome, of=" ".join(words))
        reported += "x1b" in outcome.out + outcome.err or "u001b" in outcome.out
        if as_json and outcome.out:
            outcome.json()

    assert reported >= 10  # the characters did come, and are spelled out


@pytest.mark.case("C31")
@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("http_status", endpoint="ScheduledDataset", times=None, args={"status": 400, "message": HOSTILE}),
        Fault("http_status", endpoint="POST ScheduledQueries", times=None, args={"status": 400, "message": HOSTILE}),
        Fault("token_error", times=None, args={"code": 999_999, "words": HOSTILE}),
        Fault("error_in_ok_envelope", endpoint="ScheduledDataset", times=None, args={"message": HOSTILE}),
    ],
    ids=["list refused", "creation refused", "token refused", "error within"],
)
def test_no_refusal_lets_a_character_through_that_acts(
    command: Command, serve: Serve, fault: Fault, as_json: bool
) -> None:
    serve(small(rows=5, faults=(fault,)))
    for form in (("export", "Profile", "--output", "data"), ("runs", "show", "--output", "data"), ("datasets",)):
        check(command(*form, *(["--json"] if as_json else [])), of=" ".join(form))


@pytest.mark.case("C20")
def test_a_reason_phrase_in_latin_1_and_a_lone_surrogate_are_told_in_a_manifest(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator: Simulator = serve(
        small(
            rows=5,
            faults=(
                Fault("http_status", endpoint="POST ScheduledQueries", dataset="OfficeUsage", times=None,
                      args={"status": 400, "message": "no \ud800 half"}),
                Fault("http_status", endpoint="POST ScheduledQueries", dataset="MSLearn", times=None,
                      args={"status": 400, "body": "none", "reason": "GATEWAY-PHRASE"}),
            ),
        )
    )  # fmt: skip
    with relayed(simulator.api_base_url, old=b"GATEWAY-PHRASE", new=b"Acc\xe8s refus\xe9") as front:
        monkeypatch.setenv("BULKPULL_API_BASE_URL", front)
        outcome = command("export", "Profile", "OfficeUsage", "MSLearn", "--output", "data", "--json")

    assert outcome.code == 3, outcome.err
    manifest = outcome.json()
    records = {record["dataset"]: record for record in manifest["datasets"]}
    assert records["Profile"]["status"] == "complete"
    assert "\\ud800 half" in records["OfficeUsage"]["reason"]
    assert "Accès refusé" in records["MSLearn"]["reason"]


@pytest.mark.case("C22")
def test_a_dataset_without_a_name_costs_no_other(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = api_replies.envelope

    def with_nameless(records: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        if records and "datasetName" in records[0]:
            records = [records[0] | {"datasetName": None}, *records]
        return plain(records, **more)

    monkeypatch.setattr(api_replies, "envelope", with_nameless)
    serve(small(rows=5))

    outcome = command("export", "Profile", "--output", "data", "--json")

    assert outcome.code == 0, outcome.err
    assert outcome.json()["datasets"][0]["status"] == "complete"
    assert any("without a name" in note for note in outcome.json()["notes"])
