"""Which runs an output folder knows, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.run_history import known_runs

AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
EARLIER, FIRST, SECOND = "20261122T020000Z-ffffff", "20261123T020000Z-abcdef", "20261123T020000Z-012345"


@pytest.mark.parametrize("begun", [(FIRST, SECOND), (SECOND, FIRST)])
def test_of_two_runs_that_began_in_one_second_the_later_one_is_the_newest(
    tmp_path: Path, begun: tuple[str, ...]
) -> None:
    async def begin() -> None:
        async with opened_ledger(Layout(tmp_path).private) as ledger:
            for run_id in begun:
                await ledger.begin_run(run_id, request={}, at=AT)

    Layout(tmp_path).private.mkdir()
    anyio.run(begin)
    (Layout(tmp_path).runs / EARLIER).mkdir(parents=True)  # of a ledger that is gone

    assert known_runs(tmp_path) == [*reversed(begun), EARLIER]
