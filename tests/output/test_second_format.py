"""Another file format takes a module, a line in the table of formats, and the choice of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import export, rows_of_csv
from second_format import HEADED_ARROW

from bulkpull.conversion import output_formats
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.store import LocalStore
from bulkpull.output.verify import inspect_file
from bulkpull.output.views import views_of
from bulkpull.read_output import scan, verify
from bulkpull.simulator import Scenario, Simulator

DATASET = "Profile"


async def test_an_export_in_a_second_format_is_published_verified_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(output_formats.FORMATS, HEADED_ARROW.suffix, HEADED_ARROW)
    monkeypatch.setattr(output_formats, "WRITTEN", HEADED_ARROW)
    async with Simulator(Scenario(rows=40)) as simulator:
        header, rows = rows_of_csv(await simulator.csv(DATASET))
        manifest = await export(simulator, tmp_path, DATASET)

    (record,) = manifest.datasets
    (file,) = record.files
    findings = verify(tmp_path)
    frame = scan(tmp_path, DATASET).collect()
    with_run = scan(tmp_path, DATASET, runs="all").collect()

    assert (record.status, Path(file.path).suffix) == ("complete", ".harrow")
    assert (findings.troubles, findings.files) == ([], 1)
    assert frame.height == record.rows == len(rows)
    assert frame.columns == header
    assert with_run.drop("_run_id").equals(frame)
    assert Current.load(LocalStore(tmp_path)).datasets[DATASET].files == [file.path]
    assert "`latest/<Dataset>/*.harrow`" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "As headed Arrow" in (tmp_path / "runs" / manifest.run_id / "report.html").read_text(encoding="utf-8")


def test_a_damaged_file_of_a_second_format_is_named_by_its_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(output_formats.FORMATS, HEADED_ARROW.suffix, HEADED_ARROW)
    path = tmp_path / "part-00000.harrow"
    path.write_bytes(b"not a table")

    rows, problem = inspect_file(
        LocalStore(tmp_path), Path(path.name), dataset=DATASET, run_id="20261123T020000Z-aaaaaa"
    )

    assert rows == 0
    assert problem is not None
    assert problem.startswith("it is not a headed Arrow file")


def test_duckdb_gets_no_view_of_a_format_that_it_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(output_formats.FORMATS, HEADED_ARROW.suffix, HEADED_ARROW)
    snapshots = {
        "Profile": CurrentSnapshot(run_id="r", rows=1, files=["a.parquet"]),
        "AzureUsage": CurrentSnapshot(run_id="r", rows=1, files=["a.harrow"]),
    }

    (view,) = views_of(snapshots)

    assert "read_parquet(['a.parquet']" in view
