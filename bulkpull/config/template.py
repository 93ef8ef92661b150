"""
A settings file as text: every setting with its meaning, the chosen ones set, the others as comments (pure).

Secrets are left out: they belong into the environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, ClassVar

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bulkpull.allowed_values import allowed_words, annotation_parts
from bulkpull.config.file import variable_of
from bulkpull.config.settings import Settings

Values = Mapping[str, Any]

# What the settings are for: the values by which they differ from the defaults, as the ready files in `config/` do.
USES: Mapping[str, Values] = {
    "standard": {"output": "bulkpull-data"},
    "full": {
        "output": "bulkpull-data",
        "timespan": "widest",
        "metrics": "amounts",
        "keep_raw": True,
        "report_timeout_seconds": 21600,
        "report_attempts": 2,
    },
    "nightly": {
        "output": "/var/lib/bulkpull",
        "grant": "refresh_token",
        "requests_per_second": 5,
        "request_burst": 5,
        "poll_initial_seconds": 15,
        "poll_max_seconds": 60,
        "report_timeout_seconds": 10800,
        "on_drift": "warn",
        "on_shrink": "hold",
        "retain_runs": 7,
    },
    "benchmark": {
        "output": "bulkpull-benchmark",
        "requests_per_second": 200,
        "request_burst": 50,
        "poll_initial_seconds": 0.2,
        "poll_max_seconds": 5,
        "parallel_downloads": 4,
        "download_segments": 4,
        "keep_raw": False,
        "retain_runs": 1,
    },
}
PURPOSES: Mapping[str, str] = {
    "standard": "exports by hand, every other setting at its default",
    "full": "one export of everything: the widest time spans, the downloaded bytes kept, time for large reports",
    "nightly": "unattended runs: a sign-in that lasts without a person, and fewer calls at once",
    "benchmark": "measuring against the simulator: no waiting for rate limits, one snapshot kept",
}
"""What each of `USES` is for, and so why it sets what it sets."""
# The default of a setting that has none of its own to show.
_DEFAULTS_IN_WORDS = {"timespan": "the widest up to LAST_6_MONTHS", "grant": "chosen from what is set"}
# Shown where there is no default to show.
_EXAMPLES: Mapping[str, Any] = {
    "tenant_id": "00000000-0000-0000-0000-000000000000",
    "client_id": "00000000-0000-0000-0000-000000000001",
    "username": "reports@contoso.example",
    "client_secret_command": "/usr/local/bin/print-the-secret bulkpull",
    "password_command": "/usr/local/bin/print-the-secret bulkpull-user",
    "refresh_token_command": "/usr/local/bin/print-the-secret bulkpull-token",
    "grant": "refresh_token",
    "ca_file": "/etc/ssl/certs/contoso.pem",
    "run_timeout_seconds": 21600,
    "reports_in_flight": 5,
    "history_restated_months": 6,
    "storage_hosts": "10.1.2.3",
    "timespan": "widest",
    "metrics_file": "/var/lib/node_exporter/textfile_collector/bulkpull.prom",
    "notify_command": "/usr/local/bin/tell-the-team",
    "queries": [{"name": "big-azure", "dataset": "AzureUsage", "where": "ACR_USD > 20000"}],
}
_SECTIONS = {
    "Who": "tenant_id client_id username grant",
    "Where": "output",
    "Export and retention": "timespan metrics queries on_drift on_shrink note_shrink fail_on_redacted keep_raw "
    "keep_reports retain_runs",
    "Metrics and notifications": "metrics_file notify_command notify_seconds",
}
_OTHERS = "Rate limits, time limits and addresses"
_WIDTH = 100


class _WithoutEnvironment(Settings):
    reads_outside: ClassVar[bool] = False


def check_alone(values: Mapping[str, Any]) -> None:
    """Check the settings that a file alone makes: what is wrong in the environment does not matter."""
    _WithoutEnvironment(**values)


def settings_text(values: Values, *, use: str) -> str:
    """The file's text: `values` are set, everything else stands as a comment, with its default."""
    lines = [
        f"# Settings of bulkpull, for: {use}. Options override the environment (BULKPULL_ and the name in capitals),",
        "# which override this file. Lines that begin with # show the defaults, or an example.",
        "#",
        "# Do not put secrets here. Put them into the environment:",
        *(f"#   {variable_of(name)}" for name in secrets()),
    ]
    for title, names in _sections():
        lines += ["", f"# --- {title} ---", ""]
        for name in names:
            lines += _lines_of(name, values)
    return "\n".join(lines) + "\n"


def set_lines(values: Values) -> list[str]:
    """The lines of the file that set something, in its order, each with the default that it replaces."""
    set_names = (name for _, names in _sections() for name in names if name in values)
    return [f"{name} = {_toml(values[name])}{_replaced_default(name, values[name])}" for name in set_names]


def _replaced_default(name: str, value: Any) -> str:
    default = Settings.model_fields[name].default
    if default is None:
        words = _DEFAULTS_IN_WORDS.get(name)
        return f"  # default: {words}" if words else ""
    return "" if _toml(default) == _toml(value) or default == value else f"  # default: {_toml(default)}"


def secrets() -> list[str]:
    """The settings that are secrets."""
    return [name for name, field in Settings.model_fields.items() if SecretStr in annotation_parts(field.annotation)]


def _sections() -> Iterator[tuple[str, list[str]]]:
    placed = {name for names in _SECTIONS.values() for name in names.split()}
    for title, names in _SECTIONS.items():
        yield title, names.split()
    yield _OTHERS, [name for name in Settings.model_fields if name not in placed and name not in secrets()]


def _lines_of(name: str, values: Values) -> list[str]:
    field = Settings.model_fields[name]
    about = wrap(meaning(field), _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if name in values:
        return [*about, f"{name} = {_toml(values[name])}"]
    shown = _EXAMPLES.get(name, "…") if field.default in (None, ()) else field.default
    return [*about, f"# {name} = {_toml(shown)}"]


def meaning(field: FieldInfo) -> str:
    """What a setting means, with the words that it takes where its description does not have them all."""
    words = [f"`{word}`" for word in allowed_words(field)]
    description = field.description or ""
    return description if all(word in description for word in words) else f"{description}; one of {', '.join(words)}"


def _toml(value: Any) -> str:
    if isinstance(value, str | Path):
        # JSON's strings are TOML's, but for one character that JSON leaves as it is.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else str(value)
