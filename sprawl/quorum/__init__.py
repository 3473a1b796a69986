"""What all nodes agree on, and the only place that decides.

In: requests to change something (topics, settings, brokers, producer ids). Out: records in a replicated log, and the
immutable `MetadataImage` that they add up to. Read `image.py` first (what is agreed on), then `records.py` (how it
is written), `metadata_log.py` (where), `quorum.py` (when it counts) and `controller.py` (who decides).
Nothing here opens a partition or answers a client: others follow the image.
"""
