"""kafka-python: the pure-Python client, threads beneath."""
