"""What `sprawl-admin cluster ...` asks and shows."""

from __future__ import annotations

from typing import Any

from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.messages import DescribeClusterRequest, DescribeClusterResponse


async def describe_cluster(session: Session) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    answer = await session.ask(DescribeClusterRequest(), DescribeClusterResponse)
    if answer.error_code:
        raise RefusedError.of("cluster", answer.error_code, answer.error_message)
    return {
        "cluster_id": answer.cluster_id,
        "controller": answer.controller_id,
        "brokers": [
            {
                "id": broker.broker_id,
                "host": broker.host,
                "port": broker.port,
                "rack": broker.rack,
                "controller": broker.broker_id == answer.controller_id,
            }
            for broker in sorted(answer.brokers, key=lambda broker: broker.broker_id)
        ],
    }
