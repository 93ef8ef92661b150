"""The simulator shares no code with the client: a shared helper would hide a shared mistake."""

from __future__ import annotations

import sys
from pathlib import Path

from source_code import imports, sources

import bulkpull.simulator

HERE = Path(bulkpull.simulator.__file__).parent
ALLOWED = {"aiohttp", "anyio", "cryptography", "isal", "jwt", "numpy", "polars"}


def test_a_module_of_the_simulator_imports_nothing_of_ours() -> None:
    files = [file for file in sources("bulkpull") if HERE in file.parents]
    assert len(files) > 15
    for file in files:
        names = imports(file)
        ours = {name for name in names if name.startswith("bulkpull") and not name.startswith("bulkpull.simulator")}
        foreign = {name.split(".")[0] for name in names} - {"bulkpull"} - set(sys.stdlib_module_names)

        assert ours == set(), file
        assert foreign <= ALLOWED, file
