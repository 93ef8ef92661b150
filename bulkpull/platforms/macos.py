"""macOS: POSIX, but `fsync` leaves data in the drive's cache."""

from __future__ import annotations

import errno
import os

from bulkpull.platforms.posix import Posix

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
_F_FULLFSYNC = 51  # <sys/fcntl.h> of macOS


class MacOS(Posix):
    """As `Platform`."""

    def sync_file(self, descriptor: int) -> None:
        """Flush the drive's cache as well; network file systems do not support it and get a plain `fsync`."""
        import fcntl  # noqa: PLC0415 - Windows has none, and this module is loaded there too

        try:
            fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", _F_FULLFSYNC))
        except OSError as refused:
            if refused.errno not in _NOT_SUPPORTED:
                raise
            os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """There is no `fdatasync`."""
        self.sync_file(descriptor)
