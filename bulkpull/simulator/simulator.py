"""The simulator: two servers on loopback that share one state and one clock."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio.to_thread
from aiohttp import web

from bulkpull.simulator.api_server import ApiHost
from bulkpull.simulator.blob_server import BlobHost
from bulkpull.simulator.entities import StoredExecution, StoredReport
from bulkpull.simulator.faults import Fault, FaultBox
from bulkpull.simulator.file_store import FileStore
from bulkpull.simulator.host import LoggedRequest
from bulkpull.simulator.routes import API_ROOT
from bulkpull.simulator.scenario import RealClock, Scenario, SimulatorClock
from bulkpull.simulator.service import Service
from bulkpull.simulator.signed_links import LinkSigner

# A handler that stalls on purpose must not hold up the end.
_SHUTDOWN_S = 0.2
# The longest line of an address: a test query carries its text in it (behaviour 69).
_LINE_BYTES = 64 * 1024


class Simulator:
    """
    The simulated service, as an async context manager.

    The API and the token endpoint listen on one origin, the storage host on another, so that a client that sends its
    token to the wrong one is found out. All that a client needs stands in `environment`.

    Args:
        clock: Its time; the machine's own by default.
        host: Address to listen on; loopback only.
        port, blob_port: 0 takes free ones.
        tls: Serve https with this certificate; plain http without.
        workdir: For the stored files; a temporary folder, removed at the end, by default.

    Attributes:
        service: The state of the first tenant, to look at and to tamper with.
        services: The state of each tenant, by the tenant's id in lower case.
        calls: Every request received, in order of arrival.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        clock: SimulatorClock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        blob_port: int = 0,
        tls: ssl.SSLContext | None = None,
        workdir: Path | None = None,
    ) -> None:
        self.scenario = scenario or Scenario()
        self._clock: SimulatorClock = clock or RealClock()
        self._host, self._ports, self._given_workdir = host, (port, blob_port), workdir
        self._tls = tls
        self._faults = FaultBox(self.scenario.faults)
        self._links = LinkSigner()
        self.calls: list[LoggedRequest] = []
        self.services = {
            tenant: Service(scenario, clock=self._clock, faults=self._faults, sign=self._sign)
            for tenant, scenario in self.scenario.tenants.items()
        }
        self.service = next(iter(self.services.values()))
        self._api = ApiHost(self.scenario, self.services, clock=self._clock, faults=self._faults, calls=self.calls)
        self._runners: list[web.ServerRunner] = []

    async def __aenter__(self) -> Self:
        self._workdir = self._given_workdir or Path(
            await anyio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="bulkpull-simulator-"))
        )
        self._store = FileStore(self._workdir, self.scenario)
        self._blobs = BlobHost(
            self.scenario,
            self.services.values(),
            store=self._store,
            links=self._links,
            clock=self._clock,
            faults=self._faults,
            calls=self.calls,
        )
        api_port, blob_port = self._ports
        try:
            self._api.api_origin = await self._listen(self._api.handle, port=api_port)
            self.blob_url = await self._listen(self._blobs.handle, port=blob_port)
        except OSError:
            # A port is taken: what listens already must not outlive the attempt.
            await self._clear_away()
            raise
        self._api.blob_origin = self._blobs.blob_origin = self.blob_url
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clear_away()

    async def _clear_away(self) -> None:
        self._store.close()
        with anyio.CancelScope(shield=True):
            for runner in self._runners:
                await runner.cleanup()
            if self._given_workdir is None:
                await anyio.to_thread.run_sync(partial(shutil.rmtree, self._workdir, ignore_errors=True))

    @property
    def api_base_url(self) -> str:
        """Root of the API."""
        return f"{self._api.api_origin}{API_ROOT}"

    @property
    def token_url(self) -> str:
        """The token endpoint; `{tenant_id}` is to be filled in."""
        return f"{self._api.api_origin}/{{tenant_id}}/oauth2/token"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point a client here."""
        return {
            "BULKPULL_API_BASE_URL": self.api_base_url,
            "BULKPULL_TOKEN_URL": self.token_url,
            "BULKPULL_TENANT_ID": self.scenario.tenant_id,
            "BULKPULL_CLIENT_ID": self.scenario.client_id,
            "BULKPULL_CLIENT_SECRET": self.scenario.client_secret,
            "BULKPULL_USERNAME": self.scenario.username,
            "BULKPULL_PASSWORD": self.scenario.password,
        }

    def arm(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        self._faults.arm(fault)

    def disarm_all(self) -> None:
        """Let nothing go wrong from now on; what has gone wrong stays so."""
        self._faults.disarm_all()

    def spend_allowance(self, calls: int) -> None:
        """Let another tool of the same partner make so many calls, out of the one allowance (behaviour 173)."""
        self._api.spend(calls)

    def times_fired(self, name: str) -> int:
        """How often armed faults of that name have struck."""
        return self._faults.times_fired(name)

    async def csv(
        self,
        dataset: str,
        columns: Sequence[str] | None = None,
        *,
        at: datetime | None = None,
        window: tuple[datetime, datetime] | None = None,
    ) -> bytes:
        """
        The plain text that a report on these columns without a TIMESPAN brings: the truth to compare with.

        Without `columns`: all columns, then the amounts that no column holds (behaviour 160).

        Args:
            at: When the report's execution begins; now by default.
            window: Start and exclusive end of what is asked for; six months by default.
        """
        names = tuple(columns) if columns is not None else None
        return await self._store.plain_text(self.service.whole_extract(dataset, names, at=at, window=window))

    async def prepare(self, datasets: Sequence[str] | None = None) -> None:
        """Make the files of these datasets (all) now, so that no first reader has to wait for them."""
        for dataset in datasets if datasets is not None else tuple(self.service.tables):
            await self._store.fetch(self.service.whole_extract(dataset), now=self._clock.now())

    def _sign(self, report: StoredReport, execution: StoredExecution) -> str:
        """A fresh link at every reading; only `link_expired` hands one out that is at its end."""
        expired = self._faults.take("link_expired", datasets=(report.dataset,))
        lifetime_s = -60.0 if expired else self.scenario.link_lifetime_s
        expires_at = self._clock.now() + timedelta(seconds=lifetime_s)
        return self.blob_url + self._links.sign(
            report_name=report.name, execution_id=execution.execution_id, expires_at=expires_at
        )

    async def _listen(self, handler: Any, *, port: int) -> str:
        # An access log would hold the signatures of links.
        server = web.Server(handler, access_log=None, max_line_size=_LINE_BYTES, max_field_size=_LINE_BYTES)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self._host, port, ssl_context=self._tls).start()
        bound = runner.addresses[0][1]
        return f"{'https' if self._tls else 'http'}://{self._host}:{bound}"
