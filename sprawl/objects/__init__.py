"""Objects beneath the cloud tier: one contract over S3 (any that speaks it), and over a plain directory.

In: a URL and a `Runtime` (`open_store`). Out: an `ObjectStore`, which puts, gets, lists and deletes whole immutable
objects, each under a deadline, each checked by its checksum. It knows nothing of segments, topics or metadata: what
objects mean is the tier's business. `contract.py` has the contract, `errors.py` all that can go wrong.
"""
