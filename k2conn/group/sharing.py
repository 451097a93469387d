"""A member at work: a runner that is kept at the symbols of the slots which the group gives.

It begins with no connector. In this order: the topics are there; no other process has the instance's name; the group's
other members run the same connectors; then it joins. At the end the connections close and the sink is flushed while the
member is still one; then it says that it leaves, and the group waits a session for it to come back.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from k2conn import __version__
from k2conn.clock import monotonic
from k2conn.ending_tasks import end_tasks
from k2conn.errors import K2Error, SettingsError, Unreachable
from k2conn.group.assignor import SlotClaim
from k2conn.group.beats import AT_WORK, EVERY, KNOCK, LEFT, RELOAD, Beat, InstanceName, RollCall, decoded_beat
from k2conn.group.beats_topic import BeatsTopic
from k2conn.group.holding import SlotHolding
from k2conn.group.member_data import MemberData
from k2conn.group.membership import SlotMembership
from k2conn.group.settings import GroupSettings
from k2conn.group.slots import SlotTable
from k2conn.group.table_of_jobs import slot_table
from k2conn.group.topics import make_sure_of_topics
from k2conn.group.works import SlotWorks
from k2conn.runner import Job, RunOutcome
from k2conn.runner.event_log import get_logger
from k2conn.runner.status import GroupStatus
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks.kafka.state_topic import make_sure, name_of
from k2conn.sinks.kafka.transactions import make_sure_of_transactions

LOOK, SOON = 0.2, 0.05
"""Seconds between two looks whether what was given is subscribed by now; less where another one waits for that."""
AGAIN = 0.5
HEARD_WITHIN = 1.5 * EVERY
"""Seconds in which every member that is alive is heard."""


class GroupSharing:
    """One member. ``read`` gives all jobs as the files say them now, and may block; ``jobs`` are those at the start."""

    def __init__(
        self, settings: GroupSettings, jobs: Sequence[Job], read: Callable[[], Sequence[Job]],
        make: Callable[[Callable[[Exception], None], Callable[[], None]], SlotWorks],
    ) -> None:
        """``make``: the way in which slots are run, given who is told of a bug, and of a slot that begins or ends."""
        self.settings = settings
        self._jobs = jobs
        self._read = read
        self.table: SlotTable = slot_table(jobs, settings.slots, settings.state)
        self._own = Beat(
            settings.name, settings.instance, uuid.uuid4().hex, digest=self.table.digest, slots=settings.slots,
            connectors=self.table.connectors, symbols=self.table.symbols_digest, host=socket.gethostname()[:64],
            pid=os.getpid(), version=__version__,
        )
        self._roll = RollCall(settings.name, settings.session)
        self._name = InstanceName(settings.instance, self._own.incarnation)
        self._topic = BeatsTopic(settings)
        self._membership = SlotMembership(settings, lambda: self.table, SlotClaim())
        self._holding = SlotHolding()
        self._moves = 0
        self._seen = 0
        """Assignments that were acted on."""
        self._divided: object = None
        self._news = asyncio.Event()
        self._works = make(self._failed, self._news.set)
        self._stop = asyncio.Event()
        self._refusal: K2Error | None = None
        self._bug: Exception | None = None
        self._troubles: set[str] = set()
        self._other_symbols: set[str] = set()
        """Members of which it was said that they name other symbols."""
        self._reloading = asyncio.Lock()
        self._reload_asked = False
        """By another one, and not begun: who asks meanwhile asks for the same."""
        self._log = get_logger(group=settings.name, instance=settings.instance)

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """Runs until told to stop. Unreachable where Kafka cannot be reached at the start; SettingsError where the
        group refuses this member.
        """
        tasks: list[asyncio.Task[Any]] = []
        try:
            if not await unless_stopped(self._enter(), stop):
                return RunOutcome(0, (), 0.0)
            watching = asyncio.create_task(self._pass_on(stop))
            running = asyncio.create_task(self._works.run(self._stop))
            tasks = [watching, *(self._task(one) for one in (self._hear(), self._poll(), self._act(running)))]
            outcome = await running
        finally:
            await self._works.stop()
            await end_tasks(*tasks)
            await self._leave()
        if self._bug is not None:
            raise self._bug
        if self._refusal is not None:
            raise self._refusal
        return outcome

    async def reload(self) -> bool:
        """Reads the files again; whether what they say can be run by this group."""
        async with self._reloading:
            return await self._reload()

    async def _reload(self) -> bool:
        try:
            jobs = await asyncio.to_thread(self._read)
            table = slot_table(jobs, self.settings.slots, self.settings.state)
        except K2Error as error:
            self._log.error("reload refused, the old plan goes on", problems=str(error).splitlines())
            return False
        if table.digest != self.table.digest:
            self._log.error("reload refused: other connectors need another group, or a restart of all its members")
            return False
        self._jobs, self.table = jobs, table
        self._own = replace(self._own, symbols=table.symbols_digest)
        self._want()
        self._log.info("reloaded: the slots have the symbols that the files say now")
        return True

    # -- coming and going

    async def _enter(self) -> None:
        given = self.settings
        await make_sure_of_topics(given)
        if given.state:
            await make_sure(given.kafka, given.kafka.open_timeout)
        if given.kafka.exactly_once:
            own = replace(given.kafka, transactional_id=f"{given.kafka.transactional_id}.{given.instance}")
            await make_sure_of_transactions(own, name_of(own))
        await self._topic.open()
        for data in await self._topic.before():
            self._take(data, monotonic() - given.session)
        mine = self._roll.last_of(given.instance)
        if mine is not None and mine.digest == self._own.digest:
            self._membership.claim = SlotClaim(mine.owned, mine.generation)
        await self._topic.say(self._own.encoded())
        await self._listen_for_others()
        if (other := self._name.taken_by) is not None:
            raise _taken(given, other)
        self._refuse_other_kind()
        await self._membership.join()
        self._log.info("joining the group", slots=given.slots, connectors=len(self.table.connectors))

    async def _listen_for_others(self) -> None:
        """Waits until it is known who is alive, and whether another process has the name."""
        began = monotonic()
        while self._name.taken_by is None:
            if self._name.knocked and monotonic() > began + self._patience():
                return
            if monotonic() > began + self.settings.kafka.open_timeout:
                raise Unreachable(f"kafka {self.settings.kafka.bootstrap}: what members say does not come back")
            await self._take_all(LOOK)

    def _patience(self) -> float:
        if self._name.must_wait:
            return KNOCK
        others = self._roll.ages(0.0).keys() - {self.settings.instance}
        return HEARD_WITHIN if others else 0.0

    def _refuse_other_kind(self) -> None:
        """SettingsError where the members that are heard are of another kind. The one that assigns looks, too, but is
        not asked where a member comes back under its name.
        """
        for name, beat in self._roll.alive(monotonic()).items():
            if name != self.settings.instance and beat.digest != self._own.digest:
                own = MemberData(self.settings.instance, "", self.settings.slots, self.table.connectors)
                why = own.difference(MemberData(name, "", beat.slots, beat.connectors))
                raise SettingsError(f"group {self.settings.name} does not take {self.settings.instance}: {why}")

    async def _leave(self) -> None:
        if self._own.state == AT_WORK and not self._lost_name:
            self._own = replace(self._own, state=LEFT, carrying=frozenset())
            try:
                await self._topic.say(self._own.encoded())
            except Unreachable as error:
                self._log.warning("the group does not hear that this member leaves", detail=str(error))
        await self._membership.leave()
        await self._topic.close()

    @property
    def _lost_name(self) -> bool:
        return self._name.taken_by is not None

    async def _pass_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stop.set()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failed(error)

    def _failed(self, bug: Exception) -> None:
        self._bug = self._bug or bug
        self._stop.set()

    def _refuse(self, error: K2Error) -> None:
        self._refusal = self._refusal or error
        self._stop.set()

    # -- hearing, and taking part

    async def _hear(self) -> None:
        while True:
            try:
                await self._take_all(EVERY)
            except Unreachable as error:
                self._say_trouble(error)
                await asyncio.sleep(AGAIN)

    async def _take_all(self, within: float) -> None:
        for data in await self._topic.hear(within):
            self._take(data, monotonic())

    def _take(self, data: bytes, now: float) -> None:
        beat = decoded_beat(data)
        if beat is None or beat.group != self.settings.name:
            return
        if beat.state == RELOAD:
            if self._own.state == AT_WORK and not self._reload_asked:
                self._reload_asked = True
                self._task(self._asked_to_reload())
            return
        self._name.take(beat)
        if self._roll.take(beat, now):
            self._news.set()

    async def _asked_to_reload(self) -> None:
        async with self._reloading:
            self._reload_asked = False
            await self._reload()

    async def _poll(self) -> None:
        while True:
            try:
                await self._membership.poll()
            except Unreachable as error:
                self._say_trouble(error)
                await asyncio.sleep(AGAIN)
            if self._membership.changed.is_set():
                self._membership.changed.clear()
                self._news.set()

    def _say_trouble(self, error: Unreachable) -> None:
        if str(error) not in self._troubles:
            self._troubles.add(str(error))
            self._log.warning("the group is not heard; what runs goes on", detail=str(error))

    # -- acting on it

    async def _act(self, running: asyncio.Task[RunOutcome]) -> None:
        """Says what this member does, and does what follows from what it hears."""
        await self._works.opened.wait()
        said = 0.0
        while True:
            self._look()
            pending = (self._own.carrying != self._holding.running or self._own.warm) and not self._stop.is_set()
            changed = self._renewed()
            if changed or monotonic() >= said + EVERY:
                said = monotonic()
                try:
                    await self._topic.say(self._own.encoded())
                    self._troubles.clear()
                except Unreachable as error:
                    self._say_trouble(error)
            try:
                soon = SOON if self._own.warm else LOOK
                async with asyncio.timeout(soon if pending else max(0.0, said + EVERY - monotonic())):
                    await self._news.wait()
            except TimeoutError:
                continue
            self._news.clear()

    def _look(self) -> None:
        if (other := self._name.taken_by) is not None:
            self._refuse(_taken(self.settings, other))
        if self._membership.refused:
            self._refuse(SettingsError(f"group {self.settings.name} does not take {self._membership.refused}"))
        if self._seen != self._membership.assignments:
            self._seen = self._membership.assignments
            before = self._holding.owned
            self._holding.given(self._membership.claim.slots)
            gained, lost = len(self._holding.owned - before), len(before - self._holding.owned)
            self._moves += gained + lost
            self._log.info("slots given", owned=len(self._holding.owned), gained=gained, lost=lost,
                           generation=self._membership.claim.generation)
            self._want()
        now = monotonic()
        mine = self.settings.instance
        relieved = self._works.relieved(
            self._roll.carried_by_others(mine, now), self._roll.warm_with_others(mine, now)
        )
        if self._holding.carried_by_others(relieved):
            self._log.info("slots handed over", still_run=len(self._holding.lost))
            self._want()
        self._works.let_in(self.table, self._roll.held_by_others(mine, now))
        self._divide_limits(now)
        self._compare_symbols(now)

    def _want(self) -> None:
        self._works.want(self._jobs, self.table, self._holding.owned, self._holding.lost,
                         self._membership.claim.generation)

    def _renewed(self) -> bool:
        """Renews what this member says; whether it is something else than before."""
        running = self._holding.running
        carrying = self._works.carried(self.table, running) if not self._stop.is_set() else frozenset()
        before, self._own = self._own, replace(
            self._own, state=AT_WORK, generation=self._membership.claim.generation, owned=self._holding.owned,
            carrying=carrying, warm=self._works.warm(self.table), unsent=self._works.unsent(),
            load=sum(self.table.weights[slot] for slot in self._holding.owned),
        )
        return replace(before, unsent=0) != replace(self._own, unsent=0)

    def _divide_limits(self, now: float) -> None:
        """Each member keeps to its part of what a venue allows, where venues see them as one."""
        if not self.settings.share_limits:
            return
        alive = {**self._roll.alive(now), self.settings.instance: self._own}
        members = {name: beat.owned for name, beat in sorted(alive.items())}
        divided = tuple(members.items())
        if divided == self._divided:
            return
        self._divided = divided
        names = list(members)
        running = {
            name: {connector for slot in owned if slot < self.table.count for connector in self.table.of(slot)}
            for name, owned in members.items()
        }
        parts = {}
        for connector in running[self.settings.instance]:
            those = [name for name in names if connector in running[name]]
            parts[connector] = those.index(self.settings.instance), len(those)
        self._works.divide_limits((names.index(self.settings.instance), len(names)), parts)

    def _compare_symbols(self, now: float) -> None:
        others = {name for name, beat in self._roll.alive(now).items() if beat.symbols != self._own.symbols}
        for name in sorted(others - self._other_symbols):
            self._log.warning("a member names other symbols: each slot has those that its owner knows", member=name)
        self._other_symbols = others

    # -- seen from outside

    def status(self) -> GroupStatus:
        """How this member sees its group."""
        now = monotonic()
        alive, ages = self._roll.alive(now), self._roll.ages(now)
        owned = {slot for beat in alive.values() for slot in beat.owned}
        carried = {slot for beat in alive.values() for slot in beat.carrying}
        everything = range(self.settings.slots)
        return {
            "name": self.settings.name, "instance": self.settings.instance, "joined": self._seen > 0,
            "generation": self._membership.claim.generation, "slots": self.settings.slots,
            "owned": len(self._holding.owned), "lost": len(self._holding.lost), "carrying": len(self._own.carrying),
            "without_owner": [slot for slot in everything if slot not in owned],
            "not_carried": [slot for slot in everything if slot not in carried and self.table.weights[slot]],
            "moves": self._moves, "fenced": self._works.fenced, "warm": len(self._own.warm),
            "other_symbols": [name for name, beat in alive.items() if beat.symbols != self._own.symbols],
            "members": [
                {"instance": name, "owned": len(beat.owned), "carrying": len(beat.carrying), "unsent": beat.unsent,
                 "heard_ago": round(ages[name], 3), "host": beat.host, "version": beat.version}
                for name, beat in alive.items()
            ],
        }


def _taken(settings: GroupSettings, other: Beat) -> SettingsError:
    return SettingsError(
        f"group {settings.name}: the instance {settings.instance} is at work in another process (pid {other.pid} on"
        f" {other.host}): give each process a K2_GROUP_INSTANCE_ID of its own"
    )
