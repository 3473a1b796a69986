"""Gossip's state machine, by scripts: each file in `swim/` opens with the story that it guards, then plays it.

nodes 5 [setting=value ...]     five nodes that know each other; their ids are 1 to 5
boot 6 from 1                   a new node, or a new life of one that crashed, joins by node 1
crash 3    leave 3    stall 3 for 2.5
split 1 2 | 3 4 5    cut 1 > 2    cut udp 1 > 2    heal
lose 0.05                       of all packets
tcp off | on
run 10                          seconds
hear 2: 4 dead 0 [by 5]         node 2 receives a rumour: node, state, incarnation, who says so
expect 1: 2 alive, 3 dead, 4 unknown
expect all: 3 dead              everyone who is up, but node 3
expect never 3 suspected        an event that nobody has seen; `expect seen` is the contrary
expect incarnation 3 is 1    expect health 1 is 0
forget                          what was seen so far
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Rumour, State, What
from sprawl.overlay.messages import Kind, Message
from tools.gossip_world import World

STORIES = sorted((Path(__file__).parent / "swim").glob("*.txt"))


class Play:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = World(SwimSettings(), seed)

    def step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        act: Callable[[str], None] = getattr(self, f"do_{word}")
        act(rest)

    def do_nodes(self, rest: str) -> None:
        count, *given = rest.split()
        settings = {name: _value(text) for name, _, text in (one.partition("=") for one in given)}
        self.world = World(SwimSettings(**settings), self.seed)  # type: ignore[arg-type]
        for node_id in range(1, int(count) + 1):
            self.world.boot(node_id)
        self.world.know_all()

    def do_boot(self, rest: str) -> None:
        node_id, seed = re.fullmatch(r"(\d+) from (\d+)", rest).groups()  # type: ignore[union-attr]
        self.world.boot(int(node_id), int(seed))

    def do_crash(self, rest: str) -> None:
        self.world.crash(int(rest))

    def do_leave(self, rest: str) -> None:
        self.world.leave(int(rest))

    def do_stall(self, rest: str) -> None:
        node_id, _, seconds = rest.split()
        self.world.stall(int(node_id), float(seconds))

    def do_split(self, rest: str) -> None:
        sides = [[int(one) for one in side.split()] for side in rest.split("|")]
        for side in sides:
            others = [one for other in sides if other is not side for one in other]
            self.world.cut |= {(one, other) for one in side for other in others}

    def do_cut(self, rest: str) -> None:
        cut = self.world.cut
        if rest.startswith("udp "):
            cut, rest = self.world.udp_cut, rest[4:]
        source, _, target = rest.split()
        cut.add((int(source), int(target)))

    def do_heal(self, _: str) -> None:
        self.world.cut.clear()
        self.world.udp_cut.clear()
        self.world.loss = 0.0

    def do_lose(self, rest: str) -> None:
        self.world.loss = float(rest)

    def do_tcp(self, rest: str) -> None:
        self.world.tcp = rest == "on"

    def do_run(self, rest: str) -> None:
        self.world.run(float(rest))

    def do_hear(self, rest: str) -> None:
        told = re.fullmatch(r"(\d+): (\d+) (\w+) (\d+)(?: by (\d+))?", rest)
        assert told is not None, rest
        to, about, incarnation = int(told[1]), int(told[2]), int(told[4])
        life = self.world.machines[about].swim.me.life
        rumour = Rumour(about, State[told[3].upper()], life, incarnation, int(told[5] or -1))
        source = next(one for one in self.world.up if one != to)
        self.world.deliver(source, to, Message(Kind.NEWS, rumours=(rumour,)))

    def do_forget(self, _: str) -> None:
        self.world.seen.clear()

    def do_expect(self, rest: str) -> None:
        world = self.world
        if known := re.fullmatch(r"(\d+|all): (.*)", rest):
            for one in known[2].split(","):
                about, wanted = int(one.split()[0]), one.split()[1]
                for node_id in world.up if known[1] == "all" else [int(known[1])]:
                    if node_id != about:
                        state = world.state(about, node_id)
                        found = "unknown" if state is None else state.name.lower()
                        assert found == wanted, f"at {world.now:g} node {node_id} takes {about} for {found}"
        elif known := re.fullmatch(r"(never|seen) (\d+) (\w+)", rest):
            seen = [one for one in world.seen if (one.node_id, one.what) == (int(known[2]), What(known[3]))]
            assert bool(seen) is (known[1] == "seen"), f"{len(seen)} times: {seen[:3]}"
        elif known := re.fullmatch(r"(incarnation|health) (\d+) is (\d+)", rest):
            swim = world.machines[int(known[2])].swim
            found_number = swim.me.incarnation if known[1] == "incarnation" else swim.health.score
            assert found_number == int(known[3]), f"the {known[1]} of node {known[2]} is {found_number}"
        else:
            raise AssertionError(f"what is expected by {rest!r}?")


def _value(text: str) -> float | int | bool:
    return text == "on" if text in ("on", "off") else float(text) if "." in text else int(text)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_story(story: Path, seed: int) -> None:
    play = Play(seed)
    for number, line in enumerate(story.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            try:
                play.step(line.partition("#")[0].strip())
            except AssertionError as problem:
                raise AssertionError(f"{story.name}, line {number}, seed {seed}: {line}: {problem}") from problem


def test_there_are_stories() -> None:
    assert len(STORIES) > 15
