"""The program's two streams; a reader that goes away is no error: data on standard output, all else on the other."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from bulkpull.errors import DiskTrouble
from bulkpull.untrusted_text import escaped_json

_written = {"objects": 0}


def count_json_objects() -> int:
    """How many JSON values this process has written to standard output, or has begun to."""
    return _written["objects"]


class SafeStream:
    """A text stream that discards output after its reader has gone; what else it cannot write is a `DiskTrouble`."""

    def __init__(self, stream: TextIO, *, ignored: type[OSError]) -> None:
        self._stream = stream
        self._ignored = ignored

    def write(self, text: str) -> int:
        with self._guarded():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._guarded():
            self._stream.flush()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._ignored:
            discard_output(self._stream)
        except OSError as trouble:
            discard_output(self._stream)
            raise unwritable_output(trouble) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard_output(stream: TextIO) -> None:
    """Lead a stream and its buffer to the null device; otherwise the interpreter reports an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def make_stdio_safe() -> None:
    """
    Make `sys.stdout` and `sys.stderr` tolerate a closed pipe, and write any character in any locale.

    A full disk under standard output stays an error, because data is lost; under standard error it is none.
    """
    sys.stdout = _make_safe(sys.stdout, ignored=BrokenPipeError)
    sys.stderr = _make_safe(sys.stderr, ignored=OSError)


def _make_safe(stream: TextIO | None, *, ignored: type[OSError]) -> TextIO:
    if stream is None:  # closed by the caller (`>&-`)
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it lives as long as the process
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return cast("TextIO", SafeStream(stream, ignored=ignored))


def unwritable_output(trouble: OSError) -> DiskTrouble:
    """The error for a standard output that takes no data, such as a file on a full disk."""
    fix = "free some space where it is written to, or redirect it to another place, then run the same command again"
    return DiskTrouble("standard output cannot be written", why=trouble.strerror, fix=fix)


def print_data(text: str) -> None:
    """Write data to standard output, at once and whole."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """Write one JSON value to standard output; where the locale is not UTF-8, in ASCII."""
    import json  # slow to load, as the next

    from bulkpull.output.atomic_files import json_text

    _written["objects"] += 1
    is_utf8 = (sys.stdout.encoding or "").casefold().replace("-", "") == "utf8"
    print_data(escaped_json(json_text(value) if is_utf8 else json.dumps(value, indent=2)))
