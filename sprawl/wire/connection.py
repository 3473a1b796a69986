"""One client's connection: frames in, answers out in the order of their requests.

A connection owns the requests it has received until they are answered. Produce requests overlap (each one's
records are appended when it arrives, so order holds, and their waits for the disk or for replicas run
together); every other request has the connection to itself, as in Kafka, so that a client which pipelines a
commit behind a fetch sees the effects in that order. Answers always leave in request order.

Reading stops, and with it the client by way of TCP, while too many requests are unanswered here, while the
node is over its budget for requests, or while the client does not read its answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import cast

from sprawl.security.access import Principal
from sprawl.wire.dispatch import Answer, Deferred, Dispatcher, Hangup, Later
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.framing import FrameReader
from sprawl_protocol.message import Response

log = logging.getLogger(__name__)

_PRODUCE = int(ApiKey.PRODUCE).to_bytes(2, "big")


class _Slot:
    """The place of one request in the order of answers."""

    __slots__ = ("answer", "answered", "is_produce", "size", "work")

    def __init__(self, size: int, is_produce: bool) -> None:
        self.size = size
        self.is_produce = is_produce
        self.answered = False
        self.answer: Answer = None
        self.work: asyncio.Future[object] | None = None


class Connection(asyncio.BufferedProtocol):
    def __init__(
        self,
        connection_id: int,
        dispatcher: Dispatcher,
        limits: ConnectionLimits,
        memory: RequestMemory,
        listener: str,
        now: Callable[[], float],
        on_made: Callable[[Connection], bool],
        on_lost: Callable[[Connection], None],
        scratch: bytearray | None = None,
    ) -> None:
        self.id = connection_id
        self.client_host = "unknown"
        self.client_port = 0
        self._dispatcher = dispatcher
        self._limits = limits
        self._memory = memory
        self._listener = listener
        self._now = now
        self._on_made = on_made
        self._on_lost = on_lost
        self._reader = FrameReader(limits.max_frame, scratch)
        self._context = dispatcher.context(client_host="unknown", listener=listener, connection_id=connection_id)
        self._transport: asyncio.Transport | None = None
        self._received: deque[memoryview] = deque()
        self._under_way: deque[_Slot] = deque()
        self._reading_paused = False
        self._writing_paused = False
        self._draining = False
        self._held = False
        self._last_activity = now()
        self._frame_started: float | None = None

    @property
    def principal(self) -> Principal:
        return self._context.principal

    # -- asyncio's side -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        if peer:
            self.client_host, self.client_port = str(peer[0]), int(peer[1])
            self._context.client_host = self.client_host
        here = transport.get_extra_info("sockname")
        if here:
            self._context.local_address = (str(here[0]), int(here[1]))
        transport.set_write_buffer_limits(high=self._limits.write_high_water)
        if not self._on_made(self):
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self._last_activity = self._now()
        try:
            frames = self._reader.advance(nbytes)
        except ProtocolError as error:
            self._hang_up(f"sent what is no Kafka request: {error}")
            return
        if self._draining:
            return
        for frame in frames:
            self._memory.take(len(frame))
            self._received.append(frame)
        self._note_frame_progress(bool(frames))
        self._start_what_may_start()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for frame in self._received:
            self._memory.give_back(len(frame))
        self._received.clear()
        for slot in self._under_way:
            self._memory.give_back(slot.size)
            if slot.work is not None:
                slot.work.cancel()
        self._under_way.clear()
        for callback in self._context.at_close or ():
            callback()
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._pace_reading()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._start_what_may_start()

    # -- the listener's side --------------------------------------------------------------------------------

    def hold(self) -> None:
        """Leave what the client sends in the socket until `release`."""
        self._held = True
        self._pace_reading()

    def release(self) -> None:
        self._held = False
        self._pace_reading()

    def drain(self) -> None:
        """Take no further requests; close once those under way are answered."""
        self._draining = True
        for frame in self._received:
            self._memory.give_back(len(frame))
        self._received.clear()
        if not self._under_way:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def check_deadlines(self, now: float) -> None:
        """Called by the listener every few seconds: hang up on the idle and on those who trickle."""
        if self._frame_started is not None and now - self._frame_started > self._limits.max_frame_time:
            self._hang_up(
                f"took more than {self._limits.max_frame_time:.0f} s to send one request; "
                "send it whole, or in smaller pieces"
            )
        elif not self._under_way and not self._received and now - self._last_activity > self._limits.max_idle:
            log.debug("%s: idle for more than %.0f s, closing", self, self._limits.max_idle)
            self.close()

    def __str__(self) -> str:
        return f"client {self.client_host}:{self.client_port}"

    # -- requests -------------------------------------------------------------------------------------------

    def _note_frame_progress(self, completed_one: bool) -> None:
        if not self._reader.in_frame:
            self._frame_started = None
        elif completed_one or self._frame_started is None:
            self._frame_started = self._last_activity

    def _start_what_may_start(self) -> None:
        while self._received and not self._writing_paused and self._transport is not None:
            is_produce = self._received[0][:2] == _PRODUCE
            if self._under_way and not (is_produce and self._under_way[-1].is_produce):
                break
            if len(self._under_way) >= self._limits.max_pipelined:
                break
            self._start(self._received.popleft(), is_produce)
        self._pace_reading()

    def _start(self, frame: memoryview, is_produce: bool) -> None:
        slot = _Slot(len(frame), is_produce)
        self._under_way.append(slot)
        try:
            outcome = self._dispatcher.dispatch(frame, self._context)
        except ProtocolError as error:
            self._hang_up(f"sent a request that cannot be read: {error}")
            return
        except Hangup as reason:
            self._hang_up(str(reason))
            return
        except Exception:
            log.exception("%s: a handler failed; closing the connection", self)
            self.abort()
            return
        if not isinstance(outcome, Deferred):
            self._settle(slot, outcome)
        elif isinstance(outcome.result, Later):
            outcome.result.when_settled(lambda response: self._answer(slot, outcome, response))
        else:
            work: asyncio.Future[object] = asyncio.ensure_future(outcome.result)
            slot.work = work
            work.add_done_callback(lambda done: self._finish(slot, outcome, done))

    def _finish(self, slot: _Slot, deferred: Deferred, done: asyncio.Future[object]) -> None:
        if done.cancelled() or self._transport is None:
            return
        error = done.exception()
        if error is None:
            self._answer(slot, deferred, done.result())  # type: ignore[arg-type]
            return
        if isinstance(error, Hangup):
            self._hang_up(str(error))
            return
        if not isinstance(error, ApiError):
            log.error("%s: a handler failed: %r", self, error, exc_info=error)
            error = ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, "the broker failed on this request; its log says why")
        try:
            answer = deferred.refuse(error)
        except Hangup as reason:
            self._hang_up(str(reason))
            return
        self._settle(slot, answer)
        self._start_what_may_start()

    def _answer(self, slot: _Slot, deferred: Deferred, response: Response | None) -> None:
        if self._transport is None:
            return
        try:
            answer = deferred.encode(response)
        except Exception:
            log.exception("%s: an answer could not be encoded; closing the connection", self)
            self.abort()
            return
        self._settle(slot, answer)
        self._start_what_may_start()

    def _settle(self, slot: _Slot, answer: Answer) -> None:
        """Note an answer, and send all that are now first in line."""
        slot.answer = answer
        slot.answered = True
        transport = self._transport
        while self._under_way and self._under_way[0].answered:
            first = self._under_way.popleft()
            self._memory.give_back(first.size)
            if first.answer is not None and transport is not None:
                transport.writelines(first.answer)
        self._last_activity = self._now()
        if self._draining and not self._under_way:
            self.close()

    # -- pace -----------------------------------------------------------------------------------------------

    def _pace_reading(self) -> None:
        """Read only while there is room for what would be read."""
        transport = self._transport
        if transport is None:
            return
        crowded = len(self._received) + len(self._under_way) >= self._limits.max_pipelined
        over_budget = self._memory.exhausted
        wanted = crowded or self._writing_paused or over_budget or self._held
        if wanted == self._reading_paused:
            return
        self._reading_paused = wanted
        if not wanted:
            transport.resume_reading()
            return
        transport.pause_reading()
        if over_budget:
            self._memory.when_available(self._pace_reading)

    def _hang_up(self, reason: str) -> None:
        log.warning("%s %s; closing the connection", self, reason)
        self.abort()
