"""What a handler knows of the request besides its fields, and what a handler is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sprawl.security.access import Principal
from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Response


@dataclass(slots=True)
class RequestContext:
    """One request's circumstances."""

    api_version: int
    client_id: str
    client_host: str
    principal: Principal
    listener: str
    """Name of the listener the connection came in through: addresses in answers are those of this listener."""
    connection_id: int
    software_name: str = ""
    software_version: str = ""


Handler = Callable[[RequestContext, Any], Response | None | Awaitable[Response | None]]
"""None as the answer means that the client expects none (Produce with acks=0)."""


class HandlerFamily(Protocol):
    def routes(self) -> dict[ApiKey, Handler]: ...
