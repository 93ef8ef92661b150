"""The token endpoint, and which tokens the API takes."""

from __future__ import annotations

from typing import Any

import pytest
from certificates import made
from simulator_caller import Caller, Got, calling

from bulkpull.simulator import Fault


@pytest.mark.behaviour(4, 14)
async def test_version_2_replies_with_numbers_and_without_expires_on() -> None:
    async with calling() as caller:
        body = (await caller.ask_token(version=2)).body

    assert (body["expires_in"], body["ext_expires_in"]) == (3599, 3599)
    assert not {"expires_on", "not_before", "resource"} & set(body)


@pytest.mark.behaviour(1)
async def test_blanks_around_form_values_do_not_count() -> None:
    async with calling() as caller:
        scenario = caller.simulator.scenario
        reply = await caller.ask_token(client_id=f" {scenario.client_id}", password=f" {scenario.password} ")

    assert reply.status == 200


@pytest.mark.behaviour(2, 9, 17)
@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"tenant": "another-tenant"}, 400, "invalid_request", 90002),
        ({"client_id": "11111111-1111-4111-8111-111111111111"}, 400, "unauthorized_client", 700016),
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        ({"password": "wrong"}, 400, "invalid_grant", 50126),
        ({"username": "nobody@contoso.example"}, 400, "invalid_grant", 50126),
        ({"grant_type": "refresh_token", "refresh_token": "stale"}, 400, "invalid_grant", 700082),
        (
            {"grant_type": "refresh_token", "refresh_token": "stale", "client_secret": None},
            400,
            "invalid_grant",
            700082,
        ),
        ({"grant_type": "refresh_token"}, 400, "invalid_request", 900144),
        ({"grant_type": "authorization_code", "code": "wrong"}, 400, "invalid_grant", 70000),
        ({"grant_type": "device_code"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": None}, 400, "invalid_request", 900144),
        ({"resource": "https://contoso.example"}, 400, "invalid_resource", 500011),
    ],
)
async def test_a_wrong_token_request_gets_its_aadsts_code(
    changes: dict[str, Any], status: int, error: str, code: int
) -> None:
    async with calling() as caller:
        reply = await caller.ask_token(**changes)

    assert (reply.status, reply.body["error"], reply.body["error_codes"]) == (status, error, [code])
    assert reply.body["error_description"].startswith(f"AADSTS{code}: ")


@pytest.mark.behaviour(7, 8)
async def test_redeeming_a_refresh_token_gives_a_new_one_and_the_old_one_lives_on() -> None:
    async with calling() as caller:
        first = caller.simulator.scenario.refresh_token
        second = (await caller.ask_token(grant_type="refresh_token", refresh_token=first)).body["refresh_token"]
        replies = [await caller.ask_token(grant_type="refresh_token", refresh_token=item) for item in (second, first)]

    assert second != first
    assert [reply.status for reply in replies] == [200, 200]


async def test_rotation_can_be_switched_off() -> None:
    async with calling(rotate_refresh_token=False) as caller:
        token = caller.simulator.scenario.refresh_token
        reply = await caller.ask_token(grant_type="refresh_token", refresh_token=token)

    assert reply.body["refresh_token"] == token


@pytest.mark.behaviour(3, 18)
async def test_a_token_is_refused_from_its_end_on() -> None:
    async with calling() as caller:
        caller.clock.move(seconds=3598)
        before = await caller.get("/ScheduledDataset")
        caller.clock.move(seconds=1)
        after = await caller.get("/ScheduledDataset")

    assert before.status == 200
    assert (after.status, after.body) == (401, {"message": "Unauthorized", "statusCode": 401})
    assert after.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer made-up", "Basic dXNlcjpwYXNz"])
async def test_a_call_without_a_known_token_is_refused(value: str) -> None:
    async with calling() as caller:
        reply = await caller.call("GET", "/ScheduledDataset", headers={"Authorization": value})

    assert reply.status == 401


@pytest.mark.behaviour(16)
async def test_the_user_ticket_carries_the_token_as_well() -> None:
    async with calling() as caller:
        headers = {"Authorization": "", "X-AadUserTicket": caller.token}
        reply = await caller.call("GET", "/ScheduledDataset", headers=headers)

    assert reply.status == 200


@pytest.mark.behaviour(2)
async def test_a_graph_token_has_the_wrong_audience() -> None:
    async with calling() as caller:
        await caller.sign_in(resource="https://graph.windows.net")
        reply = await caller.get("/ScheduledDataset")

    assert reply.status == 401


@pytest.mark.behaviour(15)
@pytest.mark.parametrize(("app_only", "status"), [("refused", 403), ("allowed", 200)])
async def test_an_app_only_token_is_issued_and_then_refused(app_only: str, status: int) -> None:
    async with calling(app_only=app_only) as caller:
        token = await caller.ask_token(grant_type="client_credentials")
        caller.token = token.body["access_token"]
        reply = await caller.get("/ScheduledDataset")

    assert "refresh_token" not in token.body
    assert reply.status == status


@pytest.mark.behaviour(11, 17)
async def test_mfa_at_the_token_endpoint_stops_the_password_and_not_the_refresh_token() -> None:
    async with calling(mfa="token") as caller:
        password = await caller.ask_token()
        refresh = await caller.ask_token(
            grant_type="refresh_token", refresh_token=caller.simulator.scenario.refresh_token
        )

    assert (password.status, password.body["error_codes"], password.body["suberror"]) == (400, [50076], "basic_action")
    assert refresh.status == 200


@pytest.mark.behaviour(10, 12, 13)
async def test_mfa_at_the_api_refuses_a_password_token_with_its_code() -> None:
    async with calling(mfa="api") as caller:
        accepted = await caller.call("GET", "/ScheduledDataset", headers={"ValidateMfa": "true"})
        await caller.sign_in()
        refused = await caller.call("GET", "/ScheduledDataset", headers={"ValidateMfa": "true"})

    assert (accepted.status, accepted.headers["isMfaCompliant"]) == (200, "true")
    assert (refused.status, refused.headers["isMfaCompliant"]) == (401, "false")
    assert refused.body == {"code": 900421, "message": "Unauthorized - MFA required", "statusCode": 401}


@pytest.mark.fault(13, 14, 21)
async def test_token_faults_strike_as_often_as_they_are_armed() -> None:
    async with calling() as caller:
        caller.simulator.arm(Fault("token_error", args={"code": 65001}))
        refused, issued = await caller.ask_token(), await caller.ask_token()
        caller.simulator.arm(Fault("expires_in_form", args={"value": "0"}))
        odd = await caller.ask_token()
        caller.simulator.arm(Fault("token_expires_early", args={"seconds": 5}))
        await caller.sign_in()
        caller.clock.move(seconds=6)
        early = await caller.get("/ScheduledDataset")

    assert (refused.body["error_codes"], refused.body["suberror"], issued.status) == ([65001], "consent_required", 200)
    assert odd.body["expires_in"] == "0"
    assert early.status == 401


async def test_nothing_that_the_simulator_notes_or_logs_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with calling() as caller:
        await caller.sign_in()
        await caller.fetch(await caller.link())
        noted = repr(caller.simulator.calls) + repr(caller.simulator.scenario) + caplog.text
        secrets = [caller.token, *(getattr(caller.simulator.scenario, item) for item in ("client_secret", "password"))]

    assert caller.simulator.calls[-1].endpoint == "blob"
    assert not [secret for secret in secrets if secret in noted]
    assert "sig=" not in noted


async def _device(caller: Caller, **changes: str) -> Got:
    root = caller.simulator.token_url.format(tenant_id=caller.simulator.scenario.tenant_id)
    form = {"client_id": caller.simulator.scenario.client_id, "scope": "openid offline_access"} | changes
    async with caller.session.post(root.replace("/oauth2/token", "/oauth2/v2.0/devicecode"), data=form) as reply:
        return Got(reply.status, await reply.read(), reply.headers, await reply.json())


async def _redeem(caller: Caller, device_code: str) -> Got:
    return await caller.ask_token(
        version=2,
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=device_code,
        client_secret=None,
        username=None,
        password=None,
    )


async def test_a_device_code_is_pending_until_the_person_has_signed_in_and_is_redeemed_once() -> None:
    async with calling(device_polls=2) as caller:
        begun = (await _device(caller)).body
        replies = [await _redeem(caller, begun["device_code"]) for _ in range(4)]
        caller.token = replies[2].body["access_token"]
        accepted = await caller.call("GET", "/ScheduledDataset", headers={"ValidateMfa": "true"})

    assert {"user_code", "device_code", "verification_uri", "expires_in", "interval", "message"} == set(begun)
    assert [reply.body.get("error") for reply in replies] == [
        "authorization_pending",
        "authorization_pending",
        None,
        "bad_verification_code",
    ]
    assert (accepted.status, accepted.headers["isMfaCompliant"]) == (200, "true")


async def test_what_was_given_without_a_secret_is_redeemed_without_one_and_nothing_else_is() -> None:
    async with calling(device_polls=0) as caller:
        given = (await _redeem(caller, (await _device(caller)).body["device_code"])).body["refresh_token"]
        own = caller.simulator.scenario.refresh_token
        replies = [
            await caller.ask_token(grant_type="refresh_token", refresh_token=item, client_secret=None)
            for item in (given, own)
        ]

    assert [reply.status for reply in replies] == [200, 401]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"device_answer": "declined"}, "authorization_declined"),
        ({"device_answer": "expired"}, "expired_token"),
    ],
)
async def test_a_device_code_may_come_to_nothing(parameters: dict[str, Any], error: str) -> None:
    async with calling(device_polls=0, **parameters) as caller:
        reply = await _redeem(caller, (await _device(caller)).body["device_code"])

    assert (reply.status, reply.body["error"]) == (400, error)


async def test_a_device_code_ends_after_a_quarter_of_an_hour() -> None:
    async with calling(device_polls=0) as caller:
        code = (await _device(caller)).body["device_code"]
        caller.clock.move(minutes=16)
        reply = await _redeem(caller, code)

    assert reply.body["error"] == "expired_token"


async def test_an_application_that_keeps_secrets_gets_no_device_code() -> None:
    async with calling(public_client=False) as caller:
        reply = await _device(caller)

    assert (reply.status, reply.body["error_codes"]) == (401, [7000218])


async def test_an_application_that_keeps_secrets_must_send_one_with_an_unknown_refresh_token() -> None:
    async with calling(public_client=False) as caller:
        reply = await caller.ask_token(grant_type="refresh_token", refresh_token="stale", client_secret=None)

    assert (reply.status, reply.body["error_codes"]) == (401, [7000218])


async def test_the_directory_says_where_its_endpoints_are() -> None:
    async with calling() as caller:
        tenant = caller.simulator.scenario.tenant_id
        root = caller.simulator.token_url.split("/{tenant_id}")[0]
        known = await caller.call("GET", f"{root}/{tenant}/v2.0/.well-known/openid-configuration")
        unknown = await caller.call("GET", f"{root}/another/v2.0/.well-known/openid-configuration")

    assert known.body["token_endpoint"] == f"{root}/{tenant}/oauth2/v2.0/token"
    assert known.body["device_authorization_endpoint"] == f"{root}/{tenant}/oauth2/v2.0/devicecode"
    assert (unknown.status, unknown.body["error_codes"]) == (400, [90002])


async def test_a_service_that_takes_a_refresh_token_once_refuses_it_from_then_on() -> None:
    async with calling(single_use_refresh_tokens=True) as caller:
        own = caller.simulator.scenario.refresh_token  # redeemed when the caller signed in
        reply = await caller.ask_token(grant_type="refresh_token", refresh_token=own)

    assert reply.body["error_codes"] == [700082]


@pytest.mark.parametrize("elliptic", [False, True])
@pytest.mark.parametrize(
    "assertion", ["rubbish", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJQUzI1NiJ9.e30.eA"]
)
async def test_what_is_no_signed_assertion_is_refused(assertion: str, elliptic: bool) -> None:
    """Nor is anything that names a certificate whose key is not RSA."""
    async with calling(client_certificate=made(elliptic=elliptic).certificate) as caller:
        reply = await caller.ask_token(
            client_secret=None,
            client_assertion=assertion,
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        )

    assert (reply.status, reply.body["error_codes"]) == (401, [700027])
