"""The folder of a pull: made ready for a download that is begun or continued, or for a conversion."""

from __future__ import annotations

import stat
from pathlib import Path

from bulkpull.output.atomic_files import makedirs_durable
from bulkpull.output.no_follow import names_beneath, refuse_links, remove_beneath, rename_beneath

# The names that `download_report` uses for a file called `report`.
_DOWNLOAD = {"report", "report.part", "report.journal"}


def empty_folder(folder: Path, private: Path) -> None:
    """Make the folder anew."""
    remove_beneath(folder, root=private)
    refuse_links(folder, root=private)
    folder.mkdir(parents=True)


def restore_download(folder: Path, kept: Path, private: Path) -> None:
    """Continue the download that an earlier run kept, unless this run has begun one already."""
    if folder == kept or not names_beneath(kept, root=private):
        return
    if not names_beneath(folder, root=private):
        remove_beneath(folder, root=private)
        makedirs_durable(folder.parent, root=private)
        rename_beneath(kept, folder, root=private)
    else:
        remove_beneath(kept, root=private)


def prepare_folder(folder: Path, private: Path, *, keep_download: bool) -> None:
    """Create the folder and empty it, except for a download that may be continued."""
    if not keep_download:
        remove_beneath(folder, root=private)
    makedirs_durable(folder, root=private)
    for name in names_beneath(folder, root=private):
        is_regular = stat.S_ISREG((folder / name).lstat().st_mode)
        if name not in _DOWNLOAD or not is_regular:
            remove_beneath(folder / name, root=private)
