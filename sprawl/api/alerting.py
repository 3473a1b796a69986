"""The alerts of this node over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sprawl.api.operations import Call, Operation, array, obj, text
from sprawl.api.problems import Problem
from sprawl.observability.alerts import Alert, Severity
from sprawl.security.access import CLUSTER, Authorizer
from sprawl.security.access import Operation as Right

ALERT = obj(
    {
        "name": text(),
        "severity": text(enum=[str(each) for each in Severity]),
        "subject": text("What it is about: `node`, `cluster`, or a group and a topic."),
        "for_seconds": {"type": "number", "description": "How long the condition has held."},
        "value": {"type": "number"},
        "text": text(),
    }
)


class Alerting:
    def __init__(self, firing: Callable[[], list[Alert]], now: Callable[[], float], authorizer: Authorizer) -> None:
        self._firing = firing
        self._now = now
        self._authorizer = authorizer

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/v1/alerts",
                "listAlerts",
                "What fires on the node that is asked, the gravest first.",
                self.every,
                array(ALERT),
            )
        ]

    async def every(self, call: Call) -> list[dict[str, Any]]:
        if not self._authorizer.authorize(call.caller.principal, Right.DESCRIBE, CLUSTER):
            raise Problem(403, f"{call.caller.principal} may not describe the cluster", "CLUSTER_AUTHORIZATION_FAILED")
        return [
            {
                "name": each.name,
                "severity": str(each.severity),
                "subject": each.subject,
                "for_seconds": round(self._now() - each.since, 3),
                "value": each.value,
                "text": each.text,
            }
            for each in self._firing()
        ]
