"""Sprawl beside Apache Kafka: the same clients, the same machine, the same run, in alternation; what comes out are
ratios.

`python -m tools.bench.versus_kafka` starts both brokers (durability `disk` on both: what is in the page cache
counts), and for a few rounds
runs each load on one and then on the other, changing who goes first. Reported are medians over the rounds.

- `rdkafka`: librdkafka without Python in the way of each record, by ctypes over the library that confluent-kafka ships.
- `loads`: one load per child process, so that the client's memory and threads are fresh each time.
- `contenders`: the two brokers, started alike; what they used of CPU and memory.
- `report`: medians, ratios, targets, as a table or as JSON.
"""
