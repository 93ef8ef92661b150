"""
The documented steps, one dataset after another, with requests: what the service's own article shows, and a conversion.

    python steps.py JOB     # a JSON file: see `Job`

Prints the number of rows.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from convert import by_pyarrow
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


@dataclass
class Job:
    """
    What a peer is given.

    Attributes:
        environment: As `bulkpull simulate` prints it.
        queries: The text of the query, by dataset.
        poll_s: Seconds between two looks.
        output: A folder; each dataset's Parquet goes to a folder of its own below.
        deadline_s: How long a report may take, for who knows of such a thing.
        reports: Ids of the reports of an earlier night, by dataset: their executions are read, and nothing is created.
    """

    environment: dict[str, str]
    queries: dict[str, str]
    poll_s: float
    output: str
    deadline_s: float | None = None
    reports: dict[str, str] | None = None

    @classmethod
    def given(cls) -> Job:
        return cls(**json.loads(Path(sys.argv[1]).read_text()))

    @property
    def api(self) -> str:
        return self.environment["BULKPULL_API_BASE_URL"]

    def token(self) -> str:
        """Step 0 of the article."""
        env = self.environment
        form = {
            "grant_type": "password", "scope": "openid", "resource": "https://api.partnercenter.microsoft.com",
            "client_id": env["BULKPULL_CLIENT_ID"], "client_secret": env["BULKPULL_CLIENT_SECRET"],
            "username": env["BULKPULL_USERNAME"], "password": env["BULKPULL_PASSWORD"],
        }  # fmt: skip
        url = env["BULKPULL_TOKEN_URL"].replace("{tenant_id}", env["BULKPULL_TENANT_ID"])
        reply = requests.post(url, data=form, timeout=60)
        reply.raise_for_status()
        return str(reply.json()["access_token"])

    def folder(self, dataset: str) -> Path:
        folder = Path(self.output) / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def session(token: str) -> requests.Session:
    """One that waits what a 429 asks for, as the documentation of requests and urllib3 recommends."""
    made = requests.Session()
    retry = Retry(total=10, backoff_factor=0.1, status_forcelist=[429, 500, 502, 503], allowed_methods=None)
    made.mount("http://", HTTPAdapter(max_retries=retry))
    made.headers["Authorization"] = f"Bearer {token}"
    return made


def create_report(api: requests.Session, job: Job, dataset: str, query_id: str | None = None) -> str:
    """Steps 2 and 4; the id of the report."""
    if query_id is None:
        query_id = create_query(api, job, dataset)
    report = {"ReportName": f"{dataset} report", "QueryId": query_id, "ExecuteNow": True, "Format": "csv"}
    return str(_value(api.post(f"{job.api}/ScheduledReport", json=report, timeout=60))["reportId"])


def create_query(api: requests.Session, job: Job, dataset: str) -> str:
    query = {"Name": f"{dataset} query", "Description": dataset, "Query": job.queries[dataset]}
    return str(_value(api.post(f"{job.api}/ScheduledQueries", json=query, timeout=60))["queryId"])


def wait_for_link(api: requests.Session, job: Job, report_id: str) -> str:
    """Step 5, again until the execution is completed."""
    while True:
        reply = api.get(
            f"{job.api}/ScheduledReport/execution/{report_id}", params={"getLatestExecution": "true"}, timeout=60
        )
        if reply.status_code != 404:
            execution = _value(reply)
            if execution["executionStatus"] == "Completed":
                return str(execution["reportAccessSecureLink"])
        time.sleep(job.poll_s)


def fetch(link: str, into: Path) -> None:
    """The stored bytes: `raw` decodes nothing, so that what comes is the gzip file."""
    with requests.get(link, stream=True, timeout=60) as reply:
        reply.raise_for_status()
        with into.open("wb") as file:
            for chunk in reply.raw.stream(1 << 20, decode_content=False):
                file.write(chunk)


def _value(reply: requests.Response) -> dict[str, Any]:
    reply.raise_for_status()
    return dict(reply.json()["value"][0])


def main() -> None:
    job, rows = Job.given(), 0
    convert = by_pyarrow(is_wide=False)
    api = session(job.token())
    if not job.reports:
        api.get(f"{job.api}/ScheduledDataset", timeout=60).raise_for_status()
    for dataset in job.queries:
        report_id = job.reports[dataset] if job.reports else create_report(api, job, dataset)
        source = Path(job.output) / f"{dataset}.csv.gz"
        fetch(wait_for_link(api, job, report_id), source)
        rows += convert(source, job.folder(dataset))
        source.unlink()
    print(rows)


if __name__ == "__main__":
    main()
