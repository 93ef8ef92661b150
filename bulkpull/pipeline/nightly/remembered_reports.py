"""
The scheduled reports that the ledger knows: which ones this folder created, for which question, and which are unused.

A report of another folder or tool may be used, but only reports that this folder created are changed or deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from bulkpull.model import Report
from bulkpull.output.ledger import Ledger, NotedFacts
from bulkpull.output.ledger_facts import MissedFacts, ScheduledReportFacts
from bulkpull.pipeline.steps.naming import query_digest

LIST_UNKNOWN = (
    "the service does not tell which reports there are (the role may not list them); what is in the ledger counts, and "
    "nothing was created or deleted on a guess"
)


@dataclass(slots=True)
class ReportMemory:
    """
    The scheduled reports of one dataset in the ledger.

    Attributes:
        made: Ids of those that this folder ordered.
        adopted: Ids of those that it found and used.
        ordered: Names of those that it ordered without an answer, each with the digest of its query, where noted.
        facts: The latest facts about each, by id.
        missed: Ids of those with an execution that did not arrive.
    """

    made: set[str] = field(default_factory=set)
    adopted: set[str] = field(default_factory=set)
    ordered: dict[str, str | None] = field(default_factory=dict)
    facts: dict[str, ScheduledReportFacts] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        return self.made | self.adopted

    def is_ours(self, report: Report) -> bool:
        """Whether this folder ordered the report, so that it may change and delete it."""
        if report.report_id in self.made:
            return True
        if report.name not in self.ordered:
            return False
        # Another tool may use the name: only a report of the query that was ordered is this folder's (case N20).
        digest = self.ordered[report.name]
        return digest is None or (report.query_text is not None and query_digest(report.query_text) == digest)

    def question_of(self, report_id: str) -> str | None:
        """The hash of the question that a report was made for, if it was noted."""
        facts = self.facts.get(report_id)
        return facts.question_sha256 or None if facts else None

    def lead_h(self, report_id: str) -> float | None:
        """How many hours before the nightly hour a report was made to run, if it is known."""
        facts = self.facts.get(report_id)
        return facts.lead_h if facts else None

    def serving(self, question_sha256: str) -> list[Report]:
        """The reports noted for a question, the last one first, as far as the ledger knows them."""
        return [
            Report(report_id, facts.name, facts.query_id or "")
            for report_id, facts in reversed(self.facts.items())
            if self.question_of(report_id) in (question_sha256, None)
        ]


async def remember_reports(ledger: Ledger) -> dict[str, ReportMemory]:
    """What the ledger knows of each dataset's scheduled reports."""
    return read_memory(await ledger.noted(ScheduledReportFacts), await ledger.noted(MissedFacts))


def read_memory(
    scheduled: Iterable[NotedFacts[ScheduledReportFacts]], missed: Iterable[NotedFacts[MissedFacts]] = ()
) -> dict[str, ReportMemory]:
    """
    The memory of each dataset, from the ledger's facts about scheduled reports, the oldest first (pure).

    An id that follows the order of its name is of a report that this folder made; every other id was found. A later
    note repeats it (`own`), because the ledger forgets runs after some months (case N16).
    """
    memories: dict[str, ReportMemory] = {}
    for entry in scheduled:
        memory = memories.setdefault(entry.dataset, ReportMemory())
        facts, report_id = entry.facts, entry.facts.report_id
        if report_id is None:
            memory.ordered[facts.name] = facts.query_digest
            continue
        if facts.own or (facts.own is None and facts.name in memory.ordered):
            memory.made.add(report_id)
        elif report_id not in memory.made:
            memory.adopted.add(report_id)
        memory.ordered.pop(facts.name, None)
        memory.facts.pop(report_id, None)  # keeps the order of the latest entries
        memory.facts[report_id] = facts
    for lack in missed:
        memories.setdefault(lack.dataset, ReportMemory()).missed.add(lack.facts.report_id)
    return memories


def unused_reports(
    reports: Iterable[Report], memories: Mapping[str, ReportMemory], *, used: Container[str]
) -> list[tuple[str, Report]]:
    """The scheduled reports that this folder created and no longer uses, each with its dataset (pure)."""
    by_id = {report_id: dataset for dataset, memory in memories.items() for report_id in memory.made}
    unused = [report for report in reports if report.report_id in by_id and report.report_id not in used]
    return [(by_id[report.report_id], report) for report in unused]
