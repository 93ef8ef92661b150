"""What the machine allows: read at the start, and met by doing less at once."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support import EventRecorder

from bulkpull.config.settings import Settings
from bulkpull.pipeline.resource_limits import Concurrency, Limits, fit, fit_to_machine, read_limits

MB = 1_000_000
WANTED = Concurrency(downloads=4, segments=4, conversions=2)


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("limits", "fitting"),
    [
        (Limits(), WANTED),
        (Limits(open_files=1024, memory_bytes=4_000 * MB), WANTED),
        (Limits(open_files=80), Concurrency(3, 1, 2)),
        (Limits(open_files=72), Concurrency(1, 3, 2)),
        (Limits(open_files=16), Concurrency(1, 1, 1)),
        (Limits(memory_bytes=700 * MB), Concurrency(4, 3, 2)),
        (Limits(memory_bytes=512 * MB), Concurrency(4, 3, 1)),
        (Limits(memory_bytes=100 * MB), Concurrency(1, 1, 1)),
    ],
)
def test_as_much_is_done_at_once_as_the_limits_allow(limits: Limits, fitting: Concurrency) -> None:
    assert fit(WANTED, limits, calls=10) == fitting


@given(some.integers(1, 12), some.integers(1, 12), some.integers(16, 300), some.integers(100, 1_200))
def test_what_fits_never_exceeds_a_limit_or_what_was_wanted(downloads: int, segments: int, files: int, mb: int) -> None:
    wanted, limits = Concurrency(downloads, segments, 2), Limits(files, mb * MB)

    fitting = fit(wanted, limits, calls=10)

    assert fitting.downloads <= downloads
    assert fitting.segments <= segments
    is_least = fitting == Concurrency(1, 1, 1)
    assert is_least or (fitting.files + 10 <= files and fitting.memory_bytes <= mb * MB)


def machine(root: Path, *, group: str, **files: str) -> Path:
    """A tree of `/proc` and `/sys` as a system shows it."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal:        8000000 kB\nMemFree:          100 kB\n")
    (root / "proc/self/cgroup").write_text(group)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("group", "files", "memory_bytes"),
    [
        ("0::/\n", {"memory_dot_max": "536870912\n"}, 536_870_912),
        ("0::/app/one\n", {"app__memory_dot_max": "268435456\n", "app__one__memory_dot_max": "max\n"}, 268_435_456),
        ("0::/not/seen/from/within\n", {"memory_dot_max": "536870912\n"}, 536_870_912),
        ("4:cpu,memory:/app\n0::/\n", {"memory__app__memory_dot_limit_in_bytes": "1000000\n"}, 1_000_000),
        ("4:memory:/\n", {"memory__memory_dot_limit_in_bytes": "9223372036854771712\n"}, 8_192_000_000),
        ("rubbish", {}, 8_192_000_000),
    ],
)
def test_memory_is_that_of_the_machine_or_of_the_control_group(
    tmp_path: Path, group: str, files: dict[str, str], memory_bytes: int
) -> None:
    assert read_limits(machine(tmp_path, group=group, **files)).memory_bytes == memory_bytes


def test_a_system_that_tells_nothing_limits_nothing(tmp_path: Path) -> None:
    assert read_limits(tmp_path).memory_bytes is None


@pytest.mark.fault(12)
async def test_what_is_lowered_is_told_once_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, settings = EventRecorder(), Settings(parallel_downloads=4, download_segments=4)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (72, 72))

    lowered, conversions = await fit_to_machine(settings, events=recorded.hub)

    assert (lowered.parallel_downloads, lowered.download_segments, conversions) == (1, 3, 2)
    (event,) = recorded.events
    assert event.name == "concurrency.lowered"
    assert "ulimit -n" in str(event.facts["reason"])


async def test_a_machine_with_room_changes_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, settings = EventRecorder(), Settings(parallel_downloads=4, download_segments=4)
    monkeypatch.setattr("bulkpull.pipeline.resource_limits.read_limits", Limits)

    assert await fit_to_machine(settings, events=recorded.hub) == (settings, 2)
    assert recorded.events == []
