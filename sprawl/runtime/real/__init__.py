"""The runtime of a node in production: the machine's clock, sockets, disk, RocksDB and SQLite, on uvloop.

In: `run(main)` and `RealRuntime()`. Out: every part of `sprawl.runtime.interface`, backed by the operating system.
Never: a decision. What goes wrong outside comes back as `OSError`; what to do about it is the caller's business.
"""

from sprawl.runtime.real.loop import loop_factory, run
from sprawl.runtime.real.runtime import RealRuntime

__all__ = ["RealRuntime", "loop_factory", "run"]
