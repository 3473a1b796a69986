"""Programs for those who work on Sprawl: benchmarks, simulator runs, evaluations."""
