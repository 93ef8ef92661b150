"""
Exports a Microsoft partner's analytics from the Partner Center Insights API to Parquet.

The journey of each dataset: plan → submit → poll → download → convert → publish.

    import bulkpull

    manifest = await bulkpull.export(output="data", datasets=["AzureUsage"], settings=bulkpull.Settings(...))
    frame = bulkpull.scan("data", "AzureUsage")

The service itself, one typed method per operation:

    async with bulkpull.connect() as client:
        datasets = await client.get_datasets()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkpull._version import __version__
from bulkpull.errors import (
    AuthError,
    BulkpullError,
    ConversionError,
    DiskTrouble,
    HeldBack,
    LedgerError,
    OutputLocked,
    ReportingError,
    SettingsError,
    TransferError,
)

if TYPE_CHECKING:
    from bulkpull.api import connect, export, scan
    from bulkpull.model import Window
    from bulkpull.records.manifest import Manifest
    from bulkpull.selection import Selection
    from bulkpull.settings import Settings

__all__ = [
    "AuthError",
    "BulkpullError",
    "ConversionError",
    "DiskTrouble",
    "HeldBack",
    "LedgerError",
    "Manifest",
    "OutputLocked",
    "ReportingError",
    "Selection",
    "Settings",
    "SettingsError",
    "TransferError",
    "Window",
    "__version__",
    "connect",
    "export",
    "scan",
]

_ELSEWHERE = {
    "Manifest": "bulkpull.records.manifest",
    "Selection": "bulkpull.selection",
    "Settings": "bulkpull.settings",
    "Window": "bulkpull.model",
    "connect": "bulkpull.api",
    "export": "bulkpull.api",
    "scan": "bulkpull.api",
}


def __getattr__(name: str) -> object:
    # Loaded when first used: `bulkpull --help` and the converting process need none of it.
    if name in _ELSEWHERE:
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"module 'bulkpull' has no attribute {name!r}")
