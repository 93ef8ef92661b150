"""
The guides say what is true: every command in them is carried out, against the simulator, in the order of its page.

`console` blocks are carried out line by line, `python` and `sql` blocks after the blocks before them; `toml` blocks
become the settings file. The commands of one page, and lines that need a shell, start programs, the others are carried
out in this process; TRIALS=all starts programs for all. `sh` blocks need what is not there (credentials, systemd, a
person with a browser): their `bulkpull` commands have to exist, with these options. `py` blocks need a library that is
not there, and are only compiled.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from anyio.from_thread import start_blocking_portal
from support import THOROUGH
from typer.testing import CliRunner

from bulkpull.cli import app, run
from bulkpull.config.settings import Settings
from bulkpull.simulator import Scenario, Simulator

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_DATASETS = ("Profile", "OfficeUsage", "AzureUsage", "CustomersAndTenants")


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines to carry out; in a console block the others are output."""
        if self.language == "console":
            return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]
        return self.text.splitlines() if self.language == "sh" else []


BLOCKS = [Block(page.name, *found) for page in PAGES for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]
STARTED = "alerting.md"
RUN = [name for name in dict.fromkeys(block.page for block in BLOCKS) if name != "errors.md"]


@pytest.fixture(scope="module")
def service() -> Iterator[dict[str, str]]:
    """The environment of a shell that speaks to a simulated service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    beside = str(Path(sys.executable).parent)
    # The simulator's user signs in by password; the settings for nights name the refresh token.
    quick = {"BULKPULL_GRANT": "password", "BULKPULL_POLL_INITIAL_SECONDS": "0.02", "BULKPULL_POLL_MAX_SECONDS": "0.1"}
    scenario = Scenario(rows=40, datasets=_DATASETS, device_polls=0)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Simulator(scenario)) as simulator:
        yield kept | simulator.environment | quick | {"PATH": f"{beside}:{kept['PATH']}", "COLUMNS": "80"}


@pytest.fixture
def here(service: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is where the page's programs would be: in an empty folder, with their settings."""
    for name in [name for name in os.environ if name.startswith("BULKPULL_")]:
        monkeypatch.delenv(name)
    for name in [*(name for name in service if name.startswith("BULKPULL_")), "COLUMNS"]:
        monkeypatch.setenv(name, service[name])
    monkeypatch.chdir(tmp_path)


def run_program(text: str, page: str) -> None:
    """A guide's own program, in this process; it may end with status 0."""
    try:
        exec(compile(text, page, "exec"), {"__name__": "__main__"})  # noqa: S102 - the guides' own programs
    except SystemExit as ended:
        if ended.code:
            pytest.fail(f"{page} ends with {ended.code}")


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", RUN)
def test_every_command_of_a_page_can_be_carried_out(
    page: str, service: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts_programs = THOROUGH or page == STARTED
    for block in (block for block in BLOCKS if block.page == page):
        match block.language:
            case "console":
                for command in block.commands:
                    words = shlex.split(command)
                    if starts_programs or words[0] != "bulkpull" or {"|", ">", "&&"} & set(words):
                        carry_out(["bash", "-o", "pipefail", "-c", command], service, tmp_path)
                    else:
                        capsys.readouterr()
                        assert run(words[1:]) == 0, f"{command}\n{capsys.readouterr()}"
            case "python" if starts_programs:
                carry_out([sys.executable, "-W", "error", "-c", block.text], service, tmp_path)
            case "python":
                run_program(block.text, page)
            case "sql":
                found = duckdb.sql(block.text.replace("'bulkpull-demo", f"'{tmp_path}/bulkpull-demo"))
                assert found is not None
                assert found.fetchall()
            case "toml":
                with (tmp_path / "bulkpull.toml").open("a", encoding="utf-8") as settings:
                    settings.write(block.text)
            case "py":
                compile(block.text, page, "exec")
            case other:
                assert other in ("sh", "text"), f"{page}: what is a block of {other}?"


def carry_out(command: list[str], environment: dict[str, str], folder: Path) -> None:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - the guides' own commands
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="the lines are for a shell")
def test_a_cron_night_can_be_rehearsed_against_the_simulator_as_the_guide_says(
    service: dict[str, str], tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8").partition("## Rehearse")[2].partition("\n## ")[0]
    (_, start), (_, nights) = _BLOCK.findall(text)
    environment = {name: value for name, value in service.items() if not name.startswith("BULKPULL_")}
    words = shlex.split(start.partition(" > ")[0].replace("8080", "0"))
    # Two datasets of the twenty make the same night; both lines of the guide are carried out with them.
    nights = nights.replace("bulkpull nightly", "bulkpull nightly Profile OfficeUsage")
    with (
        (tmp_path / "simulator.env").open("wb") as settings,
        subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=settings, stderr=subprocess.PIPE) as simulator,  # noqa: S603 - the guide's own command
    ):
        try:
            assert simulator.stderr is not None
            assert simulator.stderr.readline().startswith(b"serving ")
            carry_out(["bash", "-e", "-c", nights], environment, tmp_path)
        finally:
            simulator.terminate()
        assert simulator.wait() is not None
    again = next(line for line in nights.splitlines() if line.startswith("env -i"))
    ended = subprocess.run(["bash", "-c", again], env=environment, cwd=tmp_path, capture_output=True, check=False)  # noqa: S603, S607 - the same

    lines = [json.loads(line) for line in (tmp_path / "night.jsonl").read_text(encoding="utf-8").splitlines()]
    statuses = [line["datasets"] for line in lines if line["event"] == "run.finished"]
    assert statuses[:2] == [{"complete": 2}, {"skipped": 2}]
    assert ended.returncode == 3
    assert len((tmp_path / "rehearsal" / "current.json").read_text(encoding="utf-8")) > 0


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "sh"], ids=lambda b: f"{b.page} {b.text[:30]!r}")
def test_commands_that_need_what_is_not_there_are_spelled_right(block: Block) -> None:
    for line in block.commands:
        for command in re.split(r"[|&;]+", line):
            words = shlex.split(command, comments=True)
            if words and Path(words[0]).name == "bulkpull":
                assert_exists(words[1:])


def test_the_units_and_the_container_start_commands_that_exist() -> None:
    unit = (ROOT / "config" / "bulkpull-nightly.service").read_text(encoding="utf-8")
    (start,) = re.findall(r"^ExecStart=\S+/bulkpull (.*)$", unit, flags=re.MULTILINE)
    container = (ROOT / "config" / "Containerfile").read_text(encoding="utf-8")
    (arguments,) = re.findall(r"^CMD (\[.*\])$", container, flags=re.MULTILINE)

    assert_exists(shlex.split(start))
    assert_exists(json.loads(arguments))


@pytest.mark.parametrize("name", ["bulkpull-nightly.service", "Containerfile"])
def test_the_variables_of_the_unit_and_the_container_are_settings(name: str) -> None:
    variables = re.findall(r"\bBULKPULL_([A-Z_]+)=", (ROOT / "config" / name).read_text(encoding="utf-8"))

    assert variables
    assert {variable.lower() for variable in variables} <= set(Settings.model_fields)


def assert_exists(words: list[str]) -> None:
    """The command is one of the program's, and has these options."""
    names = [word for word in words if re.fullmatch(r"[a-z]+", word)]
    reported = CliRunner().invoke(app, [*names[:2], "--help"])
    if reported.exit_code != 0 or "COMMAND [ARGS]" in reported.output:
        reported = CliRunner().invoke(app, [*names[:1], "--help"])
    assert reported.exit_code == 0, words
    for option in (word for word in words if word.startswith("--")):
        assert option.partition("=")[0] in reported.output, option


def build_site(into: Path, *options: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does; `--quiet` would silence warnings before mkdocs counts them."""
    program = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into), *options]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(program, cwd=folder, env=quiet, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter


def test_the_pages_are_those_of_the_site_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = build_site(tmp_path / "site")

    assert done.returncode == 0, done.stderr
    assert "search_index.json" in {page.name for page in (tmp_path / "site" / "search").iterdir()}
    assert {page.with_suffix(".html").name for page in PAGES} <= {page.name for page in (tmp_path / "site").iterdir()}
    messages = (tmp_path / "site" / "messages.html").read_text(encoding="utf-8")
    assert "<strong>…: unknown setting <code>…</code></strong>" in messages


def test_a_dead_link_fails_the_site(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copyfile(ROOT / "mkdocs.yml", tmp_path / "mkdocs.yml")
    (tmp_path / "bulkpull").symlink_to(ROOT / "bulkpull")
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n[dead](nowhere.md) and [dead](errors.md#nothing)\n")
    done = build_site(tmp_path / "site", folder=tmp_path)

    assert done.returncode == 1
    assert "'nowhere.md'" in done.stderr
    assert "'#nothing'" in done.stderr
    assert "mkdocs build --strict --config-file" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_site_with_the_python_reference_is_built_where_its_tool_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings_handlers.python")
    done = build_site(tmp_path / "site", "--config-file", "mkdocs.site.yml")

    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "python-api.html").read_text(encoding="utf-8")
    assert all(f'id="bulkpull.{name}"' in page for name in ("export", "scan", "Settings"))


@pytest.mark.parametrize("page", ["nightly.md", "troubleshooting.md"])
def test_the_guides_say_how_long_a_silent_service_is_asked_for_a_report(page: str) -> None:
    text = " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split())

    assert Settings.model_fields["report_timeout_seconds"].default == 3 * 3_600
    assert "up to `report_timeout_seconds` (three hours by default)" in text
    assert "`run_timeout_seconds`" in text
