"""Sprawl for test suites: a whole cluster in the test's own process, and faults on order.

    with Cluster(3) as cluster:
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)

`docs/testing.md` shows the pytest fixtures and the faults. Importing this package imports no broker: pytest does it
in every project that Sprawl is installed for, in those too that do not use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sprawl.testing.cluster import Cluster
    from sprawl.testing.errors import ClusterError, NodeFailedError, NotReadyError, RefusedError
    from sprawl.testing.faults import Fault, Faults
    from sprawl.testing.member import ClusterNode

__all__ = [
    "Cluster",
    "ClusterError",
    "ClusterNode",
    "Fault",
    "Faults",
    "NodeFailedError",
    "NotReadyError",
    "RefusedError",
]

_HOME = {"Cluster": "cluster", "ClusterNode": "member", "Fault": "faults", "Faults": "faults"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'errors')}"), name)
