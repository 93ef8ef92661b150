"""The HTTP layer: requests (`http`), retries (`retry`) and rate limits (`pacer`, with its two pure models)."""
