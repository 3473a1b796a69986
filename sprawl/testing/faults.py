"""Faults on order: what clients are answered instead of, or later than, what they would have been.

In: what shall go wrong, how often, for which API, topic, client, node. Out: an interceptor for each node's dispatcher.
Only clients are disturbed, never the nodes' own requests to each other, nor what the cluster under test asks itself.
Node threads and the test's threads use this together.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from uuid import UUID

from sprawl.testing.refusals import CANNOT_REFUSE, refusal
from sprawl.wire.dispatch import Hangup, Interceptor, Later, RequestContext, answer_of
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response

CONTROL: Final = "sprawl.testing"
"""The client id of what the cluster under test asks itself."""
_OWN_SESSION: Final = (0, -1)
"""Session epochs of a Fetch that names all its partitions."""
_NO_ID: Final = UUID(int=0)
_TOPIC_FIELDS: Final = ("topic_data", "topics", "topic_names")

Outcome = Response | Awaitable[Response | None] | Later | None
Proceed = Callable[[RequestContext, Any], Outcome]


class _What(Enum):
    FAIL = "fail"
    DELAY = "delay"
    DROP = "drop"
    DROP_AFTER = "drop after"


@dataclass(eq=False)
class Fault:
    """One fault that was ordered. As a context manager it is over at the block's end."""

    api: ApiKey | None
    """None: all."""
    topic: str | None
    node: int | None
    client_id: str | None
    times: int | None
    """How often it still strikes; None: until removed."""
    what: _What
    _faults: Faults = field(repr=False)
    code: ErrorCode = ErrorCode.NONE
    seconds: float = 0.0
    hits: int = 0
    """How often it has struck."""

    def remove(self) -> None:
        """No effect if it is over."""
        self._faults._remove(self)

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def wait_until_hit(self, times: int = 1, timeout: float = 10.0) -> None:
        """Returns once it has struck so often. Raises `TimeoutError`."""
        with self._faults._changed:
            if not self._faults._changed.wait_for(lambda: self.hits >= times, timeout):
                raise TimeoutError(f"{self} has struck {self.hits} times in {timeout:g} s, not {times}")


class Faults:
    """`cluster.faults`."""

    def __init__(self) -> None:
        self._ordered: tuple[Fault, ...] = ()
        self._changed = threading.Condition()
        self._names: dict[UUID, str] = {}
        """Of topics, by id."""

    def fail(
        self,
        api: str | ApiKey,
        code: str | ErrorCode,
        *,
        times: int | None = 1,
        topic: str | None = None,
        node: int | None = None,
        client_id: str | None = None,
    ) -> Fault:
        """Answer with an error code; the request is not carried out. `times` None: until removed.

        `api` by its name in Kafka's documentation ("Produce"), `code` by its name ("NOT_LEADER_OR_FOLLOWER").
        """
        key, error = _api(api), _code(code)
        assert key is not None
        if key in CANNOT_REFUSE:
            raise ValueError(f"{api} has no answer here that refuses everything; use drop or delay")
        return self._order(Fault(key, topic, node, client_id, times, _What.FAIL, self, code=error))

    def delay(
        self,
        api: str | ApiKey | None,
        seconds: float,
        *,
        times: int | None = None,
        topic: str | None = None,
        node: int | None = None,
        client_id: str | None = None,
    ) -> Fault:
        """Hold answers back; the request is carried out at once. `api` None: whatever is asked."""
        if seconds < 0:
            raise ValueError(f"{seconds} s: not a time to wait")
        return self._order(Fault(_api(api), topic, node, client_id, times, _What.DELAY, self, seconds=seconds))

    def drop(
        self,
        api: str | ApiKey | None,
        *,
        times: int | None = 1,
        answer_only: bool = False,
        topic: str | None = None,
        node: int | None = None,
        client_id: str | None = None,
    ) -> Fault:
        """Cut the connection instead of answering. `answer_only`: once the request has been carried out."""
        what = _What.DROP_AFTER if answer_only else _What.DROP
        return self._order(Fault(_api(api), topic, node, client_id, times, what, self))

    def clear(self) -> None:
        """All is well again."""
        with self._changed:
            self._ordered = ()

    @property
    def ordered(self) -> tuple[Fault, ...]:
        """Those that may still strike."""
        return self._ordered

    def standing_before(self, node: int) -> Interceptor:
        """What stands before the handlers of a node."""

        def intercept(context: RequestContext, request: Request, proceed: Proceed) -> Outcome:
            if request.API_KEY == ApiKey.METADATA:
                proceed = self._learning(proceed)
            if not self._ordered or context.peer is not None or context.client_id == CONTROL:
                return proceed(context, request)
            fault = self._struck(node, context, request)
            return proceed(context, request) if fault is None else _suffer(fault, context, request, proceed)

        return intercept

    def _learning(self, proceed: Proceed) -> Proceed:
        """Newer clients name topics by ids, which they have from Metadata."""

        async def learn(result: Outcome) -> Response | None:
            answer: Any = await answer_of(result)
            for topic in answer.topics:
                self._names[topic.topic_id] = topic.name
            assert isinstance(answer, Response)
            return answer

        return lambda context, request: learn(proceed(context, request))

    def _order(self, fault: Fault) -> Fault:
        if fault.times is not None and fault.times < 1:
            raise ValueError(f"{fault.times} times: at least once, or None for always")
        with self._changed:
            self._ordered = (*self._ordered, fault)
        return fault

    def _remove(self, fault: Fault) -> None:
        with self._changed:
            self._ordered = tuple(each for each in self._ordered if each is not fault)

    def _struck(self, node: int, context: RequestContext, request: Request) -> Fault | None:
        """The first fault that is meant for this request, counted."""
        with self._changed:
            for fault in self._ordered:
                if _meant(fault, node, context, request) and (
                    fault.topic is None or fault.topic in self._topics(request)
                ):
                    if fault.what is not _What.FAIL or not _needs_whole_fetch(request):
                        self._count(fault)
                    return fault
        return None

    def _topics(self, request: Any) -> set[str | None]:
        """Names of the topics a request is about."""
        for name in _TOPIC_FIELDS:
            if found := getattr(request, name, None):
                return {_name(each) or self._names.get(getattr(each, "topic_id", _NO_ID)) for each in found}
        return set()

    def _count(self, fault: Fault) -> None:
        fault.hits += 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._ordered = tuple(each for each in self._ordered if each is not fault)
        self._changed.notify_all()


def _meant(fault: Fault, node: int, context: RequestContext, request: Request) -> bool:
    return (
        (fault.api is None or fault.api == request.API_KEY)
        and (fault.node is None or fault.node == node)
        and (fault.client_id is None or fault.client_id == context.client_id)
    )


def _name(topic: Any) -> str:
    return topic if isinstance(topic, str) else getattr(topic, "name", "") or getattr(topic, "topic", "") or ""


def _needs_whole_fetch(request: Any) -> bool:
    """An incremental Fetch names only what has changed: which partitions to refuse is in the session alone."""
    return request.API_KEY == ApiKey.FETCH and request.session_id != 0 and request.session_epoch not in _OWN_SESSION


def _suffer(fault: Fault, context: RequestContext, request: Any, proceed: Proceed) -> Outcome:
    if fault.what is _What.DROP:
        raise Hangup(f"{request.API_KEY.name} was to be dropped")
    if fault.what is _What.DROP_AFTER:
        return _dropped(request, proceed(context, request))
    if fault.what is _What.DELAY:
        return _delayed(fault.seconds, proceed(context, request))
    if request.API_KEY == ApiKey.METADATA:
        return _spoilt(int(fault.code), proceed(context, request))
    if request.API_KEY == ApiKey.PRODUCE and request.acks == 0:
        raise Hangup("a Produce with acks=0 was to fail")
    if _needs_whole_fetch(request):
        again: Any = type(request).RESPONSE()  # the client then asks with a session of its own, and is refused
        again.error_code = int(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        assert isinstance(again, Response)
        return again
    return refusal(request, context.api_version, int(fault.code))


async def _delayed(seconds: float, result: Outcome) -> Response | None:
    answer = await answer_of(result)
    await asyncio.sleep(seconds)
    return answer


async def _dropped(request: Request, result: Outcome) -> Response | None:
    await answer_of(result)
    raise Hangup(f"the answer to {request.API_KEY.name} was to be dropped")


async def _spoilt(code: int, result: Outcome) -> Response | None:
    """Metadata asks for nothing to be done: its answer is right but for the codes."""
    answer: Any = await answer_of(result)
    for topic in answer.topics:
        topic.error_code, topic.partitions = code, []
    assert isinstance(answer, Response)
    return answer


def _api(api: str | ApiKey | None) -> ApiKey | None:
    if api is None or isinstance(api, ApiKey):
        return api
    wanted = api.replace("_", "").lower()
    for key in ApiKey:
        if key.name.replace("_", "").lower() == wanted:
            return key
    raise ValueError(f"{api!r} is no API of Kafka's; such as Produce, Fetch, OffsetCommit are")


def _code(code: str | ErrorCode) -> ErrorCode:
    if isinstance(code, ErrorCode):
        return code
    try:
        return ErrorCode[code]
    except KeyError:
        raise ValueError(f"{code!r} is no error code of Kafka's; such as NOT_LEADER_OR_FOLLOWER are") from None
