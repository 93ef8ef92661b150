"""The checks of `bulkpull doctor`: they create nothing on the service and leave nothing on the disk."""
