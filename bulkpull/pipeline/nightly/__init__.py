"""The scheduled reports of the `nightly` command."""
