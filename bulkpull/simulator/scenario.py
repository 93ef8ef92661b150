"""
The parameters of a simulated service: its datasets, its speed, its limits and its oddities.

Every parameter has a default; the defaults give a fast service with the twenty datasets and no faults.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import anyio

from bulkpull.simulator.faults import Fault


class SimulatorClock(Protocol):
    """Time as the simulated service sees it: the present moment in UTC, seconds since an arbitrary moment, waiting."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, wait_s: float, /) -> None: ...


ReportContent = Callable[[datetime | None, datetime | None, datetime], bytes]
"""CSV bytes of one report: from the start and the end of its window (`None` without one), and when it was made."""


class RealClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, wait_s: float, /) -> None:
        await anyio.sleep(max(0.0, wait_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """How the live columns differ from the published ones (behaviour 54): removed, then renamed, then added."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One simulated service; `None` as a limit is no limit. Attributes whose names say everything are not listed.

    Attributes:
        seed: The data follow from it: same seed, same bytes.
        rows: Rows that six months hold, per dataset ("*" is the default of a mapping); other spans in proportion.
        refreshes: Restate a part of the rows at each documented refresh (behaviours 142 and 146).
        edition: "live" lists what the live list of 2023 had, "documents" what the documents describe (behaviour 159).
        datasets: The offered ones, `None` for those that the edition lists; `extras` adds all that documents know
            (behaviour 57).
        date_ranges: Time spans of a dataset in place of the listed ones; any `LAST_<n>_<unit>` is understood.
        dataset_names: The live spelling of a dataset, by its published one (behaviour 49).
        latency_s: How long reports take: a range to draw from per dataset, or a time per dataset ("*": others).
        requests_per_minute: The partner's allowance in `throttle_window_s` (behaviours 37 and 173). The live service
            announced 10; the default slows nobody down. `allowance_headers`: replies show it, too (behaviour 172).
        one_off_quota: One-off reports in `one_off_window_s` (behaviour 85).
        active_report_quota, query_quota: Active reports and stored queries of a user (behaviours 86 and 72).
        token_lifetime_s, link_lifetime_s: Behaviour 3; behaviours 121 and 122, from the moment the link is read.
        page_size: Records in a listing's page, `None` for all; `next_link` is the form of the link (behaviour 32).
        key_casing: Casing of reply keys (behaviour 34).
        id_casing: "mixed" spells ids in upper case in listings, in lower case in replies to creations (behaviour 153).
        role: What the user may see (behaviours 22, 23 and 26); `redaction`: what becomes of the rest.
        app_only: Whether the API accepts a token without a user (behaviour 15).
        mfa: Where multi-factor authentication is asked for (behaviours 10 to 12); `mfa_header`: behaviour 13.
        drift: Columns that differ from the published ones; `True` for all that the catalog knows of.
        content_encoding: Send `Content-Encoding: gzip` with a gzip file (behaviour 127).
        tsv: Separate by tabs whatever format the report asked for.
        header_only: Datasets without rows (behaviour 138), or all.
        content_md5, etag, ranges: Whether the storage host sends MD5 and ETag and honours ranges.
        bandwidth_bytes_per_s: Of each connection to the storage host.
        joined_status, joined_ids: Whether the `;` forms are accepted (behaviours 106 and 107).
        failed_status: Whether `Failed` is a status that may be asked for (behaviour 181).
        pending_without_status: Answer to a call without a status before the first completion (behaviours 102 and 103).
        longest_address: Characters of an address beyond which it is refused with 414 (behaviour 69 warns of the limit).
        bad_time: Status for a badly formatted time: 500 as documented, 400 as the sibling does it (behaviour 41).
        inclusive_end: Whether a window takes what lies exactly at its end (behaviour 84 leaves it open).
        provenance: Every dataset has a column `Provenance`, whose text says as JSON which question made the row:
            account (the tenant), span, filter, window and version (when the execution began).
        windows: What becomes of a window: kept, rounded to whole months, or ignored (then the query's span counts).
        reports_at_once: How many executions are made at once; the others are Pending.
        unfinished_report_quota: One-off reports that a user may have unfinished (behaviour 86).
        visible_lag_s: How long a new object is missing from listings.
        rotate_refresh_token: Whether redeeming a refresh token gives a new one (behaviour 8).
        single_use_refresh_tokens: Refuse a refresh token that was redeemed; the service does not (behaviour 8) yet.
        further_tenants: Tenants beside `tenant_id`, each with its own reports, queries, rows and allowance. The
            application and its user sign in to all of them; the token decides which one a call sees.
        client_certificate: PEM certificate of the application, for signed assertions in place of the secret.
        public_client: Whether the application may sign people in without a secret, by device code.
        device_answer: How the person answers a device code, after the program has asked `device_polls` times.
        tables: Literal CSV bytes (or a file of them) in place of a dataset's generated data.
        contents: What makes the CSV bytes of each report of a dataset from its window and its time.
        stored: Literal stored bytes, served as they are.
    """

    seed: int = 20260101
    rows: int | Mapping[str, int] = 1_000
    refreshes: bool = False
    edition: Literal["live", "documents"] = "live"
    datasets: tuple[str, ...] | None = None
    extras: bool = False
    date_ranges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dataset_names: Mapping[str, str] = field(default_factory=dict)
    latency_s: tuple[float, float] | Mapping[str, float] = (0.0, 0.0)
    api_latency_s: float = 0.0
    requests_per_minute: int = 10_000
    throttle_window_s: float = 60.0
    allowance_headers: bool = True
    one_off_quota: int | None = None
    one_off_window_s: float = 3600.0
    active_report_quota: int = 50
    query_quota: int = 100
    token_lifetime_s: int = 3599
    link_lifetime_s: float = 7 * 24 * 3600.0
    page_size: int | None = None
    next_link: Literal["absolute", "relative"] = "relative"
    key_casing: Literal["camel", "pascal"] = "camel"
    id_casing: Literal["lower", "mixed"] = "lower"
    role: Literal["executive", "viewer", "none"] = "executive"
    redaction: Literal["empty", "vanish"] = "empty"
    app_only: Literal["refused", "allowed"] = "refused"
    mfa: Literal["token", "api"] | None = None
    mfa_header: bool = True
    drift: Mapping[str, ColumnDrift] | bool = False
    content_encoding: bool = True
    gzip: bool = True
    gzip_members: int = 1
    bom: bool = False
    line_ending: Literal["\n", "\r\n"] = "\r\n"
    tsv: bool = False
    header_only: frozenset[str] | bool = False
    content_md5: bool = True
    etag: bool = True
    ranges: bool = True
    bandwidth_bytes_per_s: float | None = None
    joined_status: bool = True
    joined_ids: bool = True
    failed_status: bool = False
    pending_without_status: Literal["404", "200"] = "404"
    longest_address: int = 8_190
    bad_time: Literal[500, 400] = 500
    inclusive_end: bool = False
    provenance: bool = False
    windows: Literal["kept", "rounded", "ignored"] = "kept"
    reports_at_once: int | None = None
    unfinished_report_quota: int | None = None
    visible_lag_s: float = 0.0
    tenant_id: str = "00000000-0000-4000-8000-0000000000aa"
    further_tenants: tuple[str, ...] = ()
    client_id: str = "00000000-0000-4000-8000-000000000001"
    client_secret: str = field(default="simulated-client-secret", repr=False)
    username: str = "user@contoso.example"
    password: str = field(default="simulated-password", repr=False)
    refresh_token: str = field(default="simulated-refresh-token", repr=False)
    authorization_code: str = field(default="simulated-authorization-code", repr=False)
    rotate_refresh_token: bool = True
    single_use_refresh_tokens: bool = False
    client_certificate: bytes | None = field(default=None, repr=False)
    public_client: bool = True
    device_answer: Literal["approved", "declined", "expired"] = "approved"
    device_polls: int = 1
    device_interval_s: int = 1
    tables: Mapping[str, bytes | Path] = field(default_factory=dict)
    contents: Mapping[str, ReportContent] = field(default_factory=dict)
    stored: Mapping[str, bytes] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def tenants(self) -> dict[str, Scenario]:
        """What each tenant sees, by its id in lower case, `tenant_id` first; other rows follow from another seed."""
        others = {
            tenant.casefold(): replace(self, tenant_id=tenant, seed=self.seed ^ zlib.crc32(tenant.casefold().encode()))
            for tenant in self.further_tenants
        }
        return {self.tenant_id.casefold(): self} | others

    def rows_of(self, dataset: str) -> int:
        if self.header_only is True or (self.header_only and dataset in self.header_only):
            return 0
        if not isinstance(self.rows, Mapping):
            return self.rows
        return self.rows.get(dataset, self.rows.get("*", 1_000))

    def report_latency_s(self, dataset: str) -> float:
        if isinstance(self.latency_s, Mapping):
            return self.latency_s.get(dataset, self.latency_s.get("*", 0.0))
        shortest, longest = self.latency_s
        digest = hashlib.sha256(f"{self.seed}/latency/{dataset}".encode()).digest()
        return shortest + (longest - shortest) * int.from_bytes(digest[:6], "big") / 2**48
