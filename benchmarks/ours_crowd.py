"""
Fills a service with reports of others, as years of other tools leave them.

    python -m benchmarks.ours_crowd REPORTS      # against the service that the environment names
"""

from __future__ import annotations

import sys

import anyio

import bulkpull

_AT_ONCE = 20


async def main() -> None:
    """Create one query, and so many one-off reports on it."""
    reports = int(sys.argv[1])
    async with bulkpull.connect() as client:
        query = await client.create_query(name="Of another tool", text="SELECT MpnId FROM Profile")
        for first in range(0, reports, _AT_ONCE):
            async with anyio.create_task_group() as group:
                for number in range(first, min(first + _AT_ONCE, reports)):
                    group.start_soon(_create, client, query.query_id, number)


async def _create(client: bulkpull.InsightsClient, query_id: str, number: int) -> None:
    await client.create_report(name=f"Of another tool {number}", query_id=query_id)


if __name__ == "__main__":
    anyio.run(main)
