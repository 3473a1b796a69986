"""Sprawl: a Kafka-compatible broker.

Gossip finds, the ring places, the quorum decides, replication carries, tiers keep.
`docs/architecture.md` shows what stands where and who may import whom.
"""

__version__ = "0.1.0"
