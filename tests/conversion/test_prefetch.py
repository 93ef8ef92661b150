"""A stage of the pipeline in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bulkpull.conversion.convert_file import prefetch


def test_items_come_in_their_order() -> None:
    with prefetch(iter(range(1, 100)), depth=3) as items:
        assert list(items) == list(range(1, 100))


def test_what_the_stage_raises_comes_where_its_item_would_have() -> None:
    def stage() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with prefetch(stage(), depth=2) as items:
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_stage_is_never_further_ahead_than_it_may(depth: int) -> None:
    """This bounds the memory: what is made and not yet taken."""
    made = 0

    def stage() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    with prefetch(stage(), depth=depth) as items:
        for taken in range(1, 20):
            assert next(items) == taken
            assert made <= taken + depth
    assert made <= 19 + depth


def test_stages_run_beside_the_one_that_takes() -> None:
    met = threading.Barrier(2, timeout=60)

    def stage() -> Iterator[int]:
        met.wait()  # would break if the stage ran only when asked
        yield 1

    with prefetch(stage(), depth=1) as items:
        next_item = threading.Thread(target=met.wait)
        next_item.start()
        assert next(items) == 1
        next_item.join()


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()

    with prefetch(iter(range(1, 1_000)), depth=2) as items:
        next(items)

    assert threading.active_count() == before
