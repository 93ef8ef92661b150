"""What vouches for a file stands in the manifest, and what is odd in a whole file is noted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkpull.conversion.messages import ConversionResult
from bulkpull.model import DownloadedFile, Execution, OfferedDataset, Pull
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, content_notes, vouched_by, vouched_for_all


def part(*vouched: str, is_gzip: bool = False, ends_open: bool = False, nul_bytes: int = 0) -> ConvertedPull:
    table = ConversionResult((), 1, (), 10, (), nul_bytes=nul_bytes, is_gzip=is_gzip, ends_open=ends_open)
    stored = DownloadedFile(Path("report"), 10, vouched_by=vouched)
    return ConvertedPull(
        Pull("AzureUsage", OfferedDataset("AzureUsage", ()), ("A",), "SELECT A FROM AzureUsage"),
        None,
        Execution("e", "r", "Completed"),
        stored,
        table,
    )


@pytest.mark.case("C40")
@pytest.mark.parametrize(
    ("vouched", "is_gzip", "expected"),
    [
        (("length", "md5"), True, ["length", "md5", "gzip"]),
        (("length",), False, ["length"]),
        (("readings",), False, ["readings"]),
        (("readings",), True, ["gzip"]),
        (("end_mark",), False, ["end_mark"]),
        (("md5",), False, ["md5"]),
    ],
)
def test_all_that_vouches_for_a_file_is_named_and_two_readings_only_where_nothing_else_does(
    vouched: Sequence[str], is_gzip: bool, expected: list[str]
) -> None:
    assert vouched_by(part(*vouched, is_gzip=is_gzip)) == expected


@pytest.mark.case("C40")
def test_of_several_files_what_vouches_for_all_is_named() -> None:
    assert vouched_for_all([part("length", "md5"), part("length", is_gzip=True)]) == ["length"]
    assert vouched_for_all([part("length"), part("readings")]) == ["length", "readings"]


@pytest.mark.case("C40")
def test_what_a_person_may_have_to_look_at_is_a_note() -> None:
    assert not list(content_notes([part("length"), part("readings", is_gzip=True)]))
    (doubtful,) = content_notes([part("readings")])
    assert "only two equal downloads show that nothing is missing from the report's file" in doubtful
    open_ended, nul = content_notes([part("length", ends_open=True), part("length", nul_bytes=3)])
    assert open_ended == "1 of the 2 reports' files ended without a line end: its last value may be cut"
    assert "3 NUL characters" in nul
