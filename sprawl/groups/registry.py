"""Which partitions of `__consumer_offsets` this node leads, and the task that serves each.

In: leadership gained and lost. Out: the `LedPartition` of a group, or the reason why there is none here (yet). Owns the
tasks: `stop` ends them all. A second task looks for expired offsets from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from sprawl.groups.leading import LedPartition
from sprawl.groups.log import TOPIC, GroupLog
from sprawl.groups.settings import GroupSettings
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)


def java_hash(text: str) -> int:
    """`String.hashCode` of Java: over UTF-16 code units, in 32 bits with sign."""
    value = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(encoded[::2], encoded[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def partition_of(group_id: str, partitions: int) -> int:
    """Where a group lives: the same in Kafka, so that a log can move between the two."""
    hashed = java_hash(group_id)
    return (0 if hashed == -(1 << 31) else abs(hashed)) % partitions


class GroupRegistry:
    def __init__(self, runtime: Runtime, settings: GroupSettings, group_log: GroupLog) -> None:
        self._runtime = runtime
        self._settings = settings
        self._log = group_log
        self._led: dict[int, LedPartition] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for expired offsets from time to time."""
        self._sweeper = asyncio.create_task(self._sweep(), name="groups: expiry of offsets")
        self._sweeper.add_done_callback(report_failure)

    async def stop(self) -> None:
        """Whoever waits is told to find another coordinator."""
        tasks = [task for task in (self._sweeper, *self._tasks.values()) if task is not None]
        self._led.clear()
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a task of the group coordinator had failed", exc_info=result)

    def follow(self, led: Mapping[int, int]) -> None:
        """This node leads these partitions, in these leader epochs, and no others."""
        for partition in set(self._led) - set(led):
            self.resign(partition)
        for partition, epoch in led.items():
            self.lead(partition, epoch)

    def lead(self, partition: int, epoch: int) -> None:
        """This node leads the partition from now on, in this leader epoch. Loading begins."""
        current = self._led.get(partition)
        if current is not None and current.epoch >= epoch:
            return
        former = self._tasks.get(partition)
        led = self._led[partition] = LedPartition(self._runtime, self._settings, self._log, partition, epoch)
        task = asyncio.create_task(self._serve(led, former), name=f"groups: {TOPIC}-{partition}")
        task.add_done_callback(report_failure)
        self._tasks[partition] = task

    def resign(self, partition: int) -> None:
        """Another node leads it, or the topic is gone."""
        if self._led.pop(partition, None) is not None:
            self._tasks[partition].cancel()

    def led(self, partition: int) -> LedPartition:
        """Raises `ApiError`."""
        led = self._led.get(partition)
        if led is None:
            raise ApiError(
                ErrorCode.NOT_COORDINATOR, f"{TOPIC}-{partition} is not led here: find the coordinator again"
            )
        if not led.is_loaded:
            raise ApiError(
                ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"{TOPIC}-{partition} is still being read: try again"
            )
        return led

    def all_led(self) -> tuple[LedPartition, ...]:
        """Loaded or not."""
        return tuple(self._led.values())

    async def _serve(self, led: LedPartition, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            former.cancel()
            await asyncio.wait({former})
        while True:
            try:
                await led.run()
            except Exception:
                # A bug in the logic of one group must not end the service of all that live in its partition.
                log.exception("%s-%d has failed: its groups are read again from the log", TOPIC, led.partition)
            await asyncio.sleep(self._settings.load_retry_ms / 1000)
            led = self._led[led.partition] = LedPartition(
                self._runtime, self._settings, self._log, led.partition, led.epoch
            )

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._settings.retention_check_interval_ms / 1000)
            await self.expire_offsets()

    async def expire_offsets(self) -> None:
        for led in self.all_led():
            if not led.is_loaded:
                continue
            try:
                await led.expire()
            except ApiError as refusal:
                log.warning("offsets of %s-%d could not be expired: %s", TOPIC, led.partition, refusal.message)


def report_failure(task: asyncio.Task[None]) -> None:
    """A bug ends the service of a partition or more; it must not do so in silence."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("%s has failed and does nothing until a restart", task.get_name(), exc_info=task.exception())
