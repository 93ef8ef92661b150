"""
What a person reads when something is wrong: the dataset or setting, the cause, the next step; five lines at most.

Faults of the service are rows of the fault matrix, as `bulkpull simulate --fault ID` serves them; the others are what
people do. Each is met by the real command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import SMALL, Command, Outcome, Serve
from filelock import FileLock

from bulkpull.simulator import FAULT_TABLE, FaultRow
from bulkpull.simulator.fault_matrix import HIT, QUICK

MOST_LINES = 5
ROWS = {row.id: row for row in FAULT_TABLE}
# Row of the matrix → a word of the cause.
FROM_THE_SERVICE = {
    "13a": "secret is wrong",
    "13b": "expired",
    "13c": "no such tenant",
    "13d": "password is wrong",
    "14a": "multifactor",
    "14b": "consent",
    "14c": "multifactor",
    "17b": "401",
    "24c": "loop",
    "24d": "another host",
    "25a": "400 Invalid query",
    "27e": "not understood",
    "28": "Incorrect column",
    "33": "503",
    "36a": "quota",
    "45b": "status is Failed",
    "46b": "not completed",
    "49c": "no link",
    "56": "403",
    "57b": "404",
    "68b": "plain http",
    "68c": "too many redirects",
    "71b": "0 bytes",
    "76ay": "ends too early",
    "78c": "zip",
    "80d": "lacks",
    "81a": "17 fields",
    "86b": "UTF-16",
    "105": "503",
    "107d": "429",
}


def assert_helps(outcome: Outcome, *, names: str, cause: str) -> None:
    """Standard error holds one message with everything that a person needs, and nothing else."""
    lines = outcome.err.splitlines()
    assert 2 <= len(lines) <= MOST_LINES, outcome.err
    assert "Traceback" not in outcome.err
    assert lines[0].startswith("error: ")
    steps = [line.removeprefix("fix:").strip() for line in lines if line.startswith("fix:")]
    assert len(steps) == 1, outcome.err
    assert len(steps[0]) > 15
    reported = "\n".join(line for line in lines if not line.startswith("fix:"))
    assert names in outcome.err
    assert cause.casefold() in reported.casefold(), outcome.err
    # The next step names something that can be done: a command, an option, a setting, a person.
    assert re.search(
        r"`\w+|--\w+|BULKPULL_|command again|administrator|role|registration|clock|proxy|run|restore", steps[0]
    )


@pytest.mark.parametrize("row_id", FROM_THE_SERVICE)
def test_a_fault_of_the_service_is_told_so_that_a_person_can_act(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch, row_id: str
) -> None:
    row: FaultRow = ROWS[row_id]
    simulator = serve(row.scenario)
    hasty = {"request_attempts": 2, "report_timeout_seconds": 2, "requests_per_second": 500}
    for name, value in {**QUICK, **row.settings, **hasty}.items():
        monkeypatch.setenv(f"BULKPULL_{name.upper()}", str(value))
    outcome = command("export", HIT, "--quiet", "--output", "data")

    assert outcome.code in row.exit_codes
    assert simulator.calls
    assert_helps(outcome, names=HIT, cause=FROM_THE_SERVICE[row_id])


@dataclass(frozen=True)
class Slip:
    """Something a person does: the command, what was prepared, and what the message has to hold."""

    arguments: tuple[str, ...]
    code: int
    names: str
    cause: str
    prepare: Callable[[Path, pytest.MonkeyPatch], object] = lambda _folder, _patch: None
    served: bool = True


def file(name: str, text: str) -> Callable[[Path, pytest.MonkeyPatch], object]:
    def write(folder: Path, _: pytest.MonkeyPatch) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return write


def variable(name: str, value: str) -> Callable[[Path, pytest.MonkeyPatch], object]:
    return lambda _, patch: patch.setenv(name, value)


def both(*preparations: Callable[[Path, pytest.MonkeyPatch], object]) -> Callable[[Path, pytest.MonkeyPatch], object]:
    def prepare(folder: Path, patch: pytest.MonkeyPatch) -> None:
        for preparation in preparations:
            preparation(folder, patch)

    return prepare


def locked(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "data" / ".bulkpull").mkdir(parents=True)
    lock = FileLock(folder / "data" / ".bulkpull" / "lock")
    lock.acquire()
    patch.setattr(Slip, "held", lock, raising=False)  # until the test ends


EXPORT = ("export", "Profile", "--quiet", "--output", "data")
MISSPELLED = ("export", "Profle", "--quiet")
SLIPS = {
    "a misspelled dataset": Slip(MISSPELLED, 2, "Profle", "no known dataset"),
    "a misspelled dataset without credentials": Slip(MISSPELLED, 2, "Profle", "no known dataset", served=False),
    "no credentials": Slip(EXPORT, 4, "BULKPULL_CLIENT_SECRET", "missing", served=False),
    "a settings file that is not there": Slip((*EXPORT, "--config", "x.toml"), 2, "x.toml", "no such file"),
    "a settings file that is no TOML": Slip(EXPORT, 2, "bulkpull.toml", "TOML", file("bulkpull.toml", "output data")),
    "an unknown setting": Slip(EXPORT, 2, "`outptu`", "unknown", file("bulkpull.toml", "outptu = 'x'")),
    "a value of the wrong type": Slip(
        EXPORT, 2, "`retain_runs`", "whole number", variable("BULKPULL_RETAIN_RUNS", "some")
    ),
    "an address without encryption": Slip(
        EXPORT, 2, "`api_base_url`", "loopback", variable("BULKPULL_API_BASE_URL", "http://api.contoso.example")
    ),
    "certificates that are not there": Slip(EXPORT, 2, "`ca_file`", "no file", variable("BULKPULL_CA_FILE", "x.pem")),
    "certificates that are none": Slip(
        EXPORT,
        2,
        "`ca_file`",
        "no PEM certificate",
        both(file("x.pem", "x"), variable("BULKPULL_CA_FILE", "x.pem")),
    ),
    "a time span that nobody offers": Slip((*EXPORT, "--timespan", "LAST_WEEK"), 2, "LAST_WEEK", "no dataset offers"),
    "days in the wrong order": Slip(
        (*EXPORT, "--since", "2026-02-01", "--until", "2026-01-01"), 2, "--until", "before it begins (2026-02-01)"
    ),
    "a day that is none": Slip((*EXPORT, "--since", "yesterday"), 2, "--since", "yesterday"),
    "a misspelled command": Slip(("exprot",), 2, "exprot", "no such command"),
    "a misspelled option": Slip((*EXPORT, "--timespn", "x"), 2, "--timespn", "no such option"),
    "a file in the way of the output": Slip(EXPORT, 2, "data", "is a file", file("data", "x")),
    "another run in the folder": Slip(EXPORT, 5, "data", "another run", locked),
    "a damaged ledger": Slip(
        ("runs", "list", "--output", "data"),
        1,
        "ledger.sqlite",
        "not a database",
        file("data/.bulkpull/ledger.sqlite", "x" * 4096),
    ),
    "a damaged pointer": Slip(EXPORT, 1, "current.json", "damaged", file("data/current.json", "{")),
    "a service that is not there": Slip(
        EXPORT, 3, "Profile", "no connection", variable("BULKPULL_API_BASE_URL", "http://127.0.0.1:9/x")
    ),
    "a token endpoint that is not there": Slip(
        EXPORT, 3, "Profile", "no connection", variable("BULKPULL_TOKEN_URL", "http://127.0.0.1:9/x")
    ),
    "a dataset that is not offered": Slip(
        ("export", "EMSUsage", "--quiet", "--output", "data"), 3, "EMSUsage", "not offered to this account"
    ),
    "a fault that nobody knows": Slip(("simulate", "--fault", "trottle"), 2, "trottle", "unknown fault"),
    "a latency that cannot be read": Slip(("simulate", "--latency", "soon"), 2, "--latency", "cannot be read"),
    "a settings file to be overwritten": Slip(("init",), 2, "bulkpull.toml", "exists", file("bulkpull.toml", "")),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_a_slip_is_told_so_that_a_person_can_act(
    command: Command, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: Slip
) -> None:
    if slip.served:
        serve(SMALL)
    monkeypatch.setenv("BULKPULL_REQUEST_ATTEMPTS", "1")
    slip.prepare(tmp_path, monkeypatch)
    outcome = command(*slip.arguments)

    assert outcome.code == slip.code, outcome.err
    assert outcome.out == ""
    assert_helps(outcome, names=slip.names, cause=slip.cause)


STEPS = {
    "an option without its value": (("export", "--output"), "see `bulkpull export --help`"),
    "a switch with a value": (("reports", "list", "--mine=1"), "see `bulkpull reports list --help`"),
    "a window without a day": (
        (*EXPORT, "--since", "2026-02-01", "--until", "2026-02-01"),
        "give the earlier day by --since, and by --until the day after the last one",
    ),
    "a time that is none": (
        ("reports", "create", "--dataset", "Profile", "--every", "24", "--start", "noon"),
        "see `bulkpull reports create --help`",
    ),
    "a time span of a query": (("preview", "--query-id", "a", "--timespan", "LAST_MONTH"), "leave --timespan out"),
    "a time span beside days": (
        ("reports", "create", "--dataset", "AzureUsage", "--now", "--since", "2026-01-01", "--timespan", "LAST_MONTH"),
        "leave --timespan out",
    ),
    "a report's name that is none": (
        ("reports", "create", "--dataset", "Profile", "--now", "--name", "a;b"),
        "choose another name",
    ),
    "a query's name that is none": (("queries", "create", "a;b", "SELECT City FROM Profile"), "choose another name"),
    "no recurrence": (
        ("reports", "create", "--dataset", "Profile", "--every", "24", "--times", "0"),
        "give a number of at least 1, or none for a report without end",
    ),
    "a name to publish under that is none": (
        ("export", "AzureUsage", "--select", "Month", "--as", "a/b"),
        "see `bulkpull export --help`",
    ),
    "a log in place of a bundle": (
        ("runs", "show", "--log", "--to", "log.jsonl"),
        "give --bundle too, or redirect standard output to the file",
    ),
    "a log beside a bundle": (("runs", "show", "--log", "--bundle"), "give --bundle alone: it holds the log"),
    "a callback over plain http": (
        ("reports", "create", "--dataset", "Profile", "--every", "24", "--callback-url", "http://contoso.example/"),
        "give a public https address without a user name in it",
    ),
}


@pytest.mark.parametrize(("arguments", "step"), STEPS.values(), ids=STEPS)
def test_the_next_step_leads_to_the_option_that_was_given(
    command: Command, serve: Serve, arguments: tuple[str, ...], step: str
) -> None:
    """Not to another command's help, nor to the settings, which have nothing to do with it."""
    serve(SMALL)

    outcome = command(*arguments)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == f"fix:   {step}"
    assert "%" not in outcome.err


def test_a_window_that_ends_where_it_begins_is_called_that(command: Command) -> None:
    outcome = command(*EXPORT, "--since", "2026-02-01", "--until", "2026-02-01")

    assert "the window ends (2026-02-01) where it begins (2026-02-01)" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "elsewhere"),
    [
        (("init", "--file", "nowhere/settings.toml"), "another file with --file"),
        (("runs", "show", "--bundle", "--to", "nowhere/help.zip", "--output", "data"), "another place with --to"),
        (("export", "Profile", "--output", "data", "--metrics-file", "data"), "another `metrics_file`"),
    ],
)
def test_a_file_outside_the_output_folder_is_not_put_right_by_another_output(
    command: Command, serve: Serve, arguments: tuple[str, ...], elsewhere: str
) -> None:
    serve(SMALL)
    command(*EXPORT)

    reported = command(*arguments).err

    assert elsewhere in reported
    assert "with --output" not in reported


def test_at_least_thirty_faults_are_provoked() -> None:
    assert len(FROM_THE_SERVICE) >= 30
