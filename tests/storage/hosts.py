"""The two storage hosts as the conformance checks see them: links to the same kinds of files, good and bad."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio.to_thread
from storage.blob_account import BlobAccount
from storage.plain_http import ask

from bulkpull.simulator import Scenario, Simulator
from bulkpull.simulator.request_validation import Fields

_NOBODYS = "00000000-0000-4000-8000-00000000ffff"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Host:
    """
    A storage host with a gzip report on it.

    Attributes:
        content: The report's stored bytes.
        link: Opens the report for an hour.
        expired: The same, but its end was an hour ago.
        other, empty: Open another file, and one of no bytes.
        missing: Well signed, for a file that is not there.
        refusal: The code by which it refuses a signature. The documents say `AuthenticationFailed`; Azurite uses the
            code that they keep for a caller who is known and may not.
        bom: What its error pages begin with. The service in the field sends a byte definition mark; Azurite does not.
    """

    name: str
    content: bytes
    link: str
    expired: str
    other: str
    empty: str
    missing: str
    refusal: str
    bom: bytes


def report_name() -> str:
    """A file name like the service's, with all that has to be encoded, that no other test uses."""
    return f"Ä report, 100% of it+more_{next(_numbers)}.csv"


@asynccontextmanager
async def azurite_host(account: BlobAccount) -> AsyncIterator[Host]:
    """Azurite with a report of its own for this test."""
    report, other, empty = report_name(), report_name(), report_name()
    content = gzip.compress(b"MPNId,Quantity\r\n" + b"0012,7\r\n" * 500)
    for name, body in ((report, content), (other, gzip.compress(b"another file")), (empty, b"")):
        await anyio.to_thread.run_sync(partial(account.put, name, body))
    yield Host(
        "azurite",
        content=content,
        link=account.link(report),
        expired=account.link(report, expires_in_s=-3600),
        other=account.link(other),
        empty=account.link(empty),
        missing=account.link(report_name()),
        refusal="AuthorizationFailure",
        bom=b"",
    )


@asynccontextmanager
async def simulator_host() -> AsyncIterator[Host]:
    """The simulator, with a report on each of three datasets."""
    async with Simulator(Scenario(rows=60, stored={"Profile": b""})) as simulator:

        def link(dataset: str, *, expires_in_s: float = 3600, execution_id: str | None = None) -> str:
            path = simulator._links.sign(
                report_name="Ä report, 100% of it+more",
                execution_id=execution_id or _executed(simulator, dataset),
                expires_at=datetime.now(UTC) + timedelta(seconds=expires_in_s),
            )
            return simulator.blob_url + path

        report = _executed(simulator, "OfficeUsage")
        good = link("OfficeUsage", execution_id=report)
        yield Host(
            "simulator",
            content=(await ask(good)).body,
            link=good,
            expired=link("OfficeUsage", execution_id=report, expires_in_s=-3600),
            other=link("AzureUsage"),
            empty=link("Profile"),
            missing=link("OfficeUsage", execution_id=_NOBODYS),
            refusal="AuthenticationFailed",
            bom=b"\xef\xbb\xbf",
        )


def _executed(simulator: Simulator, dataset: str) -> str:
    """Create a report on the whole dataset; the id of its execution."""
    service = simulator.service
    columns = ", ".join(column.name for column in service.tables[dataset].columns)
    query = Fields({"Name": "A query", "Query": f"SELECT {columns} FROM {dataset}"})  # noqa: S608 - the service's own language, not SQL
    stored = service.query_store.create(query)
    definition = Fields({"ReportName": "A report", "QueryId": stored.query_id, "ExecuteNow": True})
    report = service.report_store.create(definition, correlation_id=_NOBODYS)
    return report.executions[0].execution_id
