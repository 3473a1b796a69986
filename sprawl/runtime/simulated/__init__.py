"""The runtime of a node under simulation: virtual time, a network and disks that fail as they may, all from one seed.

Open `simulation.py` first. A world has one scheduler (`scheduler.py`) and one network (`fabric.py`, `links.py`); each
machine (`node.py`) has a disk (`disk.py`) and runs one process at a time, which has an asyncio loop (`loop.py`) and a
`Runtime` (`runtime.py`) of its own. Node code is ordinary asyncio and can't tell the difference.
"""

from sprawl.runtime.simulated.disk import Disk
from sprawl.runtime.simulated.links import Link, Links
from sprawl.runtime.simulated.node import NodeDownError, SimulatedNode
from sprawl.runtime.simulated.runtime import SimulatedRuntime
from sprawl.runtime.simulated.scheduler import DeadlockError, TimeLimitError
from sprawl.runtime.simulated.simulation import Simulation, UncaughtError

__all__ = [
    "DeadlockError",
    "Disk",
    "Link",
    "Links",
    "NodeDownError",
    "SimulatedNode",
    "SimulatedRuntime",
    "Simulation",
    "TimeLimitError",
    "UncaughtError",
]
