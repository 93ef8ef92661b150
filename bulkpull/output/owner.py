"""
The partner account that an output folder belongs to, recorded by its first run.

`.bulkpull/account.json` holds it, and `current.json` repeats it in case the private part was removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bulkpull.account import DEMO, Account, normalise_root
from bulkpull.errors import DiskTrouble, SettingsError, UnsafeAddress
from bulkpull.output.atomic_files import json_text
from bulkpull.output.current import Current
from bulkpull.output.layout import CURRENT
from bulkpull.output.run_history import load_manifest
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import NotBeneath
from bulkpull.url_safety import is_loopback

_NO_REPORT = "; no report was created"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of the data in a folder; `sign_in` is the digest of the user and application of the last run."""

    account: Account
    sign_in: str | None = None


def load_owner(store: OutputStore) -> Owner | None:
    """The account that the folder records, if any. A damaged record is a `DiskTrouble`, and is not guessed."""
    try:
        stored = store.read(INSIDE.owner)
        if stored is not None:
            content = json.loads(stored)
            return Owner(Account.from_dict(content["account"]), content.get("sign_in"))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, NotBeneath):
        raise DiskTrouble(
            f"{store.place(INSIDE.owner)} cannot be read",
            why="it is damaged, so the owner of the data in the folder is unknown",
            fix="restore it, or choose another folder with --output",
        ) from None
    account = _account_in_pointer(store)
    return Owner(account) if account else None


def _account_in_pointer(store: OutputStore) -> Account | None:
    """The account that `current.json` names; `None` where it names none that can be read."""
    account_facts = Current.load(store).account
    with suppress(KeyError, TypeError, AttributeError):
        return Account.from_dict(account_facts) if account_facts else None
    return None


def check_owner(store: OutputStore, account: Account) -> Owner | None:
    """
    The recorded owner; a `SettingsError` where the data in the folder are another account's. Reads only.

    A folder of an earlier version records no account; the service address of its newest snapshot is used instead. A
    damaged record is a `DiskTrouble`.
    """
    owner = load_owner(store)
    if owner is None:
        found = (load_manifest(store, run_id) for run_id in sorted(Current.load(store).run_ids, reverse=True))
        root = next((normalise_root(manifest.api_base_url) for manifest in found if manifest is not None), None)
        if root and not _may_be_same(root, account.api_root):
            raise _other_account(store, f"the service at {root}", account, ["api_base_url"])
        return None
    other = _account_in_pointer(store)
    if other is not None and other != owner.account:
        fix = f"restore {CURRENT} and move what is not this account's to another folder"
        raise SettingsError(
            f"{store} holds the data of two accounts: {owner.account}, and {CURRENT} names those of {other}",
            why="folders were merged",
            fix=fix + _NO_REPORT,
            doctor_fix=fix,
        )
    if owner.account != account:
        difference = owner.account.describe_difference(account)
        differing = owner.account.differing_settings(account)
        raise _other_account(
            store, difference or str(owner.account), account, differing, is_difference=bool(difference)
        )
    return owner


def foreign_runs(store: OutputStore, run_ids: Iterable[str]) -> dict[str, str]:
    """
    Runs of another account than the folder's, which were copied into it (case O3), and whose each is, in words.

    Reads only. A run without a manifest counts as the folder's own: it is under way, or was killed.
    """
    try:
        owner = load_owner(store)
    except DiskTrouble:
        owner = None  # a writing command reports it
    if owner is None:
        return {}
    foreign: dict[str, str] = {}
    for run_id in run_ids:
        version = store.version(INSIDE.manifest(run_id))
        match _account_of_run(store, run_id, version) if version is not None else None:
            case Account() as account if account != owner.account:
                foreign[run_id] = str(account)
            case str(root) if not _may_be_same(root, owner.account.api_root):
                foreign[run_id] = f"the service at {root}"
    return foreign


@lru_cache(maxsize=1_024)
def _account_of_run(store: OutputStore, run_id: str, _version: str) -> Account | str | None:
    """The account that a run's manifest names, or the root of the API where it is of an earlier version."""
    try:
        content = json.loads(store.read(INSIDE.manifest(run_id)) or b"{}")
        if content.get("account"):
            return Account.from_dict(content["account"])
        return normalise_root(content["api_base_url"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def claim_folder(store: OutputStore, owner: Owner) -> list[str]:
    """
    Record whose data lie in the folder, or that they are still the same account's. Raises as `check_owner`.

    Returns notes for the run: the folder was taken over, or another user or application signs in.
    """
    before = check_owner(store, owner.account)
    notes: list[str] = []
    if before is None and Current.load(store).datasets:
        notes.append(f"the folder names no account yet; from now on it belongs to {owner.account}")
    elif before is not None and before.sign_in and owner.sign_in and before.sign_in != owner.sign_in:
        notes.append(
            "earlier runs signed in as another user or application of the same tenant, whose reports and queries "
            "this one cannot see"
        )
    if before is None or (owner.sign_in and before.sign_in != owner.sign_in) or not store.exists(INSIDE.owner):
        content: dict[str, Any] = {"version": 1, "account": owner.account.as_dict(), "sign_in": owner.sign_in}
        store.put(INSIDE.owner, json_text(content))
    return notes


def _may_be_same(root: str, now: str) -> bool:
    # Local services, such as the demo, had another port every time.
    return root == now or (_is_local(root) and _is_local(now))


def _is_local(address: str) -> bool:
    if "://" not in address:
        return True  # the demo
    with suppress(UnsafeAddress):
        return is_loopback(address)
    return False


def _other_account(
    store: OutputStore, there: str, account: Account, differing: Sequence[str], *, is_difference: bool = False
) -> SettingsError:
    settings = " and ".join(f"`{name}`" for name in differing)
    fix = ("" if account == DEMO else f"check {settings}, or ") + "choose another folder with --output"
    return SettingsError(
        f"{store} holds the data of another account: {there}",
        why=None if is_difference else f"this run is for {account}",
        fix=fix + _NO_REPORT,
        doctor_fix=fix,
    )
