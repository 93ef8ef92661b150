"""The private token cache: for nobody else's eyes, whole or not there, and honest about how it is kept."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from msal_extensions import FilePersistence

from bulkpull.auth import Identity, TokenCache, TokenEntry, open_token_cache, token_fingerprint
from bulkpull.auth import token_cache as cache
from bulkpull.auth.token_stores import SystemStore, system_store
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.redact import redact

IDENTITY = Identity("tenant-1", "app-1", "https://login.contoso.example/token")
TOKEN = "refresh-token-of-the-cache"


def entry(refresh_token: str = TOKEN, **more: object) -> TokenEntry:
    given = {"tenant_id": "tenant-1", "client_id": "app-1", "token_url": IDENTITY.token_url, "kept_at": "2026-11-23"}
    return TokenEntry.model_validate(given | {"refresh_token": refresh_token} | more)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def plain(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "tokens", IDENTITY, encrypt=False)


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenCache:
    """A cache on a machine whose operating system has a store of its own."""
    monkeypatch.setattr(cache, "system_store", lambda path: SystemStore(path, FilePersistence(str(path))))
    return TokenCache(tmp_path / "tokens", IDENTITY, encrypt=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_this_user_may_read_what_is_kept_whatever_the_umask(plain: TokenCache) -> None:
    before = os.umask(0)
    try:
        plain.save(entry())
        plain.save(entry("a-second-token"))
        assert plain.take_turn()
        plain.release()
    finally:
        os.umask(before)

    assert mode(plain.folder) == 0o700
    assert {mode(file) for file in plain.folder.iterdir()} == {0o600}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.case("C29")
def test_a_shared_folder_keeps_its_mode_and_gets_a_private_one_within(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    settings = Settings(tenant_id="t", client_id="c", token_cache=str(shared), output=tmp_path / "out")

    for _ in range(2):
        cached = open_token_cache(settings)
        assert cached is not None
        cached.save(entry())

    assert mode(shared) == 0o1777
    assert [path.name for path in shared.iterdir()] == ["bulkpull-tokens"]
    assert mode(shared / "bulkpull-tokens") == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.case("C29")
@pytest.mark.parametrize("kind", ["open", "link"])
def test_a_folder_that_somebody_else_prepared_gets_no_token(plain: TokenCache, tmp_path: Path, kind: str) -> None:
    if kind == "open":
        plain.folder.mkdir(mode=0o755)
    else:
        (tmp_path / "theirs").mkdir(mode=0o700)
        plain.folder.symlink_to(tmp_path / "theirs")
    before = mode(plain.folder)

    with pytest.raises(OSError, match="private folder"):
        plain.save(entry())

    assert mode(plain.folder) == before
    assert list(plain.folder.iterdir()) == []


@pytest.mark.case("C29")
@pytest.mark.parametrize("place", ["link", "link/tokens"])
def test_a_link_into_the_output_folder_is_seen_through(tmp_path: Path, place: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")

    with pytest.raises(SettingsError, match="lies in the output folder"):
        open_token_cache(
            Settings(tenant_id="t", client_id="c", token_cache=str(tmp_path / place), output=tmp_path / "out")
        )


def test_what_was_kept_is_read_again_and_is_a_secret_from_then_on(plain: TokenCache) -> None:
    assert plain.load() is None
    plain.save(entry("a-token-to-be-read-again", descends_from="seed", public=True))

    found = TokenCache(plain.folder, IDENTITY, encrypt=False).load()

    assert found is not None
    assert (found[0].refresh_token, found[0].descends_from, found[0].public) == (
        "a-token-to-be-read-again",
        "seed",
        True,
    )
    assert "a-token-to" not in repr(found) + redact("a-token-to-be-read-again")


def test_looking_into_an_empty_cache_leaves_no_trace(plain: TokenCache) -> None:
    assert plain.load() is None
    assert plain.forget() == []
    assert not plain.folder.exists()


def test_a_write_that_fails_leaves_the_token_before(plain: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plain.save(entry())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        plain.save(entry("lost"))
    monkeypatch.undo()

    found = plain.load()
    assert found is not None
    assert found[0].refresh_token == TOKEN
    assert [file.name for file in plain.folder.iterdir()] == [f"{IDENTITY.name}.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"refresh_token": "canary-token"}'])
def test_a_damaged_entry_is_told_without_its_content(plain: TokenCache, text: str) -> None:
    plain.folder.mkdir()
    (plain.folder / f"{IDENTITY.name}.json").write_text(text or " ")

    with pytest.raises(ValueError, match="damaged, or of a later version") as refused:
        plain.load()

    assert "canary" not in str(refused.value)


def test_the_operating_system_encrypts_where_it_can_and_the_cache_says_so(sealed: TokenCache) -> None:
    store = sealed.save(entry())

    found = sealed.load()
    assert found is not None
    assert (store.encrypted, found[0].refresh_token) == (True, TOKEN)
    assert "encrypted by" in found[1].description
    assert not list(sealed.folder.glob("*.json"))


def test_a_token_moves_with_the_wish_for_encryption_and_is_never_in_two_places(sealed: TokenCache) -> None:
    sealed.save(entry())
    unsealed = TokenCache(sealed.folder, IDENTITY, encrypt=False)

    store = unsealed.save(entry("in-the-open"))
    assert not store.encrypted
    assert [file.suffix for file in sealed.folder.iterdir()] == [".json"]
    sealed.save(entry("sealed-again"))
    assert [file.suffix for file in sealed.folder.iterdir()] == [".bin"]


def test_a_store_that_refuses_when_it_is_used_is_replaced_by_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def save(self, text: str) -> None:
            raise RuntimeError(f"cannot keep {text}")

    monkeypatch.setattr(cache, "system_store", lambda path: SystemStore(path, Refusing()))
    store = TokenCache(tmp_path / "tokens", IDENTITY, encrypt=True).save(entry())

    assert not store.encrypted
    assert "which only this user may read" in store.description


def test_a_sealed_token_is_missed_and_not_replaced_where_the_system_cannot_be_asked(
    sealed: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron has no desktop session, and with it no libsecret."""
    sealed.save(entry())
    monkeypatch.setattr(cache, "system_store", lambda _: None)

    with pytest.raises(OSError, match="cannot be reached from this session"):
        TokenCache(sealed.folder, IDENTITY, encrypt=True).load()


def test_forgetting_removes_the_token_from_both_places(sealed: TokenCache) -> None:
    sealed.save(entry())
    (sealed.folder / f"{IDENTITY.name}.json").write_text(entry().model_dump_json())

    removed = sealed.forget()

    assert len(removed) == 2
    assert not [file for file in sealed.folder.iterdir() if file.suffix != ".lock"]
    assert sealed.load() is None


@pytest.mark.parametrize("use", ["turn", "forget"])
def test_a_token_that_a_killed_process_had_written_and_not_put_in_place_is_removed(plain: TokenCache, use: str) -> None:
    plain.save(entry())
    cut_off = plain.folder / f".{IDENTITY.name}.json.4194303.new"
    of_another = plain.folder / ".another.json.4194303.new"
    for file in (cut_off, of_another):
        file.write_text(TOKEN)

    if use == "turn":
        assert plain.take_turn()
        plain.release()
    else:
        plain.forget()

    assert not cut_off.exists()
    assert of_another.exists()  # its own lock guards it
    assert (plain.load() is None) == (use == "forget")


def test_without_the_systems_libraries_there_is_a_private_file_and_no_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "msal_extensions", None)

    assert system_store(tmp_path / "x.bin") is None
    assert caplog.text == ""


def test_each_sign_in_has_its_own_place_in_whatever_case_it_is_written() -> None:
    other = Identity("TENANT-1", "App-1", "https://LOGIN.contoso.example/token")

    assert other.name == IDENTITY.name
    assert Identity("tenant-1", "app-1", IDENTITY.token_url, "user@contoso.example").name != IDENTITY.name
    assert "tenant" not in IDENTITY.name


@pytest.mark.parametrize(
    ("seed", "kept", "descends_from", "is_used"),
    [
        (None, "t2", None, True),
        (None, "t2", token_fingerprint("t1"), True),
        ("t1", "t2", token_fingerprint("t1"), True),
        ("t2", "t2", None, True),
        ("t9", "t2", token_fingerprint("t1"), False),
        ("t1", "t2", None, False),
    ],
)
def test_the_kept_token_is_used_only_if_it_came_from_the_one_in_the_settings(
    seed: str | None, kept: str, descends_from: str | None, is_used: bool
) -> None:
    """Who sets another refresh token means that one."""
    assert entry(kept, descends_from=descends_from).supersedes(seed) is is_used


def test_a_fingerprint_does_not_tell_the_token() -> None:
    assert TOKEN not in token_fingerprint(TOKEN)
    assert TOKEN in json.loads(entry().model_dump_json()).values()


def settings(**more: object) -> Settings:
    return Settings.model_validate({"tenant_id": "t", "client_id": "c"} | more)


def test_the_cache_lies_in_the_users_own_folder_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    usual, other = open_token_cache(settings()), open_token_cache(settings(token_cache=str(tmp_path / "here")))

    assert usual is not None
    assert other is not None
    assert usual.folder == Path(os.environ["XDG_DATA_HOME"]) / "bulkpull" / "tokens"
    assert other.folder == tmp_path / "here"


def test_the_cache_can_be_switched_off_and_needs_to_know_whose_it_is() -> None:
    assert open_token_cache(settings(token_cache="off")) is None
    assert open_token_cache(Settings(client_id="c")) is None


@pytest.mark.parametrize("inside", ["", "x/y", "../data/x"])
def test_the_cache_never_lies_in_the_output_folder(tmp_path: Path, inside: str) -> None:
    output = tmp_path / "data"

    with pytest.raises(SettingsError, match="lies in the output folder"):
        open_token_cache(settings(output=output, token_cache=str(output / inside)))
