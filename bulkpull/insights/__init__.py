"""The client of the Insights API: requests, responses, error mapping, validation and sessions."""
