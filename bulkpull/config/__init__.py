"""Settings: their types, their file, their secrets. The only readers of the environment."""
