"""
What `bulkpull doctor` looks at before anything is exported: the machine, the output folder, the service.

Each check ends in a `CheckResult`: one line, and the next step if there is a problem. Nothing is created on the
service, and nothing is left on the disk.
"""
