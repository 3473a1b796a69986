"""Consumer groups: who shares the work of reading, and how far each group has read.

`classic.py` is the group itself, a pure state machine (events and `now` in, decisions out) over `states.py` (what may
follow what), `roster.py` (who is in it) and `deadlines.py` (what is due when). `offsets.py` holds what a group
committed. `records.py` is how both look in the `__consumer_offsets` log. `shard.py` is everything that lives in one
partition of that log, `journal.py` writes it in order, `registry.py` loads and drops shards as leadership comes and
goes, and `coordinator.py` is the asyncio face that the request handlers call.
"""
