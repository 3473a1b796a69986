"""One partition replica's records on this node: the hot tail in memory, segment files on disk, an index beside them.

`log.py` is the whole of one replica: append, read, find by time, truncate. It stands on `tail.py` (memory),
`segment.py` (one file), `index.py` (RocksDB: what can be looked up by key), `epochs.py` and `producers.py` (pure),
`recovery.py` (what a restart finds) and `retention.py` (pure). `manager.py` opens, ticks and closes the logs of a
node. `docs/storage.md` has the layout on disk.
"""
