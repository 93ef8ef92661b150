"""Equal content has an equal hash."""

from __future__ import annotations

import gzip
from pathlib import Path

from bulkpull.catalog import ColumnType
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest


def test_equal_content_has_an_equal_hash_however_it_is_packed(tmp_path: Path) -> None:
    content, hashes = b"Id\n1\n2\n", []
    for number, stored in enumerate((content, gzip.compress(content), gzip.compress(content, mtime=1))):
        source, into = tmp_path / f"report{number}", tmp_path / f"parquet{number}"
        source.write_bytes(stored)
        into.mkdir()
        columns = (ColumnPlan("Id", ColumnType.STRING),)
        hashes.append(convert(ConversionRequest(source, into, columns, {}, 10**6, 10**6)).content_hash)

    assert len(set(hashes)) == 1
