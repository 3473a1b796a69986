"""Partitions this node holds: leading them, following them, the high watermark, and those who wait for it.

In: records to append, offsets to read from, changes of the metadata image. Out: offsets, record bytes, and futures
that complete when the high watermark has passed. Never parses a request and never decides who leads: the quorum does.
"""
