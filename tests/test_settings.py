"""Settings: one flat set of names, a clear order of precedence, and no doubt about what is wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import InitSettingsSource

from bulkpull.auth.sign_in import choose_grant
from bulkpull.cli.error_output import print_error
from bulkpull.cli.options import CommonOptions
from bulkpull.config.settings import Settings, origins
from bulkpull.errors import AuthError, SettingsError
from bulkpull.redact import redact

CONFIGS = sorted((Path(__file__).parent.parent / "config").glob("*.toml"))
ID = "00000000-0000-4000-8000-0000000000aa"
COMPLETE = {"tenant_id": "t", "client_id": "c", "client_secret": "application-secret"}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BULKPULL_{name.upper()}", raising=False)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings()

    assert settings.api_base_url == "https://api.partnercenter.microsoft.com/insights/v1/mpn"
    assert (settings.requests_per_second, settings.request_burst) == (10, 10)
    assert (settings.poll_initial_seconds, settings.poll_max_seconds) == (5, 60)
    assert (settings.report_timeout_seconds, settings.report_attempts, settings.request_attempts) == (10_800, 2, 6)
    assert (settings.parallel_downloads, settings.download_segments, settings.retain_runs) == (4, 4, 7)
    assert (settings.on_drift, settings.on_shrink) == ("warn", "hold")
    assert settings.max_unpacked_bytes == 200 * 10**9
    assert settings.timespan is None
    assert settings.metrics == "amounts"
    assert str(settings.output) == "bulkpull-data"


def test_option_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "x.toml", "retain_runs = 3\nrequest_burst = 3\nparallel_downloads = 3\n")
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "2")
    monkeypatch.setenv("BULKPULL_REQUEST_BURST", "2")

    settings = Settings.load(file, retain_runs=1)

    assert (settings.retain_runs, settings.request_burst, settings.parallel_downloads) == (1, 2, 3)
    assert settings.download_segments == 4


def test_no_source_of_settings_shows_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_PASSWORD", "secret-of-the-environment")

    _, *sources = Settings.settings_customise_sources(Settings, InitSettingsSource(Settings, {}))

    assert sources
    assert "secret" not in repr(sources)


def test_the_file_in_the_present_folder_is_read_without_being_named(tmp_path: Path) -> None:
    write(tmp_path / "bulkpull.toml", "retain_runs = 3\n")

    assert Settings.load().retain_runs == 3
    assert Settings().retain_runs == 7  # from Python nothing is read that was not named


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "")
    monkeypatch.setenv("BULKPULL_TENANT_ID", "")

    settings = Settings.load(write(tmp_path / "x.toml", "retain_runs = 3\n"))

    assert (settings.retain_runs, settings.tenant_id) == (3, None)


@pytest.mark.behaviour(1)
def test_blanks_around_a_value_are_dropped() -> None:
    settings = Settings(client_id=" c ", client_secret=" application-secret ")

    assert settings.client_id == "c"
    assert settings.client_secret == SecretStr("application-secret")


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("requests_per_secnd = 3", ("unknown setting `requests_per_secnd`", "did you mean `requests_per_second`")),
        ("nonsense = 3", ("unknown setting `nonsense`", "allowed are: api_base_url")),
        (
            "retian_runs = 3\noutptu = 'x'",
            (
                "unknown settings `retian_runs`, `outptu`; did you mean `retain_runs` and `output`?",
                "allowed are: api_base_url",
            ),
        ),
        ("retian_runs = 3\nnonsense = 3", ("did you mean `retain_runs`? allowed are: api_base_url",)),
        ("retain_runs = 'many'", ("`retain_runs` is not valid", 'a whole number of at least 1, not `"many"`')),
        ("retain_runs = 2.5", ("`retain_runs` is not valid", "a whole number of at least 1, not `2.5`")),
        ("retain_runs = 0", ("`retain_runs` is not valid", "a whole number of at least 1, not `0`")),
        ("reports_in_flight = -1", ("`reports_in_flight` is not valid", "a whole number of at least 1, not `-1`")),
        ("note_shrink = 2", ("`note_shrink` is not valid", "a number from 0 to 1, not `2`")),
        ("keep_raw = 'perhaps'", ("`keep_raw` is not valid", 'true or false, not `"perhaps"`')),
        ("keep_raw = 'yes'", ("`keep_raw` is not valid", 'true or false, not `"yes"`')),
        ("keep_raw = 1", ("`keep_raw` is not valid", "true or false, not `1`")),
        ("request_burst = '3'", ("`request_burst` is not valid", 'of at least 1, not `"3"`')),
        ("run_timeout_seconds = '60'", ("`run_timeout_seconds` is not valid", 'of at most 1,000,000,000, not `"60"`')),
        ("poll_max_seconds = true", ("`poll_max_seconds` is not valid", "a number greater than 0 and", "not `true`")),
        ("tenant_id = 7", ("`tenant_id` is not valid", "it must be text")),
        ("on_drift = 'panic'", ("`on_drift` is not valid", "allow, warn or fail, not `panic`")),
        ("on_drift = 'wran'", ("allow, warn or fail, not `wran`", "did you mean `warn`?")),
        ("[[queries]]\nname = 'x'\ndataset = 'AzureUsage'\nlimit = 0", ("`limit`", "of at least 1, not `0`")),
        ("[[queries]]\nname = 'x'\ndataset = 'AzureUsage'\nkeep = 'apend'", ("`keep`", "did you mean `append`?")),
        ("timespan = 'LAST 6 MONTHS'", ("`timespan`", "such as LAST_3_MONTHS", "widest")),
        ("metrics = 'some'", ("`metrics`", "amounts, all or none, not `some`")),
        ("api_base_url = 'http://api.contoso.example'", ("`api_base_url`", "loopback")),
        ("token_url = 'ftp://contoso.example'", ("`token_url`", "https://")),
        ("poll_max_seconds = inf", ("`poll_max_seconds`", "of at most 1,000,000,000, not `inf`")),
        *(
            (f"{name} = 1e11", (f"`{name}` is not valid", "of at most 1,000,000,000, not `100000000000.0`"))
            for name in ("report_timeout_seconds", "one_off_quota_window_seconds")
        ),
        *(
            (f"{name} = 1_000_000", (f"`{name}` is not valid", "a whole number from 1 to 250, not `1000000`"))
            for name in ("parallel_downloads", "download_segments", "history_restated_months")
        ),
        ("ca_file = '/no/such/file'", ("`ca_file`", "no file at")),
        ("retain_runs = ", ("not valid TOML",)),
        pytest.param(f"retain_runs = {'9' * 5_000}", ("not valid TOML",), id="a number of 5,000 digits"),
        pytest.param(f"queries = {'[' * 5_000}", ("not valid TOML",), id="5,000 brackets"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_key_the_file_and_what_is_allowed(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file = write(tmp_path / "mine.toml", text)

    with pytest.raises(SettingsError) as refused:
        Settings.load(file)

    assert str(file) in str(refused.value)
    for word in words:
        assert word in str(refused.value)
    assert "Input should" not in str(refused.value)


def test_all_that_is_wrong_in_file_and_environment_is_one_message_of_five_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        tmp_path / "x.toml",
        "outptu = 'x'\nretain_runs = 0\non_drift = 'wran'\n[[queries]]\nname = 'q'\ndataset = 'AzureUsage'\n"
        "limit = 0\nkeep = 'apend'",
    )
    monkeypatch.setenv("BULKPULL_REQUEST_BURST", "none")

    with pytest.raises(SettingsError) as refused:
        Settings.load(file)
    error = refused.value
    print_error(error, CommonOptions())
    shown = capsys.readouterr().err.splitlines()

    assert error.what == "5 things are wrong"
    for words in (
        f"settings file {file}: unknown setting `outptu` (did you mean `output`?)",
        f"settings file {file}: `retain_runs` is not valid: it must be a whole number of at least 1, not `0`",
        "`on_drift` is not valid: it must be allow, warn or fail, not `wran` (did you mean `warn`?)",
        "2 things are wrong: `limit` is not valid",
        "environment variable BULKPULL_REQUEST_BURST: `request_burst` is not valid",
    ):
        assert words in (error.why or "")
    assert (error.fix or "").startswith("allowed are: api_base_url")
    assert len(shown) == 5
    assert shown[0] == "error: 5 things are wrong"
    assert shown[3].endswith("; and 2 more")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("requests_per_secnd = 3", "did you mean `requests_per_second`?"),
        ("retian_runs = 3\noutptu = 'x'", "did you mean `retain_runs` and `output`?"),
        ("nonsense = 3", "allowed are 57 settings, such as `"),
    ],
)
def test_on_a_terminal_an_unknown_setting_takes_five_lines_and_says_first_what_was_meant(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    meant: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("bulkpull.toml"), text)
    with pytest.raises(SettingsError) as refused:
        Settings.load()

    for columns in (80, 120):
        monkeypatch.setattr("bulkpull.cli.error_output.terminal_width", lambda width=columns: width)
        ending = print_error(refused.value, CommonOptions())

        lines = capsys.readouterr().err.splitlines()
        assert len(lines) <= 5
        assert max(map(len, lines)) <= columns
        fix = " ".join(" ".join(lines).partition("fix:")[2].split())
        assert fix.startswith(meant)
        assert "`bulkpull init`" in fix
        assert set(Settings.model_fields) <= set(re.findall(r"\w+", ending.fix or "")), "as JSON all are named"


def test_two_wrong_values_of_one_file_name_the_file_once(tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", "retain_runs = 0\nnote_shrink = 2")

    with pytest.raises(SettingsError) as refused:
        Settings.load(file)

    assert refused.value.what == f"settings file {file}: 2 things are wrong"
    assert {line.partition(" ")[0] for line in refused.value.why_lines} == {"`note_shrink`", "`retain_runs`"}
    assert refused.value.fix == SettingsError.remedy


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - {"queries"}))
def test_no_setting_is_explained_in_the_words_of_the_library(name: str) -> None:
    reasons = []
    for value in ("~nobody/a value\x00", 10**30, -1, [1], {"a": 1}, None, object()):
        try:
            Settings(**{name: value})
        except SettingsError as refused:
            reasons.append(str(refused))

    assert reasons
    assert all(f"`{name}`" in reason and "nput should" not in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tenant_id", "a b", "one of its domains"),
        ("tenant_id", "https://contoso.example", "one of its domains"),
        ("client_id", "<client id>", "application (client) id"),
        ("api_base_url", "https://contoso .example/x", "without blanks"),
        ("api_base_url", "https://canary@contoso.example/x", "must not carry a user name or password"),
        ("api_base_url", "https://contoso.example:99999/x", "its host or its port"),
        ("api_base_url", "https://[::1/x", "its host or its port"),
        ("api_base_url", "https://contoso.example/x?y=1", "names of operations are appended"),
        ("token_url", "https://contoso.example/{tenant}/token", "the placeholder {tenant_id} and no other"),
        ("notify_url", "https://[::1/x", "its host or its port"),
        ("resource", "https://contoso .example", "must not have blanks"),
        ("storage_hosts", "storage.example, https://contoso.example", "without https://, port and path"),
        ("storage_hosts", "storage.example:443", "without https://, port and path"),
        ("token_cache", "~nobody-of-this-name/tokens", "no home folder"),
        ("output", "az://container/folder", "to folders, not to addresses"),
        ("output", Path("abfss://container/folder"), "to folders, not to addresses"),
        ("output", "data\0", "a NUL character"),
        ("metrics_file", "data\0", "a NUL character"),
    ],
)
def test_a_value_that_cannot_work_is_refused_where_it_is_given_by_the_name_of_its_setting(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(SettingsError, match=f"^`{name}` is not valid: .*{re.escape(words)}"):
        Settings(**{name: value})


def test_an_output_that_is_a_file_is_refused_where_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.touch()

    with pytest.raises(SettingsError, match="is a file; set `output` to a folder"):
        Settings(output=file)
    with pytest.raises(SettingsError, match="is a file; set `output` to a folder"):
        Settings().replacing(output=file)


@pytest.mark.parametrize(
    "given",
    [
        {"tenant_id": "common", "client_id": "00000000-0000-0000-0000-000000000000"},
        {"tenant_id": "contoso.onmicrosoft.com", "token_url": "https://login.example/{tenant_id}/token?p=sign-in"},
        {"storage_hosts": "storage.example, 10.0.0.7, ::1", "notify_url": "https://hook.example/x?sig=1"},
        {"token_cache": "off", "output": "C:/data"},
    ],
)
def test_values_that_work_are_taken(given: dict[str, str]) -> None:
    Settings(**given)


def test_unknown_keyword_arguments_are_all_named_with_the_nearest_settings() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(tenantid="t", clientid="c")
    with pytest.raises(SettingsError, match=r"2 things are wrong: Settings.*`tenantid`.*`grant` is not valid"):
        Settings(tenantid="t", grant="pasword")
    with pytest.raises(SettingsError, match="unknown setting `nonsense`; allowed are: api_base_url"):
        Settings(nonsense=1)

    assert str(refused.value) == (
        "Settings(…): unknown settings `tenantid`, `clientid`; did you mean `tenant_id` and `client_id`? "
        "`bulkpull doctor` shows every setting"
    )


def test_settings_that_replace_others_are_checked_and_secrets_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(**COMPLETE, retain_runs=3)
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "none")  # beaten by the keyword argument then, and now

    replaced = settings.replacing(timespan="last_month", metrics=None)

    assert (replaced.timespan, replaced.metrics, replaced.retain_runs) == ("LAST_MONTH", "amounts", 3)
    assert replaced.client_secret == settings.client_secret
    assert settings.replacing(timespan=None) is settings
    with pytest.raises(SettingsError, match="`timespan` is not valid"):
        settings.replacing(timespan="last month")


def test_a_wrong_variable_is_named_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_REQUEST_BURST", "none")

    with pytest.raises(SettingsError, match="environment variable BULKPULL_REQUEST_BURST"):
        Settings()


def test_a_variable_in_small_letters_is_named_as_the_source_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("bulkpull_retain_runs", "3")
    assert (Settings().retain_runs, origins()["retain_runs"]) == (3, "environment")

    monkeypatch.setenv("bulkpull_retain_runs", "0")
    with pytest.raises(SettingsError, match="environment variable BULKPULL_RETAIN_RUNS: `retain_runs` is not valid"):
        Settings()


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", "client_secret = ['canary-secret']")

    with pytest.raises(SettingsError) as refused:
        Settings.load(file)

    assert "canary" not in str(refused.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: no such file"):
        Settings.load(Path("nowhere.toml"))


@pytest.mark.parametrize("url", ["http://localhost:8080/x", "http://127.9.9.9/x", "http://[::1]:1/x"])
def test_plain_http_is_accepted_on_loopback(url: str) -> None:
    assert Settings(api_base_url=url).api_base_url == url


def test_secrets_show_in_no_text() -> None:
    settings = Settings(**COMPLETE)

    assert "application-secret" not in repr(settings) + str(settings) + json.dumps(settings.model_dump(mode="json"))
    assert redact("posted application-secret") == "posted ***"


@pytest.mark.behaviour(6, 11)
@pytest.mark.parametrize(
    ("given", "grant"),
    [
        (COMPLETE | {"refresh_token": "refresh-token"}, "refresh_token"),
        (COMPLETE | {"username": "user@contoso.example", "password": "user-password"}, "password"),
        (COMPLETE, "client_credentials"),
        (COMPLETE | {"refresh_token": "refresh-token", "grant": "client_credentials"}, "client_credentials"),
    ],
)
def test_the_grant_is_chosen_from_what_is_set(given: dict[str, str], grant: str) -> None:
    assert Settings(**given).chosen_grant() == grant


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["tenant_id", "client_id", "client_secret", "refresh_token"]),
        (COMPLETE | {"username": "user@contoso.example"}, ["password"]),
        ({"refresh_token": "refresh-token", "client_id": "c"}, ["tenant_id", "client_secret"]),
    ],
)
def test_missing_credentials_are_all_named_with_their_variables(given: dict[str, str], missing: list[str]) -> None:
    with pytest.raises(AuthError) as refused:
        Settings(**given).chosen_grant()

    for name in missing:
        assert f"BULKPULL_{name.upper()}" in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tenant_id": ID},
        {"tenant_id": ID, "client_id": ID},
        {"tenant_id": ID, "client_id": ID, "username": "someone@contoso.example", "grant": "refresh_token"},
        {"tenant_id": ID, "username": "someone@contoso.example"},
    ],
)
async def test_missing_credentials_take_five_lines_of_a_terminal_at_most(
    given: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bulkpull.cli.error_output.terminal_width", lambda: 80)
    with pytest.raises(AuthError) as refused:
        await choose_grant(Settings(**given, token_cache=str(tmp_path)))
    print_error(refused.value, CommonOptions())

    shown = capsys.readouterr().err.splitlines()
    assert len(shown) <= 5, shown
    assert all(len(line) <= 80 for line in shown)


def test_the_tenant_is_filled_into_the_token_address() -> None:
    assert Settings(tenant_id="contoso.example").token_address == (
        "https://login.microsoftonline.com/contoso.example/oauth2/token"
    )


def test_a_demo_takes_no_address_and_no_credential_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_API_BASE_URL", "http://not-even-valid.example")
    monkeypatch.setenv("BULKPULL_REFRESH_TOKEN", "a-real-one")
    monkeypatch.setenv("BULKPULL_RETAIN_RUNS", "3")

    settings = Settings.load(None, demo=True).for_simulator(
        {"BULKPULL_API_BASE_URL": "http://127.0.0.1:1/mpn", "BULKPULL_CLIENT_ID": "demo"}
    )

    assert (settings.api_base_url, settings.client_id) == ("http://127.0.0.1:1/mpn", "demo")
    assert settings.refresh_token is None
    assert settings.retain_runs == 3


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_ready_settings_files_are_valid(file: Path) -> None:
    Settings.load(file)


def test_there_is_a_ready_settings_file_for_each_use() -> None:
    assert [file.stem for file in CONFIGS] == ["benchmark", "full-export", "nightly"]


@pytest.mark.behaviour(62, 164)
@pytest.mark.parametrize("span", ["LAST_2_YEARS", "last_2_years", "FISCAL_YEAR_2026", "widest", "WIDEST"])
def test_any_name_may_be_a_time_span_because_no_list_of_them_is_closed(span: str) -> None:
    expected = "widest" if span.casefold() == "widest" else span.upper()

    assert Settings(timespan=span).timespan == expected


def test_the_setting_metrics_comes_from_option_environment_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "x.toml", "metrics = 'all'\n")

    assert Settings.load(file).metrics == "all"
    monkeypatch.setenv("BULKPULL_METRICS", "none")
    assert Settings.load(file).metrics == "none"
    assert Settings.load(file, metrics="amounts").metrics == "amounts"


@pytest.mark.case("C28")
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no owners and modes here")
def test_a_file_in_the_present_folder_that_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bulkpull.toml"
    file.write_text("retain_runs = 3\n")
    file.chmod(0o666)

    with pytest.raises(SettingsError, match=r"every user may write to it.*chmod o-w bulkpull.toml"):
        Settings.load()

    assert Settings.load(file).retain_runs == 3  # who names it vouches for it
    file.chmod(0o644)
    assert Settings.load().retain_runs == 3


@pytest.mark.case("C28")
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no owners and modes here")
def test_a_file_in_the_present_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bulkpull.toml"
    file.write_text("retain_runs = 3\n")
    owner = file.stat().st_uid
    if owner == 0:
        os.chown(file, 4321, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)

    with pytest.raises(SettingsError, match="belongs to user id") as refused:
        Settings.load()
    with pytest.raises(SettingsError, match=r"`--config bulkpull\.toml`"):
        Settings.load_for_command()

    assert '`config="bulkpull.toml"`' in refused.value.reason
    assert Settings.load(file).retain_runs == 3


@pytest.mark.case("C35")
def test_a_mark_at_the_beginning_of_the_file_and_line_ends_of_windows_harm_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b'\xef\xbb\xbfretain_runs = 3\r\non_drift = "fail"\r\n')
    monkeypatch.setenv("BULKPULL_OUTPUT", "data\r")
    monkeypatch.setenv("BULKPULL_ON_SHRINK", "publish\r")
    monkeypatch.setenv("BULKPULL_KEEP_RAW", "true\r")
    monkeypatch.setenv("BULKPULL_REQUEST_ATTEMPTS", "\r")

    settings = Settings.load(file)

    assert (settings.retain_runs, settings.on_drift, settings.on_shrink) == (3, "fail", "publish")
    assert (settings.output, settings.keep_raw, settings.request_attempts) == (Path("data"), True, 6)


@pytest.mark.case("L9")
def test_the_users_folder_is_meant_by_a_tilde_and_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/contoso")

    assert Settings(output="~/data").output == Path("/home/contoso/data")
    with pytest.raises(SettingsError, match="names no folder"):
        Settings(output="")
    with pytest.raises(SettingsError, match="names no folder"):
        Settings(output="  ")


@pytest.mark.case("L9")
@pytest.mark.parametrize("name", ["metrics_file", "ca_file", "client_certificate_file"])
def test_a_file_setting_expands_a_tilde_and_refuses_an_empty_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text("")

    assert getattr(Settings(**{name: "~/x"}), name) == tmp_path / "x"
    for empty in ("", "  "):
        with pytest.raises(SettingsError, match="names no file"):
            Settings(**{name: empty})


@pytest.mark.case("C34")
@pytest.mark.skipif(os.name == "nt", reason="Windows paths are Unicode")
def test_a_path_that_is_no_utf8_is_one_sentence_before_anything_begins() -> None:
    with pytest.raises(SettingsError, match="is not UTF-8"):
        Settings(output=os.fsdecode(b"/tmp/d\xe9p\xf4t"))
    assert Settings(output="/tmp/dépôt").output.name == "dépôt"  # noqa: S108 - nothing is made there


@pytest.mark.case("C33")
def test_without_a_home_nothing_is_kept_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkpull.config.settings.user_data_path", lambda *_, **__: Path("~/.local/share/bulkpull"))

    assert Settings().token_cache_folder is None
