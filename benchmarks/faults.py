"""Placeholder replaced below."""

from pathlib import Path


def write_faults() -> Path:
    """Nothing yet."""
    return Path()
