"""Stage: the files of all parts in one folder, about to become a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from bulkpull.output.atomic_files import disk_errors, link_or_copy, makedirs_durable, sync_folder
from bulkpull.output.manifest import PublishedFile
from bulkpull.output.no_follow import remove_beneath
from bulkpull.pipeline.steps.converted_pull import ConvertedPull


async def stage_files(
    parts: Sequence[ConvertedPull], folder: Path, *, private: Path, run_id: str
) -> list[PublishedFile]:
    """
    Link or copy the files of all parts into `folder`; the parts keep theirs until the snapshot is named.

    Args:
        folder: Made anew, within `private`.

    Returns:
        The files with the names that they have there. Names contain the run: a reader that lists one snapshot and
        opens another fails instead of mixing them.

    Raises:
        DiskTrouble: The disk refused.
    """
    files = [file for part in parts for file in part.table.files]
    named = [
        PublishedFile(
            path=f"part-{number:05}-{run_id}{file.path.suffix}", rows=file.rows, bytes=file.bytes, sha256=file.sha256
        )
        for number, file in enumerate(files)
    ]

    def gather() -> None:
        remove_beneath(folder, root=private)
        makedirs_durable(folder, root=private)
        for file, published in zip(files, named, strict=True):
            link_or_copy(file.path, folder / published.path)
        sync_folder(folder)

    with disk_errors(folder):
        await anyio.to_thread.run_sync(gather)
    return named
