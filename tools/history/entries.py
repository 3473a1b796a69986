"""The form of a client's journal: JSON lists, in the order things happened to that client.

The first line is `["client", name, {"kind": ..., ...}]`; times are seconds of the machine's monotonic clock, `p` is a
partition, `o` an offset (below 0: not told) and `v` a value, which no two records share.

    ["send", t, p, v]                 before a record is handed to the client library
    ["ack", t, p, v, o]               it is acknowledged
    ["unknown", t, p, v, why]         it failed, but may have been written
    ["fail", t, p, v, why]            it failed, and surely was not written
    ["poll", t, [[p, o, v], ...]]     records that one poll returned
    ["seek", t, p, o]                 a consumer without a group reads from here on
    ["assign", t, [p, ...]]           a consumer was given partitions (incremental)
    ["revoke", t, [p, ...], lost]     they were taken from it
    ["commit", t, [[p, o], ...]]      a commit was answered without an error
    ["end", t, p, o]                  a reader has read the whole partition, to this end
    ["fatal", t, why]                 the client library gave up; the client goes on with a new instance

The kinds of clients are `idempotent producer`, `plain producer`, `group consumer` (with its `group`), `consumer` (of no
group: it seeks where it wants to read), and `reader`: one that read every partition whole when all was over.
"""

from __future__ import annotations

from typing import Any

Entry = list[Any]
