"""The group coordinator as request handlers see it: checks what needs no group, finds the partition, asks it.

In: requests free of wire versions. Out: answers, or `ApiError` with what the client has to be told. Holds no state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sprawl.groups.exchange import (
    GroupDescription,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    Leaving,
    Left,
    SyncAnswer,
    SyncRequest,
)
from sprawl.groups.leading import Committer, LedPartition
from sprawl.groups.log import TOPIC
from sprawl.groups.offsets import CommittedOffset, GroupOffsets, TopicPartition
from sprawl.groups.registry import GroupRegistry, partition_of
from sprawl.groups.settings import GroupSettings
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)

_LONGEST_TEXT: Final = 32_767
_LONGEST_ID_PREFIX: Final = 255

CLASSIC: Final = "classic"
"""The type of group that ListGroups names; others come with KIP-848 and KIP-932."""


@dataclass(frozen=True, slots=True)
class ListedGroup:
    group_id: str
    protocol_type: str
    state: str
    group_type: str = CLASSIC


class GroupCoordinator:
    def __init__(
        self, registry: GroupRegistry, settings: GroupSettings, partition_count: Callable[[], int | None]
    ) -> None:
        """`partition_count`: of `__consumer_offsets` as it is; None while the topic does not exist."""
        self._registry = registry
        self._settings = settings
        self._partition_count = partition_count

    def partition_of(self, group_id: str) -> int | None:
        """None while `__consumer_offsets` does not exist."""
        count = self._partition_count()
        return None if count is None else partition_of(group_id, count)

    # Members

    async def join(self, group_id: str, request: JoinRequest) -> JoinAnswer:
        """`fresh_id` of the request is the beginning of the id to be made: the client's or the instance's id."""
        try:
            limits = self._settings.limits
            _check_group_id(group_id)
            if not limits.min_session_timeout_ms <= request.session_timeout_ms <= limits.max_session_timeout_ms:
                raise ApiError(
                    ErrorCode.INVALID_SESSION_TIMEOUT,
                    f"a session timeout of {request.session_timeout_ms} ms is not between group.min.session.timeout.ms"
                    f" ({limits.min_session_timeout_ms}) and group.max.session.timeout.ms"
                    f" ({limits.max_session_timeout_ms})",
                )
            names = (strategy.name for strategy in request.strategies)
            _check_storable(group_id, request.instance_id, request.client_id, request.protocol_type, *names)
            led = self._led(group_id)
            fresh_id = led.fresh_id(request.fresh_id[:_LONGEST_ID_PREFIX])
            return await led.join(group_id, replace(request, fresh_id=fresh_id))
        except ApiError as refusal:
            return JoinAnswer(refusal.code, refusal.message, request.member_id)

    async def sync(self, group_id: str, request: SyncRequest) -> SyncAnswer:
        try:
            _check_group_id(group_id)
            return await self._led(group_id).sync(group_id, request)
        except ApiError as refusal:
            return SyncAnswer(refusal.code, refusal.message)

    def heartbeat(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> None:
        """Raises `ApiError`. While the log is being read there is nothing to be said against a heartbeat."""
        _check_group_id(group_id)
        try:
            led = self._led(group_id)
        except ApiError as refusal:
            if refusal.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                return
            raise
        led.heartbeat(group_id, member_id, instance_id, generation)

    async def leave(self, group_id: str, leaving: tuple[Leaving, ...]) -> LeaveAnswer:
        try:
            _check_group_id(group_id)
            return await self._led(group_id).leave(group_id, leaving)
        except ApiError as refusal:
            if refusal.code is ErrorCode.UNKNOWN_MEMBER_ID:  # there is no such group, so nobody of it either
                left = tuple(Left(each.member_id, each.instance_id, refusal.code, refusal.message) for each in leaving)
                return LeaveAnswer(members=left)
            return LeaveAnswer(refusal.code, refusal.message)

    # Offsets

    def check_metadata(self, metadata: str) -> None:
        """Raises `ApiError`: what is kept beside an offset has a limit."""
        limit = self._settings.offset_metadata_max_bytes
        _check_storable(metadata)
        if len(metadata) > limit:
            raise ApiError(
                ErrorCode.OFFSET_METADATA_TOO_LARGE,
                f"{len(metadata)} characters beside an offset; offset.metadata.max.bytes is {limit}",
            )

    async def commit(
        self, group_id: str, committer: Committer, offsets: dict[TopicPartition, CommittedOffset], missing: ErrorCode
    ) -> None:
        """Raises `ApiError`; then none is committed. An empty group id is let through, as Kafka does."""
        _check_storable(group_id)
        await self._led(group_id).commit(group_id, committer, offsets, missing)

    async def offsets(self, group_id: str, *, stable: bool) -> GroupOffsets:
        """Raises `ApiError`. No offsets if there is no such group."""
        return await self._led(group_id).offsets(group_id, stable=stable)

    async def delete_offsets(self, group_id: str, asked: Collection[TopicPartition]) -> dict[TopicPartition, ErrorCode]:
        """Raises `ApiError`; else the result for each."""
        _check_group_id(group_id)
        return await self._led(group_id).delete_offsets(group_id, asked)

    async def forget_topics(self, topics: Mapping[str, UUID]) -> None:
        """To be called when topics were deleted: what was committed for them goes with them."""
        if not topics:
            return
        for led in self._registry.all_led():
            if not led.is_loaded:
                continue  # what remains of a deleted topic is not found by its successor's id
            try:
                await led.forget_topics(topics)
            except ApiError as refusal:
                log.warning("offsets of deleted topics stay in %s-%d: %s", TOPIC, led.partition, refusal.message)

    # Administration

    def describe(self, group_id: str) -> GroupDescription:
        """Raises `ApiError`."""
        group = self._led(group_id).shard.groups.get(group_id)
        if group is None:
            raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
        return group.describe()

    def list_groups(self) -> tuple[list[ListedGroup], ErrorCode]:
        """Of the partitions led here. If some are still being read, those that are not, and the code that says so."""
        groups: list[ListedGroup] = []
        error = ErrorCode.NONE
        for led in self._registry.all_led():
            if not led.is_loaded:
                error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            groups.extend(
                ListedGroup(group.group_id, group.protocol_type or "", group.state)
                for group in led.shard.groups.values()
            )
        return groups, error

    async def delete_groups(self, group_ids: Collection[str]) -> dict[str, ApiError | None]:
        results = await asyncio.gather(*(self._delete_group(group_id) for group_id in group_ids))
        return dict(zip(group_ids, results, strict=True))

    async def _delete_group(self, group_id: str) -> ApiError | None:
        try:
            await self._led(group_id).delete_group(group_id)
        except ApiError as refusal:
            return refusal
        return None

    def _led(self, group_id: str) -> LedPartition:
        partition = self.partition_of(group_id)
        if partition is None:
            raise ApiError(ErrorCode.NOT_COORDINATOR, f"{TOPIC} does not exist yet: find the coordinator first")
        return self._registry.led(partition)


def _check_group_id(group_id: str) -> None:
    if not group_id:
        raise ApiError(ErrorCode.INVALID_GROUP_ID, "the group id must not be empty")


def _check_storable(*texts: str | None) -> None:
    """What Kafka's record formats have no room for is refused before anything is decided on it."""
    for text in texts:
        if text is not None and len(text) > _LONGEST_TEXT // 4 and len(text.encode()) > _LONGEST_TEXT:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"a text of {len(text)} characters ({text[:20]!r}...); {_LONGEST_TEXT} bytes can be stored",
            )
