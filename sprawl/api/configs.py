"""Settings of topics and brokers over HTTP."""

from __future__ import annotations

from typing import Any, Final

from sprawl.api.asking import Asking
from sprawl.api.operations import Call, Operation, array, integer, nullable, obj, text
from sprawl.api.problems import check
from sprawl.quorum.image import ConfigKind
from sprawl_protocol.messages import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
)

_SET: Final = 0
_REMOVE: Final = 1
_SOURCES: Final = {
    1: "topic",
    2: "broker",
    3: "cluster",
    4: "file",
    5: "default",
    6: "logger",
    8: "group",
}
"""Kafka's numbers for where a value comes from."""

CONFIG = obj(
    {
        "name": text("Kafka's name of it."),
        "value": nullable("string", "null: sensitive, or not set."),
        "source": text("Where the value comes from.", enum=[*_SOURCES.values(), "unknown"]),
        "read_only": {"type": "boolean"},
        "sensitive": {"type": "boolean"},
    }
)
CHANGES = {
    "type": "object",
    "additionalProperties": {"type": ["string", "null"]},
    "minProperties": 1,
    "description": "New values by name; null: back to the default. Others stay as they are.",
}


class Configs:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def operations(self) -> list[Operation]:
        found = []
        for kind, path, name, what in (
            (ConfigKind.TOPIC, "/v1/topics/{topic}/configs", "topic", "Topic"),
            (ConfigKind.BROKER, "/v1/brokers/{broker}/configs", "broker", "Broker"),
        ):
            parts = {"broker": integer(minimum=0)} if kind is ConfigKind.BROKER else {}
            found += [
                Operation(
                    "GET",
                    path,
                    f"describe{what}Configs",
                    f"Settings of a {name}, those by default among them.",
                    self._describing(kind, name),
                    array(CONFIG),
                    parts=parts,
                    problems=(404,),
                ),
                Operation(
                    "PATCH",
                    path,
                    f"alter{what}Configs",
                    f"Change settings of a {name}.",
                    self._altering(kind, name),
                    parts=parts,
                    body=CHANGES,
                    problems=(404, 422),
                ),
            ]
        return found

    def _describing(self, kind: ConfigKind, name: str) -> Any:
        async def describe(call: Call) -> list[dict[str, Any]]:
            wanted = DescribeConfigsResource(resource_type=int(kind), resource_name=str(call.path[name]))
            request = DescribeConfigsRequest(resources=[wanted])
            found = (await self._asking.ask(call.caller, request, DescribeConfigsResponse)).results[0]
            check(found.error_code, found.error_message)
            return [
                {
                    "name": each.name,
                    "value": None if each.is_sensitive else each.value,
                    "source": _SOURCES.get(each.config_source, "unknown"),
                    "read_only": each.read_only,
                    "sensitive": each.is_sensitive,
                }
                for each in sorted(found.configs, key=lambda each: each.name)
            ]

        return describe

    def _altering(self, kind: ConfigKind, name: str) -> Any:
        async def alter(call: Call) -> None:
            resource = IncrementalAlterConfigsRequestAlterConfigsResource(
                resource_type=int(kind),
                resource_name=str(call.path[name]),
                configs=[
                    IncrementalAlterConfigsRequestAlterableConfig(
                        name=key, value=value, config_operation=_REMOVE if value is None else _SET
                    )
                    for key, value in call.body.items()
                ],
            )
            request = IncrementalAlterConfigsRequest(resources=[resource])
            done = (await self._asking.ask(call.caller, request, IncrementalAlterConfigsResponse)).responses[0]
            check(done.error_code, done.error_message)

        return alter
