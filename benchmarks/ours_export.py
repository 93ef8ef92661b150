"""
The command line with another number of conversions at once than a run takes by itself.

    python -m benchmarks.ours_export CONVERSIONS export --output FOLDER …
"""

from __future__ import annotations

import sys

from bulkpull import conversion


def main() -> None:
    """Run the command of the remaining arguments."""
    conversion.CONVERSIONS_AT_ONCE = int(sys.argv.pop(1))
    # Only now: the modules that read it take its value when they are imported.
    from bulkpull.cli import main as run_command  # noqa: PLC0415

    run_command()


if __name__ == "__main__":
    main()
