"""The storage hosts as fixtures: one Azurite per test process, a fresh simulator per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from storage.azurite import installed, running
from storage.blob_account import BlobAccount
from storage.hosts import Host, azurite_host, simulator_host


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobAccount]:
    """The account of a running Azurite."""
    node, main = installed()
    with running(node, main, workdir=tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture(params=["azurite", "simulator"])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """Each of the two hosts in turn."""
    if request.param == "simulator":
        async with simulator_host() as simulated:
            yield simulated
    else:
        async with azurite_host(request.getfixturevalue("azurite")) as emulated:
            yield emulated
