"""Rows 53 to 75: links and downloads."""

from __future__ import annotations

from bulkpull.simulator.fault_matrix.row import fails, here, survives

_CUT = here("cut_after_bytes")
_LONG = {"rows": {"OfficeUsage": 2_000, "*": 300}}
_BIG = {"rows": {"OfficeUsage": 100_000, "*": 300}}
_ONE = {"reports_created": 1}

ROWS = (
    survives("53", "the link is at its end before the first byte", here("link_expired"), **_ONE),
    survives(
        "54",
        "the link ends in the middle of the file, twice",
        here("link_expires_mid_file", times=2, after=5_000),
        scenario=_LONG,
        **_ONE,
    ),
    survives("55", "cut, and the file was replaced meanwhile", _CUT, here("etag_changes"), scenario=_LONG, **_ONE),
    fails(
        "56", "every link is refused", here("link_always_refused", times=None), reason_words=("AuthenticationFailed",)
    ),
    survives("57a", "the file is gone once", here("blob_gone"), reports_created=2),
    fails("57b", "the file is gone always", here("blob_gone", times=None)),
    survives("58a", "the storage host is busy", here("blob_busy", times=2), **_ONE),
    survives("58b", "the storage host is at fault", here("blob_busy", times=2, status=500), **_ONE),
    survives(
        "59",
        "a reset after every few bytes",
        here("reset_every_bytes", times=None, after=9_000),
        scenario=_LONG,
        **_ONE,
    ),
    survives("60a", "cut, length given", _CUT, **_ONE),
    survives("60b", "cut, length not given, ended by the connection", here("cut_after_bytes", delimit="close"), **_ONE),
    survives("60c", "cut, length not given, in chunks", here("cut_after_bytes", delimit="chunked"), **_ONE),
    survives("61", "more bytes than announced, once", here("more_bytes_than_announced"), **_ONE),
    survives("62", "the transfer stands still for a moment", here("stall_after_bytes", seconds=1.0), **_ONE),
    survives("63", "200 in answer to a range", _CUT, here("range_ignored"), **_ONE),
    survives("64a", "206 that begins elsewhere", _CUT, here("range_wrong_start"), **_ONE),
    survives("64b", "206 of another total", _CUT, here("range_other_total"), **_ONE),
    survives("64c", "206 in parts", _CUT, here("range_multipart"), **_ONE),
    survives("65", "416 at the resume", _CUT, here("range_not_satisfiable"), **_ONE),
    survives("66a", "cut, and no ETag", _CUT, here("etag_missing", times=None), **_ONE),
    survives("66b", "cut, and a weak ETag", _CUT, here("etag_weak", times=None), **_ONE),
    survives(
        "67",
        "a proxy compresses the file on the fly",
        here("encoding_by_proxy", times=None),
        scenario={"gzip": False},
        **_ONE,
    ),
    survives("68a", "a redirect to another host", here("redirect", endpoint="blob", to="elsewhere"), **_ONE),
    fails(
        "68b", "a redirect to an address without encryption", here("redirect", endpoint="blob", times=None, to="http")
    ),
    fails("68c", "too many redirects", here("redirect", endpoint="blob", times=None, to="loop")),
    survives("69a", "the MD5 is wrong once", here("md5_wrong"), **_ONE),
    fails("69b", "the MD5 is wrong always", here("md5_wrong", times=None), reason_words=("MD5",)),
    survives("70", "an error of the storage host under 200", here("xml_under_200"), **_ONE),
    survives("71a", "no byte at all, once", here("empty_file")),
    fails("71b", "no byte at all, always", here("empty_file", times=None)),
    survives("75", "one segment fails for good", here("segment_refused", times=None), scenario=_BIG, **_ONE),
)
"""Rows of the section "Download"; 72 to 74 need other means than a simulated service."""
