"""Beneath a folder: no link is followed, nothing outside is read, written or removed, and nothing is waited for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bulkpull.output import symlink_safety
from bulkpull.output.symlink_safety import (
    NotBeneath,
    inner_parts,
    names_beneath,
    open_beneath,
    refuse_links,
    remove_beneath,
    rename_beneath,
    size_beneath,
    status_beneath,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX here")


@pytest.fixture(params=["handles", "paths"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With handles of folders, and as on systems that have none."""
    if request.param == "paths":
        monkeypatch.setattr(symlink_safety, "_HAS_HANDLES", False)
    return str(request.param)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of ours, and somebody else's with a file in it."""
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        (folder / "run").mkdir(parents=True)
        (folder / "run" / "file").write_text(folder.name)
    return ours, others


@pytest.mark.case("C26")
@pytest.mark.parametrize(
    "path", ["", "/dev/zero", "../x", "a/../../x", "a\0b", "C:\\x", "\\\\host\\x", "..\\x", "//host/x", "."]
)
def test_a_path_that_leads_out_is_refused_in_words(path: str) -> None:
    with pytest.raises(NotBeneath, match="folder"):
        inner_parts(path)


@pytest.mark.case("C26")
@given(some.text("ab./\\:", max_size=12))
def test_what_is_let_through_stays_within(path: str) -> None:
    try:
        parts = inner_parts(path)
    except NotBeneath:
        return
    inside = os.path.normpath(os.path.join("/folder/of/all", *parts))  # noqa: PTH118 - the plain ones
    assert inside.startswith("/folder/of/all/")


@posix
@pytest.mark.case("C26")
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (lambda path: path.symlink_to(path.parent / "run" / "file"), "link"),
        (os.mkfifo, "pipe"),
        (Path.mkdir, "folder"),
    ],
    ids=["link", "pipe", "folder"],
)
def test_only_a_regular_file_is_read(places: tuple[Path, Path], plant: Callable[[Path], None], words: str) -> None:
    ours, _ = places
    plant(ours / "planted")

    with pytest.raises(NotBeneath, match=words), open_beneath(ours / "planted", root=ours):
        pass
    with pytest.raises(NotBeneath, match=words):
        status_beneath(ours / "planted", root=ours)


@posix
@pytest.mark.case("C25", "C26")
@pytest.mark.usefixtures("way")
def test_a_link_on_the_way_is_not_followed_by_anything(places: tuple[Path, Path]) -> None:
    ours, others = places
    (ours / "way").symlink_to(others)

    with pytest.raises(NotBeneath, match="link"), open_beneath(ours / "way/run/file", root=ours):
        pass
    with pytest.raises(NotBeneath, match="link"):
        refuse_links(ours / "way" / "new", root=ours)
    with pytest.raises(NotBeneath, match="link"):
        rename_beneath(ours / "run", ours / "way" / "run-2", root=ours)
    assert names_beneath(ours / "way", root=ours) == []
    assert not remove_beneath(ours / "way" / "run", root=ours)
    assert (others / "run" / "file").read_text() == "others"


@posix
@pytest.mark.case("C25")
@pytest.mark.usefixtures("way")
def test_a_link_is_removed_as_what_it_is_and_a_tree_without_what_its_links_lead_to(places: tuple[Path, Path]) -> None:
    ours, others = places
    (ours / "run" / "inner").symlink_to(others / "run")
    (ours / "itself").symlink_to(others)

    assert remove_beneath(ours / "itself", root=ours)
    assert remove_beneath(ours / "run", root=ours)
    assert remove_beneath(ours / "never-there" / "run", root=ours)

    assert list(ours.iterdir()) == []
    assert (others / "run" / "file").read_text() == "others"


@posix
@pytest.mark.usefixtures("way")
def test_the_root_itself_may_be_a_link_that_its_user_chose(places: tuple[Path, Path]) -> None:
    ours, _ = places
    link = ours.parent / "chosen"
    link.symlink_to(ours)

    with open_beneath(link / "run/file", root=link) as file:
        assert file.read() == b"ours"
    assert names_beneath(link / "run", root=link) == ["file"]
    assert remove_beneath(link / "run", root=link)
    assert list(ours.iterdir()) == []


@pytest.mark.usefixtures("way")
def test_a_path_that_no_system_has_leads_to_no_file(places: tuple[Path, Path]) -> None:
    ours, _ = places

    assert size_beneath(ours / "run" / "file", root=ours) == len("ours")
    assert size_beneath(ours / "run" / "fi\0le", root=ours) is None
    assert size_beneath(ours / "fi\0le" / "file", root=ours) is None
    assert size_beneath(ours.parent / "others" / "run" / "file", root=ours) is None


@pytest.mark.usefixtures("way")
def test_a_name_that_climbs_reaches_nothing(places: tuple[Path, Path]) -> None:
    ours, others = places

    assert not remove_beneath(ours / ".." / "others", root=ours)
    assert names_beneath(ours / ".." / "others", root=ours) == []
    assert not remove_beneath(others, root=ours)
    assert (others / "run" / "file").exists()


PLANTS = some.lists(
    some.tuples(some.sampled_from(["link", "pipe", "file", "folder"]), some.sampled_from(["a", "a/b", "a/b/c", "d"])),
    max_size=6,
)


@posix
@pytest.mark.case("C25")
@given(PLANTS, some.sampled_from(["a", "a/b", "a/b/c", "a/b/c/d", "d"]))
def test_whatever_is_planted_removal_and_reading_stay_within(
    tmp_path_factory: pytest.TempPathFactory, plants: Sequence[tuple[str, str]], path: str
) -> None:
    place = tmp_path_factory.mktemp("fuzz")
    ours, others = place / "ours", place / "others"
    ours.mkdir()
    (others / "b" / "c" / "d").mkdir(parents=True)
    (others / "b" / "file").write_text("others")
    before = sorted(str(item) for item in others.rglob("*"))
    for kind, where in plants:
        target = ours / where
        if os.path.lexists(target) or not target.parent.is_dir() or target.parent.resolve() != target.parent:
            continue
        if kind == "link":
            target.symlink_to(others)
        elif kind == "pipe":
            os.mkfifo(target)
        elif kind == "file":
            target.write_text("ours")
        else:
            target.mkdir()

    try:
        with open_beneath(ours / path, root=ours) as file:
            assert file.read() == b"ours"
    except OSError:
        pass
    remove_beneath(ours / path, root=ours)

    assert sorted(str(item) for item in others.rglob("*")) == before


@pytest.mark.case("C26")
@pytest.mark.skipif(os.name == "nt", reason="there are no handles of folders")
def test_a_link_that_is_planted_after_the_look_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regular = tmp_path / "regular"
    regular.write_text("ours")
    (tmp_path / "planted").symlink_to(regular)
    looked = regular.stat()
    monkeypatch.setattr(os, "stat", lambda *_, **__: looked)

    with pytest.raises(OSError), symlink_safety.open_beneath(tmp_path / "planted", root=tmp_path):  # noqa: PT011 - the system's words differ
        pass
