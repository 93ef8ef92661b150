"""CSV → Parquet → the same text: the promise of the product, for files as they are and as they should not be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from arrow_metadata import kinds_of_columns, metadata_of_columns
from csv_reports import Converted, converted, csv_bytes, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from bulkpull.catalog import ColumnType
from bulkpull.conversion import convert_file as converting
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.date_formats import write_dates
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest, Misfit, TableFile
from bulkpull.conversion.read_table import read_footer
from bulkpull.conversion.write_table import write_table
from bulkpull.errors import BulkpullError, DiskTrouble, FileDamaged, NotTheReport, TooLarge

NUMBER = ColumnPlan("Quantity", ColumnType.INT)
MIXED = (
    ColumnPlan("MPNId", ColumnType.STRING, identifier=True),
    ColumnPlan("Customer", ColumnType.STRING),
    NUMBER,
    ColumnPlan("Month", ColumnType.DATE),
    ColumnPlan("IsDuplicate", ColumnType.BOOL),
)
NAMES = [plan.name for plan in MIXED]

SHARP = st.text(st.sampled_from(list('a0,"\r\n\t \0é漢😀\ufeff\u2028-#')), max_size=5)
CELL = st.one_of(
    SHARP,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["NULL", "NA", "nan", "null", "0012", "", "1", "7", "2026-11-23", "true"]),
)


def nulled(rows: Sequence[Sequence[str]]) -> list[tuple[str | None, ...]]:
    """Rows as they have to come back: an empty field is null."""
    return [tuple(value or None for value in row) for row in rows]


@pytest.mark.behaviour(136)
@pytest.mark.fault(85, 86, 87)
@settings(deadline=None, max_examples=examples(200))
@given(data=st.data(), width=st.integers(2, 5), separator=st.sampled_from([",", "\t"]), bom=st.booleans())
def test_any_table_of_text_comes_back_unchanged(data: st.DataObject, width: int, separator: str, bom: bool) -> None:
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=12))
    names = [f"Column{number}" for number in range(width)]
    declared = st.sampled_from([kind for kind in ColumnType if kind not in (ColumnType.DECIMAL, ColumnType.NUMBER)])
    plans = [ColumnPlan(name, data.draw(declared)) for name in names]
    file = csv_bytes(names, rows, separator=separator, bom=bom, line_end=data.draw(st.sampled_from(["\n", "\r\n"])))

    found = converted(file, plans, batch_bytes=data.draw(st.integers(1, 80)), piece_bytes=data.draw(st.integers(1, 50)))

    assert found.rows_as_text() == nulled(rows)
    assert found.table.rows == len(rows)
    assert found.table.unpacked_bytes == len(file)
    assert found.table.nul_bytes == sum(value.count("\0") for row in rows for value in row)


@pytest.mark.fault(82, 85)
@settings(deadline=None, max_examples=examples(100))
@given(st.lists(CELL, max_size=12), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_a_table_of_one_column_comes_back_unchanged(values: list[str], batch_bytes: int, line_end: str) -> None:
    file = csv_bytes(["Only"], [[value] for value in values], line_end=line_end)

    found = converted(file, texts("Only"), batch_bytes=batch_bytes)

    assert found.rows_as_text() == nulled([[value] for value in values])


@pytest.mark.fault(85)
@pytest.mark.parametrize("batch_bytes", [*range(1, 40), 1 << 20])
def test_returns_in_quotes_and_marks_anywhere_are_kept(batch_bytes: int) -> None:
    """The CSV reader alone would drop a mark at the start of a batch."""
    file = 'A,B,C\r\n\ufeffx,y,z\r\n"\r","\r","\r"\r\n"a\r","b\rc","\rd"\r\n\ufeff,,\ufeff\r\n'.encode()

    found = converted(file, texts("A", "B", "C"), batch_bytes=batch_bytes)

    assert found.rows_as_text() == [
        ("\ufeffx", "y", "z"), ("\r", "\r", "\r"), ("a\r", "b\rc", "\rd"), ("\ufeff", None, "\ufeff"),
    ]  # fmt: skip


@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_a_mark_at_the_start_of_the_only_column_is_kept(line_end: str) -> None:
    assert converted(f"A\r\n\ufeffx{line_end}".encode(), texts("A")).rows_as_text() == [("\ufeffx",)]


@settings(deadline=None, max_examples=examples(200))
@given(
    st.lists(st.sampled_from(["a", "b", ",", '"', "\n", "\r", "\r\n", "é", "\ufeff"])).map("".join), st.integers(1, 9)
)
def test_any_text_is_either_refused_or_kept_whole(text: str, batch_bytes: int) -> None:
    """What is accepted loses nothing: the fields hold every byte that is not syntax."""
    try:
        found = converted(f"A,B\n{text}".encode(), texts("A", "B"), batch_bytes=batch_bytes, packed=False)
    except (NotTheReport, FileDamaged):
        return
    rebuilt = csv_bytes([], found.rows_as_text(), line_end="\n")
    letters = text.translate(dict.fromkeys(map(ord, '",\r\n')))

    assert rebuilt.decode().translate(dict.fromkeys(map(ord, '",\r\n'))) == letters


def test_the_round_trip_notices_a_changed_cell() -> None:
    """The comparisons above can fail."""
    found = converted(csv_bytes(["A", "B"], [["x", "1"], ["y", "2"]]), texts("A", "B"))
    changed = Converted(found.table, found.frame.with_columns(A=pl.col("A").str.to_uppercase()))

    assert found.rows_as_text() == [("x", "1"), ("y", "2")]
    assert changed.rows_as_text() != [("x", "1"), ("y", "2")]


def mixed_rows(count: int) -> list[list[str]]:
    chance = random.Random(7)  # noqa: S311 - a fixed sample
    customers = ["Contoso", 'Contoso "Ltd"', "Contoso, GmbH", "Contoso\r\nÖsterreich", "", "NA"]
    return [
        [
            f"{chance.randrange(10**6):07}",
            chance.choice(customers),
            str(number),
            f"2026-{1 + number % 12:02}-01",
            str(number % 2),
        ]
        for number in range(count)
    ]


@pytest.mark.behaviour(139, 152, 154, 155)
def test_declared_types_are_used_where_every_value_fits() -> None:
    rows = mixed_rows(20_000)

    found = converted(csv_bytes(NAMES, rows, bom=True), MIXED, batch_bytes=100_000)

    assert [column.type for column in found.table.columns] == ["String", "String", "Int64", "Date", "Int64"]
    assert found.frame.schema == pl.Schema(
        {"MPNId": pl.String, "Customer": pl.String, "Quantity": pl.Int64, "Month": pl.Date, "IsDuplicate": pl.Int64}
    )
    assert found.rows_as_text() == nulled(rows)


@pytest.mark.fault(88, 89)
def test_a_misfit_in_the_very_last_row_turns_its_column_into_text_and_loses_nothing() -> None:
    rows = mixed_rows(20_000)
    rows[-1][2] = "n/a"

    found = converted(csv_bytes(NAMES, rows), MIXED, batch_bytes=100_000)

    assert [column.type for column in found.table.columns] == ["String", "String", "String", "Date", "Int64"]
    assert found.column("Quantity").misfit == Misfit(row=20_000, value="n/a")
    assert found.rows_as_text() == nulled(rows)


def test_misfits_in_several_batches_need_one_more_look_only() -> None:
    """Columns may give in one after another; the file is read twice at most, and each first misfit is told."""
    rows = mixed_rows(3_000)
    rows[500][2], rows[1_500][3], rows[2_500][4], rows[2_900][2] = "007", "soon", "Y", "later"

    found = converted(csv_bytes(NAMES, rows), MIXED, batch_bytes=5_000)

    assert [column.misfit for column in found.table.columns[2:]] == [
        Misfit(501, "007"), Misfit(1_501, "soon"), Misfit(2_501, "Y"),
    ]  # fmt: skip
    assert found.rows_as_text() == nulled(rows)


@pytest.mark.parametrize("batch_bytes", [1, 100, 1 << 20])
def test_types_do_not_depend_on_the_size_of_a_batch(batch_bytes: int) -> None:
    plans = (ColumnPlan("A", ColumnType.DATETIME), ColumnPlan("B", ColumnType.DATE), ColumnPlan("C", ColumnType.BOOL))
    rows = [["", "1/2/2026", ""]] * 20 + [["2026-11-23T01:02:03Z", "3/4/2026", "0"]] * 20 + [["", "5/13/2026", "1"]]

    found = converted(csv_bytes(["A", "B", "C"], rows), plans, batch_bytes=batch_bytes)

    assert [column.type for column in found.table.columns] == ["Datetime(us, UTC)", "Date", "Int64"]
    assert found.rows_as_text() == nulled(rows)


def test_doubtful_dates_are_written_as_text_after_the_whole_file_was_seen() -> None:
    rows = [[f"{1 + number % 12}/1/2026"] for number in range(100)]

    found = converted(csv_bytes(["A"], rows), [ColumnPlan("A", ColumnType.DATE)], batch_bytes=50)

    assert found.column("A").type == "String"
    assert found.rows_as_text() == nulled(rows)


@pytest.mark.fault(88)
def test_amounts_are_the_same_numbers() -> None:
    amounts = ["1.50", "-0.000001", "12345678901234567890.123456789012345678", "+7", "007", ".5", "5.", "0", ""]

    found = converted(
        csv_bytes(["A", "B"], [[amount, "x"] for amount in amounts]),
        [ColumnPlan("A", ColumnType.DECIMAL), *texts("B")],
        batch_bytes=20,
    )

    assert found.column("A").type == "Decimal(38, 18)"
    assert found.frame.schema["A"] == pl.Decimal(38, 18)
    assert found.frame["A"].to_list() == [Decimal(amount) if amount else None for amount in amounts]


@pytest.mark.case("C44")
@pytest.mark.behaviour(136)
@pytest.mark.parametrize("empty", ["", '""'], ids=["unquoted", "quoted"])
def test_an_empty_field_is_null_whether_it_is_quoted_or_not(empty: str) -> None:
    """In every type: a text of no letters would split one group of missing values in two."""
    names, row = ",".join(NAMES), ",".join([empty] * len(NAMES))
    file = f"{names}\r\n0012,Contoso,7,2026-11-23,true\r\n{row}\r\n".encode()

    found = converted(file, MIXED)

    assert found.frame.rows()[1] == (None,) * len(NAMES)
    assert found.frame.null_count().row(0) == (1,) * len(NAMES)


@pytest.mark.behaviour(138)
@pytest.mark.fault(90)
@pytest.mark.parametrize("line_end", ["", "\n", "\r\n", "\r\n\r\n"])
def test_a_report_without_rows_is_an_empty_table_with_the_right_columns(line_end: str) -> None:
    found = converted((",".join(NAMES) + line_end).encode(), MIXED)

    assert (found.table.rows, found.frame.height) == (0, 0)
    assert found.frame.schema == pl.Schema(
        {"MPNId": pl.String, "Customer": pl.String, "Quantity": pl.Int64, "Month": pl.Date, "IsDuplicate": pl.Boolean}
    )


@pytest.mark.behaviour(56, 139)
@pytest.mark.fault(80)
def test_columns_come_in_the_order_asked_for_and_extra_ones_as_text_after_them() -> None:
    file = csv_bytes(["New", "quantity", "MPN Id"], [["007", "7", "0012"]])

    found = converted(file, (ColumnPlan("MPNId", ColumnType.STRING), NUMBER))

    assert found.frame.rows(named=True) == [{"MPNId": "0012", "Quantity": 7, "New": "007"}]
    assert [column.name for column in found.table.columns] == ["MPNId", "Quantity"]
    assert found.table.extra_columns == ("New",)


@pytest.mark.fault(78)
def test_a_plain_file_is_converted_as_well() -> None:
    file = csv_bytes(NAMES, mixed_rows(50))

    assert converted(file, MIXED, packed=False).frame.equals(converted(file, MIXED).frame)


@pytest.mark.behaviour(137)
def test_a_file_with_tabs_is_converted_whatever_was_asked_for() -> None:
    rows = [["a,b", "7"], ['c"d', "8"], ["e\tf", "9"]]

    found = converted(csv_bytes(["A", "Quantity"], rows, separator="\t"), (*texts("A"), NUMBER))

    assert found.rows_as_text() == nulled(rows)


def test_the_file_tells_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "stored").write_bytes(b"A\n1\n")
    (tmp_path / "into").mkdir()
    order = ConversionRequest(tmp_path / "stored", tmp_path / "into", texts("A"), {"bulkpull.run": "run-7"}, 100, 100)

    (file,) = convert(order).files

    assert pl.read_parquet_metadata(file.path)["bulkpull.run"] == "run-7"
    assert (file.rows, file.bytes) == (1, file.path.stat().st_size)


LATIN = "A,B\nx,1\nx,2\nWährung,3\nx,4\n".encode("latin-1")


@pytest.mark.fault(86)
@pytest.mark.parametrize("batch_bytes", [1, 10, 1 << 20])
def test_another_encoding_is_refused_with_its_row(batch_bytes: int) -> None:
    with pytest.raises(NotTheReport, match=r"row 3 of the report's file is not written in UTF-8: it has a byte 0xE4"):
        converted(LATIN, texts("A", "B"), batch_bytes=batch_bytes)


@pytest.mark.fault(86)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_name(encoding: str) -> None:
    with pytest.raises(NotTheReport, match="UTF-16"):
        converted('A,B\n1,"2"\n'.encode(encoding), texts("A", "B"))


@pytest.mark.fault(86)
def test_a_foreign_byte_anywhere_in_the_data_is_refused() -> None:
    good = b'A,B\nab,cd\n"ef","gh"\nij,kl\n'

    for place in range(4, len(good)):
        for foreign in (b"\xe4", b"\xff", b"\xc3", b"\xed\xa0\x80"):
            with pytest.raises((NotTheReport, FileDamaged)):
                converted(good[:place] + foreign + good[place:], texts("A", "B"), packed=False)


@pytest.mark.fault(70, 76, 79, 81, 84)
@pytest.mark.parametrize(
    ("file", "error", "expected"),
    [
        (b"<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>", NotTheReport, "BlobNotFound"),
        (b"A,B\n1,2\n3\n", NotTheReport, "row 2 .* has 1 fields instead of 2"),
        (b'A,B\n1,"2\n', FileDamaged, "ends inside a quoted field"),
        (b"A,C\n1,2\n", NotTheReport, "lacks 'B'"),
        (b"A,B\n" + b"1,2\n" * 300, TooLarge, "max_unpacked_bytes"),
    ],
)
def test_what_is_not_the_report_leaves_no_file_behind(
    tmp_path: Path, file: bytes, error: type[BulkpullError], expected: str
) -> None:
    (tmp_path / "stored").write_bytes(file)
    (tmp_path / "into").mkdir()
    order = ConversionRequest(tmp_path / "stored", tmp_path / "into", texts("A", "B"), {}, 1_000, 16)

    with pytest.raises(error, match=expected):
        convert(order)

    assert not list((tmp_path / "into").iterdir())


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        (lambda frame: frame.head(-1), "3 rows were counted and 2 from row 1 on converted"),
        (lambda frame: pl.concat([frame, frame]), "3 rows were counted and 6 from row 1 on converted"),
        (lambda frame: frame.with_columns(field_0=pl.lit("x")), "bytes of content"),
        (lambda frame: frame.with_columns(pl.all().str.strip_chars("\r")), "bytes of content"),
    ],
)
def test_a_reader_that_finds_something_else_than_was_counted_is_caught(
    monkeypatch: pytest.MonkeyPatch, lie: Any, expected: str
) -> None:
    honest = pl.read_csv
    monkeypatch.setattr(pl, "read_csv", lambda *args, **options: lie(honest(*args, **options)))

    with pytest.raises(NotTheReport, match=expected):
        converted(b'A,B\n1,2\n11,"\r"\n3,4\n', texts("A", "B"))


@pytest.mark.fault(94)
def test_a_parquet_file_with_another_number_of_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "rows_in", lambda _: 1)

    with pytest.raises(NotTheReport, match="2 rows were counted and 1 rows in the Parquet file converted"):
        converted(b"A\n1\n2\n", texts("A"))


@pytest.mark.fault(8)
def test_a_folder_that_is_not_there_is_trouble_with_the_disk(tmp_path: Path) -> None:
    (tmp_path / "stored").write_bytes(b"A\n1\n")
    order = ConversionRequest(tmp_path / "stored", tmp_path / "nowhere", texts("A"), {}, 1_000, 16)

    with pytest.raises(DiskTrouble, match="does not exist"):
        convert(order)


@pytest.mark.fault(91)
def test_a_row_much_larger_than_a_batch_is_kept() -> None:
    rows = [["1", "x"], ["2", 'a"b,\r\n' * 100_000], ["3", ""]]

    found = converted(csv_bytes(["A", "B"], rows), texts("A", "B"), batch_bytes=1_000)

    assert found.rows_as_text() == nulled(rows)


@pytest.mark.fault(91)
def test_the_memory_of_a_frame_counts_a_reference_for_each_text_also_for_empty_ones() -> None:
    """Reports have many columns that are empty in most rows: their references take more than their values."""
    rows = 1_000
    texts_alone = pl.DataFrame({name: [None] * rows for name in "ab"}, schema={"a": pl.String, "b": pl.String})
    numbers_alone = pl.DataFrame({"n": range(rows)}, schema={"n": pl.Int64})

    assert converting.memory_bytes(texts_alone) - texts_alone.estimated_size() == 2 * 16 * rows
    assert converting.memory_bytes(numbers_alone) == numbers_alone.estimated_size() == 8 * rows


@pytest.mark.fault(91)
def test_row_groups_get_fewer_rows_when_later_rows_turn_out_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group is held in memory while it is written, so what bounds it are bytes and not rows."""
    monkeypatch.setattr(converting, "_ROW_GROUP_BYTES", 1_000_000)
    planned: list[int] = []

    def noted(table: pl.LazyFrame, **options: Any) -> TableFile:
        planned.append(options["row_group_rows"])
        return write_table(table, **options)

    monkeypatch.setattr(converting, "write_table", noted)
    rows = [[str(number), ""] for number in range(1_000)] + [[str(number), "x" * 10_000] for number in range(1_000)]

    found = converted(csv_bytes(["A", "B"], rows), texts("A", "B"), batch_bytes=2_000, piece_bytes=100)

    assert found.rows_as_text() == nulled(rows)
    first, second = planned
    assert first > 1_000
    assert second < 4 * 100 + 128


@pytest.mark.fault(91)
def test_a_table_of_ten_thousand_columns_is_kept() -> None:
    names = [f"Column{number}" for number in range(10_000)]
    rows = [[str(row * number) for number in range(10_000)] for row in range(3)]

    found = converted(csv_bytes(names, rows), [ColumnPlan(name, ColumnType.INT) for name in names])

    assert found.rows_as_text() == nulled(rows)


@pytest.mark.behaviour(185)
@pytest.mark.parametrize("months", [["APR-2023"], [""]])
def test_text_has_one_arrow_type_that_pyarrow_can_compare_whether_a_date_has_a_form_or_not(
    tmp_path: Path, months: list[str]
) -> None:
    plans = (ColumnPlan("Month", ColumnType.MONTH), *texts("Id"))
    (tmp_path / "stored").write_bytes(csv_bytes(["Month", "Id"], [[month, "0012"] for month in months]))
    (tmp_path / "into").mkdir()

    (file,) = convert(ConversionRequest(tmp_path / "stored", tmp_path / "into", plans, {}, 10_000, 1 << 20)).files

    date, large_utf8 = 8, 20
    assert kinds_of_columns(file.path) == {"Month": date, "Id": large_utf8}


@pytest.mark.behaviour(185, 186)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_the_form_of_dates_stands_in_the_parquet_file_and_gives_the_text_back(tmp_path: Path, batch_bytes: int) -> None:
    plans = (
        ColumnPlan("Month", ColumnType.MONTH),
        ColumnPlan("Start", ColumnType.DATE),
        ColumnPlan("End", ColumnType.DATE),
        *texts("Id"),
    )
    rows = [["APR-2023", "20230401", "1/2/2023", "1"], ["", "", "", "2"], ["MAY-2023", "20230531", "10/13/2023", "3"]]
    (tmp_path / "stored").write_bytes(csv_bytes([plan.name for plan in plans], rows))
    (tmp_path / "into").mkdir()

    (file,) = convert(ConversionRequest(tmp_path / "stored", tmp_path / "into", plans, {}, 10_000, batch_bytes)).files

    formats = read_footer(file.path).formats
    assert formats == {"Month": "%^b-%Y", "Start": "%Y%m%d", "End": "%-m/%-d/%Y"}
    assert metadata_of_columns(file.path) == {name: {"bulkpull.format": form} for name, form in formats.items()}
    frame = pl.read_parquet(file.path)
    assert [frame.schema[name] for name in formats] == [pl.Date] * 3
    back = frame.with_columns(write_dates(pl.col(name), form) for name, form in formats.items())
    assert back.rows() == nulled(rows)
