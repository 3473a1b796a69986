"""The fetching side of an incremental fetch session (KIP-227): only what changed is said.

In: what is to be fetched now, whole. Out: the request that says so in the fewest words. Pure; `fetch_sessions.py` is
the other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sprawl_protocol.messages import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState

Key = tuple[UUID, int]
_LARGEST_EPOCH = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where one partition is to be fetched from."""

    offset: int
    leader_epoch: int
    last_fetched_epoch: int
    log_start_offset: int


class FetchRequests:
    def __init__(
        self, replica_id: int, *, max_wait_ms: int, min_bytes: int, max_bytes: int, partition_max_bytes: int
    ) -> None:
        self._replica_id = replica_id
        self._max_wait_ms = max_wait_ms
        self._min_bytes = min_bytes
        self._max_bytes = max_bytes
        self._partition_max_bytes = partition_max_bytes
        self._session_id = 0
        self._epoch = 0
        self._told: dict[Key, Place] = {}

    def forget(self) -> None:
        """The session is lost, or what came of the last request is unknown: begin a new one."""
        self._session_id = self._epoch = 0
        self._told.clear()

    def request(self, places: Mapping[Key, Place], broker_epoch: int) -> FetchRequest:
        changed = {key: place for key, place in places.items() if self._told.get(key) != place}
        gone = [key for key in self._told if key not in places]
        request = FetchRequest(
            replica_state=ReplicaState(replica_id=self._replica_id, replica_epoch=broker_epoch),
            max_wait_ms=self._max_wait_ms,
            min_bytes=self._min_bytes,
            max_bytes=self._max_bytes,
            session_id=self._session_id,
            session_epoch=self._epoch,
            topics=[
                FetchTopic(topic_id=topic, partitions=[self._partition(index, place) for index, place in asked.items()])
                for topic, asked in _by_topic(changed).items()
            ],
            forgotten_topics_data=[
                ForgottenTopic(topic_id=topic, partitions=list(indexes))
                for topic, indexes in _by_topic(dict.fromkeys(gone)).items()
            ],
        )
        self._told = dict(places)
        return request

    def answered(self, session_id: int) -> None:
        """The request was accepted."""
        if session_id != self._session_id:
            self._session_id, self._epoch = session_id, 0
        if session_id == 0:
            self.forget()
        else:
            self._epoch = 1 if self._epoch == _LARGEST_EPOCH else self._epoch + 1

    def _partition(self, index: int, place: Place) -> FetchPartition:
        return FetchPartition(
            partition=index,
            current_leader_epoch=place.leader_epoch,
            fetch_offset=place.offset,
            last_fetched_epoch=place.last_fetched_epoch,
            log_start_offset=place.log_start_offset,
            partition_max_bytes=self._partition_max_bytes,
        )


def _by_topic(keyed: Mapping[Key, Place | None]) -> dict[UUID, dict[int, Place]]:
    found: dict[UUID, dict[int, Place]] = {}
    for (topic, index), place in keyed.items():
        found.setdefault(topic, {})[index] = place  # type: ignore[assignment]
    return found
