"""
Each typical change of CONTRIBUTING is made in a copy of the package, in no other files than the guide names, and works.

One program (`changed_package.py`) runs the copy in which all of them are made. A second file format is held by
`output/test_second_format.py`, which registers one in the table of formats.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from source_code import ROOT, text_of

ENVIRONMENT_KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL")
NEW_COMMAND = '''\
"""`bulkpull hello`: greet somebody."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli.command_decorator import LOCAL, command, new_app
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.errors import SettingsError

app = new_app()


@command(app, common=LOCAL)
def hello(
    *, whom: Annotated[str, typer.Option("--whom", help="Whom to greet.")] = "Contoso", common: CommonOptions
) -> None:
    """
    Greet somebody.

    Examples:
        bulkpull hello --whom Contoso
    """
    if whom == "nobody":
        raise SettingsError("nobody cannot be greeted", fix="name somebody by --whom")
    if common.as_json:
        print_json({"version": 1, "greeted": whom})
    else:
        print_data(f"Hello, {whom}")
'''
NEW_DATASET = {
    "name": "PartnerReferrals",
    "title": "Partner referrals report",
    "aliases": ["Referrals"],
    "extra": False,
    "editions": ["live"],
    "columns": [
        {"name": "MPNId", "type": "string", "identifier": True},
        {"name": "ReferralName", "type": "string"},
        {"name": "Seats", "type": "short", "known_values": ["1", "22", "333"]},
    ],
    "further_columns": [],
    "metrics": [],
    "further_metrics": [],
    "date_ranges": ["LIFETIME"],
    "further_date_ranges": [],
    "minimum_recurrence_hours": 24,
    "refresh_days": 1,
    "fiscal_refresh_day": None,
    "lookback_months": None,
    "snapshot": True,
    "time_column": None,
    "time_grain": None,
    "sensitive": {"revenue": [], "personal": []},
    "system_query": None,
    "drift_columns": [],
}
NEW_READING = """\
class _Shorts(_Integers):
    def read(self, text: pl.Series) -> pl.Series | int:
        numbers = super().read(text)
        if isinstance(numbers, int) or int(numbers.max() or 0) > 2**31 - 1:
            return numbers
        return numbers.cast(pl.Int32)

"""
MOVED_STORE = text_of(ROOT / "tests/output/moved_store.py").split("\n\n\n", 1)[1]
Edits = tuple[tuple[str, str], ...]
"""What to put in place of which text of a file; the first text is empty for a new file."""


def before(anchor: str, *lines: str) -> tuple[str, str]:
    """The edit that puts lines before a text."""
    return anchor, "".join(f"{line}\n" for line in lines) + anchor


CHANGES: Mapping[str, Mapping[str, Edits]] = {
    "a setting": {
        "bulkpull/config/settings.py": (
            before(
                "    queries: Annotated[",
                '    contact: Text | None = Field(None, description="whom the service may ask about our calls")',
            ),
        ),
        "bulkpull/insights/connect.py": (
            ('user_agent=f"bulkpull/{__version__}"', 'user_agent=f"bulkpull/{__version__} ({settings.contact})"'),
        ),
    },
    "a dataset": {
        "bulkpull/catalog.json": (('"datasets": [', f'"datasets": [{json.dumps(NEW_DATASET)},'),),
    },
    "a command": {
        "bulkpull/cli/hello.py": (("", NEW_COMMAND),),
        "bulkpull/cli/__init__.py": (before('        "init": "Write', '        "hello": "Greet somebody.",'),),
    },
    "a place for the output": {
        "bulkpull/output/store.py": (
            before("from collections.abc import Callable\n", "import shutil"),
            before("def open_store(", MOVED_STORE, ""),
            ("    return LocalStore(output)", "    return MovedStore(output)"),
        ),
    },
    "a way to sign in": {
        "bulkpull/config/settings.py": (
            ('"client_credentials", "azure"]', '"client_credentials", "azure", "authorization_code"]'),
            before(
                "    token_cache: CacheFolder",
                '    authorization_code: Secret | None = Field(None, description="from a sign-in in a browser")',
            ),
            ('"username", "grant", *FORMS)', '"username", "grant", "authorization_code", *FORMS)'),
            before(
                '    "azure": (),',
                '    "authorization_code": ("tenant_id", "client_id", "client_secret", "authorization_code"),',
            ),
            before(
                "        if grant is None:\n",
                "        if grant is None and self.authorization_code:",
                '            grant = "authorization_code"',
            ),
        ),
        "bulkpull/auth/grants.py": (
            before("\n\nDEVICE_CODE = ", '    AUTHORIZATION_CODE = "authorization_code"'),
            before(
                "    DEVICE_CODE: ",
                '    Grant.AUTHORIZATION_CODE: "the sign-in with `authorization_code` is refused",',
            ),
            before(
                "    sign: Callable[[str], str] | None =",
                "    authorization_code: str | None = field(default=None, repr=False)",
            ),
            ('"password", "refresh_token")\n', '"password", "refresh_token", "authorization_code")\n'),
            before(
                "        case Grant.REFRESH_TOKEN:\n",
                "        case Grant.AUTHORIZATION_CODE:",
                '            form["code"] = own["authorization_code"]',
            ),
        ),
        "bulkpull/auth/sign_in.py": (
            before(
                '        case "client_credentials":\n',
                '        case "authorization_code":',
                '            return "the code of a sign-in in a browser"',
            ),
            before(
                "        refresh_token=seed,\n",
                "        authorization_code=_plain(settings.authorization_code),",
            ),
        ),
    },
    "a poll rule": {
        "bulkpull/pipeline/steps/poll_rules.py": (
            before(
                "        return self.interval_s(age_s) * (0.5 + draw)",
                "        if age_s < 90:  # no report is ready sooner",
                "            return 90 - age_s",
            ),
        ),
    },
    "a column type": {
        "bulkpull/catalog.py": (
            before('    DECIMAL = "decimal"\n', '    SHORT = "short"'),
            ("in (ColumnType.INT, ", "in (ColumnType.INT, ColumnType.SHORT, "),
        ),
        "bulkpull/conversion/parquet_types.py": (('_NUMBERS = ("Int64"', '_NUMBERS = ("Int32", "Int64"'),),
        "bulkpull/conversion/type_inference.py": (
            before("    ColumnType.DECIMAL: AMOUNTS[0],\n", "    ColumnType.SHORT: pl.Int32(),"),
            ("    pl.Int64(), *AMOUNTS", "    pl.Int32(), pl.Int64(), *AMOUNTS"),
            before(
                "    return _Flags() if",
                "    if declared is ColumnType.SHORT:",
                "        return _Shorts()",
            ),
            before("def _written_bytes(", NEW_READING, ""),
        ),
    },
    "a simulator fault": {
        "bulkpull/simulator/faults.py": (
            before('    "throttle": ', '    "planned_maintenance": "503 with words of its own",'),
        ),
        "bulkpull/simulator/api_server.py": (
            before(
                '        fault = self._take("error_in_ok_envelope", call)\n',
                '        if self._take("planned_maintenance", call):',
                '            return web.Response(status=503, body=b"planned maintenance", content_type="text/plain")',
            ),
        ),
    },
}


def changed(text: str, edits: Edits) -> str:
    """The text of a file after its edits, each of which stands at one place."""
    for old, new in edits:
        assert not old or text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new) if old else new
    return text


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program sees of a package in which every change was made."""
    copy, folder = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("run")
    shutil.copytree(ROOT / "bulkpull", copy / "bulkpull", ignore=shutil.ignore_patterns("__pycache__"))
    for files in CHANGES.values():
        for name, edits in files.items():
            file = copy / name
            text = changed(file.read_text(encoding="utf-8") if file.exists() else "", edits)
            if file.suffix == ".py":
                ast.parse(text)
            file.write_text(text, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if name.upper() in ENVIRONMENT_KEPT}
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(ROOT / "tests/changed_package.py"), str(folder)],
        env={**kept, "HOME": str(folder), "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    answer: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    assert answer["package"] == str(copy / "bulkpull" / "__init__.py")
    return answer


GUIDE = dict(
    re.findall(
        r"^\| (an? [^|]+) \| ([^|]+) \|$",
        text_of(ROOT / "CONTRIBUTING.md").split("## Typical changes")[1].split("## ")[0],
        re.MULTILINE,
    )
)
MOST_FILES = {
    "a setting": 2,
    "a dataset": 1,
    "a command": 2,
    "a place for the output": 2,
    "a way to sign in": 3,
    "an output format": 3,
    "a poll rule": 1,
    "a column type": 3,
    "a simulator fault": 2,
}


@pytest.mark.parametrize("change", MOST_FILES)
def test_the_guide_names_as_few_files_as_a_change_may_touch(change: str) -> None:
    named = re.findall(r"`([\w/<>]+\.(?:py|json))`", GUIDE[change])
    of_choice = len(re.findall(r"\b(?:the|a) module\b", GUIDE[change]))  # that uses the setting, that applies the fault

    assert 1 <= len(named) + of_choice <= MOST_FILES[change] + (change == "an output format")
    for name in named:
        assert "<" in name or (ROOT / name).exists()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_touches_only_files_that_the_guide_names(change: str) -> None:
    named = {name.replace("<command>", "hello") for name in re.findall(r"`([\w/<>]+\.(?:py|json))`", GUIDE[change])}
    of_choice = len(re.findall(r"\bthe module\b", GUIDE[change]))

    assert len(set(CHANGES[change]) - named) == of_choice
    assert len(CHANGES[change]) <= MOST_FILES[change]


def test_a_setting_is_read_documented_and_used(seen: dict[str, Any]) -> None:
    (agent,) = seen["export"]["agents"]

    assert "| `contact` | none | whom the service may ask about our calls |" in seen["settings page"]
    assert "# contact = " in seen["template"]
    assert agent.endswith("(data-team@contoso.example)")


def test_a_dataset_of_the_catalog_is_exported_and_read(seen: dict[str, Any]) -> None:
    assert seen["is standard"]
    assert (seen["export"]["status"], seen["export"]["rows"]) == ("complete", 40)
    assert seen["published"]["rows"] == 40
    assert list(seen["export"]["columns"]) == ["MPNId", "ReferralName", "Seats"]


def test_a_command_is_listed_run_and_documented(seen: dict[str, Any]) -> None:
    status, answer = seen["refused"]

    assert re.search(r"^ +hello +Greet somebody\.$", seen["help"], re.MULTILINE)
    assert seen["hello"][0] == 0
    assert json.loads(seen["hello"][1]) == {"version": 1, "greeted": "Contoso"}
    assert (status, json.loads(answer)["error"]["what"]) == (2, "nobody cannot be greeted")
    assert "## bulkpull hello" in seen["commands page"]
    assert re.search(r"^\| `--whom` `TEXT` \| Whom to greet\.", seen["commands page"], re.MULTILINE)


def test_another_place_holds_all_that_readers_see(seen: dict[str, Any]) -> None:
    found = seen["published"]

    assert {"current.json", "datasets", "runs", "README.md"} <= set(found["elsewhere"])
    assert not {"current.json", "datasets", "README.md"} & set(found["in_the_folder"])
    assert (found["troubles"], found["statuses"]) == ([], [0, 0, 0, 0])


def test_a_way_to_sign_in_is_chosen_described_and_accepted(seen: dict[str, Any]) -> None:
    assert seen["export"]["grant"] == "authorization_code"
    assert seen["export"]["sign_in"] == "the code of a sign-in in a browser"
    assert seen["export"]["status"] == "complete"
    assert "`authorization_code`" in seen["settings page"]


def test_a_poll_rule_decides_when_reports_are_looked_at(seen: dict[str, Any]) -> None:
    assert 89 <= seen["export"]["first_look_after_s"] <= 91


def test_a_column_type_is_inferred_published_and_widened(seen: dict[str, Any]) -> None:
    assert seen["export"]["columns"]["Seats"] == seen["published"]["dtypes"]["Seats"] == "Int32"
    assert seen["published"]["values"] == [1, 22, 333]
    assert seen["common types"] == ["Int64", "String"]


def test_a_fault_of_the_simulator_is_listed_and_strikes(seen: dict[str, Any]) -> None:
    status, listed = seen["faults"]

    assert status == 0
    assert re.search(r"planned_maintenance\s.*503 with words of its own", listed)
    assert seen["export"]["statuses"] == [503, 200]
