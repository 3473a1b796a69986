"""Kafka's own Java client: a small program, compiled against the jars of the newest Kafka."""
