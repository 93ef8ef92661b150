"""A finished report is deleted for the reasons of one short table, and for nothing else."""

from __future__ import annotations

import inspect

import pytest

from bulkpull import errors
from bulkpull.errors import BulkpullError, ExecutionFailed, ExecutionOverdue, FileGone, ReportLost, Unchanged
from bulkpull.pipeline.report_deletion import may_delete_report

MAY = {Unchanged, ExecutionFailed, ExecutionOverdue, ReportLost, FileGone}
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BulkpullError) and not kind.__name__.startswith("_")
]


@pytest.mark.case("C11", "L1")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_only_the_services_own_word_and_published_data_delete_a_report(kind: type[BulkpullError]) -> None:
    error = kind.__new__(kind)

    assert may_delete_report(error) is (kind in MAY)


@pytest.mark.case("C11")
def test_a_report_whose_data_are_published_may_go() -> None:
    assert may_delete_report(None)
