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
from bulkpull.errors import BulkpullError
from bulkpull.reporting import refusals

PAGE = Path(__file__).with_name("errors.md")
HEAD = """\
# Errors

<!-- Made by docs/errors_page.py from the code: change the errors, then run `make docs`. -->

A message tells what happened and to which dataset or setting, why as far as it is known, and what to do next:

```text
error: 1 of 20 datasets not exported
       OfficeUsage: the service refused to create the query …: 400 Invalid query (request id …, correlation id …)
fix:   compare with what `bulkpull datasets NAME` shows today; if it stays so, quote the request id …
```

In an export one dataset's error ends that dataset only; the others are published and the exit status is 3. The statuses
below are those of an error that ends the whole command. The request id and the correlation id are what Microsoft's
support asks for. From Python the classes are in `bulkpull.errors`; all are `bulkpull.BulkpullError`.

"""
SIGN_IN = """\
## Sign-in refused

What the token endpoint's codes mean. Each ends in an [AuthError](#autherror), exit status 4.

| code | cause | next step |
| --- | --- | --- |
"""
_ASIDE = re.compile(r"\s*Source: .*", flags=re.DOTALL)


def errors_page() -> str:
    """The page, as it has to stand in the repository."""
    sections = [_section(kind) for kind in documented()]
    refused = [
        f"| AADSTS{code} | {cause} | {step} |" for code, (cause, step) in sorted(refusals.known_refusals().items())
    ]
    return HEAD + "\n".join(sections) + "\n" + SIGN_IN + "\n".join(refused) + "\n"


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
    told = f"{'#' * depth} {kind.__name__}\n\n{happened}\n\n"
    if parent not in (BulkpullError, None):
        told += f"A kind of [{parent.__name__}](#{parent.__name__.lower()}).\n\n"
    told += f"- **Cause:** {kind.cause}.\n- **Remedy:** {kind.remedy}.\n- **Exit status:** {kind.exit_code}\n"
    if kind.restart_from is not None:
        told += f"- **Tried again from:** {kind.restart_from}\n"
    return told


def main() -> int:
    """Write the page, or hold it against the code."""
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != errors_page())
    PAGE.write_text(errors_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
