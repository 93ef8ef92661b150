"""The page of a run says what happened, in an order and in words that need neither eyes for colour nor a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from accounts import account, complete, event, failed, manifest, timings
from journeys.kit import export
from support import EventRecorder

from bulkpull.errors import BulkpullError, HeldBack
from bulkpull.events import Event
from bulkpull.observability.html_report import breakable, prose, render_report
from bulkpull.observability.html_timeline import ticks
from bulkpull.observability.recorder import rows_before, tidy
from bulkpull.observability.run_summary import run_outcome
from bulkpull.output.layout import Layout
from bulkpull.output.manifest import DatasetRecord, Drift, Manifest, PublishedColumn
from bulkpull.output.store import LocalStore
from bulkpull.redact import register_secret
from bulkpull.simulator import Fault, Scenario, Simulator

CANARY = "canary-page-44c1"
HOSTILE = "<script>alert(1)</script>\"'&amp;<img src=x onerror=alert(1)>\u202e\x1b[31m"


class Page(HTMLParser):
    """A page as a reader without eyes meets it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.titles: list[tuple[str, str]] = []
        self.words = ""
        self._path: list[str] = []
        self.feed(text)
        assert self._path == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("meta", "link", "wbr"):
            return
        self._path.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif tag in ("h1", "h2", "h3"):
            self.titles.append((tag, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "title"} & set(self._path):
            return
        self.words += data
        if {"th", "td"} & set(self._path):
            self.rows[-1][-1] += data
        elif self._path and self._path[-1] in ("h1", "h2", "h3"):
            tag, title = self.titles[-1]
            self.titles[-1] = tag, title + data

    def row(self, dataset: str) -> list[str]:
        """The last row (that of the table of datasets) which begins with that name."""
        return [row for row in self.rows if row and row[0] == dataset][-1]


def test_the_verdict_stands_on_top_in_one_sentence() -> None:
    text = render_report(account(complete("AzureUsage"), failed("Profile", BulkpullError("it broke"))))
    page = Page(text)

    assert page.titles[0] == ("h1", "1 of 2 datasets is up to date; 1 failed.")
    assert "! Partial" in page.words
    assert "<title>Partial: bulkpull run 20261123T020405Z-0a1b2c</title>" in text


@pytest.mark.parametrize(
    ("records", "changes", "word", "sentence"),
    [
        ([complete("AzureUsage")], {}, "Complete", "1 dataset exported, 1,200 rows."),
        (
            [complete("AzureUsage"), DatasetRecord(dataset="Profile", status="skipped", rows=40)],
            {},
            "Complete",
            "1 dataset exported, 1,200 rows; 1 skipped, with no newer data.",
        ),
        (
            [DatasetRecord(dataset="Profile", status="skipped")],
            {},
            "Complete",
            "1 dataset skipped, with no newer data.",
        ),
        (
            [complete("AzureUsage"), DatasetRecord(dataset="Profile", status="unavailable", reason="not listed")],
            {},
            "Complete",
            "1 dataset exported, 1,200 rows; 1 not offered to this account.",
        ),
        ([failed("Profile", BulkpullError("no"))], {}, "Failed", "None of 1 dataset was exported."),
        (
            [complete("AzureUsage"), DatasetRecord(dataset="Profile", status="failed")],
            {"interrupted": True},
            "Interrupted",
            "The run was stopped, 1 of 2 datasets done; the same command resumes it.",
        ),
        (
            [],
            {"interrupted": True},
            "Interrupted",
            "The run was stopped, before any report was created; the same command resumes it.",
        ),
        (
            [DatasetRecord(dataset="Profile", status="skipped")],
            {"submitted": True},
            "Submitted",
            "Reports for 1 dataset are created; bulkpull runs resume collects them.",
        ),
    ],
)
def test_every_end_of_a_run_has_its_verdict(
    records: list[DatasetRecord], changes: dict[str, bool], word: str, sentence: str
) -> None:
    verdict = run_outcome(manifest(*records, **changes))

    assert (verdict.word, verdict.sentence) == (word, sentence)


def test_failures_come_before_all_else_with_cause_remedy_and_command() -> None:
    held = HeldBack("Profile: no rows", why="the answer was empty", fix='set `on_shrink = "publish"`')
    text = render_report(account(complete("AzureUsage"), failed("Profile", held)))
    page = Page(text)

    assert next(title for tag, title in page.titles if tag == "h2") == "What failed, worst first"
    assert "No rows" in page.words
    assert "Why: the answer was empty" in page.words
    assert 'What to do: set on_shrink = "publish"' in page.words
    assert "bulkpull export Profile --output data" in page.words
    assert page.row("Profile")[1] == "✕ failed"


def test_a_run_in_which_nothing_failed_has_no_such_section() -> None:
    assert "What failed" not in render_report(account(complete("AzureUsage")))


def test_the_table_tells_rows_change_and_drift() -> None:
    drift = Drift(appeared=["NewColumn"], vanished=["City"], retyped=["Id: Int64 → String"])
    page = Page(
        render_report(
            account(
                complete("AzureUsage", drift=drift),
                complete("MSLearn"),
                complete("OfficeUsage"),
                DatasetRecord(dataset="Profile", status="skipped", rows=40, reason="Profile: not refreshed since"),
                rows_before={"AzureUsage": 1_000, "MSLearn": 1_200},
            )
        )
    )

    assert page.row("AzureUsage")[2:5] == ["1,200", "+200 (+20.0%)", "54.0 kB"]
    assert page.row("AzureUsage")[6] == (
        "New columns: NewColumn.Vanished columns: City.Other types: Id: Int64 → String."
    )
    assert page.row("MSLearn")[3] == "±0"
    assert page.row("OfficeUsage")[3] == "first"
    assert page.row("Profile")[1:4] == ["→ skipped", "40", "none"]
    assert page.row("Profile")[6] == "not refreshed since"


def test_what_is_not_offered_is_told_once_for_all_and_values_that_did_not_fit_are_shown() -> None:
    reported = [DatasetRecord(dataset=name, status="unavailable", reason=f"{name}: not listed") for name in ("A", "B")]
    column = PublishedColumn(name="Id", type="String", declared="Int64", misfit={"row": 7, "value": "x"})
    page = Page(render_report(account(complete("AzureUsage", columns=[column]), *reported)))

    assert "A, B: not listed" in page.words
    assert "AzureUsage.Id (row 7: 'x')" in page.words


def test_the_timeline_says_in_words_what_its_bars_show_and_names_the_slowest_step() -> None:
    made = timings(
        (0, event("pull.stepped", "AzureUsage", step="submit")),
        (2, event("pull.stepped", "AzureUsage", step="poll")),
        (62, event("pull.stepped", "AzureUsage", step="download")),
        (70, event("run.finished", status="complete")),
    )
    page = Page(render_report(account(complete("AzureUsage"), timings=made)))
    (bar,) = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]

    assert bar["aria-label"] == "AzureUsage: waiting 2 s, on the service 1 min, download 8 s"
    assert "The slowest step: AzureUsage, on the service, 1 min." in page.words
    assert page.row("AzureUsage")[5] == "1 min 5 s"  # the steps of the manifest, as the terminal has them
    assert ["AzureUsage", "2 s", "1 min", "8 s", "–", "–", "1 min 10 s"] in page.rows


def test_requests_throttling_and_retries_are_told() -> None:
    made = timings(
        (1, event("quota.reached", wait_s=3_600.0, limit=5)),
        (2, event("pace.changed", calls_per_s=2.5, wait_s=9.0)),
        (3, event("call.retried", endpoint="token", reason="HTTP 503 of request 12")),
        (4, event("call.retried", endpoint="token", reason="HTTP 503 of request 13")),
    )
    page = Page(render_report(account(complete("AzureUsage"), timings=made)))

    assert "67 calls in all, 3 retried, 2 answered with “too many requests” (429)." in page.words
    assert "The quota of 5 one-off reports was reached 1 time; the longest wait for it was 1 h." in page.words
    assert "2.5 a second at the slowest" in page.words
    assert "HTTP 503 of request 12" in page.words
    assert ["ScheduledReport", "40"] in page.rows


def test_hostile_text_stays_text_and_secrets_stay_out() -> None:
    register_secret(CANARY)
    evil = f"{HOSTILE} {CANARY} https://contoso.example/x?sv=1&sig=abc%2Bdef"
    record = failed(evil, BulkpullError(evil, why=evil, fix=evil), notes=[evil])
    other = complete(evil, drift=Drift(appeared=[evil]), notes=[evil], data_redacted=True)
    made = timings(
        (0, event("pull.stepped", evil, step="poll")), (1, event("call.retried", endpoint=evil, reason=evil))
    )
    text = render_report(account(record, other, timings=made, notes=[evil], api_base_url=f"https://{evil}"))
    tags = {tag for tag, _ in Page(text).tags}

    assert not tags & {"script", "img"}
    assert not [name for _, attributes in Page(text).tags for name in attributes if name.startswith("on")]
    assert not {item for item in (CANARY, "abc%2Bdef", "\x1b", "\u202e") if item in text}


def test_it_needs_nothing_but_itself() -> None:
    text = render_report(account(complete("AzureUsage"), failed("Profile", BulkpullError("no"))))
    page = Page(text)
    led_to = {attributes[name] for _, attributes in page.tags for name in ("src", "href") if name in attributes}

    assert led_to == {"data:,", "manifest.json", "log.jsonl"}
    assert not re.search(r"url\(|@import|https?:", text)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_is_built_for_those_who_listen() -> None:
    made = timings((0, event("pull.stepped", "AzureUsage", step="poll")), (5, event("run.finished", status="x")))
    page = Page(render_report(account(complete("AzureUsage"), failed("Profile", BulkpullError("no")), timings=made)))
    levels = [int(tag[1]) for tag, _ in page.titles]

    assert page.tags[0] == ("html", {"lang": "en"})
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert {tag for tag, _ in page.tags} >= {"header", "main", "footer", "caption"}


def test_code_within_a_sentence_and_breaks_within_a_name_are_the_only_html_that_a_text_becomes() -> None:
    assert prose("set `a<b` to `c`") == "set <code>a&lt;b</code> to <code>c</code>"
    assert prose("a < b & c") == "a &lt; b &amp; c"
    assert breakable("AzureUsage<b>") == "Azure<wbr>Usage&lt;b&gt;"
    assert prose("a lone ` stays") == "a lone ` stays"


@pytest.mark.parametrize("length_s", [0.001, 0.7, 9.9, 61, 3_599, 10_800, 90_000, 2_000_000])
def test_an_axis_has_few_round_marks_within_the_run(length_s: float) -> None:
    marks = ticks(length_s)

    assert marks[0] == 0
    assert len(marks) <= 5
    assert marks[-1] <= length_s


def test_rows_are_compared_with_the_newest_run_before_that_has_the_dataset() -> None:
    def of(day: int, *records: DatasetRecord) -> Manifest:
        return manifest(*records, run_id=f"202611{day}T020405Z-0a1b2c", finished_at=f"2026-11-{day}T02:04:05Z")

    newer = of(24, complete("AzureUsage", rows=9))
    skipped = of(22, DatasetRecord(dataset="AzureUsage", status="skipped", rows=8))
    older = of(21, complete("AzureUsage", rows=7), complete("MSLearn"))
    oldest = of(20, complete("AzureUsage", rows=6))

    assert rows_before(manifest(complete("AzureUsage")), [newer, skipped, older, oldest]) == {"AzureUsage": 7}


async def test_a_run_that_was_stopped_and_carried_on_leaves_a_page_each_time(tmp_path: Path) -> None:
    scope = anyio.CancelScope()

    def stop(event: Event) -> None:
        if event.name == "report.created":
            scope.cancel()

    async with Simulator(Scenario(rows=10)) as simulator:
        with scope:
            await export(simulator, tmp_path, "Profile", "OfficeUsage", listeners=[stop])
        (page,) = tmp_path.glob("runs/*/report.html")
        stopped = Page(page.read_text(encoding="utf-8"))
        await export(simulator, tmp_path, "Profile", "OfficeUsage")
    carried_on = Page(page.read_text(encoding="utf-8"))

    assert stopped.titles[0][1] == "The run was stopped, 0 of 2 datasets done; the same command resumes it."
    assert stopped.row("Profile")[1] == "… unfinished"
    assert "What failed, worst first" not in [title for _, title in stopped.titles]
    assert carried_on.titles[0][1] == "2 datasets exported, 20 rows."
    assert "resumed after an interruption" in carried_on.words


def test_logs_and_pages_of_old_runs_go_and_their_manifests_stay(tmp_path: Path) -> None:
    for day in ("21", "22", "23"):
        folder = tmp_path / "runs" / f"202611{day}T020405Z-0a1b2c"
        folder.mkdir(parents=True)
        for name in ("manifest.json", "log.jsonl", "report.html"):
            (folder / name).touch()
    tidy(LocalStore(tmp_path), kept=2)

    left = {path.parent.name[6:8] for path in tmp_path.glob("runs/*/report.html")}
    assert left == {path.parent.name[6:8] for path in tmp_path.glob("runs/*/log.jsonl")} == {"22", "23"}
    assert len(list(tmp_path.glob("runs/*/manifest.json"))) == 3


async def test_every_run_leaves_its_page_with_the_change_against_the_run_before(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows={"*": 10, "Profile": 4})) as simulator:
        await export(simulator, tmp_path, "Profile", "OfficeUsage")
    faults = (Fault("execution_fails", dataset="OfficeUsage", times=None),)
    async with Simulator(Scenario(rows={"*": 10, "Profile": 6}, faults=faults)) as simulator:
        second = await export(simulator, tmp_path, "Profile", "OfficeUsage")
    page = Page((tmp_path / "runs" / second.run_id / "report.html").read_text(encoding="utf-8"))

    assert page.titles[0][1] == "1 of 2 datasets is up to date; 1 failed."
    assert page.row("Profile")[2:4] == ["6", "+2 (+50.0%)"]
    assert {"Profile", "OfficeUsage"} <= {row[0] for row in page.rows if len(row) == 7 and row[1].endswith(" s")}


async def test_a_page_that_cannot_be_written_is_a_warning_and_harms_nothing(tmp_path: Path) -> None:
    recorded = EventRecorder()

    def be_in_the_way(event: Event) -> None:
        if event.name == "run.started":
            (Layout(tmp_path).log(str(event.facts["run_id"])).parent / "report.html").mkdir(parents=True)

    async with Simulator(Scenario(rows=10)) as simulator:
        done = await export(simulator, tmp_path, "Profile", listeners=[be_in_the_way, recorded.events.append])

    assert (done.status, done.exit_code) == ("complete", 0)
    assert [warning["part"] for warning in recorded.of("account.lacking")] == ["report.html"]


@pytest.mark.parametrize("function", ["render_report", "load_template"])
async def test_a_fault_of_ours_in_the_page_is_a_warning_and_harms_nothing(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is loaded ahead, while the service makes the reports."""
    recorded = EventRecorder()

    def break_down(*_: object) -> str:
        raise ValueError("the floor gave way")

    monkeypatch.setattr(f"bulkpull.observability.html_report.{function}", break_down)
    async with Simulator(Scenario(rows=10)) as simulator:
        done = await export(simulator, tmp_path, "Profile", listeners=[recorded.events.append])

    assert done.exit_code == 0
    (warning,) = recorded.of("account.lacking")
    assert "the floor gave way" in str(warning["reason"])
