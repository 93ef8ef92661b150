"""The client of the Insights API: requests, responses, error mapping and sessions."""
