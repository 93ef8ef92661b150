"""Conversions in the process of the tests: starting a child takes longer than all the rest of a small export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest


async def _convert_here(request: Any, *_: object, **__: object) -> Any:
    """What a child process does with a request, in a worker thread."""
    from bulkpull.conversion.convert_file import convert  # noqa: PLC0415 - most tests convert nothing
    from bulkpull.conversion.messages import ConversionRequest  # noqa: PLC0415 - as before
    from bulkpull.conversion.write_table import widen_file  # noqa: PLC0415 - as before

    work = convert if isinstance(request, ConversionRequest) else widen_file
    return await anyio.to_thread.run_sync(work, request)


async def _no_spares(*_: object, **__: object) -> None:
    await anyio.sleep_forever()


def convert_in_threads(patched: pytest.MonkeyPatch) -> None:
    """Let runs of this process convert in a thread of its own; programs that it starts do not."""
    from bulkpull.pipeline.steps import convert  # noqa: PLC0415 - not by collecting alone

    patched.setattr(convert, "_in_child", _convert_here)
    patched.setattr(convert, "warm_up", _no_spares)


@contextmanager
def without_child_processes() -> Iterator[None]:
    """Within the block a run of this process converts in a thread of its own; programs that it starts do not."""
    with pytest.MonkeyPatch.context() as patched:
        convert_in_threads(patched)
        yield
