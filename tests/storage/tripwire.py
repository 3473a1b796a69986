"""A simulated node that dies at a chosen change to its disk: the k-th write, sync, removal, or batch for the index.

In: a runtime, a number, what is to happen then. Out: the same runtime, with the wire in front of its files and stores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from sprawl.runtime import Runtime

_CHANGES: Final = frozenset(
    "append truncate sync rename remove remove_tree sync_dir write_atomic write delete_range flush make_dirs".split()
)


class Tripwire:
    def __init__(self, at: int, trip: Callable[[], None]) -> None:
        """`trip` is called before the change number `at`, counted from 0, from the moment the wire is `armed`."""
        self.armed = False
        self.passed = 0
        self.tripped = False
        self._at = at
        self._trip = trip

    def touch(self) -> None:
        if self.armed and not self.tripped:
            if self.passed == self._at:
                self.tripped = True
                self._trip()
            self.passed += 1

    def runtime(self, runtime: Runtime) -> Runtime:
        return cast(Runtime, _Before(runtime, self))


class _Before:
    """Whatever it stands before, with the wire stretched across."""

    def __init__(self, target: Any, wire: Tripwire) -> None:
        self._target = target
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name == "files":
            return _Before(found, self._wire)
        if name in ("open", "open_kv"):
            return lambda *args, **kwargs: self._opened(found, *args, **kwargs)
        if name not in _CHANGES:
            return found

        def touched(*args: Any, **kwargs: Any) -> Any:
            self._wire.touch()
            return found(*args, **kwargs)

        return touched

    def _opened(self, open_: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("create"):
            self._wire.touch()
        return _Before(open_(*args, **kwargs), self._wire)
