"""A run's support bundle: what the output folder, the settings and the machine know, as one file."""

from __future__ import annotations

import json
import locale
import os
import platform
import shutil
import sys
import time
import zipfile
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bulkpull import platforms
from bulkpull._version import __version__
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.run_checks import describe_settings
from bulkpull.cli.run_details import ledger_facts
from bulkpull.cli.service_call import load_settings
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import iso_utc
from bulkpull.config.settings import ENV_PREFIX
from bulkpull.errors import BulkpullError
from bulkpull.observability.support_bundle import files_of
from bulkpull.output.atomic_files import disk_errors
from bulkpull.output.run_history import ask_ledger, known_runs, load_manifest, resolve_run_id
from bulkpull.output.store import INSIDE, open_store

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_SURROUNDINGS = ("LANG", "LC_ALL", "TZ", "TERM", "NO_COLOR", "PYTHONUTF8")


def write_bundle(run: str | None, *, to: Path | None, output: Path | None, common: CommonOptions) -> None:
    """Write the bundle of the newest run, or of the one whose id begins with `run`, and print where it is."""
    settings = load_settings(common, output=output)
    folder = settings.output
    store = open_store(folder)
    run_id = resolve_run_id(run, known=known_runs(folder), output=folder)
    log: list[str] = []
    with suppress(OSError), store.open(INSIDE.log(run_id)) as file:
        log = file.read().decode("utf-8", errors="replace").splitlines()
    manifest = load_manifest(store, run_id)
    values = describe_settings(settings, config=common.config, demo=False, given={"output": output})
    for setting in values:
        if setting["name"] == "notify_command" and setting["value"]:
            setting["value"] = f"{setting['value'].split()[0]} …"  # its arguments may hold anything
    files = files_of(
        run_id=run_id,
        log=log,
        manifest=manifest.as_dict() if manifest else None,
        ledger=_ledger(folder, run_id),
        settings=values,
        machine=_machine(folder),
    )
    path = to or Path()
    if path.is_dir():
        path /= f"bulkpull-{run_id}.zip"
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with disk_errors(path, elsewhere="another place with --to"):
        try:
            with zipfile.ZipFile(aside, "w", compression=zipfile.ZIP_DEFLATED) as archive:
                aside.chmod(0o600)
                for name, text in files.items():
                    archive.writestr(name, text)
            platforms.current().replace_file(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    if common.as_json:
        print_json({"version": 1, "run_id": run_id, "bundle": str(path), "bytes": path.stat().st_size})
    else:
        print_data(str(path))


def _ledger(folder: Path, run_id: str) -> dict[str, Any]:
    try:
        facts = ask_ledger(folder, lambda ledger: ledger_facts(ledger, run_id))
    except BulkpullError as error:
        return {"trouble": error.reason}
    values: dict[str, Any] = json.loads(json.dumps(asdict(facts), default=_plain)) if facts else {}
    return values


def _plain(value: Any) -> Any:
    """What JSON has no form for: a moment as its text, a read-only mapping as an object."""
    return iso_utc(value) if isinstance(value, datetime) else dict(value)


def _machine(folder: Path) -> dict[str, Any]:
    versions = {}
    for line in metadata.requires("bulkpull") or []:
        name = line.partition(">=")[0].partition(";")[0].strip()
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    free: dict[str, int] = {}
    with suppress(OSError):
        room = shutil.disk_usage(folder)
        free = {"total_bytes": room.total, "free_bytes": room.free}
    return {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "bulkpull": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": versions,
        "disk": free,
        "encoding": locale.getpreferredencoding(do_setlocale=False),
        "environment": {name: os.environ[name] for name in _SURROUNDINGS if name in os.environ},
        "proxies": [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())],
        "variables": sorted(name for name in os.environ if name.startswith(ENV_PREFIX)),
    }
