"""Sprawl for test suites: a whole cluster in the test's own process, and faults on order.

    with Cluster(3) as cluster:
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)

`docs/testing.md` shows the pytest fixtures and the faults.
"""

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
