"""What `sprawl-admin event ...` asks and shows: the topic in which a Sprawl cluster tells what it did by itself.

Read like any topic, from its end; a cluster that has no such topic (Apache Kafka) is told apart by that.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from sprawl.admin.record_reading import Begin, Reader, begins
from sprawl.admin.session import NOT_FOUND, USAGE, RefusedError, Session

TOPIC: Final = "__sprawl_events"
_BATCH: Final = 500


async def events(
    session: Session, *, last: int, follow: bool, kinds: tuple[str, ...]
) -> AsyncGenerator[dict[str, Any], None]:
    """The last so many, of these kinds if any are named; then, if it is to follow, those to come. Raises
    `RefusedError`, `ClientError`."""
    try:
        position = await begins(session, TOPIC, None, Begin(tail=_BATCH if kinds else last))
    except RefusedError as problem:
        if problem.exit_code != NOT_FOUND:
            raise
        raise RefusedError(f"this cluster keeps no events: it has no topic {TOPIC}", USAGE) from None
    reader = Reader(session, position, committed=True)
    async with aclosing(reader.records(follow=follow)) as records:
        async for _, record in records:
            found = told(bytes(record.value or b"{}"))
            if found is not None and (not kinds or found["kind"] in kinds):
                yield found


def told(value: bytes) -> dict[str, Any] | None:
    """None: a record that is no event."""
    try:
        given = json.loads(value)
        when = datetime.fromtimestamp(given["time"] / 1000, UTC)
    except (ValueError, KeyError, TypeError):
        return None
    return {
        "id": given.get("id"),
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "node": given.get("node"),
        "kind": given.get("kind"),
        "subject": given.get("subject"),
        "reason": given.get("reason"),
    }
