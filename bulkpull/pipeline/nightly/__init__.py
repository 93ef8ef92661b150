"""The `nightly` command: its plan and its scheduled reports."""
