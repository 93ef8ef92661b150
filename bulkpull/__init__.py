"""
Exports a Microsoft partner's analytics from the Partner Center Insights API to Parquet.

The steps of each dataset: plan → submit → poll → download → convert → publish.

    import bulkpull

    manifest = await bulkpull.export(output="data", datasets=["AzureUsage"], settings=bulkpull.Settings(...))
    frame = bulkpull.scan("data", "AzureUsage")

In a script or a notebook, without `await`:

    manifest = bulkpull.sync.export(output="data", datasets=["AzureUsage"])

The service itself, one typed method per operation:

    async with bulkpull.connect() as client:
        datasets = await client.get_datasets()
"""

from __future__ import annotations

from bulkpull._version import __version__

TYPE_CHECKING = False  # type checkers take it for true by its name; `typing` would be half the time of this import
if TYPE_CHECKING:
    from bulkpull import sync
    from bulkpull.api import connect, connect_sql, export, nightly, resume, scan, scan_async, status, verify
    from bulkpull.config.settings import Settings
    from bulkpull.custom_query import Selection
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
    from bulkpull.events import Event, Level, Listener
    from bulkpull.insights.client import InsightsClient
    from bulkpull.model import Window
    from bulkpull.observability.progress import ProgressLine
    from bulkpull.output.freshness import Freshness
    from bulkpull.output.manifest import DatasetRecord, Manifest
    from bulkpull.output.verify import Findings, Trouble

__all__ = ["connect", "connect_sql", "export", "nightly", "resume", "scan", "scan_async", "status", "sync", "verify"]
__all__ += ["DatasetRecord", "Findings", "Freshness", "InsightsClient", "Manifest", "Selection", "Settings", "Trouble"]
__all__ += ["Event", "Level", "Listener", "ProgressLine", "Window", "__version__"]
__all__ += ["AuthError", "BulkpullError", "ConversionError", "DiskTrouble", "HeldBack", "LedgerError", "OutputLocked"]
__all__ += ["ReportingError", "SettingsError", "TransferError"]

_NAMES_BY_MODULE = {
    "api": "connect connect_sql export nightly resume scan scan_async status verify",
    "config.settings": "Settings",
    "custom_query": "Selection",
    "errors": "AuthError BulkpullError ConversionError DiskTrouble HeldBack LedgerError OutputLocked ReportingError "
    "SettingsError TransferError",
    "events": "Event Level Listener",
    "insights.client": "InsightsClient",
    "model": "Window",
    "observability.progress": "ProgressLine",
    "output.freshness": "Freshness",
    "output.manifest": "DatasetRecord Manifest",
    "output.verify": "Findings Trouble",
}
_ELSEWHERE = {name: f"bulkpull.{module}" for module, names in _NAMES_BY_MODULE.items() for name in names.split()}


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


if not TYPE_CHECKING:  # type checkers would take every unknown name for one that it has

    def __getattr__(name: str) -> object:
        # Loaded when first used: `bulkpull --help` and the conversion process need none of it.
        from importlib import import_module  # noqa: PLC0415 - see above

        if name in ("errors", "sync"):
            return import_module(f"bulkpull.{name}")
        if name in _ELSEWHERE:
            return getattr(import_module(_ELSEWHERE[name]), name)
        raise AttributeError(f"module 'bulkpull' has no attribute {name!r}")
