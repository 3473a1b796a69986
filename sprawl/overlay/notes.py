"""The digests of all nodes, each in its latest version, and those on their way to others.

In: digests as opaque bytes. Out: the same, as far as a packet has room behind the rumours. A digest that gets lost is
no harm: the next version comes soon, and push-pull brings all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Member
from sprawl.overlay.messages import DigestNote
from sprawl.overlay.packets import digest_bytes
from sprawl.overlay.rumours import Outbox, times_to_tell

_MULTIPLIER: Final = 1


class Notes:
    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._latest: dict[int, DigestNote] = {}
        self._outbox: Outbox[DigestNote] = Outbox(digest_bytes)
        self._told_at = float("-inf")

    def set_mine(self, me: Member, content: bytes, now: float, nodes: int) -> None:
        old = self._latest.get(me.node_id)
        version = old.version + 1 if old is not None and old.life == me.life else 1
        mine = DigestNote(me.node_id, me.life, version, content)
        self._latest[me.node_id] = mine
        if now - self._told_at >= self._settings.digest_pause(nodes):
            self._told_at = now
            self._outbox.put(me.node_id, mine)

    def hear(self, notes: Iterable[DigestNote], *, tell: bool = True) -> None:
        for note in notes:
            held = self._latest.get(note.node_id)
            if held is None and len(self._latest) >= self._settings.most_members:
                continue
            if held is None or (note.life, note.version) > (held.life, held.version):
                self._latest[note.node_id] = note
                self._outbox.drop(note.node_id)
                if tell:
                    self._outbox.put(note.node_id, note)

    def take(self, room: int, nodes: int, to: int) -> tuple[DigestNote, ...]:
        return tuple(self._outbox.take(room, times_to_tell(_MULTIPLIER, nodes), to))

    def forget(self, node_id: int) -> None:
        self._latest.pop(node_id, None)
        self._outbox.drop(node_id)

    def all(self) -> tuple[DigestNote, ...]:
        return tuple(self._latest.values())
