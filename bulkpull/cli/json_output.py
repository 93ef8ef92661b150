"""
Queries, reports and executions as JSON values (pure).

A secure link is a credential: only its expiry is shown. The address of a callback may carry a signature of its own,
which is shown nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bulkpull.clock import iso_utc
from bulkpull.model import Execution, Query, Report
from bulkpull.redact import redact
from bulkpull.window_bounds import window_values


def format_time(moment: datetime | None) -> str | None:
    return iso_utc(moment) if moment else None


def query_values(query: Query) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "name": query.name,
        "description": query.description,
        "query": query.text,
        "system": query.is_system,
        "created_at": format_time(query.created_at),
    }


def report_values(report: Report) -> dict[str, Any]:
    return {
        "report_id": report.report_id,
        "name": report.name,
        "description": report.description,
        "status": report.status,
        "query_id": report.query_id,
        "query": report.query_text,
        "one_off": report.execute_now,
        "created_at": format_time(report.created_at),
        "modified_at": format_time(report.modified_at),
        "start_at": format_time(report.start_at),
        "recurrence_hours": report.recurrence_h,
        "recurrence_count": report.recurrence_count,
        "format": report.format,
        "window": window_values(report.window),
        "callback_url": redact(report.callback_url) if report.callback_url else None,
        "callback_method": report.callback_method,
    }


def execution_values(execution: Execution) -> dict[str, Any]:
    link = execution.link
    return {
        "execution_id": execution.execution_id,
        "report_id": execution.report_id,
        "status": execution.status,
        "generated_at": format_time(execution.generated_at),
        "format": execution.format,
        "link_available": link is not None,
        "link_expires_at": format_time(link.expires_at) if link else None,
        "data_redacted": execution.data_redacted,
    }
