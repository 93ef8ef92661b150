"""A store that is another place than the output folder: a folder beside it. It exists for the tests alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from bulkpull.output.layout import Layout
from bulkpull.output.store import LocalStore


class MovedStore(LocalStore):
    """What readers see lies in the folder `elsewhere` of the output; what is put there has to be copied."""

    def __init__(self, output: Path) -> None:
        super().__init__(output / "elsewhere")

    def put_folder(self, folder: Path, name: Path) -> None:
        copy = Layout(self.root).private / "arriving"
        shutil.copytree(folder, copy)
        super().put_folder(copy, name)
        shutil.rmtree(folder)
