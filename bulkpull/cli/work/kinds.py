"""Queries and reports, as far as the commands that delete and switch them go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bulkpull.cli.work.ask import NotThere
from bulkpull.insights.client import InsightsClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    Queries or reports, as far as deleting them goes.

    Attributes:
        one, many: What they are called.
        id_key: Where the id stands in their JSON values.
        delete: The call; it raises `NotFound` where there is nothing of that id.
    """

    one: str
    many: str
    id_key: str
    delete: Callable[[InsightsClient, str], Awaitable[None]]

    def not_there(self, its_id: str) -> NotThere:
        """The error for an id that names nothing."""
        return NotThere(
            f"there is no {self.one} {its_id} for this user", fix=f"`bulkpull {self.many} list` shows what there is"
        )


QUERIES = Kind(one="query", many="queries", id_key="query_id", delete=InsightsClient.delete_query)
REPORTS = Kind(one="report", many="reports", id_key="report_id", delete=InsightsClient.delete_report)
