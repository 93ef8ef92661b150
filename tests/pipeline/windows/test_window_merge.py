"""Any rows, forms, windows and manners of a service: each row of the truth once, or a refusal."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import anyio
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.catalog import ColumnType
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, WindowBounds
from bulkpull.errors import TimeNotReadable, WindowNotHonoured
from bulkpull.model import DownloadedFile, Execution, OfferedDataset, Pull, Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import split_in_half, split_months
from bulkpull.pipeline.windows.window_merge import HoldsWhole, WindowAgreement

FORMS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%dT00:00:00Z")
FIRST = date(2026, 1, 1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
COLUMNS = (ColumnPlan("Id", ColumnType.STRING), ColumnPlan("Day", ColumnType.DATE))
OFFERED = OfferedDataset("AnyDataset", ("Id", "Day"))


@dataclass(frozen=True)
class WindowHandling:
    """How a service treats windows; one that restates gives each report another reading of every row."""

    inclusive: bool
    exclusive_start: bool
    rounds: bool
    ignores: bool
    restates: bool

    def takes(self, day: date, window: Window) -> bool:
        first, last = window.start.date(), window.end.date()
        if self.ignores:
            return True
        if self.rounds:
            first = first.replace(day=1)
            last = last if last.day == 1 else (last.replace(day=1) + timedelta(days=31)).replace(day=1)
        after_start = first < day if self.exclusive_start else first <= day
        return after_start and (day <= last if self.inclusive else day < last)


Rows = Sequence[tuple[date | None, str]]


class Bench:
    """Converts what the service would send, in this process."""

    def __init__(self, folder: Path, rows: Rows, *, form: str, manner: WindowHandling) -> None:
        self._folder, self._rows, self._form, self._manner = folder, rows, form, manner
        self._numbers = count()

    def part(self, window: Window, *, made_at: datetime) -> ConvertedPull:
        taken = [(day, name) for day, name in self._rows if day is None or self._manner.takes(day, window)]
        if self._manner.restates:
            taken = [(day, f"{name}@{made_at:%d%H}" if day else name) for day, name in taken]
        lines = "".join(f"{name},{day.strftime(self._form) if day else ''}\r\n" for day, name in taken)
        source = self._folder / f"report{next(self._numbers)}"
        source.write_bytes(f"Id,Day\r\n{lines}".encode())
        pull = Pull("AnyDataset", OFFERED, ("Id", "Day"), "SELECT Id, Day FROM AnyDataset", window=window)
        execution = Execution("e", "r", "Completed", generated_at=made_at)
        bounds = WindowBounds("Day", window.start, window.end)
        return self.converted(ConvertedPull(pull, None, execution, DownloadedFile(source, 1), None), bounds)  # type: ignore[arg-type]

    def converted(self, part: ConvertedPull, bounds: WindowBounds) -> ConvertedPull:
        into = self._folder / f"parquet{next(self._numbers)}"
        into.mkdir()
        request = ConversionRequest(part.stored.path, into, COLUMNS, {}, 10**9, 10**6, bounds=bounds)
        return replace(part, table=convert(request))

    async def convert(self, part: ConvertedPull, bounds: WindowBounds) -> ConvertedPull:
        return self.converted(part, bounds)


def names(parts: Sequence[ConvertedPull]) -> Counter[str]:
    """The rows of all parts, whatever their reading."""
    found = (name for part in parts for name in pl.read_parquet(part.table.files[0].path)["Id"].to_list())
    return Counter(name.partition("@")[0] for name in found)


def in_pieces(window: Window, cuts: Sequence[bool]) -> list[Window]:
    """The months of a window, some of them in halves and quarters, as after failed reports."""
    pieces = list(split_months(window))
    for cut in cuts:
        piece = pieces.pop(0)
        pieces += split_in_half(piece) or [piece] if cut else [piece]
    return sorted(pieces, key=lambda piece: piece.start)


days = st.integers(0, 320).map(lambda number: FIRST + timedelta(days=number))
manners = st.builds(WindowHandling, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())


@pytest.mark.case("W1", "W2", "W3")
@pytest.mark.behaviour(83, 84, 155)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    days=st.lists(st.one_of(days, st.none()), max_size=40),
    form=st.sampled_from(FORMS),
    manner=manners,
    start=days,
    length=st.integers(1, 150),
    reading=st.permutations(range(8)),
    cuts=st.lists(st.booleans(), max_size=8),
)
def test_each_row_of_the_truth_is_there_once_or_the_window_is_refused(  # noqa: PLR0917 - what hypothesis draws
    days: list[date | None],
    form: str,
    manner: WindowHandling,
    start: date,
    length: int,
    reading: list[int],
    cuts: list[bool],
) -> None:
    if manner.exclusive_start and not manner.inclusive:
        manner = replace(manner, inclusive=True)  # a service that has a row in no window can be helped by nobody
    first = datetime(start.year, start.month, start.day, tzinfo=UTC)
    whole = Window(first, min(first + timedelta(days=length), NOW))
    rows = [(day, f"row{number}") for number, day in enumerate(days)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), rows, form=form, manner=manner)
        agreement = WindowAgreement(whole, "Day", is_limited=False, convert=bench.convert)
        windows = in_pieces(whole, cuts)
        parts = [bench.part(item, made_at=NOW + timedelta(hours=reading[n % 8])) for n, item in enumerate(windows)]

        async def join() -> list[ConvertedPull]:
            try:
                for part in parts:
                    agreement.check(part)
                return await agreement.agree(parts)
            except HoldsWhole as found:
                return await agreement.agree([await agreement.cut_out(found)])

        try:
            found = names(anyio.run(join))
        except (WindowNotHonoured, TimeNotReadable):
            return
    inside = Counter(name for day, name in rows if day is None or (whole.start.date() <= day < whole.end.date()))
    if manner.exclusive_start and not manner.ignores and not manner.rounds:
        # The very first day of all was never sent.
        inside -= Counter(name for day, name in rows if day == whole.start.date())
        found -= Counter(name for day, name in rows if day == whole.start.date())
    if manner.exclusive_start and manner.rounds and not manner.ignores:
        return
    assert found == inside
