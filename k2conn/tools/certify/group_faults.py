"""What happens to the members of a group, and to the brokers' partitions, while exactly once is put to the test: one
after the other, at random.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple

from k2conn.clock import monotonic, wall_ms
from k2conn.tools.certify.group_member import TestedMember
from k2conn.tools.certify.leader_moves import LeaderMoves

OF_MEMBERS = ("kill", "freeze", "restart", "partition")
OF_THE_CLUSTER = ("leader", "coordinator")
KINDS = (*OF_MEMBERS, *OF_THE_CLUSTER)
AWAY = {"kill": (0.5, 20.0), "freeze": (5.0, 15.0), "restart": (0.0, 8.0), "partition": (2.0, 15.0)}
"""Seconds from the fault to its end, by its kind: some shorter than the session, some longer."""


class Happened(NamedTuple):
    """A fault: what, to whom (a member, or how many partitions), when (milliseconds since 1970), and for how many
    milliseconds.
    """

    kind: str
    instance: str
    at_ms: int
    lasted_ms: int


class GroupFaults:
    """Does ``count`` things to some of ``members``, of which at least one is always left alone, and to the cluster, in
    so many seconds.
    """

    def __init__(self, members: Sequence[TestedMember], moves: LeaderMoves, count: int, seconds: float, seed: int,
                 kinds: Sequence[str]) -> None:
        self._members = members
        self._moves = moves
        self._moving = asyncio.Lock()
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._every = seconds / max(1, count)
        self._kinds = [kinds[number % len(kinds)] for number in range(count)]
        self._chance.shuffle(self._kinds)
        self._busy: set[str] = set()
        self._turn = asyncio.Condition()
        self.happened: list[Happened] = []

    async def run(self) -> None:
        """All of them; each of the members is itself again at the end. Comes back when the time is over."""
        end = monotonic() + self._seconds
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                await asyncio.sleep(self._every * self._chance.uniform(0.5, 1.5))
                if kind in OF_THE_CLUSTER:
                    group.create_task(self._move(kind))
                    continue
                member = await self._free()
                group.create_task(self._do(kind, member))
        await asyncio.sleep(max(0.0, end - monotonic()))

    async def _free(self) -> TestedMember:
        async with self._turn:
            await self._turn.wait_for(lambda: len(self._busy) < len(self._members) - 1)
            member = self._chance.choice([one for one in self._members if one.instance not in self._busy])
            self._busy.add(member.instance)
            return member

    async def _move(self, kind: str) -> None:
        async with self._moving:
            began = wall_ms()
            count = await (self._moves.leaders() if kind == "leader" else self._moves.coordinators())
            self.happened.append(Happened(kind, f"{count} partitions", began, wall_ms() - began))

    async def _do(self, kind: str, member: TestedMember) -> None:
        began, away = wall_ms(), self._chance.uniform(*AWAY[kind])
        try:
            if kind == "kill":
                member.kill()
                await member.ended()
                await asyncio.sleep(away)
                await member.start()
            elif kind == "freeze":
                member.freeze()
                await asyncio.sleep(away)
                member.wake()
            elif kind == "restart":
                await member.stop()
                await asyncio.sleep(away)
                await member.start()
            else:
                member.proxy.cut()
                await asyncio.sleep(away)
                member.proxy.mend()
            self.happened.append(Happened(kind, member.instance, began, wall_ms() - began))
        finally:
            async with self._turn:
                self._busy.discard(member.instance)
                self._turn.notify_all()
