"""
The real program over good and bad endings, with every log that can be switched on; then every byte that it left is
searched for the secrets that it knew. Only the private token cache may hold one, and that is the refresh token.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from certificates import PASSPHRASE, made
from command_line import QUICK, Outcome, Serve, small
from warm_programs import WARM

from bulkpull.simulator import Fault, Simulator
from bulkpull.simulator.blob_server import LinkSigner

# With characters that forms, addresses, JSON and HTML each write in their own way.
SECRETS = {
    "client_secret": "cAnArY-client~se\"cr&et/+=<x>'\\ü",
    "password": "cAnArY-pass%word/+&=\"'\\é",
    "refresh_token": "cAnArY-refresh.token/+=_",
}
# What a careless service could say: it repeats what it was sent.
ECHO = " ".join(f"you sent {name}: {value}" for name, value in SECRETS.items())
# The program under a host that logs everything of everybody, as an application around the Python API may do.
LOUD = f"{WARM}import logging; logging.basicConfig(level=logging.DEBUG); from bulkpull.cli import main; main()"
# The program with a defect: an exception whose text and traceback hold secrets, in every pull or before there is one.
CRASHING = (
    WARM
    + """
import os
from bulkpull.insights.client import InsightsClient

async def crash(self, *arguments, **options):
    token = await self._session.auth.get_token()
    secret = os.environ['BULKPULL_CLIENT_SECRET']
    raise RuntimeError(f"defect with {token.value} and {secret} and Bearer {token.value}")

InsightsClient.METHOD = crash
from bulkpull.cli import main
main()
"""
)
# The program with pauses that take no time: what is waited for is on this machine.
HURRIED = (
    WARM
    + """
from bulkpull.transfer import signed_link
signed_link.FRESH_LINK_PAUSES_S = (0.01,) * len(signed_link.FRESH_LINK_PAUSES_S)
signed_link.LOOK_PAUSES_S = (0.01,) * len(signed_link.LOOK_PAUSES_S)
from bulkpull.cli import main
main()
"""
)


@dataclass
class Trial:
    """A place to run the program in, and everything that must not be found there afterwards."""

    simulator: Simulator
    folder: Path
    signatures: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return self.folder.parent / "tokens"

    def run(self, *arguments: str, program: str | None = None, **environment: str) -> Outcome:
        """Run the program, with its temporary files within the folder that is searched."""
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
        own = {
            "TMPDIR": str(self.folder / "tmp"),
            "BULKPULL_TOKEN_CACHE": str(self.cache),
            "PYTHONASYNCIODEBUG": "1",
            "PYTHONWARNINGS": "default",
        }
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, *(("-c", program) if program else ("-m", "bulkpull")), *arguments],
            env=kept | self.simulator.environment | QUICK | own | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def secrets(self) -> Iterator[str]:
        """Every secret of this trial, in every form in which it could have been written."""
        desk = self.simulator._api._tokens
        for secret in (*SECRETS.values(), PASSPHRASE, *desk._issued, *desk._refresh_tokens, *self.signatures):
            yield from {
                secret,
                quote(secret, safe=""),
                quote_plus(secret),
                quote(secret, safe="").lower(),
                json.dumps(secret)[1:-1],
                html.escape(secret),
                repr(secret)[1:-1],
                base64.b64encode(secret.encode()).decode(),
            }

    def assert_clean(self, *outcomes: Outcome) -> None:
        """No stream and no file (names included) holds a secret, a bearer token or a signature."""
        places: dict[str, bytes] = {"standard output": b"", "standard error": b""}
        for outcome in outcomes:
            places["standard output"] += outcome.out.encode()
            places["standard error"] += outcome.err.encode()
        for file in self.folder.rglob("*"):
            places[str(file)] = file.read_bytes() if file.is_file() else b""
        secrets = {secret: secret.encode() for secret in self.secrets()}
        for place, content in places.items():
            found = [secret for secret, encoded in secrets.items() if encoded in content or secret in place]
            assert not found, f"{place} holds {found[0]}"
            assert b"cAnArY" not in content, f"{place} holds a part of a secret"
            assert not re.search(rb"(?i)bearer [a-z0-9]|sig(=|%3d)(?!\*\*\*)\w", content), place


Begin = Callable[..., Trial]


@pytest.fixture
def trial(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    signatures: list[str] = []
    sign = LinkSigner._signature

    def noted(self: LinkSigner, path: str, signed: str) -> str:
        signatures.append(sign(self, path, signed))
        return signatures[-1]

    monkeypatch.setattr(LinkSigner, "_signature", noted)

    def begin(*faults: Fault, **changes: Any) -> Trial:
        simulator = serve(small(faults=faults, **(SECRETS | changes)))
        return Trial(simulator, tmp_path / "work", signatures)

    return begin


_CREATE = "POST ScheduledQueries"
DEBUG = ("--log-level", "debug")
JSON = ("--log-format", "json")


@pytest.mark.parametrize(("program", "log"), [(None, (*DEBUG, *JSON)), (LOUD, DEBUG)], ids=["alone", "loud host"])
def test_an_export_that_is_well_leaves_no_secret(trial: Begin, log: tuple[str, ...], program: str | None) -> None:
    here = trial(Fault("link_expired", dataset="Profile"), Fault("token_refused", skip=2))
    outcome = here.run("export", "--keep-raw", "--json", *log, program=program)

    assert outcome.code == 0, outcome.err
    assert len(here.signatures) >= 3
    here.assert_clean(outcome)


NO_PASSWORD = {"BULKPULL_USERNAME": "", "BULKPULL_PASSWORD": ""}


def test_only_the_private_cache_holds_the_refresh_token_and_nothing_but_it(trial: Begin) -> None:
    here = trial()
    given = {**NO_PASSWORD, "BULKPULL_REFRESH_TOKEN": SECRETS["refresh_token"]}
    outcomes = [here.run(*command, *DEBUG, **given) for command in (("export",), ("datasets",), ("auth", "check"))]

    assert [outcome.code for outcome in outcomes] == [0, 0, 0], outcomes[-1]
    here.assert_clean(*outcomes)
    (file,) = here.cache.glob("*.json")
    kept = json.loads(file.read_text())
    newest = list(here.simulator._api._tokens._refresh_tokens)[-1]
    assert kept["refresh_token"] == newest
    others = [secret for secret in here.secrets() if secret not in (newest, quote(newest, safe=""))]
    assert not [secret for secret in others if secret in file.read_text()]


def test_a_sign_in_by_device_code_shows_no_token_under_a_loud_host(trial: Begin) -> None:
    here = trial(device_polls=1)
    given = {**NO_PASSWORD, "BULKPULL_CLIENT_SECRET": ""}
    outcomes = [
        here.run("auth", "login", *DEBUG, program=LOUD, **given),
        here.run("datasets", *DEBUG, program=LOUD, **given),
        here.run("auth", "logout", **given),
    ]

    assert [outcome.code for outcome in outcomes] == [0, 0, 0], outcomes
    here.assert_clean(*outcomes)
    assert not list(here.cache.glob("*.json"))


@pytest.mark.parametrize(
    ("log", "fault", "code"),
    [
        (DEBUG, Fault("http_status", endpoint="token", times=None, args={"status": 400, "message": ECHO}), None),
        (DEBUG, Fault("token_error", times=None, args={"code": 999_999, "words": ECHO}), 4),
        (JSON, Fault("token_error", times=None, args={"code": 999_999, "words": ECHO}), 4),
        (JSON, Fault("http_status", endpoint=_CREATE, times=None, args={"status": 400, "message": ECHO}), 3),
        (DEBUG, Fault("link_always_refused", times=None), 3),
        (JSON, Fault("xml_under_200", times=None), 3),
    ],
    ids=["token page", "token refusal", "token refusal in JSON", "api refusal", "links refused", "storage error"],
)
def test_a_service_that_repeats_what_it_was_told_brings_no_secret_into_the_account(
    trial: Begin, log: tuple[str, ...], fault: Fault, code: int | None
) -> None:
    here = trial(fault)
    few = {"BULKPULL_REQUEST_ATTEMPTS": "2", "BULKPULL_REPORT_ATTEMPTS": "1"}
    outcome = here.run("export", "--json", *log, program=HURRIED, **few)

    assert outcome.code == code if code is not None else outcome.code != 0
    here.assert_clean(outcome)


@pytest.mark.parametrize("method", ["get_datasets", "create_query"])
def test_a_defect_is_told_without_the_secrets_in_it(trial: Begin, method: str) -> None:
    here = trial()
    outcome = here.run("export", *DEBUG, program=CRASHING.replace("METHOD", method))

    assert outcome.code != 0
    assert "defect with *** and ***" in outcome.err
    assert ("Traceback" in outcome.err) == (method == "get_datasets")
    here.assert_clean(outcome)


@pytest.mark.parametrize("password", [PASSPHRASE, f"{PASSPHRASE}-but-wrong"])
def test_a_certificates_passphrase_key_and_assertion_stay_with_the_program(
    trial: Begin, tmp_path: Path, password: str
) -> None:
    here = trial(client_certificate=made().certificate)
    key, secret = tmp_path / "key.pem", tmp_path / "passphrase"
    key.write_bytes(made().sealed_key + made().certificate)
    secret.write_text(f"{password}\n")
    given = {
        "BULKPULL_CLIENT_SECRET": "",
        "BULKPULL_CLIENT_CERTIFICATE_FILE": str(key),
        "BULKPULL_CLIENT_CERTIFICATE_PASSWORD_FILE": str(secret),
    }
    outcome = here.run("datasets", *DEBUG, program=LOUD, **given)

    assert outcome.code == (0 if password == PASSPHRASE else 2), outcome.err
    here.assert_clean(outcome)
    assert "eyJ" not in outcome.out + outcome.err


def test_settings_that_are_wrong_are_told_without_the_secrets_beside_them(trial: Begin) -> None:
    here = trial()
    config = here.folder.parent / "x.toml"
    quoted = json.dumps(SECRETS["client_secret"], ensure_ascii=False)
    commands = (("export",), ("doctor",), ("auth", "check"))
    config.write_text(f"client_secret = {quoted}\nretain_runs = {quoted}\n", encoding="utf-8")
    outcomes = [here.run(*command, "--config", str(config)) for command in commands]

    assert [outcome.code for outcome in outcomes] == [2, 2, 2]
    here.assert_clean(*outcomes)
