"""
Airbyte's CDK with a declarative asynchronous retriever for each dataset.

    python airbyte.py JOB     # see `steps.Job`

The retriever has one request that creates, so the harness signs in and creates the queries beforehand. A source ends in
records: the harness writes them to Parquet, in batches, as text. The wait between two looks is a constant of five
seconds; it is set to the scaled time that all contenders get. Prints the number of rows.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from datetime import timedelta
from typing import Any

import pyarrow as pa
from airbyte_cdk.models import AirbyteMessage, ConfiguredAirbyteCatalogSerializer, Type
from airbyte_cdk.sources.declarative.async_job.job_orchestrator import AsyncJobOrchestrator
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.requesters.http_job_repository import AsyncHttpJobRepository
from pyarrow import parquet
from steps import Job, create_query, session

_BATCH_ROWS = 20_000
_LOOK_EVERY_S = 5
_DOCUMENTED_LOOK_S = 60


def manifest(job: Job, queries: dict[str, str], token: str) -> dict[str, Any]:
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [next(iter(queries))]},
        "max_concurrent_async_job_count": len(queries),
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 20},
        "streams": [_stream(job, dataset, query_id, token) for dataset, query_id in queries.items()],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def _stream(job: Job, dataset: str, query_id: str, token: str) -> dict[str, Any]:
    def requester(path: str, method: str, **more: Any) -> dict[str, Any]:
        return {
            "type": "HttpRequester", "url_base": job.api, "path": path, "http_method": method,
            "authenticator": {"type": "BearerAuthenticator", "api_token": token}, **more,
        }  # fmt: skip

    def extractor(*path: Any) -> dict[str, Any]:
        return {"type": "DpathExtractor", "field_path": list(path)}

    report = {"ReportName": f"{dataset} report", "QueryId": query_id, "ExecuteNow": True, "Format": "csv"}
    states = "Pending;Running;Paused;Completed"
    return {
        "type": "DeclarativeStream",
        "name": dataset,
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": {}}},
        "retriever": {
            "type": "AsyncRetriever",
            "record_selector": {"type": "RecordSelector", "extractor": extractor()},
            "status_mapping": {
                "type": "AsyncJobStatusMap", "running": ["Pending", "Running", "Paused"], "completed": ["Completed"],
                "failed": ["Failed"], "timeout": [],
            },
            "status_extractor": extractor("value", "0", "executionStatus"),
            "download_target_extractor": extractor("value", "0", "reportAccessSecureLink"),
            "creation_requester": requester("/ScheduledReport", "POST", request_body_json=report),
            "polling_requester": requester(
                "/ScheduledReport/execution/{{ creation_response['value'][0]['reportId'] }}",
                "GET",
                request_parameters={"getLatestExecution": "true", "executionStatus": states},
            ),
            "download_requester": {
                "type": "HttpRequester", "url_base": "{{ download_target }}", "path": "", "http_method": "GET",
            },
            "download_extractor": {"type": "ResponseToFileExtractor", "preserve_na_values": True},
        },
    }  # fmt: skip


class Sink:
    """Records to Parquet, as text; stands in for a destination."""

    def __init__(self, job: Job) -> None:
        self._job, self._held, self._writers = job, {}, {}
        self.rows = 0

    def take(self, dataset: str, record: dict[str, Any]) -> None:
        held = self._held.setdefault(dataset, [])
        held.append(record)
        self.rows += 1
        if len(held) >= _BATCH_ROWS:
            self._flush(dataset)

    def close(self) -> None:
        for dataset in self._held:
            self._flush(dataset)
        for writer in self._writers.values():
            writer.close()

    def _flush(self, dataset: str) -> None:
        held, self._held[dataset] = self._held[dataset], []
        if not held:
            return
        columns = {name: pa.array([_text(row.get(name)) for row in held], pa.string()) for name in held[0]}
        table = pa.table(columns)
        if dataset not in self._writers:
            path = self._job.folder(dataset) / "out.parquet"
            self._writers[dataset] = parquet.ParquetWriter(path, table.schema, compression="zstd")
        self._writers[dataset].write_table(table)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def read(job: Job, sink: Sink) -> None:
    token = job.token()
    api = session(token)
    api.get(f"{job.api}/ScheduledDataset", timeout=60).raise_for_status()
    queries = {dataset: create_query(api, job, dataset) for dataset in job.queries}
    wait_s = _LOOK_EVERY_S * job.poll_s / _DOCUMENTED_LOOK_S
    AsyncJobOrchestrator._WAIT_TIME_BETWEEN_STATUS_UPDATE_IN_SECONDS = wait_s  # noqa: SLF001 - it is no setting
    if job.deadline_s is not None:
        limit_jobs(job.deadline_s)
    streams = [
        {"stream": {"name": dataset, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
         "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
        for dataset in queries
    ]  # fmt: skip
    catalog = ConfiguredAirbyteCatalogSerializer.load({"streams": streams})
    source = ConcurrentDeclarativeSource(
        catalog=catalog, config={}, state=[], source_config=manifest(job, queries, token)
    )
    for message in source.read(logging.getLogger("airbyte"), {}, catalog, []):
        take(message, sink)


def limit_jobs(deadline_s: float) -> None:
    """Its deadline counts in whole minutes, which would take long to try."""
    plain = AsyncHttpJobRepository.__post_init__

    def limited(self: AsyncHttpJobRepository) -> None:
        plain(self)
        self.job_timeout = timedelta(seconds=deadline_s)

    AsyncHttpJobRepository.__post_init__ = limited


def take(message: AirbyteMessage, sink: Sink) -> None:
    if message.type == Type.RECORD:
        sink.take(message.record.stream, message.record.data)


def main() -> None:
    job = Job.given()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the retriever puts its files where it stands
        sink = Sink(job)
        try:
            read(job, sink)
        finally:
            sink.close()
    print(sink.rows)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(main())
