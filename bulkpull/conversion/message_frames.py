"""
The frame format in which the conversion process sends messages to its parent (case C12).
Apart from `worker`, because both ends use it and the parent must not load the conversion.

    mark (8 bytes) | kind (1) | length (8, big-endian) | payload

The mark distinguishes frames from output of other code in the process; a length beyond the ceiling is invalid. `ALIVE`
frames are sent while a request is processed; their payload is the processor time used so far, so that the parent can
detect a process that hangs.
"""

from __future__ import annotations

import struct
from enum import IntEnum

MARK = b"\x93bpull\r\n"
HEAD = struct.Struct("!8sBQ")
LONGEST_PAYLOAD_BYTES = 64 << 20
_SECONDS = struct.Struct("!d")


class FrameType(IntEnum):
    REPLY = 1
    ALIVE = 2


class NotAFrame(Exception):
    """The received bytes are not a valid frame."""


def frame(kind: FrameType, payload: bytes) -> bytes:
    """A frame, ready to be written."""
    return HEAD.pack(MARK, kind, len(payload)) + payload


def alive(processor_s: float) -> bytes:
    """A heartbeat frame."""
    return frame(FrameType.ALIVE, _SECONDS.pack(processor_s))


def read_head(head: bytes) -> tuple[FrameType, int]:
    """Kind and length of the payload."""
    mark, kind, length = HEAD.unpack(head)
    if mark != MARK or kind not in tuple(FrameType) or length > LONGEST_PAYLOAD_BYTES:
        raise NotAFrame
    return FrameType(kind), length


def processor_seconds(payload: bytes) -> float:
    """What an `ALIVE` frame tells."""
    if len(payload) != _SECONDS.size:
        raise NotAFrame
    seconds: float = _SECONDS.unpack(payload)[0]
    return seconds
