"""The program: the command `bulkpull`, and `python -m bulkpull`."""

import sys

try:
    from bulkpull import platforms
except KeyboardInterrupt:  # nothing has begun
    sys.exit(130)


def main() -> None:
    """Carry out the command of this process; its exit status is the contract's."""
    # Loading the commands takes a moment in which Ctrl-C would show a traceback.
    platforms.current().hold_stop_requests()
    from bulkpull.cli import main as carry_out  # noqa: PLC0415 - see above

    carry_out()


if __name__ == "__main__":
    main()
