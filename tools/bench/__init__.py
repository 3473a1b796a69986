"""Benchmarks. Each is run as `python -m tools.bench.<name>`."""
