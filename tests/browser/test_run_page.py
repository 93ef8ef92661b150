"""The page of a run in a real browser: on a phone and on a desk, in the light and in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.chromium import View, look
from browser.pages import a_bad_run, a_good_run


def views_of(page: Path, pictures: Path) -> list[View]:
    return [
        View(str(page), width, dark, str(pictures / f"{page.parent.name}-{width}-{'dark' if dark else 'light'}.png"))
        for width in (390, 1280)
        for dark in (False, True)
    ]


@pytest.mark.timeout(300)
async def test_the_pages_of_a_good_and_of_a_bad_run_are_read_everywhere(tmp_path: Path) -> None:
    pages = [await a_good_run(tmp_path / "out"), await a_bad_run(tmp_path / "out")]
    views = [view for page in pages for view in views_of(page, tmp_path)]
    seen = look(views)

    assert [reported["title"].partition(":")[0] for reported in seen] == ["Complete"] * 4 + ["Partial"] * 4
    for view, reported in zip(views, seen, strict=True):
        where = f"{view.width} px, {'dark' if view.dark else 'light'}, {view.page}"
        assert reported["violations"] == [], where
        assert reported["overflow"] <= 0, where
        assert (reported["requests"], reported["said"]) == ([], []), where
        assert Path(view.picture).stat().st_size > 10_000, where
