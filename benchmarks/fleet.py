"""`python -m benchmarks.fleet`: a group of many members, played with a clock of its own.

What decides is the real code: which slot a symbol falls into, who gets which slots, the delays between attempts and
the venues' limits on connecting (`k2conn.group`, `k2conn.engine.resilience`), with the limits of the connectors that
ship. Played are the venues, the network (an attempt takes CONNECT seconds) and Kafka's coordinator (a member that is
gone is noticed after the session, the slots are assigned SETTLE seconds later). Nothing is measured here: there is no
process and no socket. All members are behind one address.

Beside it the same with a shard list written by hand, as one has it in a StatefulSet: member k carries every n-th
symbol, nobody takes over, and nobody knows of the others.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from k2conn.cli.loading import load, shipped
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.engine.resilience.limit_share import LimitShare
from k2conn.engine.resilience.rate_limiter import RateLimiter
from k2conn.engine.sharding.shards import places
from k2conn.group.assignor import SlotClaim, assign_slots
from k2conn.group.slots import Bundled, SlotTable, spread
from k2conn.plan import POLITE_CONNECTS, Backoff, Rate

CONNECT = 0.3
"""Seconds of an attempt, until it has failed or is subscribed."""
SESSION = 10.0
SETTLE = 0.2
RESTART = 60.0
"""Seconds until a process that died is back, where nobody takes over for it."""
OUTAGE = 60.0
"""Seconds for which a venue refuses everybody."""
MINUTE = 60.0


class Venue(NamedTuple):
    """What a venue allows."""

    name: str
    connect: Rate
    symbols: int
    """Of one connection."""
    connections: int | None
    reconnect: Backoff


class Play(NamedTuple):
    """What became of one thing that happened. ``attempts``: to connect, by venue, each with the second it was made.
    ``subscribed``: the symbols that needed it, with the second they were subscribed again.
    """

    seconds: float
    attempts: Mapping[str, Sequence[float]]
    subscribed: Sequence[tuple[float, int]]

    def after(self, share: float) -> float:
        """When this share of the symbols was subscribed."""
        left = share * sum(symbols for _, symbols in self.subscribed)
        for at, symbols in sorted(self.subscribed):
            left -= symbols
            if left <= 0:
                return at
        return 0.0


def venues(count: int) -> list[Venue]:
    """So many venues with the limits of the connectors that ship, in the order of their names, again from the first."""
    found: list[Venue] = []
    for path in shipped():
        plan = load(str(path))
        if plan.reads_files:
            continue
        connection = plan.connections[0]
        own = [stream for stream in plan.streams if stream.name in connection.streams and stream.default]
        limits = connection.limits
        found.append(Venue(plan.name, limits.connect or POLITE_CONNECTS, places(connection, own) or 1_000_000,
                           limits.connections, connection.reconnect))
        if len(found) == count:
            break
    return [found[at % len(found)]._replace(name=f"venue-{at:03}") for at in range(count)]


class Fleet:
    """Members, what each carries of every venue (symbols), and the limiters that each has. ``divided``: whether they
    know of each other, so that each keeps to its part of the limits.
    """

    def __init__(self, of: Sequence[Venue], divided: bool, seed: int) -> None:
        self.venues = of
        self.carried: dict[str, dict[str, int]] = {}
        """Symbols by member and venue."""
        self._divided = divided
        self._shares: dict[tuple[str, str], LimitShare] = {}
        """By venue and member."""
        self._limiters: dict[tuple[str, str], RateLimiter] = {}
        self._random = random.Random(seed)
        self.now = 0.0

    def become(self, carried: dict[str, dict[str, int]], fresh: Iterable[str] = (), after: float = 0.0) -> Play:
        """The members carry other symbols, from so many seconds on. Those that are ``fresh`` have no connection yet.
        What fits on connections that stand needs no other one.
        """
        held = {} if not self.carried else {
            (member, venue): count for member, symbols in self.carried.items() if member not in set(fresh)
            for venue, count in symbols.items()
        }
        self.carried = carried
        for venue in self.venues:
            running = sorted(member for member, symbols in carried.items() if venue.name in symbols)
            for place, member in enumerate(running):
                share = self._shares.setdefault((venue.name, member), LimitShare())
                share.place, share.among = (place, len(running)) if self._divided else (0, 1)
        new: dict[Venue, dict[str, list[int]]] = {}
        kept: list[tuple[float, int]] = []
        for venue in self.venues:
            for member, symbols in carried.items():
                before = held.get((member, venue.name), 0)
                gained = symbols.get(venue.name, 0) - before
                room = ceil(before / venue.symbols) * venue.symbols - before
                if gained > 0:
                    kept.append((after + CONNECT, min(gained, room)))
                if gained > room:
                    new.setdefault(venue, {})[member] = _connections(gained - room, venue)
        return self._connect(new, after, 0.0, kept)

    def outage(self) -> Play:
        """Every venue closes all connections and refuses new ones for a while; each by itself: they share nothing."""
        return self._connect({
            venue: {member: _connections(symbols[venue.name], venue) for member, symbols in self.carried.items()
                    if venue.name in symbols}
            for venue in self.venues
        }, 0.0, OUTAGE, [])

    def _connect(
        self, wanted: Mapping[Venue, Mapping[str, Sequence[int]]], after: float, refused: float,
        subscribed: list[tuple[float, int]],
    ) -> Play:
        """``wanted``: the symbols of each connection that is to be made, by venue and member."""
        start = self.now
        attempts: dict[str, list[float]] = {}
        for venue, members in wanted.items():
            made, done = self._attempts(venue, members, start + after, refused)
            attempts[venue.name] = [at - start for at in made]
            subscribed += [(at - start, symbols) for at, symbols in done]
        last = max((at for at, symbols in subscribed if symbols), default=0.0)
        self.now = start + last + 120 * MINUTE  # whatever comes next finds all limits unused
        return Play(last, attempts, subscribed)

    def _attempts(
        self, venue: Venue, members: Mapping[str, Sequence[int]], start: float, refused: float
    ) -> tuple[list[float], list[tuple[float, int]]]:
        """When connections are tried, and when each one stands, with its symbols."""
        waiting: list[tuple[float, int, int, str, BackoffDelays]] = []
        for member, connections in members.items():
            for symbols in connections:
                delays = BackoffDelays(venue.reconnect, self._random.random)
                begin = start + (delays.next() if refused else 0.0)
                waiting.append((begin, len(waiting), symbols, member, delays))
        heapq.heapify(waiting)
        made, done = list[float](), list[tuple[float, int]]()
        while waiting:
            moment, number, symbols, member, delays = heapq.heappop(waiting)
            at = moment + self._limiter(venue, member).wait(moment)
            made.append(at)
            end = at + CONNECT
            if at < start + refused:
                heapq.heappush(waiting, (end + delays.next(), number, symbols, member, delays))
            else:
                done.append((end, symbols))
        return sorted(made), done

    def _limiter(self, venue: Venue, member: str) -> RateLimiter:
        known = self._limiters.get((venue.name, member))
        if known is None:
            share = self._shares[venue.name, member]
            known = self._limiters[venue.name, member] = RateLimiter(venue.connect, share=share)
        return known


def _connections(symbols: int, venue: Venue) -> list[int]:
    """The symbols of each connection that so many need."""
    return [min(venue.symbols, symbols - at) for at in range(0, symbols, venue.symbols)]


class Group:
    """A fleet whose slots are assigned as those of a real group."""

    def __init__(self, of: Sequence[Venue], symbols: int, slots: int, seed: int) -> None:
        bundled = tuple(
            Bundled(venue.name, tuple((f"S{number:04}",) for number in range(symbols)),
                    spread(venue.connections, venue.connect))
            for venue in of
        )
        self.table = SlotTable(slots, bundled)
        self.fleet = Fleet(of, divided=True, seed=seed)
        self.shares: dict[str, tuple[int, ...]] = {}
        self._generation = 0

    def change(self, members: Iterable[str], fresh: Iterable[str] = (), after: float = 0.0) -> tuple[Play, int, int]:
        """Other members; ``fresh`` ones claim nothing. What became of it, the slots that moved, and those of them whose
        owner was still there.
        """
        fresh = set(fresh)
        claims = {
            name: SlotClaim(frozenset(self.shares[name]), self._generation)
            if name in self.shares and name not in fresh else SlotClaim() for name in members
        }
        owners = {slot: name for name, slots in self.shares.items() for slot in slots}
        self.shares = assign_slots(claims, self.table.weights)
        self._generation += 1
        moved = [slot for name, slots in self.shares.items() for slot in slots if owners.get(slot, name) != name]
        play = self.fleet.become(self._carried(), fresh, after)
        return play, len(moved), sum(owners[slot] in claims for slot in moved)

    def restart(self, member: str) -> tuple[Play, int]:
        """A member goes and comes back under its name before its session ends: it claims what its last beat said."""
        before = dict(self.shares)
        claims = {name: SlotClaim(frozenset(slots), self._generation) for name, slots in self.shares.items()}
        self.shares = assign_slots(claims, self.table.weights)
        moved = sum(len(set(slots) - set(before[name])) for name, slots in self.shares.items())
        return self.fleet.become(self._carried(), [member]), moved

    def _carried(self) -> dict[str, dict[str, int]]:
        return {
            name: {venue: len(symbols) for venue, symbols in self.table.symbols(slots).items()}
            for name, slots in self.shares.items()
        }

    def heaviest(self) -> float:
        """The load of the member that has most, beside the mean."""
        loads = [sum(self.table.weights[slot] for slot in slots) for slots in self.shares.values()]
        return max(loads) * len(loads) / max(1, sum(loads))


def ordinals(of: Sequence[Venue], symbols: int, members: Sequence[str]) -> dict[str, dict[str, int]]:
    """Who carries how many symbols where member k carries every n-th one."""
    count = len(members)
    return {name: {venue.name: len(range(at, symbols, count)) for venue in of} for at, name in enumerate(members)}


def _row(play: Play, of: Sequence[Venue], **more: Any) -> dict[str, Any]:
    """The figures of one thing that happened. ``over``: venues with more attempts in the span of their limit than it
    allows from one address; ``most``: the most attempts of a minute at one venue, and ``worst`` beside its limit.
    """
    over, worst, most = 0, 0.0, 0
    for venue in of:
        made = play.attempts.get(venue.name, ())
        share = _densest(made, venue.connect.seconds) / venue.connect.count
        over += share > 1
        worst = max(worst, share)
        most = max(most, _densest(made, MINUTE))
    return {
        "half": round(play.after(0.5), 1), "most": round(play.after(0.99), 1), "seconds": round(play.seconds, 1),
        **more, "attempts": sum(map(len, play.attempts.values())), "most_in_a_minute": most,
        "worst_beside_limit": round(worst, 2), "venues_over_limit": over,
    }


def _densest(times: Sequence[float], seconds: float) -> int:
    """The most of some moments, in order, that fall into one span."""
    most = first = 0
    for at, moment in enumerate(times):
        while moment - times[first] >= seconds - 1e-9:
            first += 1
        most = max(most, at - first + 1)
    return most


def run(count: int = 100, symbols: int = 1000, members: int = 50, slots: int = 512, seed: int = 1) -> dict[str, Any]:
    """Plays a group and the list of shards through the same things."""
    of = venues(count)
    return {
        "venues": count, "symbols": symbols, "members": members, "slots": slots,
        "group": _group(of, symbols, members, slots, seed),
        "ordinals": _ordinals(of, symbols, members, seed),
    }


def _group(of: Sequence[Venue], symbols: int, members: int, slots: int, seed: int) -> dict[str, Any]:
    group, names = Group(of, symbols, slots, seed), [f"member-{number:02}" for number in range(members)]
    rows: dict[str, Any] = {}

    def change(what: str, wanted: Sequence[str], fresh: Iterable[str] = (), after: float = SETTLE) -> None:
        play, moved, needless = group.change(wanted, fresh, after)
        rows[what] = _row(play, of, moved=moved, moved_from_living=needless, heaviest=round(group.heaviest(), 2))

    change("all start", names, names)
    change("one is killed", names[1:], after=SESSION + SETTLE)
    change("it joins again", names, names[:1])
    change("five are killed", names[5:], after=SESSION + SETTLE)
    change("they join again", names, names[:5])
    change("one more joins", [*names, "member-more"], ["member-more"])
    change("it leaves", names)
    plays = [group.restart(name) for name in names]
    rows["rolling restart"] = _row(
        Play(max(play.seconds for play, _ in plays), _joined([play for play, _ in plays]),
             [one for play, _ in plays for one in play.subscribed]), of,
        moved=sum(moved for _, moved in plays), moved_from_living=0, heaviest=round(group.heaviest(), 2),
    )
    rows["each venue is away for 60 s"] = _row(group.fleet.outage(), of, moved=0, moved_from_living=0,
                                               heaviest=round(group.heaviest(), 2))
    return rows


def _joined(plays: Sequence[Play]) -> dict[str, list[float]]:
    """The attempts of several things that happened one after the other, two minutes apart."""
    found: dict[str, list[float]] = {}
    for number, play in enumerate(plays):
        for venue, times in play.attempts.items():
            found.setdefault(venue, []).extend(2 * number * MINUTE + at for at in times)
    return {venue: sorted(times) for venue, times in found.items()}


def _ordinals(of: Sequence[Venue], symbols: int, members: int, seed: int) -> dict[str, Any]:
    fleet, names = Fleet(of, divided=False, seed=seed), [f"member-{number:02}" for number in range(members)]
    carried = ordinals(of, symbols, names)
    rows = {"all start": _row(fleet.become(carried, names), of, moved=0)}
    back = fleet.become(carried, names[:1], RESTART)
    rows["one is killed"] = _row(back, of, moved=0)
    rows["five are killed"] = _row(fleet.become(carried, names[:5], RESTART), of, moved=0)
    more = [*names, "member-more"]
    moved = sum(at % members != at % (members + 1) for at in range(symbols)) * len(of)
    play = fleet.become(ordinals(of, symbols, more), more, RESTART)  # its number is in every member's settings
    rows["one more joins"] = _row(play, of, moved_symbols=moved)
    fleet.become(carried, more)
    rows["each venue is away for 60 s"] = _row(fleet.outage(), of, moved=0)
    return rows


def table(found: Mapping[str, Any]) -> str:
    """The figures as a page shows them."""
    lines = [
        "| what happens | | subscribed after: half, 99 %, all | slots moved (of the living) | attempts |"
        " most of a minute at one venue | worst beside its limit | venues over their limit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("group", "ordinals"):
        for what, row in found[kind].items():
            cells = [
                what, kind, f"{row['half']}, {row['most']}, {row['seconds']} s", _moved(what, row),
                f"{row['attempts']:,}", row["most_in_a_minute"], row["worst_beside_limit"], row["venues_over_limit"],
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _moved(what: str, row: Mapping[str, Any]) -> str:
    if "moved_from_living" in row:
        return f"{row['moved']} ({row['moved_from_living']})"
    if "moved_symbols" in row:
        return f"{row['moved_symbols']:,} symbols"
    return "nobody takes over" if "killed" in what else "-"


def main() -> int:
    """Prints the table, or everything as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__.split("\n")[0])
    for name, value in (("venues", 100), ("symbols", 1000), ("members", 50), ("slots", 512), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    given = parser.parse_args()
    found = run(given.venues, given.symbols, given.members, given.slots, given.seed)
    print(json.dumps(found, indent=1) if given.json else table(found))
    if not given.json:
        heaviest = [f"{what}: {row['heaviest']}" for what, row in found["group"].items()]
        print(f"\nThe heaviest member beside the mean: {'; '.join(heaviest)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
