"""The API server: routes HTTP requests to the service and applies throttling, tokens, paging and faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from aiohttp import web

from bulkpull.simulator import api_replies, error_replies
from bulkpull.simulator.api_replies import Response
from bulkpull.simulator.body_sender import reset
from bulkpull.simulator.error_replies import Refusal, TokenRefused
from bulkpull.simulator.faults import Fault, FaultBox
from bulkpull.simulator.request_log import LoggedRequest
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.routes import DIRECTORY, Route, datasets_of, find_route, paged, perform
from bulkpull.simulator.scenario import Scenario, SimulatorClock
from bulkpull.simulator.service import Service
from bulkpull.simulator.signed_links import http_date
from bulkpull.simulator.throttle import Throttle
from bulkpull.simulator.token_server import TokenIssuer


class ApiHost:
    """
    Answers the API and the token endpoint.

    Args:
        services: The state of each tenant, by the tenant's id in lower case.

    Attributes:
        api_origin, blob_origin: `http://host:port` of the two servers, set once they listen.
    """

    def __init__(
        self,
        scenario: Scenario,
        services: Mapping[str, Service],
        *,
        clock: SimulatorClock,
        faults: FaultBox,
        calls: list[LoggedRequest],
    ) -> None:
        self._scenario, self._services, self._clock, self._faults = scenario, services, clock, faults
        self._calls = calls
        self._tokens = TokenIssuer(scenario, clock=clock, faults=faults)
        self._throttles = {tenant: Throttle(scenario, clock=clock) for tenant in services}
        self._versions = 0
        self._application_id = uuid4()
        self.api_origin = self.blob_origin = ""

    def spend(self, calls: int) -> None:
        """Let another tool of the first tenant's partner make calls (behaviour 173)."""
        next(iter(self._throttles.values())).count(calls)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        route = find_route(request.method, request.path, dict(request.query))
        call = self._note(request, route)
        raw = await request.read()
        if self._scenario.api_latency_s:
            await self._clock.sleep(self._scenario.api_latency_s)
        body = _read_body(raw, is_form=call.endpoint in DIRECTORY)
        call.body_keys = tuple(body)
        if route is not None and route.endpoint not in DIRECTORY:
            call.datasets = datasets_of(route, body, self._service_of(request))
            call.name = _text(Fields(body).get("ReportName") or Fields(body).get("Name"))
        reply = await self._reply(request, route, call, body)
        if reply is None:
            return reset(request)
        call.status = reply.status
        return self._response(reply)

    async def _reply(
        self, request: web.Request, route: Route | None, call: LoggedRequest, body: Mapping[str, Any]
    ) -> Response | None:
        """The answer, `None` for a connection that is reset instead."""
        if self._take("reset_before_acting", call):
            return None
        reply = self._instead(call)
        if reply is not None:
            return reply
        reply = await self._act(request, route, call, body)
        late = self._take("slow_answer", call)
        if late is not None:
            await self._clock.sleep(float(late.args.get("seconds", 1.0)))
        fault = self._take("status_after_acting", call)
        if fault is not None:
            return api_replies.status_reply(fault, now=self._clock.now())
        return None if self._take("reset_after_acting", call) else reply

    def _instead(self, call: LoggedRequest) -> Response | None:
        """What a gateway answers in the service's place; `None` when it lets the request through."""
        for name in ("http_status", "throttle"):
            fault = self._take(name, call)
            if fault is not None:
                return api_replies.status_reply(fault, now=self._clock.now())
        fault = self._take("error_in_ok_envelope", call)
        if fault is not None:
            return api_replies.ok_with_error(fault)
        fault = self._take("redirect", call)
        if fault is None:
            return None
        target = f"{self.blob_origin if fault.args.get('to') != 'loop' else self.api_origin}{call.path}"
        return Response(status=int(fault.args.get("status", 302)), body=b"", headers={"Location": target})

    async def _act(
        self, request: web.Request, route: Route | None, call: LoggedRequest, body: Mapping[str, Any]
    ) -> Response | None:
        """What the service itself answers; `None` for an answer that is lost."""
        if len(request.raw_path) > self._scenario.longest_address:
            return _generic(414, "Request-URI too long")
        if route is None:
            return _generic(404, "Resource not found")
        if not route.is_allowed:
            return _generic(405, "Method not allowed")
        if route.endpoint in DIRECTORY:
            return self._directory_reply(route, body)
        token = _token_of(request)
        throttle = self._throttles[self._tokens.tenant_of(token)]
        throttle.count()
        headers = {**self._echoed(request, token), **throttle.headers}
        try:
            self._admit(call, token, throttle)
            reply = await self._perform(route, call, body, self._service_of(request))
        except Refusal as refusal:
            reply = api_replies.refusal_reply(refusal)
        return replace(reply, headers={**headers, **reply.headers}) if reply is not None else None

    def _admit(self, call: LoggedRequest, token: str | None, throttle: Throttle) -> None:
        """Rate, token and role, in this order; a `Refusal` says which of them is at fault."""
        throttle.check()
        if self._take("token_refused", call):
            raise error_replies.unauthorized()
        self._tokens.check(token)
        if self._scenario.role == "none":
            raise error_replies.forbidden()

    async def _perform(
        self, route: Route, call: LoggedRequest, body: Mapping[str, Any], service: Service
    ) -> Response | None:
        """Let the service act, and put its answer into the envelope; `None` for an answer that is lost."""
        if self._name_is_taken(route, call, body, service):
            return None
        correlation_id = call.correlation_id or str(uuid4())
        answer = await perform(route, body, service, correlation_id=correlation_id)
        if self._take("acts_twice", call):
            await perform(route, body, service, correlation_id=correlation_id)
            return None
        whole = paged(
            answer, route, service, faults=self._faults, api_origin=self.api_origin, foreign_origin=self.blob_origin
        )
        return self._shaped(whole, route, call)

    def _shaped(self, body: dict[str, Any], route: Route, call: LoggedRequest) -> Response:
        """The envelope in the scenario's casing, or as a fault leaves it."""
        if self._scenario.id_casing == "mixed" and call.method == "GET" and route.verb != "testQueryResult":
            body = api_replies.upper_ids(body)
        shaped = body
        if self._scenario.key_casing == "pascal":
            shaped = api_replies.pascal(body, records_too=route.verb != "testQueryResult")
        elif route.verb != "testQueryResult" and self._take("alternating_versions", call):
            self._versions += 1
            shaped = api_replies.other_version(body) if self._versions % 2 else body
        reply = api_replies.json_reply(shaped)
        for name in api_replies.REPLY_FAULTS:
            fault = self._take(name, call)
            if fault is not None:
                return api_replies.spoiled_reply(fault, reply, body)
        return reply

    def _directory_reply(self, route: Route, form: Mapping[str, Any]) -> Response:
        tenant = route.subject or ""
        try:
            match route.endpoint:
                case "token":
                    body = self._tokens.issue(form, tenant=tenant, version=route.version)
                case "devicecode":
                    body = self._tokens.begin_device(form, tenant=tenant, origin=self.api_origin)
                case _:
                    body = self._tokens.describe(tenant=tenant, origin=self.api_origin)
        except TokenRefused as refused:
            return api_replies.json_reply(refused.body(now=self._clock.now()), status=refused.status)
        return api_replies.json_reply(body, headers={"Cache-Control": "no-cache, no-store"})

    def _name_is_taken(self, route: Route, call: LoggedRequest, body: Mapping[str, Any], service: Service) -> bool:
        """Whether somebody else's query took the name, and this answer is lost: then a lookup finds the stranger."""
        fields = Fields(body)
        name, text = fields.text("Name"), fields.text("Query")
        if (route.method, route.verb) != ("POST", "ScheduledQueries") or name is None or text is None:
            return False
        if not self._take("name_taken", call):
            return False
        parsed = service.query_store.parse(text)
        other = f"SELECT {parsed.columns[0].name} FROM {parsed.table.listed_name} LIMIT 1"  # noqa: S608 - not SQL
        service.query_store.keep(name=name, text=other, description=None)
        return True

    def _service_of(self, request: web.Request) -> Service:
        """The service of the tenant whose token the request carries."""
        return self._services[self._tokens.tenant_of(_token_of(request))]

    def _take(self, name: str, call: LoggedRequest) -> Fault | None:
        fault = self._faults.take(name, datasets=call.datasets, endpoint=call.endpoint or "", method=call.method)
        if fault is not None and call.fault is None:
            call.fault = fault.name
        return fault

    def _note(self, request: web.Request, route: Route | None) -> LoggedRequest:
        headers = request.headers
        call = LoggedRequest(
            at=self._clock.now(),
            method=request.method,
            path=request.path,
            endpoint=route.endpoint if route else None,
            params=dict(request.query),
            subject=route.subject if route else None,
            has_authorization="Authorization" in headers or "X-AadUserTicket" in headers,
            request_id=headers.get("MS-RequestId"),
            correlation_id=headers.get("MS-CorrelationId"),
        )
        self._calls.append(call)
        return call

    def _echoed(self, request: web.Request, token: str | None) -> dict[str, str]:
        """The headers of every reply: the live service's, or those that Partner Center documents (13, 44 and 174)."""
        live = self._scenario.edition == "live"
        names = ("MS-CorrelationId",) if live else ("MS-RequestId", "MS-CorrelationId")
        headers = {name: request.headers.get(name, str(uuid4())) for name in names}
        if live:
            headers["Request-Context"] = f"appId=cid-v1:{self._application_id}"
        if self._scenario.tells_mfa and request.headers.get("ValidateMfa", "").casefold() == "true":
            headers["isMfaCompliant"] = str(self._tokens.is_mfa_compliant(token)).lower()
        return headers

    def _response(self, reply: Response) -> web.Response:
        response = web.Response(
            status=reply.status,
            reason=reply.reason,
            body=reply.body,
            headers={"Date": http_date(self._clock.now()), **reply.headers},
        )
        response.headers["Content-Type"] = f"{reply.content_type}; charset=utf-8"
        return response


def _generic(status: int, words: str) -> Response:
    """An error of the gateway rather than the API, in Partner Center's generic form (behaviour 36)."""
    return api_replies.json_reply({"code": str(status), "description": words, "source": "Gateway"}, status=status)


def _read_body(raw: bytes, *, is_form: bool) -> Mapping[str, Any]:
    """A form or a JSON object; anything else has no fields, so the first mandatory one is missing."""
    text = raw.decode("utf-8", errors="replace")
    if is_form:
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        body = json.loads(text or "{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _token_of(request: web.Request) -> str | None:
    """The bearer token, or the ticket that is observed to do as well (behaviour 16)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and token:
        return token
    return request.headers.get("X-AadUserTicket")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
