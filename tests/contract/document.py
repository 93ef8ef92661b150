"""
The description of the service (`openapi.yaml`), and everything that goes over the wire held against it.

What the document says in words is allowed for here: keys are matched without case, and unknown ones may come back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from bulkpull.transport.http import Http, Reply, Request, StreamedReply

FILE = Path(__file__).with_name("openapi.yaml")
API = "https://api.partnercenter.microsoft.com"
TOKENS = "https://login.microsoftonline.com"
STORAGE = "https://account.blob.core.windows.net"
_METHODS = ("get", "put", "post", "delete")
# Answers that were as described: hundreds of calls are refused in the same words, and a check takes milliseconds.
_checked: set[tuple[object, ...]] = set()
# What a link to the next page may add: it is a system query, and followed as it is (behaviour 32).
_OF_NEXT_LINKS = frozenset({"skip"})


@cache
def document() -> dict[str, Any]:
    """The document as it is written."""
    # The reader in C is as safe, and ten times as fast where it is installed.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    raw: dict[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe one
    return raw


@cache
def described() -> OpenAPI:
    """The document as the validator reads it."""
    return OpenAPI.from_dict(document())


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document; `params` and `fields` are what a call may say, by lower-case name."""

    operation_id: str
    params: frozenset[str]
    fields: frozenset[str]
    statuses: frozenset[int]


@dataclass(slots=True)
class Sent:
    """A call as it went out."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any | None = None
    form: Mapping[str, str] | None = None


@dataclass(slots=True)
class Got:
    """The answer to it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def check_call(sent: Sent) -> Operation:
    """
    Hold a call against the document.

    Returns:
        The operation that it is.

    Raises:
        OpenAPIError: Its address, a parameter, a header or its body is not as described.
    """
    request = _as_described(sent)
    described().validate_request(request)
    operation = _operation_of(request)
    unknown = {name.casefold() for name in request.args or {}} - operation.params - _OF_NEXT_LINKS
    unknown |= {name.casefold() for name in sent.json or {}} - operation.fields
    assert not unknown, f"{operation.operation_id} has no {sorted(unknown)}"
    return operation


def check_answer(sent: Sent, got: Got) -> Operation:
    """
    Hold an answer against the document, whatever the call was like.

    Raises:
        OpenAPIError: Its status, a header, its type or its body is not as described.
    """
    request = _as_described(sent)
    operation = _operation_of(request)
    kind = got.headers.get("Content-Type", "")
    body = got.body
    if "json" in kind:
        body = json.dumps(_in_the_documents_case(json.loads(body), rows="testQuery" in operation.operation_id)).encode()
    if operation.operation_id == "downloadReport" and got.status in (200, 206):
        # Any bytes will do, and they are no JSON that a schema could speak of.
        assert got.status in operation.statuses
        return operation
    assert got.status in operation.statuses, f"{operation.operation_id} never answers {got.status}"
    if "xml" in kind:
        return operation
    described_headers = _headers(operation.operation_id, got.status)
    headers = sorted(item for item in got.headers.items() if item[0].casefold() in described_headers)
    answer = (operation.operation_id, got.status, kind, body, tuple(headers))
    if answer not in _checked:
        described().validate_response(request, MockResponse(body, got.status, dict(got.headers), kind))
        _checked.add(answer)
    return operation


@cache
def operations() -> tuple[tuple[str, str, Operation], ...]:
    """Path, method and operation, as the document lists them."""
    return tuple(
        (path, method, _read(item, item[method]))
        for path, item in document()["paths"].items()
        for method in _METHODS
        if method in item
    )


def _read(item: Mapping[str, Any], raw: Mapping[str, Any]) -> Operation:
    params = [_resolved(entry) for entry in (*item.get("parameters", ()), *raw.get("parameters", ()))]
    content = raw.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    fields = _resolved(content)["properties"] if content else {}
    return Operation(
        raw["operationId"],
        params=frozenset(param["name"].casefold() for param in params if param["in"] == "query"),
        fields=frozenset(name.casefold() for name in fields),
        statuses=frozenset(int(status) for status in raw["responses"]),
    )


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = document()
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def _operation_of(request: MockRequest) -> Operation:
    path = request.path.removeprefix("/insights/v1/mpn")
    candidates = [
        (template.count("{"), operation)
        for template, method, operation in operations()
        if method == request.method and _fits(template, path, request.host_url)
    ]
    assert candidates, f"the document has no {request.method} {path}"
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _fits(template: str, path: str, host: str) -> bool:
    servers = document()["paths"][template].get("servers", document()["servers"])
    ours = urlsplit(host).netloc.partition(".")[2]
    if not any(urlsplit(server["url"]).netloc.partition(".")[2] == ours for server in servers):
        return False
    parts, wanted = path.strip("/").split("/"), template.strip("/").split("/")
    return len(parts) == len(wanted) and all(
        item.startswith("{") or item == part for item, part in zip(wanted, parts, strict=True)
    )


def _as_described(sent: Sent) -> MockRequest:
    """The call as it would go to the hosts of the document: a simulator listens on loopback."""
    parts = urlsplit(sent.url)
    path = unquote(parts.path)
    host = API if path.startswith("/insights/") else TOKENS if "/oauth2/" in path else STORAGE
    body, kind = b"", "application/json"
    if sent.json is not None:
        body = json.dumps(sent.json).encode()
    if sent.form is not None:
        body, kind = urlencode(sent.form).encode(), "application/x-www-form-urlencoded"
    params = dict(parse_qsl(parts.query, keep_blank_values=True))
    return MockRequest(host, sent.method, path, args=params, headers=dict(sent.headers), data=body, content_type=kind)


@cache
def _headers(operation_id: str, status: int) -> frozenset[str]:
    """The headers that the document describes for an answer, in lower case."""
    path, method = next((path, method) for path, method, item in operations() if item.operation_id == operation_id)
    response = _resolved(document()["paths"][path][method]["responses"][str(status)])
    return frozenset(name.casefold() for name in response.get("headers", ()))


@cache
def _names() -> Mapping[str, str]:
    """Every key that the document's replies know, by its lower-case form."""
    schemas = document()["components"]["schemas"]
    kinds = ("Envelope", "Dataset", "Query", "Report", "Execution", "ErrorEnvelope")
    return {name.casefold(): name for kind in kinds for name in schemas[kind]["properties"] if name != "CallbackMethod"}


def _in_the_documents_case(body: Any, *, rows: bool) -> Any:
    """A reply with its known keys as the document spells them (behaviour 34); rows keep their column names."""
    if not isinstance(body, dict):
        return body
    known = {_names().get(key.casefold(), key): value for key, value in body.items()}
    if isinstance(known.get("value"), list) and not rows:
        known["value"] = [
            {_names().get(key.casefold(), key): value for key, value in record.items()} for record in known["value"]
        ]
    return known


class CheckedHttp(Http):
    """Sends as usual, and holds every call and every answer against the document."""

    seen: set[str]
    """Operations that were called; shared by all who listen."""

    async def send(self, request: Request) -> Reply:
        sent = Sent(request.method, request.url, request.headers, request.json, request.form)
        self.seen.add(check_call(sent).operation_id)
        reply = await super().send(request)
        check_answer(sent, Got(reply.status, reply.body, reply.headers))
        return reply

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedReply]:
        sent = Sent(request.method, request.url, request.headers)
        self.seen.add(check_call(sent).operation_id)
        async with super().stream(request) as reply:
            check_answer(sent, Got(reply.status, b"", reply.headers))
            yield reply
