"""Plants a bug in the running program: one function is compiled anew with a few words of its source changed.

In: where, what words, and what instead. Out: nothing; the function is another from then on, in this process. It fails
loudly if the function is gone or does not read as it did: a planted bug that isn't there would pass for one that is
harmless.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any


class StaleMutantError(Exception):
    """The program has changed: the mutant must be written anew."""


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    where: str
    """Module and function: `sprawl.partitions.partition:Partition.lead`."""
    old: str
    new: str


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Raises `StaleMutantError`. The code within the function is exchanged, so it does not matter who holds it."""
    function = _found(mutant)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.old) != 1:
        raise StaleMutantError(f"{mutant.name}: {mutant.where} has {mutant.old!r} {source.count(mutant.old)} times")
    namespace: dict[str, Any] = {}
    changed = source.replace(mutant.old, mutant.new)
    code = compile(f"from __future__ import annotations\n{changed}", f"<mutant {mutant.name}>", "exec")
    exec(code, dict(function.__globals__), namespace)
    original, function.__code__ = function.__code__, _plain(namespace[function.__name__]).__code__
    try:
        yield
    finally:
        function.__code__ = original


def _found(mutant: Mutant) -> FunctionType:
    module, _, path = mutant.where.partition(":")
    *classes, name = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for each in classes:
            owner = getattr(owner, each)
        return _plain(vars(owner)[name])
    except (ImportError, AttributeError, KeyError) as problem:
        raise StaleMutantError(f"{mutant.name}: there is no {mutant.where}") from problem


def _plain(found: Any) -> FunctionType:
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), "only functions can be mutated"
    return found
