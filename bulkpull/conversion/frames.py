"""
How the converting process speaks to its parent: frames on a descriptor of their own (case C12).

    mark (8 bytes) | kind (1) | length (8, big-endian) | payload

The mark tells a frame from anything that some other code of the process wrote there, and a length beyond the ceiling is
none. `ALIVE` frames come as long as an order is being worked on; their payload is the processor time that the process
has used so far, by which one that stands still is told from one that works.
"""

from __future__ import annotations

import struct
from enum import IntEnum

MARK = b"\x93bpull\r\n"
HEAD = struct.Struct("!8sBQ")
LONGEST_PAYLOAD_BYTES = 64 << 20
_SECONDS = struct.Struct("!d")


class FrameType(IntEnum):
    """What a frame is."""

    REPLY = 1
    ALIVE = 2


class NotAFrame(Exception):
    """What came is not a frame of ours."""


def frame(kind: FrameType, payload: bytes) -> bytes:
    """A frame, ready to be written."""
    return HEAD.pack(MARK, kind, len(payload)) + payload


def alive(processor_s: float) -> bytes:
    """A sign of life."""
    return frame(FrameType.ALIVE, _SECONDS.pack(processor_s))


def read_head(head: bytes) -> tuple[FrameType, int]:
    """
    Kind and length of the payload.

    Raises:
        NotAFrame: It has no mark, an unknown kind, or a length beyond the ceiling.
    """
    mark, kind, length = HEAD.unpack(head)
    if mark != MARK or kind not in tuple(FrameType) or length > LONGEST_PAYLOAD_BYTES:
        raise NotAFrame
    return FrameType(kind), length


def processor_seconds(payload: bytes) -> float:
    """
    What an `ALIVE` frame tells.

    Raises:
        NotAFrame: Its payload is of another length.
    """
    if len(payload) != _SECONDS.size:
        raise NotAFrame
    seconds: float = _SECONDS.unpack(payload)[0]
    return seconds
