"""Planted bugs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: str
    seed: int | None
    problem: str


MUTANTS: list[Mutant] = []


def caught_by(name: str, first: int, seeds: int) -> Verdict:
    return Verdict(name, None, "")
