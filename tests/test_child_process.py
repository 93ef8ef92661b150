"""What a child process learns of the environment: no secret, and no password of a proxy."""

from __future__ import annotations

import pytest

from bulkpull.child_process import without_secrets


@pytest.mark.case("C32")
def test_no_secret_reaches_a_child_and_what_it_needs_does() -> None:
    given = {
        "PATH": "/usr/bin", "PWD": "/home/contoso", "LANG": "C.UTF-8", "HTTPS_PROXY": "http://user:hidden@proxy:8080",
        "PADDED": " http://user:hidden@proxy:8080",
        "ALL_PROXY": "user:hidden@proxy:1080", "NO_PROXY": "localhost,10.0.0.0/8", "AZURE_CLIENT_SECRET": "hidden",
        "AZURE_CLIENT_ID": "app", "BULKPULL_PASSWORD": "hidden", "bulkpull_output": "x", "GITHUB_TOKEN": "hidden",
        "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=hidden", "MY_API_KEY": "hidden", "DB_PWD": "hidden",
    }  # fmt: skip

    kept = without_secrets(given)

    assert "hidden" not in str(kept)
    assert kept == {
        "PATH": "/usr/bin", "PWD": "/home/contoso", "LANG": "C.UTF-8", "HTTPS_PROXY": "http://proxy:8080",
        "PADDED": "http://proxy:8080",
        "ALL_PROXY": "proxy:1080", "NO_PROXY": "localhost,10.0.0.0/8", "AZURE_CLIENT_ID": "app",
    }  # fmt: skip
