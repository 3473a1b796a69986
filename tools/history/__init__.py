"""What clients of a cluster saw, and whether a log that keeps its promises can have shown it to them.

`entries` is the form in which clients write down what they do; `judge` reads it. The properties are those of Jepsen's
Kafka test. Nothing here knows whether the cluster was real or simulated.
"""
