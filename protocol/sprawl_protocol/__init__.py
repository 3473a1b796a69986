"""The Kafka wire protocol, sans-I/O: messages, record batches, framing. Knows nothing of Sprawl."""
