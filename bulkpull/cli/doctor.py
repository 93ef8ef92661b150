"""`bulkpull doctor`: is everything there that an export needs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkpull.checks.result import CheckResult, fine, problem_from, unchecked
from bulkpull.cli import options
from bulkpull.cli.check_list import CheckList, setting_lines
from bulkpull.cli.command_decorator import LOCAL, command, new_app
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.service_call import command_settings
from bulkpull.clock import SystemClock
from bulkpull.errors import SettingsError

if TYPE_CHECKING:
    from bulkpull.config.settings import Settings

app = new_app()
_DEMO = "demo"
_BEFORE_THE_FILE = ("option", "environment")
_OTHER_SECRET = "another secret"  # noqa: S105 - words, in place of the secret


@command(app, common=LOCAL)
def doctor(*, demo: options.Demo = False, output: options.Output = None, common: CommonOptions) -> int:
    """
    Check what an export needs, from the settings to free disk space, with a next step for each problem.

    Creates nothing on the service. Exit status: 0, or that of the worst problem: 2 settings, 4 credentials, else 1.

    Examples:
        bulkpull doctor
        bulkpull doctor --demo
        bulkpull doctor --output data --config bulkpull.toml
        bulkpull doctor --json
    """
    import anyio  # slow to load, as all of these

    from bulkpull.checks.credentials import check_credentials, check_proxy
    from bulkpull.checks.output_folder import check_output_folder
    from bulkpull.checks.service_access import check_service
    from bulkpull.checks.versions import check_versions
    from bulkpull.config.settings import DEFAULT_FILE

    checks = CheckList(common)
    values: list[dict[str, Any]] = []

    async def run_checks(settings: Settings) -> None:
        clock, file = SystemClock(), str(common.config or DEFAULT_FILE)
        came_from = {setting["name"]: setting["origin"] for setting in values}
        credentials = await check_credentials(settings, origins=came_from, config=file)
        checks.add(*credentials)
        checks.add(*await check_output_folder(settings, clock=clock))
        checks.add(check_proxy(settings))
        checks.add(*await check_service(settings, clock=clock, can_sign_in=credentials[0].exit_code == 0))

    checks.add(check_versions())
    try:
        with command_settings(common, demo=demo, output=output) as settings:
            values += describe_settings(settings, config=common.config, demo=demo, given={"output": output})
            checks.add(_settings_result(values, config=common.config), details=setting_lines(values))
            anyio.run(run_checks, settings)
    except SettingsError as error:
        checks.add(problem_from("settings", error))
        without = "the settings cannot be used"
        checks.add(unchecked("output", without), unchecked("service", without))
    return checks.finish(settings=values)


def describe_settings(
    settings: Settings, *, config: Path | None, demo: bool, given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Each setting as `name`, `value` (of a secret that it is set), `origin`, and `overridden`: the file's value."""
    from pydantic import SecretStr

    from bulkpull.config.file import differing_value, read_settings_file
    from bulkpull.config.settings import Settings, origins

    given = {name: value for name, value in given.items() if value is not None}
    came_from: dict[str, str] = dict(origins(config, options=given))
    if demo:
        plain = Settings.load_for_command(config, demo=True, **given)
        came_from |= {name: _DEMO for name in came_from if getattr(settings, name) != getattr(plain, name)}
    file = read_settings_file(config)
    found: list[dict[str, Any]] = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        found.append({"name": name, "value": _shown(value), "origin": came_from[name]})
        if came_from[name] in _BEFORE_THE_FILE:
            is_secret = isinstance(value, SecretStr)
            written = differing_value(name, value.get_secret_value() if is_secret else value, file=file)
            if written is not None:
                found[-1]["overridden"] = _OTHER_SECRET if is_secret else str(written)
    return found


def _shown(value: Any) -> Any:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, tuple):
        return [query.name for query in value]
    return str(value) if isinstance(value, Path) else value


def _settings_result(values: Sequence[Mapping[str, Any]], *, config: Path | None) -> CheckResult:
    from bulkpull.config.settings import DEFAULT_FILE

    file = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    read = f"settings file {file}" if file else f"no settings file (`bulkpull init` writes ./{DEFAULT_FILE})"
    given = sum(setting["origin"] != "default" for setting in values)
    number = f"{given} of {len(values)} are set" if given else f"all {len(values)} have their defaults"
    message = f"valid; {read}; {number}"
    for origin, words in (("environment", "the environment goes"), ("option", "options go")):
        names = [setting["name"] for setting in values if "overridden" in setting and setting["origin"] == origin]
        message += f"; {words} before the file for {', '.join(names)}" if names else ""
    return fine("settings", message)
