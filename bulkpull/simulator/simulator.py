"""The simulator: two servers on loopback that share one state and one clock."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import anyio
from aiohttp import web

from bulkpull.simulator.api_server import ApiHost
from bulkpull.simulator.blob_server import BlobHost, LinkSigner
from bulkpull.simulator.entities import StoredExecution, StoredReport
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.file_store import FileStore
from bulkpull.simulator.routes import API_ROOT
from bulkpull.simulator.scenario import RealClock, Scenario, SimulatorClock
from bulkpull.simulator.service import Service
from bulkpull.simulator.simulator_context import Context

# A handler that stalls on purpose must not hold up the end.
_SHUTDOWN_S = 0.2
# The longest line of an address: a test query carries its text in it (behaviour 69).
_LINE_BYTES = 64 * 1024


class Simulator:
    """
    The simulated service, as an async context manager.

    The API and the token endpoint listen on one origin, the storage host on another, so that a client that sends its
    token to the wrong one is noticed. `environment` has all that a client needs.

    Args:
        port, blob_port: 0 takes free ones.
        tls: Serve https with this certificate; plain http without.
        workdir: For the stored files; a temporary folder, removed at the end, by default.

    Attributes:
        service: The state of the first tenant, to look at and to tamper with.
        services: The state of each tenant, by the tenant's id in lower case.
        calls: Every request received, in order of arrival.
        arm, disarm_all, times_fired: Of the faults (`FaultBox`).
        spend_allowance: Let another tool of the same partner make so many calls, out of the one allowance.
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
        self._host, self._ports, self._given_workdir, self._tls = host, (port, blob_port), workdir, tls
        faults, self._links = FaultBox(self.scenario.faults), LinkSigner()
        self._context = Context(self.scenario, self._clock, faults)
        self.calls = self._context.calls
        self.services = {
            tenant: Service(replace(self._context, scenario=scenario), self._sign)
            for tenant, scenario in self.scenario.tenants.items()
        }
        self.service = next(iter(self.services.values()))
        self._api = ApiHost(self._context, self.services)
        self._opened = AsyncExitStack()
        self.arm, self.disarm_all, self.times_fired = faults.arm, faults.disarm_all, faults.times_fired
        self.spend_allowance = self._api.spend

    async def __aenter__(self) -> Self:
        temporary = anyio.TemporaryDirectory(prefix="bulkpull-simulator-", ignore_cleanup_errors=True)
        self._workdir = self._given_workdir or Path(await self._opened.enter_async_context(temporary))
        self._store = FileStore(self._workdir, self.scenario)
        blobs = BlobHost(self._context, self.services.values(), self._store, self._links)
        api_port, blob_port = self._ports
        try:
            self._api.api_origin = await self._listen(self._api.handle, port=api_port)
            self.blob_url = await self._listen(blobs.handle, port=blob_port)
        except OSError:
            # A port is taken: what listens already must not outlive the attempt.
            await self.__aexit__()
            raise
        self._api.blob_origin = blobs.blob_origin = self.blob_url
        return self

    async def __aexit__(self, *_: object) -> None:
        self._store.close()
        with anyio.CancelScope(shield=True):
            await self._opened.aclose()

    @property
    def api_base_url(self) -> str:
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

    async def csv(
        self,
        dataset: str,
        columns: Sequence[str] | None = None,
        *,
        at: datetime | None = None,
        window: tuple[datetime, datetime] | None = None,
    ) -> bytes:
        """The plain text that a report brings (`Service.whole_extract`): the truth to compare with."""
        names = tuple(columns) if columns is not None else None
        return await self._store.plain_text(self.service.whole_extract(dataset, names, at=at, window=window))

    async def prepare(self, datasets: Sequence[str] | None = None) -> None:
        """Make the files of these datasets (all) now, so that no first reader has to wait for them."""
        for dataset in datasets if datasets is not None else tuple(self.service.tables):
            await self._store.fetch(self.service.whole_extract(dataset), now=self._clock.now())

    def _sign(self, report: StoredReport, execution: StoredExecution) -> str:
        """A fresh link at every reading; only `link_expired` hands one out that is at its end."""
        expired = self._context.faults.take("link_expired", datasets=(report.dataset,))
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
        self._opened.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._host, port, ssl_context=self._tls).start()
        bound = runner.addresses[0][1]
        return f"{'https' if self._tls else 'http'}://{self._host}:{bound}"
