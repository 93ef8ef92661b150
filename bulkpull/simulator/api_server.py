"""The API server: routes HTTP requests to the service and applies throttling, tokens, paging and faults."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from aiohttp import web

from bulkpull.simulator import api_replies
from bulkpull.simulator.api_replies import THROTTLED, Refusal, forbidden, unauthorized
from bulkpull.simulator.body_sender import reset
from bulkpull.simulator.execution_list import Records
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.routes import API_ROOT, Route, ServiceCall, datasets_of, find_route, perform
from bulkpull.simulator.service import Service
from bulkpull.simulator.simulator_context import Context, Host, LoggedRequest
from bulkpull.simulator.token_server import TokenIssuer, TokenRefused


class ApiHost(Host):
    """Answers the API and the token endpoint; the origins of the two servers are set once they listen."""

    def __init__(self, context: Context, services: Mapping[str, Service]) -> None:
        super().__init__(context)
        self._services = services
        self._tokens = TokenIssuer(context)
        self._throttles = {service: Throttle(context) for service in services.values()}
        self._versions = 0
        self._application_id = uuid4()
        self.api_origin = self.blob_origin = ""

    def spend(self, calls: int) -> None:
        """Let another tool of the first tenant's partner make calls (behaviour 173)."""
        next(iter(self._throttles.values())).count(calls)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        route = find_route(request.method, request.path)
        call = self._note(
            request,
            endpoint=route.endpoint,
            params=dict(request.query),
            subject=route.subject,
            request_id=request.headers.get("MS-RequestId"),
            correlation_id=request.headers.get("MS-CorrelationId"),
        )
        raw = await request.read()
        if self._scenario.api_latency_s:
            await self._clock.sleep(self._scenario.api_latency_s)
        body, token = _read_body(raw, is_form=route.is_directory), _token_of(request)
        call.body_keys = tuple(body.raw)
        service = self._services[self._tokens.tenant_of(token)]
        api_call = ServiceCall(service, route, body, Fields(call.params), token, call.correlation_id or str(uuid4()))
        if route.endpoint is not None and not route.is_directory:
            call.datasets = datasets_of(api_call)
            name = body.get("ReportName") or body.get("Name")
            call.name = name if isinstance(name, str) else None
        reply = await self._reply(request, api_call, call)
        if reply is None:
            return reset(request)
        call.status = reply.status
        reply.headers.setdefault("Date", format_datetime(self._clock.now(), usegmt=True))
        return reply

    async def _reply(self, request: web.Request, api_call: ServiceCall, call: LoggedRequest) -> web.Response | None:
        """The answer, `None` for a connection that is reset instead."""
        if self._take("reset_before_acting", call):
            return None
        reply = self._instead(call)
        if reply is not None:
            return reply
        reply = await self._act(request, api_call, call)
        await self._answer_slowly(call)
        fault = self._take("status_after_acting", call)
        if fault is not None:
            return api_replies.status_reply(fault, now=self._clock.now())
        return None if self._take("reset_after_acting", call) else reply

    def _instead(self, call: LoggedRequest) -> web.Response | None:
        """What a gateway answers in the service's place; `None` when it lets the request through."""
        fault = self._take("http_status", call) or self._take("throttle", call)
        if fault is not None:
            return api_replies.status_reply(fault, now=self._clock.now())
        fault = self._take("error_in_ok_envelope", call)
        if fault is not None:
            return api_replies.ok_with_error(fault)
        fault = self._take("redirect", call)
        if fault is None:
            return None
        target = f"{self.blob_origin if fault.args.get('to') != 'loop' else self.api_origin}{call.path}"
        return api_replies.reply_of(b"", status=int(fault.args.get("status", 302)), headers={"Location": target})

    async def _act(self, request: web.Request, api_call: ServiceCall, call: LoggedRequest) -> web.Response | None:
        """What the service itself answers; `None` for an answer that is lost."""
        if len(request.raw_path) > self._scenario.longest_address:
            return api_replies.gateway_error(414, "Request-URI too long")
        if api_call.route.endpoint is None:
            return api_replies.gateway_error(404, "Resource not found")
        if not api_call.route.is_allowed:
            return api_replies.gateway_error(405, "Method not allowed")
        if api_call.route.is_directory:
            return self._directory_reply(api_call.route, api_call.body.raw)
        throttle = self._throttles[api_call.service]
        throttle.count()
        headers = {**self._echoed(request, api_call.token), **throttle.headers}
        try:
            throttle.check()
            if self._take("token_refused", call):
                raise unauthorized()
            self._tokens.check(api_call.token)
            if self._scenario.role == "none":
                raise forbidden()
            reply = await self._perform(api_call, call)
        except Refusal as refusal:
            reply = api_replies.refusal_reply(refusal)
        if reply is not None:
            reply.headers.extend({name: value for name, value in headers.items() if name not in reply.headers})
        return reply

    async def _perform(self, api_call: ServiceCall, call: LoggedRequest) -> web.Response | None:
        """Let the service act, and put its answer into the envelope; `None` for an answer that is lost."""
        if self._name_is_taken(api_call, call):
            return None
        records = await perform(api_call)
        if self._take("acts_twice", call):
            await perform(api_call)
            return None
        body, has_rows = self._paged(records, api_call, call), api_call.route.endpoint == "testQueryResult"
        if self._scenario.id_casing == "mixed" and call.method == "GET" and not has_rows:
            body = api_replies.upper_ids(body)
        shaped = body
        if self._scenario.key_casing == "pascal":
            shaped = api_replies.pascal(body, records_too=not has_rows)
        elif not has_rows and self._take("alternating_versions", call):
            self._versions += 1
            shaped = api_replies.other_version(body) if self._versions % 2 else body
        fault = next(filter(None, (self._take(name, call) for name in api_replies.REPLY_FAULTS)), None)
        return api_replies.json_reply(shaped) if fault is None else api_replies.damaged_reply(fault, shaped, body)

    def _paged(self, records: Records, api_call: ServiceCall, call: LoggedRequest) -> dict[str, Any]:
        """The envelope of an answer; a listing longer than a page ends with a link to the next (behaviour 32)."""
        scenario, page, next_link = api_call.service.scenario, records, None
        if call.method == "GET" and call.endpoint != "testQueryResult":
            skip = int(skipped) if (skipped := call.params.get("skip", "0")).isdecimal() else 0
            following = skip + (scenario.page_size or len(records))
            page = records[skip:following]
            loops = self._faults.take("next_link_loops", endpoint=call.endpoint) is not None
            address = f"{api_call.route.address.replace('{id}', api_call.subject)}?" + urlencode(
                {**call.params, "skip": skip if loops else following}
            )
            if loops or following < len(records):
                is_absolute = scenario.next_link == "absolute"
                next_link = f"{self.api_origin}{API_ROOT}/{address}" if is_absolute else address
            if self._faults.take("next_link_foreign_host", endpoint=call.endpoint):
                next_link = f"{self.blob_origin}{API_ROOT}/{address}"
        redacted = scenario.role == "viewer" or self._faults.peek("redacted") is not None
        return api_replies.envelope(page, message=api_call.message, next_link=next_link, data_redacted=redacted)

    def _directory_reply(self, route: Route, form: Mapping[str, Any]) -> web.Response:
        tenant = route.subject or ""
        try:
            match route.endpoint:
                case "token":
                    body = self._tokens.issue(form, tenant=tenant, address=route.address)
                case "devicecode":
                    body = self._tokens.begin_device(form, tenant=tenant, origin=self.api_origin)
                case _:
                    body = self._tokens.describe(tenant=tenant, origin=self.api_origin)
        except TokenRefused as refused:
            return api_replies.json_reply(refused.body(now=self._clock.now()), status=refused.status)
        return api_replies.json_reply(body, headers={"Cache-Control": "no-cache, no-store"})

    def _name_is_taken(self, api_call: ServiceCall, call: LoggedRequest) -> bool:
        """Whether somebody else stores a query of that name now, and this answer is lost."""
        if (call.method, call.endpoint) != ("POST", "ScheduledQueries"):
            return False
        name, text = api_call.body.text("Name"), api_call.body.text("Query")
        if name is None or text is None or not self._take("name_taken", call):
            return False
        parsed = api_call.queries.parse(text)
        other = f"SELECT {parsed.columns[0].name} FROM {parsed.table.listed_name} LIMIT 1"  # noqa: S608 - not SQL
        api_call.queries.keep(name=name, text=other, description=None)
        return True

    def _echoed(self, request: web.Request, token: str | None) -> dict[str, str]:
        """The headers of every reply: the live service's, or those that Partner Center documents (13, 44 and 174)."""
        live = self._scenario.edition == "live"
        names = ("MS-CorrelationId",) if live else ("MS-RequestId", "MS-CorrelationId")
        headers = {name: request.headers.get(name, str(uuid4())) for name in names}
        if live:
            headers["Request-Context"] = f"appId=cid-v1:{self._application_id}"
        if self._scenario.mfa_header and request.headers.get("ValidateMfa", "").casefold() == "true":
            headers["isMfaCompliant"] = str(self._tokens.is_mfa_compliant(token)).lower()
        return headers


class Throttle:
    """
    Counts every request of the partner, including rejected ones (behaviours 37, 38, 172 and 173).

    A window begins with the first request after the last window. No reply says how long a window is.
    """

    def __init__(self, context: Context) -> None:
        self._scenario, self._clock = context.scenario, context.clock
        self._ends_at, self._count = -math.inf, 0

    def count(self, calls: int = 1) -> None:
        """Take calls of this client, or of another tool of the same partner, out of the allowance (behaviour 173)."""
        now = self._clock.monotonic()
        if now >= self._ends_at:
            self._ends_at, self._count = now + self._scenario.throttle_window_s, 0
        self._count += calls

    def check(self) -> None:
        """Let the request through that was counted last."""
        if self._count > self._scenario.requests_per_minute:
            wait = str(max(1, math.ceil(self._ends_at - self._clock.monotonic())))
            raise Refusal(429, THROTTLED.format(wait=wait), headers={"Retry-After": wait})

    @property
    def headers(self) -> Mapping[str, str]:
        if not self._scenario.allowance_headers:
            return {}
        limit = self._scenario.requests_per_minute
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(max(0, limit - self._count))}


def _read_body(raw: bytes, *, is_form: bool) -> Fields:
    """A form or a JSON object; anything else has no fields, so the first mandatory one is missing."""
    text = raw.decode("utf-8", errors="replace")
    if is_form:
        return Fields(dict(parse_qsl(text, keep_blank_values=True)))
    try:
        body = json.loads(text or "{}")
    except ValueError:
        body = {}
    return Fields(body if isinstance(body, dict) else {})


def _token_of(request: web.Request) -> str | None:
    """The bearer token, or the ticket that is observed to do as well (behaviour 16)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and token:
        return token
    return request.headers.get("X-AadUserTicket")
