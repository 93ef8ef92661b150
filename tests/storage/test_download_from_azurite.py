"""Our downloader against Azurite: whole, in parts, over breaks, expired links and replaced files, never mixed."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
from pathlib import Path

import anyio
import anyio.to_thread
import polars as pl
import pytest
from journeys.kit import assert_holds_what_the_csv_said, export
from storage.blob_account import BlobAccount
from storage.cutting_proxy import Seen, cutting_proxy, let_pass
from storage.downloads import Downloader
from storage.hosts import report_name
from storage.plain_http import ask

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest
from bulkpull.errors import BulkpullError, FileDamaged, FileGone, LinkExpired
from bulkpull.pipeline.steps.convert import convert_report
from bulkpull.simulator import Scenario, Simulator
from bulkpull.simulator.entities import StoredExecution, StoredReport
from bulkpull.simulator.report_data import csv_blocks
from bulkpull.transfer import signed_link

# The first test that needs Azurite may have to install it.
pytestmark = pytest.mark.timeout(330)

HEADER = ["MPNId", "CustomerName", "Quantity"]


def report(rows: int, *, seed: int) -> tuple[bytes, list[list[str]]]:
    """A gzip report that hardly compresses, and its rows; another seed gives other bytes throughout."""
    draw = random.Random(seed)  # noqa: S311 - data, not a secret
    names = draw.randbytes(32 * rows).hex()
    table = [[f"{n:07}", f"Contoso, {names[64 * n : 64 * n + 64]}", str(n * 7_919 % 10**6)] for n in range(rows)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *table])
    return gzip.compress(text.getvalue().encode(), compresslevel=1, mtime=0), table


SMALL, ROWS = report(400, seed=1)
LARGE, _ = report(60_000, seed=2)
ANOTHER, _ = report(420, seed=3)
SIZE = len(SMALL)
HUGE = 24 << 20


def huge(*, seed: int) -> bytes:
    """Enough bytes for several streams; no report, since it is not converted."""
    return random.Random(seed).randbytes(HUGE)  # noqa: S311 - data, not a secret


def is_segment(seen: Seen) -> bool:
    """Whether a request is that of a further stream; nothing else asks for a range where nothing breaks."""
    return "range" in seen.headers


class Stored:
    """A report on Azurite, to be linked to, replaced and removed."""

    def __init__(self, account: BlobAccount) -> None:
        self.account, self.name = account, report_name()

    async def put(self, content: bytes) -> None:
        await anyio.to_thread.run_sync(self.account.put, self.name, content)

    async def delete(self) -> None:
        await anyio.to_thread.run_sync(self.account.delete, self.name)

    def link(self, *, expires_in_s: float = 3600, starts_in_s: float | None = None) -> str:
        return self.account.link(self.name, expires_in_s=expires_in_s, starts_in_s=starts_in_s)


@pytest.fixture
async def stored(azurite: BlobAccount) -> Stored:
    small = Stored(azurite)
    await small.put(SMALL)
    return small


@pytest.mark.behaviour(120, 123, 126, 129, 132, 134)
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_whole_file_arrives_as_it_is_stored(azurite: BlobAccount, tmp_path: Path, content: bytes) -> None:
    """Still gzip, although the answer says `Content-Encoding: gzip`; its length and digest were checked on the way."""
    stored = Stored(azurite)
    await stored.put(content)
    link = stored.link()
    async with cutting_proxy(azurite.origin) as proxy:
        done = await Downloader().fetch(proxy.through(link), into=tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == content
    assert done.size_bytes == len(content)
    assert done.etag == (await ask(link)).headers["etag"]
    assert not (tmp_path / "report.part").exists()
    for seen in proxy.seen:
        assert seen.target == link.removeprefix(azurite.origin)
        assert not {"authorization", "cookie", "x-ms-version"} & set(seen.headers)


@pytest.mark.behaviour(130, 131)
@pytest.mark.parametrize(
    ("content", "cuts"),
    [
        (SMALL, [0]),
        (SMALL, [1]),
        (SMALL, [SIZE // 2]),
        (SMALL, [SIZE - 1]),
        (SMALL, [1, 2, 3, SIZE // 2, SIZE // 2 + 1, SIZE - 1]),
        (SMALL, list(range(1_000, SIZE, 1_000))),
        (LARGE, [len(LARGE) // 2]),
        (LARGE, [1, 1_048_576, len(LARGE) // 2, len(LARGE) - 1]),
    ],
    ids=["at once", "first byte", "middle", "last byte", "six", "each 1000", "large", "large four"],
)
async def test_breaks_are_resumed_at_their_byte_under_the_first_etag(
    azurite: BlobAccount, tmp_path: Path, content: bytes, cuts: list[int]
) -> None:
    stored = Stored(azurite)
    await stored.put(content)
    async with cutting_proxy(azurite.origin, cuts=cuts) as proxy:
        done = await Downloader().fetch(proxy.through(stored.link()), into=tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == content
    assert proxy.cuts == []
    assert {seen.status for seen in proxy.seen} <= {200, 206}
    for seen in proxy.seen:
        if seen.headers.get("range", "bytes=0-") != "bytes=0-":
            assert seen.headers["if-match"] == done.etag


@pytest.mark.behaviour(124, 125)
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_link_that_expired_meanwhile_is_exchanged_and_the_same_file_goes_on(
    azurite: BlobAccount, tmp_path: Path, content: bytes
) -> None:
    stored = Stored(azurite)
    await stored.put(content)
    first, fresh, expired = stored.link(expires_in_s=1800), stored.link(), stored.link(expires_in_s=-60)
    targets = [link.removeprefix(azurite.origin) for link in (first, expired)]

    async def expire(_number: int, seen: Seen) -> None:
        if not proxy.cuts and seen.target == targets[0]:
            seen.target = targets[1]  # an hour later, without an hour's wait

    downloader = Downloader()
    async with cutting_proxy(azurite.origin, cuts=[len(content) // 2], watch=expire) as proxy:
        renewed = [proxy.through(fresh)]
        await downloader.fetch(proxy.through(first), into=tmp_path / "report", fresh=renewed)

    assert (tmp_path / "report").read_bytes() == content
    assert downloader.relinked == 1
    assert {403, 206} <= {seen.status for seen in proxy.seen}
    assert sum(seen.status == 200 for seen in proxy.seen) <= 1  # what had arrived was kept


@pytest.mark.behaviour(124)
@pytest.mark.parametrize(("expires_in_s", "starts_in_s"), [(-3600, None), (7200, 3600)], ids=["over", "not yet"])
async def test_a_link_outside_its_time_is_exchanged_before_the_first_byte(
    stored: Stored, tmp_path: Path, expires_in_s: float, starts_in_s: float | None
) -> None:
    downloader = Downloader()
    dead = stored.link(expires_in_s=expires_in_s, starts_in_s=starts_in_s)
    await downloader.fetch(dead, into=tmp_path / "report", fresh=[dead, stored.link()])

    assert (tmp_path / "report").read_bytes() == SMALL
    assert downloader.relinked == 2


@pytest.mark.behaviour(124, 135)
async def test_links_that_are_refused_again_and_again_end_in_one_sentence(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = signed_link.FRESH_LINK_PAUSES_S
    monkeypatch.setattr(signed_link, "FRESH_LINK_PAUSES_S", tuple(0.01 for _ in pauses))
    downloader = Downloader()
    expired = stored.link(expires_in_s=-3600)
    with pytest.raises(LinkExpired, match="even fresh links") as caught:
        await downloader.fetch(expired, into=tmp_path / "report")

    assert downloader.relinked == len(pauses)
    assert list(tmp_path.iterdir()) == []
    reported = f"{caught.value!r} {caught.value} {downloader.recorded.events}"
    assert "sig=" not in reported
    assert expired.partition("&sig=")[2] not in reported


@pytest.mark.behaviour(131)
@pytest.mark.parametrize(
    ("before", "after"),
    [(SMALL, ANOTHER), (ANOTHER, SMALL), (SMALL, SMALL), (LARGE, LARGE[:1_000] + LARGE[:999:-1])],
    ids=["longer", "shorter", "would be the same", "large, same length"],
)
async def test_a_file_that_was_replaced_meanwhile_is_started_over_and_never_mixed(
    azurite: BlobAccount, tmp_path: Path, before: bytes, after: bytes
) -> None:
    stored = Stored(azurite)
    await stored.put(before)
    replaced = False

    async def replace(_number: int, _seen: Seen) -> None:
        nonlocal replaced
        if not proxy.cuts and not replaced:
            replaced = True
            await stored.put(after)

    async with cutting_proxy(azurite.origin, cuts=[len(before) // 2], watch=replace) as proxy:
        done = await Downloader().fetch(proxy.through(stored.link()), into=tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == after
    assert done.etag == (await ask(stored.link())).headers["etag"]
    assert 412 in {seen.status for seen in proxy.seen}


@pytest.mark.behaviour(133)
async def test_a_file_that_was_removed_meanwhile_is_gone_and_its_first_half_too(
    azurite: BlobAccount, stored: Stored, tmp_path: Path
) -> None:
    """The resume carries a condition, to which Azurite answers 412 and the service may answer 404: both end here."""

    async def remove(number: int, _seen: Seen) -> None:
        if number == 1:
            await stored.delete()

    async with cutting_proxy(azurite.origin, cuts=[SIZE // 2], watch=remove) as proxy:
        with pytest.raises(FileGone, match="BlobNotFound"):
            await Downloader().fetch(proxy.through(stored.link()), into=tmp_path / "report")

    first, resumed, *others = [seen.status for seen in proxy.seen]
    assert (first, resumed, set(others)) == (200, 412, {404})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour(130, 131, 134)
@pytest.mark.parametrize("cuts", [[], [5_000_000, 12_000_000, HUGE - 1]], ids=["smooth", "cut"])
async def test_segments_of_a_large_file_join_to_it_also_over_breaks(
    azurite: BlobAccount, tmp_path: Path, cuts: list[int]
) -> None:
    stored, content = Stored(azurite), huge(seed=1)
    await stored.put(content)
    async with cutting_proxy(azurite.origin, cuts=cuts) as proxy:
        done = await Downloader(segments=4).fetch(proxy.through(stored.link()), into=tmp_path / "report")

    assert (tmp_path / "report").read_bytes() == content
    assert proxy.cuts == []
    assert any(is_segment(seen) for seen in proxy.seen)
    for seen in proxy.seen:
        assert seen.headers.get("if-match") == (done.etag if "range" in seen.headers else None)


@pytest.mark.behaviour(124, 131, 133)
@pytest.mark.parametrize("change", ["expired", "replaced", "removed"])
async def test_what_changes_between_two_segments_is_noticed(azurite: BlobAccount, tmp_path: Path, change: str) -> None:
    """A refused link is exchanged and nothing fetched again; another version is started over; a lost file is lost."""
    stored, before, after = Stored(azurite), huge(seed=1), huge(seed=2)
    await stored.put(before)
    first, fresh, expired = stored.link(expires_in_s=1800), stored.link(), stored.link(expires_in_s=-60)
    changed = False

    async def watch(_number: int, seen: Seen) -> None:
        nonlocal changed
        if change == "expired" and is_segment(seen) and first.endswith(seen.target):
            seen.target = expired.removeprefix(azurite.origin)
        elif change != "expired" and is_segment(seen) and not changed:
            changed = True
            await (stored.put(after) if change == "replaced" else stored.delete())

    downloader = Downloader(segments=4)
    async with cutting_proxy(azurite.origin, watch=watch) as proxy:
        link, renewed = proxy.through(first), [proxy.through(fresh)]
        if change == "removed":
            with pytest.raises(FileGone):
                await downloader.fetch(link, into=tmp_path / "report", fresh=renewed)
        else:
            await downloader.fetch(link, into=tmp_path / "report", fresh=renewed)

    assert any(is_segment(seen) for seen in proxy.seen)
    if change == "removed":
        assert list(tmp_path.iterdir()) == []
    else:
        assert (tmp_path / "report").read_bytes() == (before if change == "expired" else after)
        assert downloader.relinked == (change == "expired")
        statuses = [seen.status for seen in proxy.seen]
        assert (403 in statuses, 412 in statuses) == (change == "expired", change == "replaced")
        assert statuses.count(200) == (1 if change == "expired" else 2)


@pytest.mark.behaviour(124, 130, 131)
@pytest.mark.parametrize("change", ["nothing", "expired", "replaced"])
async def test_what_a_stopped_process_left_is_taken_up_by_a_later_one(
    azurite: BlobAccount, tmp_path: Path, change: str
) -> None:
    """With its own links, and only where the file is still the one that the first half came from."""
    stored = Stored(azurite)
    await stored.put(LARGE)
    half, scope = len(LARGE) // 2, anyio.CancelScope()

    async def stop(number: int, _seen: Seen) -> None:
        if number == 1:
            scope.cancel()

    async with cutting_proxy(azurite.origin, cuts=[half], watch=stop) as proxy:
        link, expired = proxy.through(stored.link()), proxy.through(stored.link(expires_in_s=-60))
        with scope:
            await Downloader().fetch(link, into=tmp_path / "report")
        assert scope.cancelled_caught
        proxy.seen.clear()
        proxy.watch = let_pass
        if change == "replaced":
            await stored.put(LARGE[::-1])
        begin = expired if change == "expired" else link
        await Downloader().fetch(begin, into=tmp_path / "report", fresh=[link])

    assert (tmp_path / "report").read_bytes() == (LARGE[::-1] if change == "replaced" else LARGE)
    assert [seen.status for seen in proxy.seen] == {"nothing": [206], "expired": [403, 206], "replaced": [412, 200]}[
        change
    ]
    assert {seen.headers.get("range") for seen in proxy.seen} - {None} == {f"bytes={half}-"}


@pytest.mark.behaviour(133, 138)
@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [(None, FileGone, "BlobNotFound"), (b"", FileDamaged, "empty")],
    ids=["missing", "empty"],
)
async def test_a_file_that_is_not_there_or_empty_leaves_nothing(
    azurite: BlobAccount, tmp_path: Path, content: bytes | None, kind: type[BulkpullError], words: str
) -> None:
    stored = Stored(azurite)
    if content is not None:
        await stored.put(content)
    with pytest.raises(kind, match=words):
        await Downloader().fetch(stored.link(), into=tmp_path / "report")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour(132)
@pytest.mark.parametrize("cuts", [[], [SIZE // 2]], ids=["whole", "in two"])
async def test_a_file_that_does_not_match_its_digest_leaves_nothing(
    azurite: BlobAccount, stored: Stored, tmp_path: Path, cuts: list[int]
) -> None:
    """Also when it came in two: each part belongs to the version whose first answer named the digest."""
    digest = hashlib.md5(ANOTHER, usedforsecurity=False).digest()
    await anyio.to_thread.run_sync(azurite.tell_md5, stored.name, digest)
    async with cutting_proxy(azurite.origin, cuts=cuts) as proxy:
        with pytest.raises(FileDamaged, match=digest.hex()):
            await Downloader().fetch(proxy.through(stored.link()), into=tmp_path / "report")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour(126, 127, 136)
async def test_a_file_that_came_in_pieces_converts_to_the_rows_that_were_stored(
    azurite: BlobAccount, stored: Stored, tmp_path: Path
) -> None:
    into = tmp_path / "parquet"
    into.mkdir()
    async with cutting_proxy(azurite.origin, cuts=[10, SIZE // 3, SIZE - 10]) as proxy:
        await Downloader().fetch(proxy.through(stored.link()), into=tmp_path / "report")
    types = (ColumnType.STRING, ColumnType.STRING, ColumnType.INT)
    columns = tuple(ColumnPlan(name, declared) for name, declared in zip(HEADER, types, strict=True))
    request = ConversionRequest(tmp_path / "report", into, columns, {}, 1 << 30, 1 << 22)
    table = await convert_report(request, limiter=anyio.CapacityLimiter(1))

    frame = pl.read_parquet(into / "part-00000.parquet")
    assert table.rows == len(ROWS)
    assert frame.columns == HEADER
    assert [list(row) for row in frame.rows()] == [[mpn, name, int(quantity)] for mpn, name, quantity in ROWS]


class _Elsewhere(Simulator):
    """The service in a box, except that its files lie on Azurite."""

    def __init__(self, scenario: Scenario, *, account: BlobAccount) -> None:
        super().__init__(scenario)
        self._account = account
        self._names: dict[str, str] = {}
        self.stored: dict[str, bytes] = {}

    def _sign(self, report: StoredReport, execution: StoredExecution) -> str:
        if execution.execution_id not in self._names:
            extract = self.service.extract_of(execution.execution_id)
            assert extract is not None
            name = self._names[execution.execution_id] = report_name()
            self.stored[report.dataset] = b"".join(csv_blocks(extract))
            self._account.put(name, gzip.compress(self.stored[report.dataset]))
        return self._account.link(self._names[execution.execution_id])


@pytest.mark.behaviour(120, 121, 126, 127)
async def test_an_export_whose_files_lie_on_azurite_publishes_what_was_stored(
    azurite: BlobAccount, tmp_path: Path
) -> None:
    datasets = ("AzureUsage", "OfficeUsage", "Profile")
    async with _Elsewhere(Scenario(rows=200), account=azurite) as service:
        manifest = await export(service, tmp_path, *datasets)

    assert (manifest.status, manifest.exit_code) == ("complete", 0)
    for dataset in datasets:
        assert_holds_what_the_csv_said(tmp_path, manifest, dataset, service.stored[dataset])
    assert not [call for call in service.calls if call.endpoint == "blob"]
