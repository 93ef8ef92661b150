"""The HTTP layer: sending requests (`http`), rate limits (`rate_limit`, `allowance`, `pacer`) and retries (`retry`)."""
