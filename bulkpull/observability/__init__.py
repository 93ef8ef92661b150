"""What a run records for people and tools: log, HTML report, metrics, notifications, telemetry."""
