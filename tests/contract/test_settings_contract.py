"""Every setting of the contract: its default, and that option, environment and file set it (contract, section 2)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError

DEFAULTS: dict[str, Any] = {
    "api_base_url": "https://api.partnercenter.microsoft.com/insights/v1/mpn",
    "token_url": "https://login.microsoftonline.com/{tenant_id}/oauth2/token",
    "resource": "https://api.partnercenter.microsoft.com",
    "ca_file": None,
    "tenant_id": None,
    "client_id": None,
    "client_secret": None,
    "username": None,
    "password": None,
    "refresh_token": None,
    "grant": None,
    "programme": "mpn",
    "output": Path("bulkpull-data"),
    "requests_per_second": 10,
    "request_burst": 10,
    "poll_initial_seconds": 5,
    "poll_max_seconds": 60,
    "report_timeout_seconds": 10_800,
    "report_attempts": 2,
    "one_off_quota_window_seconds": 3_600,
    "standing_lead_hours": 4,
    "request_attempts": 6,
    "parallel_downloads": 4,
    "download_segments": 4,
    "minimum_bytes_per_second": 1_000,
    "run_timeout_seconds": None,
    "timespan": None,
    "metrics": "amounts",
    "on_drift": "warn",
    "on_shrink": "hold",
    "fail_on_redacted": False,
    "max_unpacked_bytes": 200 * 10**9,
    "keep_reports": False,
    "keep_raw": False,
    "retain_runs": 7,
    "reports_in_flight": None,
    "reports_per_dataset": 200,
    "note_shrink": 0.2,
    "client_secret_command": None,
    "password_command": None,
    "refresh_token_command": None,
}
"""By name; `tables` and output addresses are not part of this version."""
OTHER_VALUES: dict[str, Any] = {
    "grant": "refresh_token",
    "programme": "mpn",
    "api_base_url": "https://api.contoso.example/insights",
    "token_url": "https://login.contoso.example/{tenant_id}/token",
    "resource": "https://resource.contoso.example",
    "output": "elsewhere",
    "timespan": "LAST_3_MONTHS",
    "metrics": "none",
    "on_drift": "fail",
    "on_shrink": "publish",
    "note_shrink": 0.5,
    "standing_lead_hours": 2.0,
    "run_timeout_seconds": 60.0,
}
WRONG_TYPES = {
    "request_burst": "many",
    "keep_raw": "perhaps",
    "on_drift": "panic",
    "note_shrink": "1.5",
    "retain_runs": "0",
    "metrics": "some",
    "api_base_url": "ftp://contoso.example",
}


def other_value(name: str, *, folder: Path) -> Any:
    """A value of the setting that is not its default."""
    default = DEFAULTS[name]
    if name == "ca_file":
        (folder / "authority.pem").write_text("", encoding="utf-8")
        return str(folder / "authority.pem")
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default + 1
    return 7 if name == "reports_in_flight" else f"some-{name}"


def plain(value: Any) -> Any:
    """A setting's value as a file would write it."""
    return (
        value.get_secret_value()
        if hasattr(value, "get_secret_value")
        else str(value)
        if isinstance(value, Path)
        else value
    )


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BULKPULL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_has_its_default(name: str) -> None:
    assert getattr(Settings.load(), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_option_beats_environment_beats_file_beats_default(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = other_value(name, folder=tmp_path)
    file = tmp_path / "named.toml"
    file.write_text(f"{name} = {json.dumps(value)}\n", encoding="utf-8")
    of_file = Settings.load(file)
    file.rename(tmp_path / "bulkpull.toml")
    of_present_folder = Settings.load()
    monkeypatch.setenv(f"BULKPULL_{name.upper()}", json.dumps(value) if isinstance(value, bool) else str(value))
    of_environment = Settings.load()
    (tmp_path / "bulkpull.toml").unlink()
    given = plain(getattr(of_environment, name))

    assert plain(getattr(of_file, name)) == plain(getattr(of_present_folder, name)) == given
    assert name == "programme" or given != plain(DEFAULTS[name])
    monkeypatch.setenv(f"BULKPULL_{name.upper()}", "")
    assert getattr(Settings.load(), name) == DEFAULTS[name]
    assert plain(getattr(Settings.load(**{name: value}), name)) == given


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_a_wrong_value_names_the_key_its_place_and_what_is_allowed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "named.toml"
    file.write_text(f"{name} = {json.dumps(WRONG_TYPES[name])}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as in_file:
        Settings.load(file)
    monkeypatch.setenv(f"BULKPULL_{name.upper()}", WRONG_TYPES[name])
    with pytest.raises(SettingsError) as in_environment:
        Settings.load()

    assert str(in_file.value).startswith(f"settings file {file}: `{name}` is not valid: ")
    assert f"environment variable BULKPULL_{name.upper()}: `{name}` is not valid: " in str(in_environment.value)
    assert len(in_file.value.why or "") > len("Input")


def test_an_unknown_key_names_the_file_and_all_that_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "named.toml"
    file.write_text("retain_run = 3\n", encoding="utf-8")

    with pytest.raises(SettingsError) as refused:
        Settings.load(file)

    assert str(refused.value).startswith(f"settings file {file}: unknown setting `retain_run`")
    assert all(name in (refused.value.fix or "") for name in DEFAULTS)
