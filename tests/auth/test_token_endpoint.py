"""One token for all, renewed in time; a refusal is a sentence and is not repeated."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
import pytest
from support import TOKEN_URL, Answers, EventRecorder, FakeClock

from bulkpull.auth.grants import life_of, margin_of, token_form
from bulkpull.auth.token_cache import TokenEntry
from bulkpull.auth.token_codes import LOOP_PAUSE_S, TOKEN_CODES, TOKEN_ERRORS
from bulkpull.auth.token_endpoint import Credentials, Grant, TokenEndpoint
from bulkpull.auth.token_errors import UnknownRefusal, first_sentence, judge_token_reply
from bulkpull.auth.token_rotation import TokenRotation
from bulkpull.errors import (
    AuthError,
    BulkpullError,
    ServiceTrouble,
    SettingsError,
    Throttled,
    TransferError,
    UnexpectedReply,
    UnsafeAddress,
)
from bulkpull.redact import redact
from bulkpull.transport.http import Http
from bulkpull.transport.http_messages import UNKNOWN_TRIES, AnswerKind, Reply
from bulkpull.transport.rate_limit import spread
from bulkpull.transport.retry import Retrier, RetryPolicy

RESOURCE = "https://api.partnercenter.microsoft.com"
V2_URL = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
PERSON = Credentials("app-1", "app-secret", username="user@contoso.example", password="user-password")
KEEPER_OF_A_TOKEN = Credentials("app-1", "app-secret", refresh_token="refresh-token-0")


def token(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"token_type": "Bearer", "expires_in": "3599", "access_token": f"access-token-{number}"} | more


def refused(code: int, error: str = "invalid_grant", **more: Any) -> dict[str, Any]:
    return {"error": error, "error_description": f"AADSTS{code}: No.", "error_codes": [code]} | more


@dataclass
class Rig:
    endpoint: TokenEndpoint
    clock: FakeClock
    recorded: EventRecorder
    answers: Answers
    http: Http

    def answer(self, *payloads: dict[str, Any], status: int = 200, **more: Any) -> None:
        for payload in payloads:
            self.answers.post(TOKEN_URL, payload=payload, status=status, **more)

    @property
    def forms(self) -> list[dict[str, str]]:
        return [options["data"] for options in self.answers.sent("POST")]


@asynccontextmanager
async def endpoint(
    grant: Grant = Grant.PASSWORD,
    credentials: Credentials = PERSON,
    kept: TokenRotation | None = None,
) -> AsyncIterator[Rig]:
    clock, recorded = FakeClock(), EventRecorder()
    async with Http(ca_file=None, events=recorded.hub, clock=clock, user_agent="x") as http:
        retrier = Retrier(
            policy=RetryPolicy(),
            clock=clock,
            events=recorded.hub,
            random=lambda: 0.5,
            counts=http.counts,
        )
        made = TokenEndpoint(
            http=http,
            retrier=retrier,
            clock=clock,
            events=recorded.hub,
            token_url=TOKEN_URL,
            resource=RESOURCE,
            grant=grant,
            credentials=credentials,
            kept=kept,
        )
        with Answers() as answers:
            yield Rig(made, clock, recorded, answers, http)


@pytest.mark.behaviour(1, 2, 6)
async def test_the_password_grant_sends_the_walkthroughs_form() -> None:
    async with endpoint() as rig:
        rig.answer(token())

        assert (await rig.endpoint.get_token()).value == "access-token-1"

    assert rig.forms == [
        {
            "resource": RESOURCE,
            "client_id": "app-1",
            "client_secret": "app-secret",
            "grant_type": "password",
            "scope": "openid",
            "username": "user@contoso.example",
            "password": "user-password",
        }
    ]
    assert rig.recorded.of("token.renewed") == [{"grant": "password", "lives_s": 3599.0}]


@pytest.mark.behaviour(1, 14, 15)
@pytest.mark.parametrize(
    ("grant", "url", "expected"),
    [
        (
            Grant.REFRESH_TOKEN,
            TOKEN_URL,
            {"resource": RESOURCE, "scope": "openid", "refresh_token": "refresh-1"},
        ),
        (Grant.REFRESH_TOKEN, V2_URL, {"scope": f"{RESOURCE}/user_impersonation", "refresh_token": "refresh-1"}),
        (Grant.CLIENT_CREDENTIALS, TOKEN_URL, {"resource": RESOURCE}),
        (Grant.CLIENT_CREDENTIALS, V2_URL, {"scope": f"{RESOURCE}/.default"}),
    ],
)
def test_each_grant_has_its_form_on_both_versions(grant: Grant, url: str, expected: dict[str, str]) -> None:
    credentials = Credentials(" app-1 ", " app-secret ", refresh_token=" refresh-1 ")

    form = token_form(grant, credentials=credentials, resource=f" {RESOURCE}/ ", token_url=url)

    always = {"client_id": "app-1", "client_secret": "app-secret", "grant_type": grant.value}
    assert form == always | expected


@pytest.mark.parametrize(
    ("grant", "named"),
    [
        (Grant.PASSWORD, "`username` and `password`"),
        (Grant.REFRESH_TOKEN, "`refresh_token`"),
        (Grant.CLIENT_CREDENTIALS, "`client_secret`"),
    ],
)
def test_a_missing_credential_is_named(grant: Grant, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        token_form(grant, credentials=Credentials("app-1"), resource=RESOURCE, token_url=TOKEN_URL)


async def test_credentials_do_not_go_to_plain_http() -> None:
    async with endpoint() as rig:
        with pytest.raises(UnsafeAddress, match="`token_url`"):
            TokenEndpoint(
                http=rig.http,
                retrier=Any,  # type: ignore[arg-type]  # never reached
                clock=rig.clock,
                events=rig.recorded.hub,
                token_url="http://login.example/token",
                resource=RESOURCE,
                grant=Grant.PASSWORD,
                credentials=PERSON,
            )


@pytest.mark.behaviour(4, 5)
@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("expires_in", "life_s"),
    [
        (3599, 3599),
        ("3599", 3599),
        (" 3599 ", 3599),
        (None, 300),
        (0, 300),
        ("0", 300),
        (-1, 300),
        ("soon", 300),
        ("nan", 300),
        (True, 300),
        ([], 300),
        (10**12, 86_400),
        ("inf", 86_400),
    ],
)
def test_a_life_that_cannot_be_believed_is_taken_for_short(expires_in: object, life_s: float) -> None:
    assert life_of(expires_in) == life_s


@pytest.mark.behaviour(3)
def test_a_token_is_renewed_five_minutes_before_its_end_or_at_a_fifth_of_a_short_life() -> None:
    assert (margin_of(3_600), margin_of(1_500), margin_of(300), margin_of(10)) == (300, 300, 60, 2)


@pytest.mark.fault(21)
async def test_a_token_without_a_lifetime_does_not_cost_a_call_each_time() -> None:
    async with endpoint() as rig:
        rig.answer(token(expires_in="-5"))
        for _ in range(10):
            await rig.endpoint.get_token()

        assert len(rig.forms) == 1


@pytest.mark.behaviour(3)
@pytest.mark.fault(16)
async def test_twenty_waiters_share_one_renewal() -> None:
    async with endpoint() as rig:
        rig.answer(token(1), token(2))
        values: list[str] = []

        async def waiter() -> None:
            values.append((await rig.endpoint.get_token()).value)

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(waiter)
            rig.clock.advance(3_400)

    assert values == ["access-token-1"] * 20 + ["access-token-2"] * 20
    assert len(rig.forms) == 2


@pytest.mark.fault(11, 104)
async def test_a_stepped_wall_clock_does_not_age_a_token() -> None:
    async with endpoint() as rig:
        rig.answer(token())
        await rig.endpoint.get_token()
        rig.clock.step_wall_clock(-86_400)
        await rig.endpoint.get_token()
        rig.clock.step_wall_clock(10 * 86_400)
        await rig.endpoint.get_token()

    assert len(rig.forms) == 1


@pytest.mark.behaviour(18)
@pytest.mark.fault(17)
async def test_callers_whose_token_was_refused_share_one_renewal() -> None:
    async with endpoint() as rig:
        rig.answer(token(1), token(2))
        old = await rig.endpoint.get_token()
        values: list[str] = []

        async def refused_caller() -> None:
            values.append((await rig.endpoint.renew(old)).value)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(refused_caller)

    assert values == ["access-token-2"] * 5


@pytest.mark.behaviour(17)
@pytest.mark.fault(13, 14)
@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (65001, "invalid_grant", "consent"),
        (700016, "unauthorized_client", "`client_id`"),
        (50011, "invalid_request", "redirect"),
        (50076, "invalid_grant", "Secure Application Model"),
        (50079, "interaction_required", "Secure Application Model"),
        (50126, "invalid_grant", "`username` and `password`"),
        (7000215, "invalid_client", "`client_secret`.* mistyped, expired or replaced"),
        (7000218, "invalid_client", "allow public client flows in the app registration, or set `client_secret`"),
        (7000222, "invalid_client", "expired"),
        (700082, "invalid_grant", "refresh token has ended"),
        (90002, "invalid_request", "`tenant_id`"),
        (90094, "invalid_grant", "administrator"),
        (70043, "invalid_grant", "`bulkpull auth login`"),
        (50105, "invalid_grant", "assign the user"),
        (650057, "invalid_resource", "`user_impersonation`"),
        (700025, "invalid_client", "unset `client_secret`"),
    ],
)
async def test_a_refusal_is_a_sentence_and_costs_one_call(code: int, error: str, words: str) -> None:
    """Asked again and again with wrong credentials, a directory locks the account."""
    async with endpoint() as rig:
        rig.answer(refused(code, error), status=400)
        for _ in range(3):
            with pytest.raises(AuthError, match=words) as caught:
                await rig.endpoint.get_token()
            assert caught.value.fix
            assert f"AADSTS{code}" in str(caught.value)

        assert len(rig.forms) == 1


@pytest.mark.case("C17")
@pytest.mark.parametrize("code", [50000, 50087, 90006, 90012, 90024, 90033, 90055])
async def test_a_passing_fault_of_the_directory_is_waited_for(code: int) -> None:
    async with endpoint() as rig:
        rig.answer(refused(code), refused(code, "server_error"), status=400)
        rig.answer(token())

        assert (await rig.endpoint.get_token()).value == "access-token-1"

    assert len(rig.forms) == 3
    assert f"AADSTS{code}" in str(rig.recorded.of("call.retried")[0]["reason"])


@pytest.mark.case("C17")
async def test_a_client_taken_for_a_loop_keeps_quiet_for_a_while() -> None:
    async with endpoint() as rig:
        rig.answer(refused(50196), status=400)
        rig.answer(token())

        await rig.endpoint.get_token()

    assert rig.clock.sleeps_s == [spread(LOOP_PAUSE_S, draw=0.5)]


@pytest.mark.case("C17")
@pytest.mark.parametrize("grant", [Grant.PASSWORD, Grant.REFRESH_TOKEN])
async def test_an_unknown_refusal_is_repeated_a_few_times_and_then_quoted(grant: Grant) -> None:
    """It is not explained as an ended refresh token, and not asked again for ever: accounts get locked."""
    async with endpoint(grant, PERSON if grant is Grant.PASSWORD else KEEPER_OF_A_TOKEN) as rig:
        for _ in range(10):
            rig.answer(refused(999999), status=400)
        for _ in range(3):
            with pytest.raises(AuthError, match="AADSTS999999: No") as caught:
                await rig.endpoint.get_token()
            assert "refresh token has ended" not in str(caught.value)

    assert len(rig.forms) == UNKNOWN_TRIES == 3


@pytest.mark.case("C17")
async def test_an_unknown_refusal_that_passes_costs_nothing_else() -> None:
    async with endpoint() as rig:
        rig.answer(refused(999999), status=400)
        rig.answer(token())

        assert (await rig.endpoint.get_token()).value == "access-token-1"


async def test_a_refusal_tells_trace_and_correlation_id() -> None:
    ids = {"trace_id": "0aa1b2c3-0000-4000-8000-000000000001", "correlation_id": "0aa1b2c3-0000-4000-8000-000000000002"}
    for code in (7000215, 999999):
        async with endpoint() as rig:
            for _ in range(3):
                rig.answer(refused(code, "invalid_client" if code == 7000215 else "invalid_grant", **ids), status=400)
            with pytest.raises(AuthError) as caught:
                await rig.endpoint.get_token()

        assert f"trace id {ids['trace_id']}, correlation id {ids['correlation_id']}" in str(caught.value)


@pytest.mark.case("C22")
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\0b", "a b", "caf\u00e9", "\ud800"])
async def test_a_token_that_no_header_carries_is_one_sentence(value: str) -> None:
    async with endpoint() as rig:
        for _ in range(10):
            rig.answer(token(access_token=value))

        with pytest.raises(UnexpectedReply, match="cannot be sent"):
            await rig.endpoint.get_token()


@pytest.mark.case("C22")
async def test_a_refresh_token_that_no_form_carries_is_lost_alone() -> None:
    async with endpoint() as rig:
        rig.answer(token(refresh_token="new\ud800"))
        rig.answer(token(2))

        assert (await rig.endpoint.get_token()).value == "access-token-1"
        rig.clock.advance(3_600)
        await rig.endpoint.get_token()

    assert [form["grant_type"] for form in rig.forms] == ["password", "password"]
    assert "token.unusable" in rig.recorded.names


@pytest.mark.case("C22")
@pytest.mark.parametrize("expires_in", [int("9" * 400), "9" * 400, -int("9" * 400)])
async def test_a_life_of_four_hundred_digits_is_no_fault(expires_in: object) -> None:
    async with endpoint() as rig:
        rig.answer(token(expires_in=expires_in))

        assert (await rig.endpoint.get_token()).value == "access-token-1"


def test_no_code_stands_for_two_things() -> None:
    assert not [code for code, known in TOKEN_CODES.items() if known.kind is AnswerKind.UNKNOWN]
    assert all(known.cause and known.step for known in (*TOKEN_CODES.values(), *TOKEN_ERRORS.values()))


@pytest.mark.fault(13)
async def test_twenty_callers_with_wrong_credentials_cost_one_call() -> None:
    async with endpoint() as rig:
        rig.answer(refused(50126), status=400)
        errors: list[BulkpullError] = []

        async def caller() -> None:
            try:
                await rig.endpoint.get_token()
            except AuthError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(caller)

    assert len({str(error) for error in errors}) == 1
    assert (len(errors), len(rig.forms)) == (20, 1)


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 429, "headers": {"Retry-After": "7"}},
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 400, "payload": {"error": "temporarily_unavailable"}, "headers": {"Retry-After": "7"}},
    ],
)
async def test_a_busy_endpoint_is_asked_again_after_the_pause_it_names(trouble: dict[str, Any]) -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, **trouble)
        rig.answer(token())

        assert (await rig.endpoint.get_token()).value == "access-token-1"

    assert rig.clock.sleeps_s == [spread(7, draw=0.5)]


@pytest.mark.fault(15)
async def test_a_cut_connection_to_the_endpoint_is_repeated() -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, exception=aiohttp.ServerDisconnectedError())
        rig.answer(token())

        await rig.endpoint.get_token()

    assert rig.http.counts.retried == 1


@pytest.mark.fault(15)
async def test_all_wait_on_one_attempt_and_share_its_failure() -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, status=503, repeat=True)
        failures = 0

        async def caller() -> None:
            nonlocal failures
            with pytest.raises(ServiceTrouble, match="tried 6 times"):
                await rig.endpoint.get_token()
            failures += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(caller)

        assert failures == 20
        assert len(rig.forms) == 6


async def test_while_the_endpoint_is_out_of_order_the_old_token_serves_to_its_end() -> None:
    async with endpoint() as rig:
        rig.answer(token(1))
        await rig.endpoint.get_token()
        rig.answers.post(TOKEN_URL, status=503, repeat=True)
        rig.clock.advance(3_400)

        assert (await rig.endpoint.get_token()).value == "access-token-1"
        rig.clock.advance(200)
        with pytest.raises(ServiceTrouble):
            await rig.endpoint.get_token()


@pytest.mark.behaviour(8)
@pytest.mark.fault(19, 20)
async def test_a_rotated_refresh_token_is_stored_before_its_access_token_is_used() -> None:
    class Shelf(TokenRotation):
        def __init__(self) -> None:
            self.recorded: list[str] = []
            self.newer: TokenEntry | None = None

        @asynccontextmanager
        async def locked(self) -> AsyncIterator[None]:
            self.recorded.append("turn")
            yield
            self.recorded.append("end of turn")

        async def latest(self) -> TokenEntry | None:
            return self.newer

        async def store(self, refresh_token: str) -> None:
            assert rig.recorded.of("token.renewed") == []
            self.recorded.append(f"kept {refresh_token}")

    def kept(refresh_token: str, *, public: bool = False) -> TokenEntry:
        return TokenEntry(
            tenant_id="tenant-1",
            client_id="app-1",
            token_url=TOKEN_URL,
            kept_at="2026-01-01T00:00:00Z",
            refresh_token=refresh_token,
            public=public,
        )

    shelf = Shelf()
    credentials = Credentials("app-1", "app-secret", refresh_token="refresh-token-1")
    async with endpoint(Grant.REFRESH_TOKEN, credentials, kept=shelf) as rig:
        rig.answer(token(1, refresh_token="refresh-token-2"))
        await rig.endpoint.get_token()
        rig.recorded.events.clear()
        shelf.newer = kept("refresh-token-9")  # another process went on with it meanwhile
        rig.answer(token(2, refresh_token="refresh-token-9"))
        rig.clock.advance(3_400)
        await rig.endpoint.get_token()

        shelf.newer = kept("refresh-token-of-a-person", public=True)
        rig.answer(token(3))
        rig.clock.advance(3_400)
        await rig.endpoint.get_token()

    assert [(form["refresh_token"], form.get("client_secret")) for form in rig.forms] == [
        ("refresh-token-1", "app-secret"),
        ("refresh-token-9", "app-secret"),
        ("refresh-token-of-a-person", None),
    ]
    assert shelf.recorded == ["turn", "kept refresh-token-2", "end of turn", *(["turn", "end of turn"] * 2)]


@pytest.mark.behaviour(7, 21)
async def test_a_refresh_token_of_the_password_grant_is_used_and_falls_back_once() -> None:
    async with endpoint() as rig:
        rig.answer(token(1, refresh_token="refresh-token-1"))
        await rig.endpoint.get_token()
        rig.clock.advance(3_400)
        rig.answer(refused(700082), status=400)
        rig.answer(token(2))

        assert (await rig.endpoint.get_token()).value == "access-token-2"

    assert [form["grant_type"] for form in rig.forms] == ["password", "refresh_token", "password"]


@pytest.mark.behaviour(9)
async def test_a_dead_refresh_token_is_not_replaced_by_anything() -> None:
    async with endpoint(Grant.REFRESH_TOKEN, Credentials("app-1", refresh_token="refresh-token-1")) as rig:
        rig.answer(refused(70008), status=400)

        with pytest.raises(AuthError, match="only a person can help"):
            await rig.endpoint.get_token()


@pytest.mark.case("C15", "C17")
async def test_an_answer_that_is_no_token_endpoints_is_asked_for_three_times_and_names_the_setting() -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, status=404, body="<html>nothing here</html>", repeat=True)

        with pytest.raises(UnexpectedReply, match="tried 3 times; check `token_url`") as caught:
            await rig.endpoint.get_token()

    assert len(rig.forms) == UNKNOWN_TRIES
    assert caught.value.was_repeated  # nothing above it asks again (case C15)


async def test_a_success_without_a_token_is_not_guessed_at() -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, payload={"token_type": "Bearer"}, repeat=True)

        with pytest.raises(UnexpectedReply, match="holds no token"):
            await rig.endpoint.get_token()


async def test_cancellation_does_not_keep_others_from_a_token() -> None:
    async with endpoint() as rig:
        rig.answers.post(TOKEN_URL, status=503, headers={"Retry-After": "60"})
        rig.answer(token())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.endpoint.get_token)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        rig.answer(token())
        assert (await rig.endpoint.get_token()).value == "access-token-1"


async def test_tokens_are_secrets_from_the_moment_they_arrive() -> None:
    async with endpoint() as rig:
        rig.answer(token(access_token="opaque-access-value", refresh_token="opaque-refresh-value"))
        got = await rig.endpoint.get_token()

    text = f"{got!r} opaque-access-value opaque-refresh-value app-secret user-password"
    assert "opaque" not in redact(text)
    assert "opaque" not in repr(got)
    assert "app-secret" not in redact(text)
    assert "user-password" not in repr(PERSON)


async def test_no_token_is_shown_by_what_holds_it() -> None:
    credentials = Credentials("app-1", "app-secret", refresh_token="refresh-token-1")
    async with endpoint(Grant.REFRESH_TOKEN, credentials) as rig:
        assert "refresh-token-1" not in repr(rig.endpoint)


def test_only_the_first_sentence_of_a_description_is_quoted_without_ids() -> None:
    description = (
        "AADSTS999999: The user user@contoso.example of 6f2c1b7e-1111-4111-8111-111111111111 is not known. "
        "Trace ID: 11111111-2222-4333-8444-555555555555\r\nCorrelation ID: x"
    )

    assert first_sentence(description) == "AADSTS999999: The user … of … is not known."


@pytest.mark.parametrize(
    ("status", "body"), [(400, b'{"error": "never_heard_of"}'), (503, b"<html>"), (429, b""), (403, b"<html>no</html>")]
)
def test_a_refusal_without_trace_id_is_quoted_with_the_request_id_of_its_headers(status: int, body: bytes) -> None:
    headers = {"X-Ms-Request-Id": "0a1b2c3d-0000-4000-8000-00000000000f"}

    with pytest.raises(BulkpullError, match="x-ms-request-id 0a1b2c3d-0000-4000-8000-00000000000f"):
        judge_token_reply(Reply(status, headers, body), grant="password", retry_after_s=None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"access_token": "x"}, None),
        (200, {"error": "invalid_grant"}, UnknownRefusal),
        (400, {"error": "never_heard_of"}, UnknownRefusal),
        (400, {"error": "invalid_grant", "error_codes": [90006]}, ServiceTrouble),
        (400, {"error": "server_error"}, ServiceTrouble),
        (407, {}, TransferError),
        (400, {"error": "interaction_required", "claims": "x"}, AuthError),
        (401, {"error": "invalid_client"}, AuthError),
        (429, {}, Throttled),
        (500, {"error": "server_error"}, ServiceTrouble),
        (403, {}, UnexpectedReply),
    ],
)
def test_every_answer_of_the_endpoint_has_a_meaning(
    status: int, body: dict[str, Any], kind: type[BulkpullError] | None
) -> None:
    def judged() -> None:
        judge_token_reply(Reply(status, {}, json.dumps(body).encode()), grant="password", retry_after_s=None)

    if kind is None:
        judged()
    else:
        with pytest.raises(kind):
            judged()


@pytest.mark.behaviour(17)
@pytest.mark.parametrize(
    ("token_url", "has_page"),
    [
        ("https://login.microsoftonline.com/t/oauth2/token", True),
        ("https://login.partner.microsoftonline.cn/t/oauth2/token", True),
        ("https://login.microsoftonline.com.contoso.example/token", False),
        ("http://127.0.0.1:8080/t/oauth2/token", False),
    ],
)
@pytest.mark.parametrize("code", [7000218, 999999])
def test_a_refused_stored_sign_in_names_the_code_and_no_secret(code: int, token_url: str, has_page: bool) -> None:
    body = json.dumps({"error": "invalid_client", "error_codes": [code], "error_description": f"AADSTS{code}: no."})
    reply = Reply(401, {}, body.encode())

    with pytest.raises((AuthError, UnknownRefusal)) as refused:
        judge_token_reply(reply, grant="refresh_token", retry_after_s=None, is_stored=True, token_url=token_url)

    assert refused.value.message.startswith("the stored sign-in is not accepted any more: ")
    assert f"AADSTS{code}" in refused.value.message
    assert ("does not allow public client flows" in refused.value.message) == (code == 7000218)
    assert "secret" not in refused.value.reason
    assert "sign in again: `bulkpull auth login`" in refused.value.reason
    assert ("login.microsoftonline.com/error" in refused.value.reason) == has_page
