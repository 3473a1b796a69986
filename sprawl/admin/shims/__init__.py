"""Kafka's own command names, flags and output, over what `sprawl-admin` does: for scripts that grep. Nothing is
installed under these names unless `sprawl-admin shims install DIR` is asked to."""
