"""The end of an export as it is shown: each reason once, and commands that can be pasted."""

from __future__ import annotations

import io
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bulkpull.catalog import load_catalog
from bulkpull.cli.invocation import Invocation, invocation_path
from bulkpull.cli.summary import print_summary
from bulkpull.errors import BulkpullError
from bulkpull.observability.failures import group_by_reason
from bulkpull.output.manifest import (
    DatasetRecord,
    Manifest,
    PublishedColumn,
    PublishedFile,
    Requests,
    Seconds,
    Tool,
    status_of,
)

TWENTY = [dataset.name for dataset in load_catalog().standard]


def _complete(dataset: str, **changes: Any) -> DatasetRecord:
    file = PublishedFile(path="part-00000.parquet", rows=12_345_678, bytes=987_654_321, sha256="0" * 64)
    given: dict[str, Any] = {"rows": 12_345_678, "files": [file], "seconds": Seconds(submit=0.5, wait=10_000.0)}
    return DatasetRecord(dataset=dataset, status="complete", **(given | changes))


def _failed(dataset: str, reason: str) -> DatasetRecord:
    error = BulkpullError(reason)
    return DatasetRecord(dataset=dataset, status="failed", reason=f"{dataset}: {reason}", error=error)


def _manifest(*records: DatasetRecord, interrupted: bool = False) -> Manifest:
    return Manifest(
        run_id="20261123T020405Z-0a1b2c",
        status=status_of(list(records)),
        started_at=datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC),
        finished_at=datetime(2026, 11, 23, 2, 14, 5, tzinfo=UTC),
        tool=Tool(version="0"),
        api_base_url="https://api.contoso.example",
        requests=Requests(total=67),
        datasets=list(records),
        interrupted=interrupted,
    )


def _summary_text(manifest: Manifest, *, output: str = "data", **options: Any) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80, highlight=False, markup=False, emoji=False)
    print_summary(manifest, console, invocation=Invocation(output=Path(output), **options))
    return file.getvalue()


def test_the_table_fits_80_columns_and_cuts_nothing() -> None:
    reported = _summary_text(_manifest(*(_complete(dataset) for dataset in TWENTY)))
    table = reported.splitlines()[: len(TWENTY) + 1]
    assert max(map(len, table)) <= 80
    assert all(dataset in reported for dataset in TWENTY)
    assert "12,345,678" in reported
    assert "246,913,560 rows" in reported


def test_what_concerns_the_run_as_a_whole_is_told_before_what_concerns_datasets() -> None:
    manifest = _manifest(_complete("Profile", notes=["of a dataset"])).model_copy(update={"notes": ["of the run"]})
    reported = _summary_text(manifest)
    assert 0 < reported.index("note:  of the run") < reported.index("note:  Profile: of a dataset")


def test_an_outage_is_told_once_and_not_twenty_times() -> None:
    reasons = [
        f"the service could not be reached: tried {tries} times over {tries * 11} s"
        for tries in range(6, 6 + len(TWENTY))
    ]
    reported = _summary_text(
        _manifest(*(_failed(dataset, reason) for dataset, reason in zip(TWENTY, reasons, strict=True)))
    )
    assert reported.count("the service could not be reached") == 1
    assert "20 of 20 datasets not exported" in reported
    assert "TeamsUsageWorkload" not in reported  # no table of twenty rows that say the same
    assert len(reported.splitlines()) <= 5


def test_a_run_that_exported_something_keeps_its_table() -> None:
    reported = _summary_text(_manifest(_complete("Profile"), *(_failed(dataset, "no luck") for dataset in TWENTY[1:])))
    assert "TeamsUsageWorkload" in reported


def test_reasons_are_one_when_they_differ_in_ids_numbers_and_the_dataset_alone() -> None:
    guid = "00000000-0000-4000-8000-{:012}"
    reported = [
        (name, f"{name}: execution {guid.format(n)} of {name} failed after {n} s") for n, name in enumerate("ABC")
    ]
    ((datasets, reason),) = group_by_reason(reported)
    assert datasets == ["A", "B", "C"]
    assert reason.startswith("execution 0000")
    assert len(group_by_reason([*reported, ("D", "D: another reason")])) == 2


def test_a_dataset_with_two_notes_of_one_kind_is_named_once() -> None:
    ids = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
    notes = [f"report {report_id} could not be deleted: busy" for report_id in ids]

    summary = _summary_text(_manifest(_complete("OfficeUsage", notes=notes)))

    assert f"OfficeUsage: {notes[0]}" in summary
    assert "OfficeUsage, OfficeUsage" not in summary


def test_a_failure_names_the_datasets_and_the_command_that_tries_them_again() -> None:
    reported = _summary_text(_manifest(_complete("Profile"), _failed("AzureUsage", "no luck")), output="my data")
    assert "       AzureUsage: no luck" in reported
    again = next(line for line in reported.splitlines() if line.startswith("again"))
    assert shlex.split(again)[1:] == [invocation_path("bulkpull"), "export", "AzureUsage", "--output", "my data"]


def test_a_fault_of_every_dataset_that_is_offered_needs_no_table_and_few_lines() -> None:
    missing = DatasetRecord(dataset=TWENTY[0], status="unavailable", reason=f"{TWENTY[0]}: not listed")
    full = [_failed(dataset, "there is not enough room in data") for dataset in TWENTY[1:]]
    summary = _summary_text(_manifest(missing, *full))

    lines = summary.splitlines()
    assert lines[0] == "error: 19 of 20 datasets not exported"
    assert "and 16 more: there is not enough room in data" in lines[1]
    assert len(lines) <= 5


def test_the_summary_of_a_run_that_only_creates_reports_has_no_table() -> None:
    created = [
        DatasetRecord(dataset=dataset, status="skipped", reason=f"submitted as report {number}")
        for number, dataset in enumerate(TWENTY)
    ]
    summary = _summary_text(_manifest(*created).model_copy(update={"submitted": True}))

    assert summary.splitlines()[0] == "reports created for 20 of 20 datasets, 67 calls"
    assert "runs resume 20261123T020405Z-0a1b2c" in summary
    assert len(summary.splitlines()) <= 12


def test_the_command_for_another_try_repeats_what_was_asked_for() -> None:
    options = ("--timespan", "LAST_MONTH", "--metrics", "none")
    summary = _summary_text(_manifest(_complete("Profile"), _failed("AzureUsage", "no luck")), options=options)

    again = next(line for line in summary.splitlines() if line.startswith("again"))
    assert shlex.split(again)[2:7] == ["export", "AzureUsage", *options][:5]
    assert again.count("--metrics none") == 1


def test_the_command_that_reads_the_data_can_be_pasted_whatever_the_folder_is_called() -> None:
    output = 'it\'s "my" [data]'
    reported = _summary_text(_manifest(_complete("Profile")), output=output)
    read = next(line for line in reported.splitlines() if line.startswith("read"))
    _, python, option, program = shlex.split(read)
    assert (python, option) == (invocation_path("python"), "-c")
    called: list[tuple[str, str]] = []
    compile(program, "<pasted>", "exec")
    inner = program.split("scan(")[1].split(").head")[0]
    called.append(eval(f"({inner})"))  # noqa: S307 - the two literals that were just written
    assert called == [(output, "Profile")]


def test_a_program_is_called_by_its_name_only_where_the_path_leads_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = Path(sys.executable).with_name("python")
    monkeypatch.chdir(ours.parent.parent)
    monkeypatch.setenv("PATH", str(ours.parent))
    assert invocation_path("python") == "python"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert invocation_path("python") == f"{ours.parent.name}/python"

    monkeypatch.chdir(tmp_path)
    assert invocation_path("python") == str(ours)


def test_notes_tell_a_wider_span_once_for_all_its_datasets() -> None:
    records = [_complete(name, timespan="LAST_6_MONTHS", wider_timespan="LIFETIME") for name in TWENTY]
    reported = _summary_text(_manifest(*records))
    assert reported.count("LIFETIME") == 1
    assert "and 17 more" in reported


def test_notes_show_the_first_values_that_did_not_fit() -> None:
    misfit = PublishedColumn(name="Quantity", type="String", declared="decimal", misfit={"row": 1234, "value": "(5)"})
    reported = _summary_text(_manifest(_complete("AzureUsage", columns=[misfit])))
    assert "AzureUsage.Quantity (row 1,234: '(5)')" in reported


def test_a_dataset_that_is_not_offered_and_was_not_named_is_a_note() -> None:
    missing = DatasetRecord(dataset="EMSUsage", status="unavailable", reason="EMSUsage: the service does not list it")
    reported = _summary_text(_manifest(_complete("Profile"), missing))
    assert "error" not in reported
    assert "EMSUsage: the service does not list it" in reported


def test_a_dataset_that_is_not_offered_and_was_named_is_an_error() -> None:
    missing = DatasetRecord(dataset="EMSUsage", status="unavailable", reason="EMSUsage: not listed", named=True)
    assert "error: 1 of 1 dataset not exported" in _summary_text(_manifest(missing))


def test_what_an_interruption_left_unfinished_is_not_called_failed() -> None:
    cut_off = DatasetRecord(dataset="AzureUsage", status="failed", reason="AzureUsage: interrupted")
    reported = _summary_text(_manifest(_complete("Profile"), cut_off, interrupted=True))
    assert "unfinished" in reported
    assert "failed" not in reported
    assert "error" not in reported


def test_after_a_demo_the_next_step_is_the_own_data() -> None:
    reported = _summary_text(_manifest(_complete("Profile")), demo=True)
    assert "bulkpull init" in reported
    assert "bulkpull init" not in _summary_text(_manifest(_complete("Profile")))
