"""
Writes `docs/errors.md` from the errors themselves: what happened, the usual cause, the remedy, the exit status.

    python docs/errors_page.py          write the page
    python docs/errors_page.py --check  end with 1 when the page is not what the code says
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bulkpull import errors
from bulkpull.auth.token_codes import TOKEN_CODES, TOKEN_ERRORS
from bulkpull.errors import BulkpullError
from bulkpull.insights.error_mapping import API_STATUSES
from bulkpull.transfer.range_responses import STORAGE_CODES

PAGE = Path(__file__).with_name("errors.md")
HEAD = """\
# Errors

<!-- Made by docs/errors_page.py from the code: change the errors, then run `make docs`. -->

A message says what happened and to which dataset or setting, why if known, and what to do next:

```text
error: 1 of 20 datasets not exported
       OfficeUsage: the service refused to create the query …: 400 Invalid query (request id …, correlation id …)
fix:   compare with what `bulkpull datasets NAME` shows today; if it happens again, quote the request id …
```

In an export, an error of one dataset ends only that dataset; the others are published and the exit status is 3. The
statuses below apply to errors that end the whole command. Microsoft's support asks for the request id and the
correlation id. In Python, the classes are in `bulkpull.errors`; all are subclasses of `bulkpull.BulkpullError`.
The site, which `make docs` builds into `.build/site`, has every message by its words on the page *Messages*.

"""
SIGN_IN = """\
## Codes of the token endpoint

A *final* code ends in an [AuthError](#autherror), exit status 4. A *passing* code is temporary and retried after a
pause. A code that is not in the table is unknown: it is tried three times in all, then quoted with its trace id and
correlation id.

| code | kind | cause | next step |
| --- | --- | --- | --- |
"""
STATUSES = """\
## Statuses of the API

A *final* status is not retried; a *passing* one is temporary and retried after a pause, like any other 5xx. Any other
status is unknown: it is tried up to `request_attempts` times and then quoted.

| status | kind | meaning |
| --- | --- | --- |
"""
STORAGE = """\
## Codes of the storage host

`fresh link`: the execution is read again for a new link, a limited number of times. For a code that is not in the table
the status decides. If that is unknown too, the request is tried up to `request_attempts` times and then quoted with its
`x-ms-request-id`.

| code | kind | meaning |
| --- | --- | --- |
"""
_ASIDE = re.compile(r"\s*Source: .*", flags=re.DOTALL)


def errors_page() -> str:
    """The page, as it has to stand in the repository."""
    sections = [_section(kind) for kind in documented()]
    tokens = [f"| AADSTS{code} | {one.kind} | {one.cause} | {one.step} |" for code, one in sorted(TOKEN_CODES.items())]
    tokens += [f"| `{word}` | {one.kind} | {one.cause} | {one.step} |" for word, one in sorted(TOKEN_ERRORS.items())]
    statuses = [f"| {status} | {kind} | {meaning} |" for status, (kind, meaning) in sorted(API_STATUSES.items())]
    storage = [f"| {code} | {one.remedy.value} | {one.meaning} |" for code, one in sorted(STORAGE_CODES.items())]
    tables = ((SIGN_IN, tokens), (STATUSES, statuses), (STORAGE, storage))
    return HEAD + "\n".join(sections) + "".join(f"\n{head}" + "\n".join(rows) + "\n" for head, rows in tables)


def documented() -> list[type[BulkpullError]]:
    """The public errors below the base, each after its own base."""
    return list(_below(BulkpullError))


def _below(base: type[BulkpullError]) -> Iterator[type[BulkpullError]]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, BulkpullError) and _parent(kind) is base:
            yield kind
            yield from _below(kind)


def _parent(kind: type[BulkpullError]) -> type[BulkpullError] | None:
    """The public error that `kind` is a kind of; `None` for the base, and for what is private."""
    if kind is BulkpullError or kind.__name__.startswith("_"):
        return None
    return next(base for base in reversed(kind.__bases__) if not base.__name__.startswith("_"))


def _section(kind: type[BulkpullError]) -> str:
    happened = _ASIDE.sub("", (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " "))
    depth, parent = 2, _parent(kind)
    reported = f"{'#' * depth} {kind.__name__}\n\n{happened}\n\n"
    if parent not in (BulkpullError, None):
        reported += f"A kind of [{parent.__name__}](#{parent.__name__.lower()}).\n\n"
    reported += f"- **Cause:** {kind.cause}.\n- **Remedy:** {kind.remedy}.\n- **Exit status:** {kind.exit_code}\n"
    if kind.restart_from is not None:
        reported += f"- **Tried again from:** {kind.restart_from}\n"
    return reported


def main() -> int:
    """Write the page, or hold it against the code."""
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != errors_page())
    PAGE.write_text(errors_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
