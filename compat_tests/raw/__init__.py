"""The protocol itself: bytes over a socket, written and read with the schemas of kafka-python, which share nothing
with Sprawl's."""
