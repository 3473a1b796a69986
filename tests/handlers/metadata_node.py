"""The handlers of topics, settings and metadata on a node's real quorum, on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.cluster import ClusterHandlers
from sprawl.handlers.configs import ConfigHandlers
from sprawl.handlers.context import Handler
from sprawl.handlers.membership import MembershipHandlers
from sprawl.handlers.metadata import MetadataHandlers
from sprawl.handlers.reassignments import ReassignmentHandlers
from sprawl.handlers.topics import TopicHandlers
from sprawl.routing.endpoints import Endpoints
from sprawl.runtime.simulated import Simulation
from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request
from tests.handlers.wired import Denying, ask
from tests.quorum.world import Member, start


@dataclass(slots=True)
class Served:
    """Asks the handlers as a client would, through bytes."""

    member: Member
    routes: dict[ApiKey, Handler]
    access: Denying
    settled: list[int] = field(default_factory=list)

    async def ask(self, request: Request, version: int | None = None) -> Any:
        number = request.MAX_VERSION if version is None else version
        return await ask(self.routes[request.API_KEY], request, number)


def serve(
    test: Callable[[Served], Coroutine[Any, Any, None]],
    given: dict[str, str] | None = None,
    seed: int = 1,
    *,
    endpoints: Callable[[Served], Endpoints] | None = None,
) -> None:
    """Run `test` against a node's handlers; `endpoints` tells what addresses clients are told, if not those of the
    image."""

    async def main() -> None:
        member = await start(node.runtime, given=given)
        quorum, access = member.quorum, Denying()
        served = Served(member, {}, access)

        async def settled(offset: int) -> None:
            served.settled.append(offset)

        told = Endpoints(lambda: quorum.image) if endpoints is None else endpoints(served)
        config = member.settings.static
        families = (
            TopicHandlers(member.controller, lambda: quorum.image, member.settings, access, settled),
            ConfigHandlers(member.controller, lambda: quorum.image, member.settings, access),
            MetadataHandlers(member.controller, quorum, config, told, access, settled),
            ClusterHandlers(quorum, member.manager, node.runtime.files, told, access),
            ReassignmentHandlers(member.controller, lambda: quorum.image, access),
            MembershipHandlers(member.controller, quorum, access),
            ApiVersionsHandlers(lambda: served.routes, lambda: quorum.image, quorum.node_id),
        )
        for family in families:
            served.routes.update(family.routes())
        await test(served)
        await member.stop()

    with Simulation(seed) as world:
        node = world.node("a")
        world.run(main(), on=node)
