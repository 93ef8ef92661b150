"""What a reply means when it is no success."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bulkpull.errors import (
    AccessDenied,
    AuthError,
    BulkpullError,
    NotFound,
    QuotaExceeded,
    RequestRejected,
    ServiceTrouble,
    Throttled,
    TransferError,
    UnexpectedReply,
)
from bulkpull.insights.error_mapping import (
    API_STATUSES,
    WITHHELD,
    GatewayTimeout,
    TokenRejected,
    kind_of_status,
    raise_for_error,
)
from bulkpull.transport.http_messages import AnswerKind

HTML = b"<html><body>Bad gateway</body></html>"


def verdict(status: int, body: bytes | dict[str, Any] = b"", **more: Any) -> BulkpullError | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        raise_for_error(status, raw, operation="create the report 'X'", **more)
    except BulkpullError as error:
        return error
    return None


@pytest.mark.behaviour(30, 31)
@pytest.mark.parametrize(
    "body", [{"value": [], "message": None, "statusCode": 200}, {"value": [], "statusCode": "200"}, {"value": []}, b""]
)
def test_a_success_is_judged_by_its_status_alone(body: bytes | dict[str, Any]) -> None:
    assert verdict(200, body) is None


@pytest.mark.behaviour(26, 30, 40, 42, 74, 79)
@pytest.mark.fault(18, 25, 28, 47)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (401, TokenRejected),
        (403, AccessDenied),
        (404, NotFound),
        (408, ServiceTrouble),
        (409, RequestRejected),
        (422, RequestRejected),
        (429, Throttled),
        (500, ServiceTrouble),
        (502, ServiceTrouble),
        (503, ServiceTrouble),
        (504, GatewayTimeout),
    ],
)
def test_a_status_means_the_same_outside_and_inside_the_envelope(status: int, kind: type[BulkpullError]) -> None:
    body = {"value": [], "message": "No.", "statusCode": status}

    assert type(verdict(status, body)) is kind
    assert type(verdict(200, body)) is kind
    assert type(verdict(200, {"Value": None, "Message": "No.", "StatusCode": str(status)})) is kind


@pytest.mark.behaviour(36)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"value": [], "message": "Invalid table name", "statusCode": 400}, "Invalid table name"),
        ({"Message": "Invalid table name", "StatusCode": 400}, "Invalid table name"),
        ({"code": 2000, "description": "Invalid table name", "source": "x"}, "2000 Invalid table name"),
        ({"code": "BadRequest", "message": None, "description": "Invalid table name"}, "BadRequest Invalid table name"),
        ({"error": {"code": "x", "message": "Invalid table name"}}, "x Invalid table name"),
        (b"<html>Invalid table name</html>", "<html>Invalid table name</html>"),
        (b"", "no explanation"),
    ],
    ids=["envelope", "bare", "generic", "generic with code", "nested", "html", "empty"],
)
def test_the_services_words_come_through_in_every_form(body: bytes | dict[str, Any], words: str) -> None:
    error = verdict(400, body)

    assert isinstance(error, RequestRejected)
    assert error.message == f"the service refused to create the report 'X': 400 {words}"


@pytest.mark.behaviour(44)
def test_the_ids_that_support_asks_for_stand_in_the_error() -> None:
    error = verdict(503, b"", reference="request id r-1, correlation id c-1")

    assert error is not None
    assert error.message.endswith("503 no explanation (request id r-1, correlation id c-1)")


@pytest.mark.behaviour(72, 85, 86)
@pytest.mark.fault(36)
@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize(
    ("words", "kind", "limit"),
    [
        ("User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins", "one_off", 5),
        ("user has exceeded its executenow report creation quota", "one_off", None),
        ("User has exceeded its report creation quota of 50 active reports", "active_reports", 50),
        ("Number of queries exceeded. Delete few queries before creating new queries", "queries", None),
    ],
)
def test_a_used_up_quota_is_told_from_a_wrong_request(status: int, words: str, kind: str, limit: int | None) -> None:
    error = verdict(status, {"message": words, "statusCode": status})

    assert isinstance(error, QuotaExceeded)
    assert (error.kind, error.limit) == (kind, limit)
    assert error.fix


@pytest.mark.behaviour(73)
@pytest.mark.parametrize(
    "words",
    [
        "Invalid table name",
        "Incorrect column name",
        "Null or missing value",
        "Invalid QueryId",
        "Recurrence Interval must be between 4 and 2160",
        "Requested value 'string' not found",
    ],
)
def test_a_wrong_request_is_no_quota(words: str) -> None:
    assert type(verdict(400, {"message": words, "statusCode": 400})) is RequestRejected


@pytest.mark.behaviour(10, 11, 12)
@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("body", "more"),
    [
        ({"code": 900421, "message": "Unauthorized", "statusCode": 401}, {}),
        ({"code": "900421", "description": "x"}, {}),
        ({"message": "Unauthorized - MFA required", "statusCode": 401}, {}),
        (b"", {"reason": "Unauthorized - MFA required"}),
        (b"", {"headers": {"www-authenticate": 'Bearer error="invalid_token", error_description="MFA required"'}}),
    ],
)
def test_a_missing_second_factor_is_not_cured_by_another_token(
    body: bytes | dict[str, Any], more: dict[str, Any]
) -> None:
    error = verdict(401, body, **more)

    assert type(error) is AuthError
    assert "Secure Application Model" in str(error)


@pytest.mark.behaviour(12, 18)
def test_an_invalid_token_may_be_cured_by_another_one() -> None:
    error = verdict(401, b"", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    assert type(error) is TokenRejected


@pytest.mark.behaviour(36, 194)
def test_the_generic_error_form_with_a_numeric_code_is_quoted() -> None:
    error = verdict(400, {"code": 2000, "description": "Role is not valid", "data": [], "source": "PartnerFD"})

    assert isinstance(error, RequestRejected)
    assert "2000 Role is not valid" in (error.why or "")


@pytest.mark.behaviour(192, 193)
def test_a_refusal_says_that_a_role_can_vanish_and_that_indirect_resellers_have_no_access() -> None:
    error = verdict(403)

    assert "may have vanished" in (error.fix or "" if error else "")
    assert "indirect resellers have no access" in (error.fix or "" if error else "")
    assert "with both the user counts as the lesser one" in WITHHELD


@pytest.mark.case("C50")
@pytest.mark.case("C24")
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (407, {}),
        (511, {}),
        (401, {"WWW-Authenticate": "Negotiate"}),
        (401, {"www-authenticate": 'Basic realm="proxy"'}),
    ],
)
def test_a_sign_in_that_a_proxy_asks_for_costs_no_other_token(status: int, headers: dict[str, str]) -> None:
    error = verdict(status, HTML, headers=headers)

    assert type(error) is TransferError
    assert "sign-in" in str(error)


@pytest.mark.case("C17")
@pytest.mark.parametrize("status", [418, 499, 306, 700])
def test_an_unknown_status_is_neither_final_nor_passing_and_is_quoted(status: int) -> None:
    error = verdict(status, {"message": "short and stout"})

    assert type(error) is UnexpectedReply
    assert f"{status} short and stout" in str(error)


@pytest.mark.case("C17")
def test_every_listed_status_is_final_or_passing() -> None:
    assert {kind for kind, _ in API_STATUSES.values()} == {AnswerKind.FINAL, AnswerKind.PASSING}
    assert kind_of_status(599) is AnswerKind.PASSING


@pytest.mark.behaviour(22, 26)
@pytest.mark.fault(18)
def test_a_missing_role_is_named() -> None:
    assert "Executive report viewer" in str(verdict(403, HTML))


@pytest.mark.behaviour(37)
def test_the_pause_asked_for_is_kept() -> None:
    throttled, trouble = verdict(429, b"", retry_after_s=57), verdict(503, HTML, retry_after_s=5)

    assert isinstance(throttled, Throttled)
    assert isinstance(trouble, ServiceTrouble)
    assert (throttled.retry_after_s, trouble.retry_after_s) == (57, 5)


@pytest.mark.behaviour(36, 104)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"message": "No item found with given filters.", "statusCode": 404}, NotFound),
        (b"", NotFound),
        (HTML, UnexpectedReply),
    ],
)
def test_a_404_of_a_gateway_is_not_taken_for_nothing_matches(
    body: bytes | dict[str, Any], kind: type[BulkpullError]
) -> None:
    assert type(verdict(404, body)) is kind


@pytest.mark.parametrize("status", [302, 304])
def test_another_answer_is_not_guessed_at(status: int) -> None:
    assert type(verdict(status, b"")) is UnexpectedReply


def test_secrets_and_control_characters_in_the_services_words_are_not_repeated() -> None:
    words = "see https://account.example/f?sig=verysecretvalue\x1b[31m\r\nnext line"

    operation = str(verdict(400, {"message": words}))

    assert "verysecretvalue" not in operation
    assert operation.isprintable()


@pytest.mark.behaviour(43)
def test_a_value_that_was_not_found_points_at_callback_and_format() -> None:
    error = verdict(400, {"message": "Requested value 'string' not found", "statusCode": 400})

    assert isinstance(error, RequestRejected)
    assert "callback" in error.reason
