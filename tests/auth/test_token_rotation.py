"""The chain of refresh tokens across runs and processes."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from support import EventRecorder, FakeClock

from bulkpull.auth import Identity, TokenCache, TokenEntry, TokenRotation, token_fingerprint
from bulkpull.auth.token_rotation import LONGEST_TURN_S

IDENTITY = Identity("tenant-1", "app-1", "https://login.contoso.example/token")


def cache_in(folder: Path) -> TokenCache:
    return TokenCache(folder, IDENTITY, encrypt=False)


def keeper(
    folder: Path,
    *,
    seed: str | None = "seed-token",
    recorded: EventRecorder | None = None,
    clock: FakeClock | None = None,
) -> TokenRotation:
    return TokenRotation(
        cache_in(folder), seed=seed, clock=clock or FakeClock(), events=(recorded or EventRecorder()).hub
    )


async def newest(chain: TokenRotation) -> str | None:
    found = await chain.latest()
    return found.refresh_token if found else None


async def test_what_one_run_keeps_the_next_one_begins_with(tmp_path: Path) -> None:
    await keeper(tmp_path).store("second-token")

    assert await newest(keeper(tmp_path)) == "second-token"
    assert await newest(keeper(tmp_path, seed=None)) == "second-token"
    assert await newest(keeper(tmp_path, seed="another-token")) is None


async def test_a_seed_that_is_taken_away_and_set_again_is_still_the_chains(tmp_path: Path) -> None:
    await keeper(tmp_path).store("second-token")
    without = keeper(tmp_path, seed=None)
    await without.latest()
    await without.store("third-token")

    assert await newest(keeper(tmp_path)) == "third-token"


async def test_a_new_seed_begins_a_new_chain(tmp_path: Path) -> None:
    await keeper(tmp_path).store("second-token")
    await keeper(tmp_path, seed="another-seed").store("third-token")

    found = cache_in(tmp_path).load()
    assert found is not None
    assert found[0].descends_from == token_fingerprint("another-seed")


async def test_who_signed_in_is_remembered_along_the_chain(tmp_path: Path) -> None:
    first = TokenEntry(
        tenant_id="t",
        client_id="c",
        token_url="u",
        account="user@contoso.example",
        public=True,
        kept_at="x",
        refresh_token="first",
    )
    cache_in(tmp_path).save(first)
    chain = keeper(tmp_path, seed=None)
    await chain.latest()
    await chain.store("second-token")

    found = cache_in(tmp_path).load()
    assert found is not None
    assert (found[0].account, found[0].public) == ("user@contoso.example", True)


async def test_who_signs_out_while_a_run_is_under_way_has_signed_out(tmp_path: Path) -> None:
    chain = keeper(tmp_path)
    await chain.store("second-token")
    cache_in(tmp_path).forget()

    assert await chain.latest() is None
    await chain.store("third-token")
    assert cache_in(tmp_path).load() is None


async def test_who_signs_in_while_a_run_is_under_way_is_who_it_goes_on_as(tmp_path: Path) -> None:
    chain = keeper(tmp_path)
    await chain.store("second-token")
    signed_in = TokenEntry(
        tenant_id="t",
        client_id="c",
        token_url="u",
        public=True,
        descends_from=token_fingerprint("seed-token"),
        kept_at="x",
        refresh_token="of-a-person",
    )
    cache_in(tmp_path).save(signed_in)

    assert await chain.latest() == signed_in
    await chain.store("the-persons-next")
    found = cache_in(tmp_path).load()
    assert found is not None
    assert found[0].public


@pytest.mark.fault(20)
async def test_renewals_take_turns(tmp_path: Path) -> None:
    clock = FakeClock()
    under_way, most = 0, 0

    async def renew(number: int) -> None:
        nonlocal under_way, most
        chain = keeper(tmp_path, clock=clock)
        async with chain.locked():
            under_way += 1
            most = max(most, under_way)
            await clock.sleep(3)
            await chain.store(f"token-{number}")
            under_way -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(renew, number)

    assert most == 1
    assert clock.elapsed_s >= 12


async def test_nobody_waits_for_ever_for_a_turn(tmp_path: Path) -> None:
    clock = FakeClock()
    hanging = cache_in(tmp_path)
    assert hanging.take_turn()
    async with keeper(tmp_path, clock=clock).locked():
        assert clock.elapsed_s >= LONGEST_TURN_S
    hanging.release()


async def test_a_cancelled_renewal_gives_its_turn_back(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with keeper(tmp_path).locked():
            scope.cancel()
            await anyio.sleep_forever()

    assert cache_in(tmp_path).take_turn()


async def test_a_cache_that_cannot_be_written_is_one_warning_that_says_what_follows(tmp_path: Path) -> None:
    in_the_way = tmp_path / "tokens"
    in_the_way.write_text("a file where the folder should be")
    recorded = EventRecorder()
    chain = keeper(in_the_way, recorded=recorded)
    async with chain.locked():
        assert await chain.latest() is None
        await chain.store("second-token")
        await chain.store("third-token")

    (warned,) = recorded.of("token.not_kept")
    assert "later runs begin again with the refresh token of the settings" in str(warned["follows"])
    assert "second-token" not in str(recorded.events)


async def test_a_damaged_cache_is_a_warning_and_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / f"{IDENTITY.name}.json").write_text("{")
    recorded = EventRecorder()
    chain = keeper(tmp_path, seed=None, recorded=recorded)

    assert await chain.latest() is None
    await chain.store("second-token")

    (warned,) = recorded.of("token.cache_unread")
    assert "bulkpull auth login" in str(warned["follows"])
    assert await newest(keeper(tmp_path, seed=None)) == "second-token"
