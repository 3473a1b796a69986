"""The asyncio loop of one simulated process. All loops of a world share one scheduler.

In: what asyncio asks of a loop: callbacks, timers, futures, tasks. Out: turns. A turn runs the callbacks that were
ready when it began, first come first served, as asyncio promises; it takes a little virtual time, drawn by seed, which
is what interleaves the nodes differently under each seed and keeps a node that never sleeps from stopping the world.

A loop may be paused (nothing runs; time goes on), busy (the next turn comes later) or dead (nothing will run again).
Never sockets or threads: those are asked of the runtime.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, TypeVarTuple

from sprawl.runtime.simulated.scheduler import Scheduler
from sprawl.runtime.simulated.trace import Event

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ErrorHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

log = logging.getLogger(__name__)

_TURN_LEAST: Final = 2e-6
_TURN_SPREAD: Final = 30e-6


class NumberedFuture(asyncio.Future[T]):
    """Hashed by a number, not by its address: asyncio keeps futures in sets and goes through them in hash order."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class NumberedTask(asyncio.Task[T]):
    def __init__(
        self, work: Coroutine[Any, Any, T], loop: SimulatedLoop, name: str | None, context: contextvars.Context | None
    ) -> None:
        self._number = loop.next_number()
        name = f"{loop.name}:{self._number}" if name is None else name
        super().__init__(work, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.AbstractEventLoop):
    def __init__(self, scheduler: Scheduler, index: int, name: str, offset: float) -> None:
        self.name = name
        self.alive = True
        self.errors: list[dict[str, Any]] = []
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self._scheduler = scheduler
        self._index = index
        self._offset = offset
        self._ready: deque[asyncio.Handle] = deque()
        self._at_turn_end: list[Callable[[], None]] = []
        self._in_turn = False
        self._turn_due = False
        self._paused = False
        self._busy_until = 0.0
        self._numbers = 0
        self._handler: ErrorHandler | None = None
        self._debug = False

    # What asyncio asks.

    def time(self) -> float:
        return self._scheduler.now + self._offset

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._turn_due:
            self._ask_for_turn()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if self.alive:
            self._scheduler.at(when - self._offset, self._timer_due, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._scheduler.timer_cancelled()

    def create_future(self) -> asyncio.Future[Any]:
        return NumberedFuture(self)

    def create_task(  # type: ignore[override]  # generators are no coroutines here
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> asyncio.Task[T]:
        task = NumberedTask(coro, self, name, context)
        if not self.alive:
            _forget(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        raise NotImplementedError("threads do not exist here: use Runtime.in_thread")

    def run_until_complete(  # type: ignore[override]  # generators are no coroutines here
        self, future: Coroutine[Any, Any, T] | asyncio.Future[T]
    ) -> T:
        """Let the whole world run until `future` is done, for a virtual hour at most."""
        return self.run_for(future, 3600.0)

    def run_for(self, future: Coroutine[Any, Any, T] | asyncio.Future[T], limit: float) -> T:
        waited = asyncio.ensure_future(future, loop=self)
        if waited.done():
            return waited.result()

        def stop(_: object) -> None:
            self._scheduler.stop()

        waited.add_done_callback(stop)
        try:
            self._scheduler.run(limit)
        finally:
            waited.remove_done_callback(stop)
        result: T = waited.result()
        return result

    def is_running(self) -> bool:
        return self._in_turn

    def is_closed(self) -> bool:
        return not self.alive

    def close(self) -> None:
        self.die()

    def stop(self) -> None:
        self._scheduler.stop()

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def get_exception_handler(self) -> ErrorHandler | None:
        return self._handler

    def set_exception_handler(self, handler: ErrorHandler | None) -> None:
        self._handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        log.error("%s: %s", self.name, context.get("message"), exc_info=context.get("exception"))
        self.errors.append(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.alive:
            return
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    async def shutdown_asyncgens(self) -> None:
        pass

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        pass

    # What the world does with it.

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def at_turn_end(self, act: Callable[[], None]) -> None:
        """Do `act` once the running turn has ended; at once if none is running."""
        if self._in_turn:
            self._at_turn_end.append(act)
        else:
            act()

    def charge(self, seconds: float) -> None:
        """The node has done something that took this long: its next turn comes so much later."""
        self._busy_until = max(self._busy_until, self._scheduler.now) + seconds

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._ready and not self._turn_due:
                self._ask_for_turn()

    def die(self) -> None:
        """Nothing that waits here will ever run; the tasks are kept, so that nothing of them is finalized yet."""
        if not self.alive:
            return
        self.alive = False
        for task in asyncio.all_tasks(self):
            _forget(task)
            self.tasks[hash(task)] = task
        self._ready.clear()
        self._at_turn_end.clear()

    def _ask_for_turn(self) -> None:
        if self.alive and not self._paused:
            self._turn_due = True
            scheduler = self._scheduler
            begin = scheduler.now if scheduler.now > self._busy_until else self._busy_until
            scheduler.at(begin + _TURN_LEAST + scheduler.rng.random() * _TURN_SPREAD, self._turn)

    def _timer_due(self, handle: asyncio.TimerHandle) -> None:
        if self.alive and not handle.cancelled():
            self._ready.append(handle)
            if not self._turn_due:
                self._ask_for_turn()

    def _turn(self, _: None) -> None:
        if self._paused or not self.alive:
            self._turn_due = False
            return
        ready = self._ready
        count = len(ready)
        self._scheduler.trace.add(self._scheduler.now, Event.TURN, self._index, count)
        self._in_turn = True
        events._set_running_loop(self)
        try:
            for _ in range(count):  # type: ignore[assignment]
                if not ready:  # the node died in its own turn
                    break
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(None)
            self._in_turn = False
            self._turn_due = False
        if self._at_turn_end:
            acts, self._at_turn_end = self._at_turn_end, []
            for act in acts:
                act()
        if ready and not self._turn_due:
            self._ask_for_turn()


def _forget(task: asyncio.Task[Any]) -> None:
    """No complaint when a task of a dead process goes away unfinished."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
