"""
The download as one writes it first: aiohttp and aiofiles, 64 KiB at a time.

    python naive_download.py URL FILE CA_FILE
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time

import aiofiles
import aiohttp

_CHUNK_BYTES = 1 << 16


async def fetch(url: str, path: str, ca_file: str) -> None:
    context = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, session.get(url) as reply:
        reply.raise_for_status()
        async with aiofiles.open(path, "wb") as file:
            async for chunk in reply.content.iter_chunked(_CHUNK_BYTES):
                await file.write(chunk)


if __name__ == "__main__":
    before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(fetch(*sys.argv[1:]))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall_s": time.perf_counter() - began_s, "cpu_s": cpu_s}))
