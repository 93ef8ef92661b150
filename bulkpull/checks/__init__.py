"""
The checks of `bulkpull doctor`: versions, credentials, the output folder, the service.

Each check returns a `CheckResult`: one line, and the next step if there is a problem. Checks create nothing on the
service and leave nothing on the disk.
"""
