"""Whichever windows fail, whole or in halves: what comes covers the whole exactly, or the dataset is refused."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.errors import BulkpullError, ExecutionFailed, FileDamaged, WindowNotHonoured
from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import split_months
from bulkpull.pipeline.windows.window_pulls import WORTH_HALVING, WindowPulls

WHOLE = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
OFFERED = OfferedDataset("AnyDataset", ("Id", "Day"))
MONTHS = [
    Pull("AnyDataset", OFFERED, ("Id", "Day"), "SELECT Id, Day FROM AnyDataset", window=window)
    for window in split_months(WHOLE)
]
ATTEMPTS = 2


class Service:
    """
    Makes reports of at most so many days of each month.

    Args:
        days: By month, the most days of it in one report; 0 for none.
        refused: The number of the report that ends all hope; `None` for none.
    """

    def __init__(self, days: dict[int, int], *, refused: int | None = None, error: type[BulkpullError]) -> None:
        self.days, self.refused, self.error = days, refused, error
        self.reports: Counter[tuple[datetime, datetime]] = Counter()
        self.gathering = WindowPulls(
            run_pull=self.run_pull,
            attempts=ATTEMPTS,
            may_halve=lambda error: isinstance(error, WORTH_HALVING),
            on_split=self.hear_of_split,
        )

    async def run_pull(self, pull: Pull, attempts: int) -> ConvertedPull:
        assert pull.window is not None
        window = pull.window
        for _ in range(attempts):
            self.gathering.check_may_create()
            self.reports[window.start, window.end] += 1
            await anyio.lowlevel.checkpoint()
            if self.reports.total() == self.refused:
                raise WindowNotHonoured("the service does not keep to windows")
            month = window.start.year * 12 + window.start.month
            if window.end - window.start <= timedelta(days=self.days.get(month, 31)):
                return cast("ConvertedPull", _Part(pull))
        raise self.error("it failed")

    async def hear_of_split(self, pull: Pull, error: BulkpullError) -> None:
        pass


class _Part:
    def __init__(self, pull: Pull) -> None:
        self.pull = pull


def covered(parts: list[ConvertedPull]) -> list[tuple[datetime, datetime]]:
    windows = [part.pull.window for part in parts if part.pull.window]
    return sorted((window.start, window.end) for window in windows)


months = st.integers(2025 * 12 + 1, 2026 * 12 + 10)


@pytest.mark.case("W4", "W5")
@settings(max_examples=examples(150), deadline=None)
@given(
    days=st.dictionaries(months, st.sampled_from([0, 1, 7, 15, 16]), max_size=22),
    refused=st.one_of(st.none(), st.integers(1, 40)),
    error=st.sampled_from([ExecutionFailed, FileDamaged]),
)
def test_the_parts_cover_the_whole_once_or_the_dataset_is_refused(
    days: dict[int, int], refused: int | None, error: type[BulkpullError]
) -> None:
    service = Service(days, refused=refused, error=error)
    try:
        parts = anyio.run(service.gathering.gather, MONTHS)
    except BulkpullError:
        parts = None

    windows = covered(service.gathering.parts if parts is None else parts)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(windows))
    assert max(service.reports.values()) <= ATTEMPTS
    if parts is not None:
        assert windows[0][0] == WHOLE.start
        assert windows[-1][1] == WHOLE.end
        assert all(before[1] == after[0] for before, after in itertools.pairwise(windows))


@pytest.mark.case("W5")
@pytest.mark.parametrize("error", [ExecutionFailed, FileDamaged])
def test_windows_that_all_fail_create_at_most_ten_reports(error: type[BulkpullError]) -> None:
    month_numbers = range(2025 * 12 + 1, 2026 * 12 + 11)
    service = Service(dict.fromkeys(month_numbers, 0), error=error)

    with pytest.raises(BulkpullError):
        anyio.run(service.gathering.gather, MONTHS)
    assert service.reports.total() <= 10


@pytest.mark.case("W5")
def test_a_month_that_never_comes_costs_few_reports_and_no_other_month() -> None:
    service = Service({2025 * 12 + 6: 0}, error=ExecutionFailed)

    with pytest.raises(ExecutionFailed, match="2025-06"):
        anyio.run(service.gathering.gather, MONTHS)
    assert len(service.gathering.parts) >= 21
    assert service.reports.total() <= 21 + 10
