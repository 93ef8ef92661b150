"""
Runs a command, and ends it with its child processes when the parent process has ended.

A separate program, run by `python -I -S command_guard.py DESCRIPTOR COMMAND …` as the leader of a new process group,
because a killed parent cannot end its children. The parent holds the other end of the pipe DESCRIPTOR, which closes
when the parent ends. The exit status is the command's; if a signal ends the command, the same signal ends this program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

CANNOT_RUN = 126


def end_with_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main(pipe: int, command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)  # noqa: S603 - the user named it
    except OSError as trouble:
        sys.stdout.write(trouble.strerror or type(trouble).__name__)
        sys.stdout.flush()
        return CANNOT_RUN
    threading.Thread(target=end_with_parent, args=(pipe,), daemon=True).start()
    status = process.wait()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
