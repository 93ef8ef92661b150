"""How any HTTP call behaves: sent (http), paced (pace), repeated (retry)."""
