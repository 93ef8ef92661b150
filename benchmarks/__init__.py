"""Measurements beside other ways to do the same; run by hand, each as `python -m benchmarks.…`."""
