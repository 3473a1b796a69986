"""What a handler is. The circumstances of a request (`RequestContext`) come from the wire layer below."""

from __future__ import annotations

from typing import Protocol

from sprawl.wire.dispatch import Handler, Hangup, Later, RequestContext
from sprawl_protocol.api import ApiKey

__all__ = ["Handler", "HandlerFamily", "Hangup", "Later", "RequestContext"]


class HandlerFamily(Protocol):
    def routes(self) -> dict[ApiKey, Handler]: ...
