"""The libraries of the optional extras, and the command that installs libraries where this program runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from bulkpull import platforms

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "azure": ("azure-identity>=1.25", "azure-keyvault-secrets>=4.9"),
    "otel": ("opentelemetry-sdk>=1.38", "opentelemetry-exporter-otlp-proto-http>=1.38"),
    "sql": ("duckdb>=1.4",),
}
"""As in `pyproject.toml`: a program that runs from a clone without being installed has no metadata to ask."""


def install_command(extra: str) -> str:
    """As `library_command`, for an extra: not `bulkpull[…]`, because a clone is not found on a package index."""
    return library_command(EXTRAS[extra])


def library_command(requirements: Iterable[str]) -> str:
    """The command that installs libraries into the environment of this program; `polars>=1.30` asks for a version."""
    pip = platforms.current().join_command([sys.executable or "python", "-m", "pip", "install"])
    # Double quotes keep `>` from being a redirection in every system's shell.
    return " ".join([pip, *(f'"{requirement}"' for requirement in requirements)])
