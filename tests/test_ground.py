"""The ground: the catalog, the redactor, errors that survive pickling, events that name their dataset."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull import errors
from bulkpull.catalog import ColumnType, load_catalog
from bulkpull.errors import BulkpullError, QuotaExceeded, SettingsError
from bulkpull.events import Event, Events, Level, about
from bulkpull.redact import printable, redact, register_secret


def test_the_catalog_knows_the_twenty_and_marks_the_others() -> None:
    catalog = load_catalog()

    assert len(catalog.standard) == 20
    assert len([dataset for dataset in catalog.datasets if dataset.extra]) == 5


@pytest.mark.behaviour(48, 55)
def test_the_services_own_misspellings_are_kept() -> None:
    catalog = load_catalog()
    found = catalog.find("CompetencyPerformanceRequirement")

    assert found is not None
    assert found.name == "CompetencyPeformanceRequirement"
    teams = catalog.find("TeamsUsageWorkload")
    assert teams is not None
    assert teams.column("allupPARTITICIPANTS") is not None


@pytest.mark.behaviour(152)
@pytest.mark.parametrize("name", ["MpnId", "DUNSNumber", "CustomerTpid", "ProductPartNumber"])
def test_identifiers_are_marked_and_text(name: str) -> None:
    dataset = load_catalog().find("CustomersAndTenants")
    assert dataset is not None
    column = dataset.column(name)

    assert column is not None
    assert (column.identifier, column.type) == (True, ColumnType.STRING)


@pytest.mark.behaviour(142)
@pytest.mark.parametrize(
    ("dataset", "days"),
    [("Profile", 1), ("DynamicsUsage", 3), ("AzureUsage", 4), ("CustomersAndTenants", 5), ("CLASAzurePropensity", 7)],
)
def test_refresh_intervals(dataset: str, days: int) -> None:
    found = load_catalog().find(dataset)

    assert found is not None
    assert found.refresh_days == days


@pytest.mark.behaviour(135)
@pytest.mark.parametrize(
    "text",
    [
        "https://a.blob.core.windows.net/c/b?sv=1&se=2&sig=CANARY%2Bx",
        "https%3A%2F%2Fa%3Fsig%3DCANARY",
        "Authorization: Bearer CANARY.canary.CANARY",
        '{"access_token": "CANARY", "refresh_token":"CANARY"}',
        "client_secret=CANARY&grant_type=password&password=CANARY",
        "token eyJ0eXAiOiJKV1QiLCJhbGciOi.CANARY.CANARY",
    ],
)
def test_what_carries_a_secret_is_emptied_by_its_name(text: str) -> None:
    assert "CANARY" not in redact(text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_registered_secret_is_removed_wherever_it_stands(before: str, after: str) -> None:
    register_secret("canary-5fK9/+=")

    assert "canary-5fK9" not in redact(f"{before}canary-5fK9/+={after}")
    assert "canary-5fK9" not in redact(f"{before}canary-5fK9%2F%2B%3D{after}")


def test_text_without_secrets_stays_as_it_is() -> None:
    text = "signature of the contract; sign=up; passwordless; AzureUsage: 12 rows"

    assert redact(text) == text


def test_what_the_service_says_cannot_move_the_cursor_or_break_a_line() -> None:
    assert printable("a\x1b[31mred\x07\nline\u202eevil") == r"a\x1b[31mred\x07 line\u202eevil"
    assert len(printable("x" * 10_000)) == 2_000


EVERY_ERROR = [
    kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, BulkpullError) and not name.startswith("_")
]


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_crosses_a_process_border_unchanged(kind: type[BulkpullError]) -> None:
    extra = {"kind": "one_off", "limit": 5} if kind is QuotaExceeded else {}
    error = kind("what", why="why", fix="fix", **extra)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is kind
    assert (str(copy), vars(copy)) == ("what: why; fix", vars(error))


def test_the_tree_in_the_docstring_shows_every_error() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in EVERY_ERROR if kind.__name__ not in errors.__doc__] == []


def test_an_error_never_carries_a_secret() -> None:
    error = SettingsError("got https://x/?sig=CANARY", why="Bearer CANARYCANARY", fix="password=CANARY")

    assert "CANARY" not in str(error) + repr(error) + repr(vars(error))


def test_an_event_names_the_dataset_it_was_emitted_about() -> None:
    told: list[Event] = []
    events = Events(told.append)

    with about("Profile"):
        events.warn("call.retried", attempt=1)
    events.emit("run.finished")

    assert [(event.name, event.dataset, event.level) for event in told] == [
        ("call.retried", "Profile", Level.WARNING),
        ("run.finished", None, Level.INFO),
    ]
