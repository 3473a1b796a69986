"""Keeps the cluster in shape while this node is the controller: carries out what `healing.py` decides, and says why.

In: the image, a tick. Out: moves and weights by way of the controller, and an event for each (`events.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sprawl.quorum.brokers import RAMP
from sprawl.quorum.config_changes import ConfigChange, ConfigOperation, ConfigTarget
from sprawl.quorum.controller import Controller
from sprawl.quorum.image import ConfigKind
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.routing.events import EventLog
from sprawl.routing.healing import Act, Healing, MovePartition, SetRamp
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

_INTERVAL: Final = 1.0


class Caretaker:
    def __init__(
        self,
        quorum: MetadataQuorum,
        controller: Controller,
        healing: Callable[[], Healing],
        events: EventLog,
        clock: Clock,
    ) -> None:
        """`healing`: a new one, for a new term as controller."""
        self._quorum = quorum
        self._controller = controller
        self._new_healing = healing
        self._events = events
        self._clock = clock

    async def run(self) -> None:
        """Ends with the node."""
        healing: Healing | None = None
        while True:
            await asyncio.sleep(_INTERVAL)
            if not self._quorum.leading:
                healing = None
                continue
            healing = healing or self._new_healing()
            for act in healing.acts(self._quorum.image, self._clock.monotonic()):
                await self._do(act)

    async def _do(self, act: Act) -> None:
        try:
            match act:
                case MovePartition():
                    await self._move(act)
                case SetRamp():
                    await self._ramp(act)
        except ApiError as refusal:
            log.warning("not done: %s: %s", act, refusal)

    async def _move(self, act: MovePartition) -> None:
        (outcome,) = await self._controller.reassign([act.wish])
        if outcome is not None:
            raise outcome
        self._events.note(
            "move",
            f"{act.wish.topic}-{act.wish.partition}",
            act.reason,
            before=list(act.before),
            after=list(act.wish.target or ()),
        )

    async def _ramp(self, act: SetRamp) -> None:
        operation = ConfigOperation.DELETE if act.percent is None else ConfigOperation.SET
        change = ConfigChange(RAMP, operation, None if act.percent is None else str(act.percent))
        target = ConfigTarget(ConfigKind.BROKER, str(act.broker_id))
        (outcome,) = await self._controller.incremental_alter_configs([(target, [change])])
        if isinstance(outcome, ApiError):
            raise outcome
        self._events.note("weight", f"node {act.broker_id}", act.reason, percent=act.percent or 100)
