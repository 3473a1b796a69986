"""Drives a `ClassicGroup` by a plain-text script, and prints what comes of each line.

A script opens with the story of the failure it guards against (`# ...`). Then each command stands at the margin and
what it must lead to is indented below it. Clients go by short names; the driver remembers the member id each was
given.

    limits initial-delay=3s max-size=2     settings; first line if at all
    writes by-hand                         records are not written until `written` or `fail ERROR`
    join a [v=9] [id=x] [instance=i] [offers=range:t1+t2|sticky] [type=consumer] [session=10s] [rebalance=60s]
    enter a ...                            a client's usual two joins (the second with the id it was given)
    sync a [assign=a:p0,b:p1] [generation=1] [id=x] [protocol=range] [type=consumer]
    heartbeat a [generation=1] [id=x]      commit a [generation=1] [id=x]
    leave a b ...                          leave-instance i ...
    advance 3s                             written / fail KAFKA_STORAGE_ERROR
    restart                                the group is restored from its last record that was written
    describe                               end NOT_COORDINATOR

Run with SPRAWL_REWRITE_SCRIPTS=1 to write what happens now as what must happen; then read the difference.
"""

from __future__ import annotations

from dataclasses import replace
from struct import pack

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.exchange import (
    Answer,
    Decisions,
    GroupLimits,
    GroupWrite,
    Instant,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    Leaving,
    Strategy,
    SyncAnswer,
    SyncRequest,
    Ticket,
)
from sprawl_protocol.errors import ApiError, ErrorCode


def subscription(topics: list[str], user_data: bytes = b"") -> bytes:
    encoded = [name.encode() for name in topics]
    names = b"".join(pack(">h", len(name)) + name for name in encoded)
    return pack(">hi", 1, len(topics)) + names + pack(">i", len(user_data)) + user_data


def milliseconds(text: str) -> int:
    return int(float(text.removesuffix("ms"))) if text.endswith("ms") else int(float(text.removesuffix("s")) * 1000)


class Driver:
    """One group, its clients, and the time. `run` takes a command and returns what came of it, in lines."""

    def __init__(self) -> None:
        self.limits = GroupLimits()
        self.now = Instant(0.0, 1_000_000)
        self.group = ClassicGroup("g", self.limits, self.now)
        self.by_hand = False
        self.open_writes: list[GroupWrite] = []
        self.ids: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.incarnations: dict[str, int] = {}
        self.waiting: dict[Ticket, str] = {}
        self.answered: list[tuple[Ticket, Answer]] = []
        self.last_ticket = 0
        self.out: list[str] = []

    def run(self, line: str) -> list[str]:
        self.out = []
        before = self.group.state
        words = line.split()
        options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        names = [word for word in words[1:] if "=" not in word]
        getattr(self, "do_" + words[0].replace("-", "_"))(names, options)
        if self.group.state is not before:
            self.out.append(f"group: {before} -> {self.group.state}")
        return self.out or ["nothing"]

    # Commands

    def do_limits(self, names: list[str], options: dict[str, str]) -> None:
        if "initial-delay" in options:
            self.limits = replace(self.limits, initial_rebalance_delay_ms=milliseconds(options["initial-delay"]))
        if "max-size" in options:
            self.limits = replace(self.limits, max_size=int(options["max-size"]))
        if self.group.stored is None:
            self.group = ClassicGroup("g", self.limits, self.now)
        self.out.append("ok")

    def do_writes(self, names: list[str], options: dict[str, str]) -> None:
        self.by_hand = names == ["by-hand"]
        self.out.append("ok")

    def do_join(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        version = int(options.get("v", "9"))
        whose = options.get("instance", name)
        self.incarnations[whose] = self.incarnations.get(whose, 0) + 1
        offers = []
        for offer in options.get("offers", "range:t1").split("|"):
            protocol, _, topics = offer.partition(":")
            raw = (
                bytes.fromhex(topics[1:])
                if topics.startswith("!")
                else subscription(topics.split("+") if topics else [])
            )
            offers.append(Strategy(protocol, raw))
        request = JoinRequest(
            member_id=options.get("id", self.ids.get(name, "")),
            instance_id=options.get("instance"),
            client_id=name,
            client_host="/127.0.0.1",
            session_timeout_ms=milliseconds(options.get("session", "10s")),
            rebalance_timeout_ms=milliseconds(options.get("rebalance", "60s")),
            protocol_type=options.get("type", "consumer"),
            strategies=tuple(offers),
            fresh_id=f"{whose}-{self.incarnations[whose]}",
            must_return_with_id=version >= 4,
            may_skip_assignment=version >= 9,
        )
        ticket = self._ticket(name)
        self._handle(self.group.join(ticket, request, self.now))
        self._says_it_waits(ticket, name)

    def do_enter(self, names: list[str], options: dict[str, str]) -> None:
        self.ids.pop(names[0], None)
        self.do_join(names, options)
        self.out = []
        self.do_join(names, options)

    def do_sync(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        given = [entry.split(":") for entry in options["assign"].split(",")] if "assign" in options else []
        request = SyncRequest(
            member_id=options.get("id", self.ids.get(name, "")),
            instance_id=options.get("instance"),
            generation=int(options.get("generation", self.generations.get(name, -1))),
            protocol_type=options.get("type"),
            protocol_name=options.get("protocol"),
            assignments=tuple((self.ids.get(who, who), what.encode()) for who, what in given),
        )
        ticket = self._ticket(name)
        self._handle(self.group.sync(ticket, request, self.now))
        self._says_it_waits(ticket, name)

    def do_heartbeat(self, names: list[str], options: dict[str, str]) -> None:
        for name in names:
            self._attempt(name, "heartbeat", self.group.heartbeat, options)

    def do_commit(self, names: list[str], options: dict[str, str]) -> None:
        for name in names:
            self._attempt(name, "commit", self.group.check_commit, options)

    def do_leave(self, names: list[str], options: dict[str, str]) -> None:
        leaving = tuple(Leaving(self.ids.get(name, name)) for name in names)
        ticket = self._ticket(names[0])
        self._handle(self.group.leave(ticket, leaving, self.now))
        self._says_it_waits(ticket, names[0])

    def do_leave_instance(self, names: list[str], options: dict[str, str]) -> None:
        leaving = tuple(Leaving(options.get("id", ""), name) for name in names)
        ticket = self._ticket("admin")
        self._handle(self.group.leave(ticket, leaving, self.now))
        self._says_it_waits(ticket, "admin")

    def do_advance(self, names: list[str], options: dict[str, str]) -> None:
        """Stops at each moment the group asked to be woken at, as the shell's timer does."""
        end = self.now.monotonic_ms + milliseconds(names[0])
        while True:
            step = min(max(self.group.wake_at_ms, self.now.monotonic_ms), end)
            self.now = Instant(step, self.now.wall_ms + int(step - self.now.monotonic_ms))
            self._handle(self.group.tick(self.now))
            if step == end:
                return

    def do_written(self, names: list[str], options: dict[str, str]) -> None:
        self._handle(self.group.written(self.open_writes.pop(0).id, None, self.now))

    def do_fail(self, names: list[str], options: dict[str, str]) -> None:
        self._handle(self.group.written(self.open_writes.pop(0).id, ErrorCode[names[0]], self.now))

    def do_restart(self, names: list[str], options: dict[str, str]) -> None:
        stored = self.group.stored
        self._handle(self.group.end(ErrorCode.NOT_COORDINATOR, "restart", self.now))
        self.open_writes.clear()
        if stored is None:
            self.group = ClassicGroup("g", self.limits, self.now)
        else:
            self.group = ClassicGroup.restore("g", self.limits, stored, self.now)
        self._handle(self.group.rebalance_if_too_large(self.now))
        self.do_describe([], {})

    def do_describe(self, names: list[str], options: dict[str, str]) -> None:
        group = self.group
        members = " ".join(
            member.member_id + ("*" if member.member_id == group.leader else "") + "=" + member.assignment.decode()
            for member in group.members
        )
        pending = ",".join(sorted(group.pending_members))
        self.out.append(
            f"{group.state} generation={group.generation} protocol={group.protocol_name}"
            f" members: {members or 'none'}" + (f" pending: {pending}" if pending else "")
        )

    def do_end(self, names: list[str], options: dict[str, str]) -> None:
        self._handle(self.group.end(ErrorCode[names[0]], "the end", self.now))

    # What comes of them

    def _ticket(self, name: str) -> Ticket:
        self.last_ticket += 1
        ticket = Ticket(self.last_ticket)
        self.waiting[ticket] = name
        return ticket

    def _says_it_waits(self, ticket: Ticket, name: str) -> None:
        if ticket in self.waiting:
            self.out.append(f"{name}: waits")

    def _attempt(self, name: str, what: str, ask: object, options: dict[str, str]) -> None:
        member_id = options.get("id", self.ids.get(name, ""))
        generation = int(options.get("generation", self.generations.get(name, -1)))
        try:
            ask(member_id, options.get("instance"), generation, self.now)  # type: ignore[operator]
            self.out.append(f"{name}: {what} ok")
        except ApiError as refusal:
            self.out.append(f"{name}: {what} {refusal.code.name}")

    def _handle(self, decisions: Decisions) -> None:
        for ticket, answer in decisions.answers:
            assert ticket in self.waiting, f"ticket {ticket} was answered twice"
            self.answered.append((ticket, answer))
            self._tell(self.waiting.pop(ticket), answer)
        for write in decisions.writes:
            members = ",".join(member.member_id for member in write.group.members) or "no members"
            self.out.append(f"write: generation {write.group.generation} of {members}")
            self.open_writes.append(write)
        if not self.by_hand:
            while self.open_writes:
                self._handle(self.group.written(self.open_writes.pop(0).id, None, self.now))

    def _tell(self, name: str, answer: Answer) -> None:
        match answer:
            case JoinAnswer(error=ErrorCode.NONE):
                self.ids[name] = answer.member_id
                self.generations[name] = answer.generation
                members = ",".join(member.member_id for member in answer.members)
                self.out.append(
                    f"{name}: joined generation {answer.generation} as {answer.member_id}, {answer.protocol_name},"
                    f" leader {answer.leader}"
                    + (f", members {members}" if members else "")
                    + (", assignment stands" if answer.skip_assignment else "")
                )
            case JoinAnswer():
                if answer.error is ErrorCode.UNKNOWN_MEMBER_ID:
                    self.ids.pop(name, None)
                elif answer.error is ErrorCode.MEMBER_ID_REQUIRED:
                    self.ids[name] = answer.member_id
                self.out.append(
                    f"{name}: join {answer.error.name}" + (f" {answer.member_id}" if answer.member_id else "")
                )
            case SyncAnswer(error=ErrorCode.NONE):
                self.out.append(f"{name}: assigned {answer.assignment.decode() or 'nothing'}")
            case SyncAnswer():
                self.out.append(f"{name}: sync {answer.error.name}")
            case LeaveAnswer(error=ErrorCode.NONE):
                left = " ".join(f"{each.member_id or each.instance_id}={each.error.name}" for each in answer.members)
                self.out.append(f"{name}: left {left}")
            case LeaveAnswer():
                self.out.append(f"{name}: leave {answer.error.name}")
