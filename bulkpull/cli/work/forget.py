"""A dataset taken out of what is current: nobody asks for it any more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio

from bulkpull.catalog import load_catalog
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.output.atomic_files import disk_errors, sync_folder
from bulkpull.output.lock import locked
from bulkpull.output.manifest import Current
from bulkpull.output.run_history import PRIVATE


def forget_dataset(dataset: str, *, output: Path | None, config: Path | None, as_json: bool) -> None:
    """
    Take `dataset` out of `current.json` and `latest/`, and tell it.

    Raises:
        SettingsError: Nothing of that name is current; the message names what is.
        OutputLocked: A run is writing to the folder.
        DiskTrouble: The folder cannot be written, or `current.json` is damaged.
    """
    folder = Settings.load(config, output=output).output.absolute()
    now = iso_utc(datetime.now(UTC))
    known = load_catalog().find(dataset)
    wanted = known.name if known else dataset.strip()
    if wanted.casefold() not in {name.casefold() for name in Current.load(folder).datasets}:
        there = ", ".join(sorted(Current.load(folder).datasets)) or "nothing"
        raise SettingsError(f"{wanted} is not current in {folder}", fix=f"current there: {there}")

    async def forget() -> str:
        async with locked(folder / PRIVATE, since=now):
            current = Current.load(folder)
            name = next(each for each in current.datasets if each.casefold() == wanted.casefold())
            del current.datasets[name]
            current.updated_at = now
            with disk_errors(folder):
                current.save(folder)
                link = folder / "latest" / name
                if link.is_symlink():
                    link.unlink()
                    sync_folder(link.parent)
            return name

    name = anyio.run(forget)
    if as_json:
        print_json({"version": 1, "output": str(folder), "forgotten": name})
    else:
        print_data(f"{name} is not current any more; its snapshots stay until retention removes them")
