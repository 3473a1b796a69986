"""The seam to the outside world: clock, randomness, sockets, files, key-value stores, threads.

Everything else in Sprawl is handed a `Runtime` and asks it; nothing else imports `time`, `random`,
`socket`, `os` or `open`. There is one real implementation (`sprawl.runtime.real`) and one simulated
(`sprawl.runtime.simulated`), which runs on an asyncio loop of its own with virtual time, so that a whole
cluster runs in one deterministic process. asyncio's timers, futures and tasks may be used freely: under
the simulated loop they are virtual too.
"""

from sprawl.runtime.interface import (
    Buffer,
    Clock,
    Datagram,
    File,
    FileSystem,
    KeyValueStore,
    Listener,
    Network,
    Runtime,
    SmallState,
)

__all__ = [
    "Buffer",
    "Clock",
    "Datagram",
    "File",
    "FileSystem",
    "KeyValueStore",
    "Listener",
    "Network",
    "Runtime",
    "SmallState",
]
