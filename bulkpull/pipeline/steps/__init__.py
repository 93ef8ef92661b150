"""The steps of one pull: query, report, polling, download and conversion."""
