"""The cloud tier: closed segments of a log in an object store, and the log read, trimmed and continued across both.

In: logs that this node leads or follows, an `ObjectStore`, the records of the topic `__sprawl_tier`. Out: objects;
records of that topic; answers to reads of what the disk has no longer. What is in the tier is what the topic says,
read from its beginning (`catalog.py`): objects count for nothing until a record speaks of them, and are deleted only
after a record has said so. It never makes a producer wait, and never deletes from a disk what is not in the tier.
"""
