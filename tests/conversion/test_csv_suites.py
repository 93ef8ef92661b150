"""One command holds a folder of odd CSV files against Python: equal cell for cell, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import csv_suites
from benchmarks.csv_suites import Verdict, check_folder, main

FILES = {
    "quotes.csv": (b'a,b\n"x ""y""","1\n2"\n', Verdict.EQUAL),
    "empty fields.csv": (b"a,b\r\n,\r\n", Verdict.EQUAL),
    "tabs.tsv": (b"a\tb\n1\t2\n", Verdict.EQUAL),
    "bom.csv": (b"\xef\xbb\xbfa,b\n1,2\n", Verdict.EQUAL),
    "cr only.csv": (b"a,b\r1,2\r", Verdict.REFUSED),
    "two of a name.csv": (b"a,a\n1,2\n", Verdict.REFUSED),
    "ragged.csv": (b"a,b\n1\n", Verdict.NO_TABLE),
    "latin 1.csv": (b"a,b\n\xe9,1\n", Verdict.NO_TABLE),
    "inner/one column.csv": (b"a\n1\n2\n", Verdict.EQUAL),
}


def fill(folder: Path) -> Path:
    for name, (content, _) in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "README.md").write_text("no table")
    return folder


@pytest.mark.case("C1", "C2", "C3", "C4")
def test_every_file_of_a_folder_gets_its_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {str(item.path.relative_to(tmp_path)): item for item in check_folder(fill(tmp_path))}

    assert {name: item.verdict for name, item in found.items()} == {
        name: verdict for name, (_, verdict) in FILES.items()
    }
    assert all(match.words for match in found.values())
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 equal, 2 no table, 2 refused"


@pytest.mark.case("C1")
def test_a_difference_is_found_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.csv").write_bytes(b"a,b\n1,2\n")
    monkeypatch.setattr(csv_suites, "read_by_python", lambda *_, **__: (["a", "b"], [("1", "3")]))

    assert main([str(tmp_path)]) == 1
    assert "row 1: ('1', '2'), and Python reads ('1', '3')" in capsys.readouterr().out


def test_wrong_usage_and_a_folder_without_csv_files_are_told(tmp_path: Path) -> None:
    assert main([]) == 2
    assert main([str(tmp_path)]) == 2
