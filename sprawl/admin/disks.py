"""What a broker keeps, and how full its disks are: DescribeLogDirs. Sizes are bytes; -1 where it does not say."""

from __future__ import annotations

from dataclasses import dataclass

from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.messages import DescribeLogDirsRequest, DescribeLogDirsResponse


@dataclass(frozen=True, slots=True)
class Held:
    topic: str
    partition: int
    size: int
    lag: int


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    total: int
    usable: int
    failed: bool
    held: tuple[Held, ...]


async def disks_of(session: Session, broker: int) -> list[Disk]:
    """Raises `RefusedError`, `ClientError`."""
    answer = await session.ask(DescribeLogDirsRequest(topics=None), DescribeLogDirsResponse, broker)
    if answer.error_code:
        raise RefusedError.of(f"broker {broker}", answer.error_code, None)
    return [
        Disk(
            each.log_dir,
            each.total_bytes,
            each.usable_bytes,
            bool(each.error_code),
            tuple(
                Held(topic.name, one.partition_index, one.partition_size, one.offset_lag)
                for topic in each.topics
                for one in topic.partitions
                if not one.is_future_key
            ),
        )
        for each in answer.results
    ]
