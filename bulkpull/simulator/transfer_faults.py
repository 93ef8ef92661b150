"""Transfer faults: cut or stalled bodies, wrong ranges, redirects, a compressing proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio.to_thread
from isal import igzip

from bulkpull.simulator.body_sender import Body, Head, SendPlan
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.file_store import StoredFile
from bulkpull.simulator.ranges import RequestedRange

Ask = Callable[[str], Fault | None]
"""Asks for a fault by its name: `None` when it does not strike."""

_FOR_EVER_S = 3_600.0
_CUTS = ("cut_after_bytes", "link_expires_mid_file", "reset_every_bytes")


def send_plan_of(size: int, *, take: Ask, peek: Ask) -> SendPlan:
    """
    How the transfer of `size` bytes goes.

    A fault that strikes after more bytes than there are keeps its strike for a longer transfer.
    """
    for name in _CUTS:
        armed = peek(name)
        if armed is None:
            continue
        after = int(armed.args.get("after", max(1, size // 2)))
        fault = take(name) if after < size else None
        if fault is not None:
            resets = name == "reset_every_bytes" or bool(fault.args.get("resets"))
            return SendPlan(cut_after=after, resets=resets, delimit=str(fault.args.get("delimit", "length")))
    fault = take("stall_after_bytes")
    if fault is not None:
        after = min(int(fault.args.get("after", size // 2)), max(0, size - 1))
        return SendPlan(stall_after=after, stall_s=float(fault.args.get("seconds", _FOR_EVER_S)))
    fault = take("trickle")
    if fault is not None:
        pace = float(fault.args.get("bytes_per_s", 0.05))
        return SendPlan(trickle_after=int(fault.args.get("after", size // 2)), trickle_bytes_per_s=pace)
    fault = take("more_bytes_than_announced")
    return SendPlan(excess=b"\0" * int(fault.args.get("bytes", 100))) if fault is not None else SendPlan()


def shifted(stretch: RequestedRange, *, size: int, take: Ask) -> tuple[RequestedRange, str]:
    """The stretch that is really sent, and what `Content-Range` says of it."""
    total = size
    if stretch.start and take("range_wrong_start"):
        stretch = RequestedRange(stretch.start - 1, stretch.end)
    if stretch.start and take("range_other_total"):
        total = size + 1
    return stretch, f"bytes {stretch.start}-{stretch.end - 1}/{total}"


def elsewhere(fault: Fault, target: str, *, origin: str) -> str:
    """Where a redirect leads; `origin` is the storage host's own."""
    match fault.args.get("to", "elsewhere"):
        case "loop":
            return f"{origin}{target}"
        case "http":
            return f"http://storage.contoso.example{target}"
        case "https":
            return f"https://storage.contoso.example{target}"
        case _:
            # The same host by its other name, which is another origin to a client.
            return f"{origin.replace('127.0.0.1', 'localhost')}{target}"


async def by_proxy(head: Head, file: StoredFile) -> tuple[Head, Body, SendPlan]:
    """The whole file as a compressing proxy passes it on: chunked, without length, MD5 or strong ETag."""
    packed = await anyio.to_thread.run_sync(lambda: igzip.compress(file.path.read_bytes()))
    dropped = ("accept-ranges", "content-md5", "x-ms-blob-content-md5", "content-range")
    headers = {name: value for name, value in head.headers.items() if name.casefold() not in dropped}
    headers |= {"Content-Encoding": "gzip", "ETag": f"W/{file.etag}"}
    return replace(head, status=200, headers=headers), Body(literal=packed), SendPlan(delimit="chunked")
