"""
Our download as a process of its own, as a run does it.

    python -m benchmarks.ours_download URL FOLDER --ca-file FILE [--segments N] [--link-seconds S]

Prints seconds and processor seconds of the transfer itself as JSON: starting the interpreter and importing are not
counted. An export does both once, whatever it fetches.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from functools import partial
from pathlib import Path

import anyio

from bulkpull.clock import SystemClock
from bulkpull.events import Events
from bulkpull.model import SecureLink
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.transfer import Transfer
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier, RetryPolicy


async def fetch(url: str, into: Path, *, ca_file: Path, segments: int, link_seconds: float) -> dict[str, float]:
    """
    Fetch once; a link of limited life is made anew by whoever asks for it.

    Returns:
        Seconds until the file was there; like the others this does not wait for the disk. And the processor seconds.
    """
    before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    clock, events = SystemClock(), Events()

    async def relink() -> SecureLink:
        return SecureLink(f"{url}?se={time.time() + link_seconds}" if link_seconds else url)

    async with Http(ca_file=ca_file, events=events, clock=clock, user_agent="benchmark") as http:
        retrier = Retrier(
            policy=RetryPolicy(), clock=clock, events=events,
            random=random.random, counts=http.counts,
        )  # fmt: skip
        async with anyio.create_task_group() as background:
            open_transfer = partial(
                Transfer, SignedLink(await relink(), relink, clock), http=http, retrier=retrier, clock=clock,
                events=events, execution_id="benchmark", segments=segments,
            )  # fmt: skip
            await download_report(into, open_transfer, background=background)
            wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {"wall_s": wall_s, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def main() -> None:
    """Fetch once and tell what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=4)
    parser.add_argument("--link-seconds", type=float, default=0)
    options = parser.parse_args()
    work = partial(
        fetch, options.url, options.folder / "report", ca_file=options.ca_file, segments=options.segments,
        link_seconds=options.link_seconds,
    )  # fmt: skip
    print(json.dumps(anyio.run(work)))


if __name__ == "__main__":
    main()
