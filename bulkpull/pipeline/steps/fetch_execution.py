"""Fetches a completed execution: prepares the pull's folder, downloads its file and converts it."""

from __future__ import annotations

import stat
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import anyio.to_thread

from bulkpull.conversion import output_formats
from bulkpull.conversion.messages import ConversionRequest
from bulkpull.errors import FileDamaged, FileGone, NotTheReport, Step
from bulkpull.event_types import ConversionCompleted, DownloadResumed
from bulkpull.model import DownloadedFile, Execution, Report, SecureLink
from bulkpull.output.atomic_files import disk_errors, makedirs_durable
from bulkpull.output.ledger_facts import DownloadFacts
from bulkpull.output.symlink_safety import names_beneath, refuse_links, remove_beneath, rename_beneath
from bulkpull.pipeline.steps.convert import BATCH_BYTES, convert_report
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, conversion_facts
from bulkpull.pipeline.steps.download import download_report
from bulkpull.pipeline.steps.pull_context import PullContext
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.transfer import Transfer

_FETCHES = 2
# Conversions of larger stored files run one at a time, because of their memory.
_LARGE_BYTES = 64 << 20


async def fetch_execution(
    context: PullContext, execution: Execution, *, report: Report | None, known_md5: str | None = None
) -> ConvertedPull:
    """
    Download and convert; a file whose damage shows only when it is unpacked is fetched again (fault 76).

    Raises:
        Unchanged: The file is the one with `known_md5`.
    """
    run, folder = context.run, context.folder
    for fetch in range(1, _FETCHES + 1):
        # The first try continues the download of an earlier run; a damaged file is not continued.
        kept = context.kept_folder if fetch == 1 else None
        with disk_errors(folder):
            await anyio.to_thread.run_sync(_prepare_folder, folder, run.folder.private, kept)
        stored = await _download(context, execution, folder / "report", report=report, known_md5=known_md5)
        try:
            return await convert_stored(context, stored, execution, report=report)
        except (FileDamaged, NotTheReport) as error:
            if isinstance(error, NotTheReport) or fetch == _FETCHES:
                # An unusable download: no later run continues it.
                await anyio.to_thread.run_sync(partial(remove_beneath, folder, root=run.folder.private))
                raise
            run.http.counts.retried += 1
            run.events.emit(DownloadResumed(offset_bytes=0, reason=error.message))
    raise AssertionError("the last round returns or raises")


async def convert_stored(
    context: PullContext, stored: DownloadedFile, execution: Execution, *, report: Report | None
) -> ConvertedPull:
    """Convert a downloaded file; a second call may use other columns or bounds. Raises what `convert_report` does."""
    run, into = context.run, context.folder / "parquet"
    began_s = run.clock.monotonic()
    with disk_errors(into):
        await anyio.to_thread.run_sync(_empty_folder, into, run.folder.private)
    request = ConversionRequest(
        stored.path,
        into,
        tuple(context.columns),
        metadata=context.lineage(execution),
        max_unpacked_bytes=run.settings.max_unpacked_bytes,
        batch_bytes=BATCH_BYTES,
        bounds=context.bounds,
        is_redacted=execution.data_redacted,
        table_format=output_formats.WRITTEN,
    )
    one_at_a_time = run.large_conversion if stored.size_bytes > _LARGE_BYTES else nullcontext()
    with context.step(Step.CONVERT):
        async with one_at_a_time:
            table = await convert_report(request, limiter=run.conversions)
    elapsed_s = round(run.clock.monotonic() - began_s, 3)
    size_bytes = sum(file.bytes for file in table.files)
    run.events.emit(ConversionCompleted(rows=table.rows, bytes=size_bytes, elapsed_s=elapsed_s, part=context.part))
    part = ConvertedPull(context.pull, report, execution, stored, table, context.bounds)
    await context.note(conversion_facts(part, columns=context.columns))
    return part


async def _download(
    context: PullContext, execution: Execution, into: Path, *, report: Report | None, known_md5: str | None
) -> DownloadedFile:
    run = context.run

    async def relink() -> SecureLink:
        latest = report is not None  # a scheduled report may have made another one meanwhile
        for entry in await run.client.get_executions([execution.report_id], statuses=("Completed",), latest=latest):
            if entry.execution_id == execution.execution_id and entry.link is not None:
                return entry.link
        raise FileGone(f"execution {execution.execution_id} has no link any more")

    assert execution.link is not None
    open_transfer = partial(
        Transfer,
        SignedLink(execution.link, relink, run.clock),
        http=run.http,
        retrier=run.retrier,
        clock=run.clock,
        events=run.events,
        execution_id=execution.execution_id,
        segments=run.settings.download_segments,
        minimum_bytes_per_s=run.settings.minimum_bytes_per_second,
        known_md5=bytes.fromhex(known_md5) if known_md5 else None,
    )
    async with run.downloads:
        with context.step(Step.DOWNLOAD):
            stored = await download_report(into, open_transfer, background=run.background)
    await context.note(DownloadFacts(execution.execution_id, stored.size_bytes))
    return stored


# The names that `download_report` uses for a file called `report`.
_DOWNLOAD = {"report", "report.part", "report.journal"}


def _empty_folder(folder: Path, private: Path) -> None:
    remove_beneath(folder, root=private)
    refuse_links(folder, root=private)
    folder.mkdir(parents=True)


def _prepare_folder(folder: Path, private: Path, kept: Path | None) -> None:
    """
    Create the folder and empty it, except for a download that may be continued.

    That is one which this run has begun, or else the one in `kept` of an earlier run; where `kept` is `None`, none.
    """
    if kept is None:
        remove_beneath(folder, root=private)
    elif kept != folder and names_beneath(kept, root=private):
        if names_beneath(folder, root=private):
            remove_beneath(kept, root=private)
        else:
            remove_beneath(folder, root=private)
            makedirs_durable(folder.parent, root=private)
            rename_beneath(kept, folder, root=private)
    makedirs_durable(folder, root=private)
    for name in names_beneath(folder, root=private):
        is_regular = stat.S_ISREG((folder / name).lstat().st_mode)
        if name not in _DOWNLOAD or not is_regular:
            remove_beneath(folder / name, root=private)
