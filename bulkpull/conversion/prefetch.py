"""
Runs one stage of a pipeline in its own thread, a few items ahead of its consumer.

Apart from `convert_file`, whose three stages use it, because it knows nothing of files and is tested with plain items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch(items: Iterator[Item], *, depth: int) -> Iterator[Iterator[Item]]:
    """
    Work `items` off in a thread, at most `depth` of them ahead.

    What the stage raises is raised where its item would have come. On leaving the block the thread ends with the item
    that it is at. Threads share the work here because inflating, numpy and polars all leave the interpreter's lock.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:

        def results() -> Iterator[Item]:
            waiting = deque(thread.submit(next, items, None) for _ in range(depth))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, items, None))
                yield item

        try:
            yield results()
        finally:
            thread.shutdown(wait=True, cancel_futures=True)
