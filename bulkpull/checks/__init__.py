"""
What `bulkpull doctor` looks at before anything is exported: the machine, the output folder, the service.

Each check ends in a `Finding`: one line, and where it is trouble the next step. Nothing is created on the service, and
nothing is left on the disk.
"""
