"""
A dlt pipeline: a resource for each dataset, run in parallel, yielding Arrow tables into Parquet on the filesystem.

    python dlt_pipeline.py JOB     # see `steps.Job`

dlt has no notion of a job that is created, polled and fetched, so the resource does these steps itself. Prints the
number of rows.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import csv
from steps import Job, create_report, fetch, session, wait_for_link

# Telemetry and its requests are no part of the work.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["EXTRACT__WORKERS"] = "20"
os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = "40"
# Straight from Arrow to Parquet, as recommended for tables: nothing is normalised row by row.
os.environ["NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID"] = "false"
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"

import dlt


def rows_of(job: Job, dataset: str, api: Any, folder: Path) -> Iterator[Any]:
    report_id = create_report(api, job, dataset)
    source = folder / f"{dataset}.csv.gz"
    fetch(wait_for_link(api, job, report_id), source)
    parsing = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(source, read_options=csv.ReadOptions(block_size=8 << 20), parse_options=parsing) as reader:
        yield from reader
    source.unlink()


def run(job: Job, pipelines_dir: str, folder: Path) -> Any:
    api = session(job.token())
    api.get(f"{job.api}/ScheduledDataset", timeout=60).raise_for_status()
    pipeline = dlt.pipeline(
        "partner_insights",
        destination=dlt.destinations.filesystem(bucket_url=Path(job.output).resolve().as_uri()),
        dataset_name="tables",
        pipelines_dir=pipelines_dir,
    )
    resources = [
        dlt.resource(rows_of, name=dataset, write_disposition="replace", parallelized=True)(job, dataset, api, folder)
        for dataset in job.queries
    ]
    info = pipeline.run(resources, loader_file_format="parquet")
    info.raise_on_failed_jobs()
    return pipeline


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = run(Job.given(), folder, Path(folder))
        counts = pipeline.last_trace.last_normalize_info.row_counts
        print(sum(count for name, count in counts.items() if not name.startswith("_dlt")))


if __name__ == "__main__":
    main()
