"""`nightly`: scheduled reports, what to do about each dataset, and doing it."""
