"""Gaps: which records are missing by the venue's sequence numbers.

A stream's `sequence` rule says what its numbers promise: *contiguous* (each is one more than the last), *linked* (each
record names the number before it) or *monotonic* (they grow, but may skip: nothing can be said to be missing). A hole
is not a gap at once: records may come out of order, a snapshot may come newest first. Only what is still missing after
a grace period is one. Late records fill holes, also those already reported, which closes the gap.

Numbers are not believed blindly. One that is negative or does not fit 64 bits is ignored. One number alone that is far
ahead is only believed when the next one is near it, or when nothing has contradicted it for the grace period; one that
the next number contradicts is ignored. A few new records in a row with growing numbers below the latest one are a
*reset*: counting begins anew. So it does after a jump so far ahead that nobody can have missed as many records.

Pure: time comes in as microseconds. Memory is bounded: of a symbol's holes the latest HOLES are known one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Ordered
from typing import Any

from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import GapCause
from k2conn.engine.gaps.sequence_state import FARTHEST, HOLES, JUMP, Jump, OddNumber, SequenceState, plausible
from k2conn.plan import Sequence

GRACE_US = 2_000_000
CONNECTIONS = 64
MOST_ODD = 1000
MOST_KEYS = 20_000
MOST_WAITING = 2000
"""Gaps of a stream that wait for their grace one by one; a key's further ones are counted in its latest."""
RESTARTED = -1
"""The epoch of what an earlier process saw."""


class GapTracker:
    """All numbers of one stream."""

    def __init__(self, stream: str, rule: Sequence, most: int = MOST_KEYS) -> None:
        """``most``: keys whose numbers are known; those of others say nothing."""
        self._most = most
        self.stream = stream
        self.rule = rule.rule
        self.per = rule.per
        self._kept = CONNECTIONS if rule.per == "connection" else most if rule.of_connection else None
        """Of keys that belong to connections only the latest so many are known."""
        self._numbers: dict[str, SequenceState] = {}
        self._waiting: deque[Gap] = deque()
        self._jumping: dict[str, SequenceState] = {}
        """The keys with a number far ahead that is not believed yet."""
        self.odd: list[OddNumber] = []
        """What was not believed, and resets, since somebody last took them from here; at most MOST_ODD."""
        self.backwards = 0
        """Numbers that came again or late without filling a hole (repeats, mostly)."""
        self.unreadable = 0
        """Items whose number could not be read."""

    def see(
        self, key: str, number: int, previous: int | None, now_us: int, epoch: int, event_us: int = 0,
        repeat: bool = False,
    ) -> Gap | None:
        """One record's number. ``epoch`` counts connections; ``repeat``: the same record came before. A gap that this
        number has just closed, if any.
        """
        if not plausible(number) or (previous is not None and not plausible(previous)):
            self._odd(key, number, "outside 64 bits")
            return None
        known = self._numbers.get(key)
        if known is None:
            self._open(key, number, epoch, event_us)
            return None
        if known.jump is not None:
            self._judge(known, key, number)
        if number <= known.last:
            return self._behind(known, key, number, now_us, epoch, event_us, repeat)
        if self.rule == "contiguous" and number - known.last > JUMP:
            known.jump = Jump(number, known.last, now_us, epoch, event_us)
            self._jumping[key] = known
        else:
            self._ahead(known, key, number, previous, now_us, epoch, event_us)
        return None

    def _behind(
        self, known: SequenceState, key: str, number: int, now_us: int, epoch: int, event_us: int, repeat: bool
    ) -> Gap | None:
        """A number that fills a hole, comes again, or is the venue's counting anew."""
        if known.in_hole(number):
            return known.fill(number)
        self.backwards += 1
        if not repeat and known.began_anew(number, event_us):
            self._reset(known, key, known.run, now_us, epoch)
        return None

    def _judge(self, known: SequenceState, key: str, number: int) -> None:
        """Whether a number far ahead is believed, now that another one came."""
        jump = known.jump
        assert jump is not None
        if known.last == jump.after and abs(number - jump.number) <= JUMP:
            self._believe(known, key, jump)
        elif known.last != jump.after or number > known.last:
            self._drop(known, key)

    def _believe(self, known: SequenceState, key: str, jump: Jump) -> None:
        known.jump = None
        self._jumping.pop(key, None)
        if jump.number - known.last > FARTHEST:
            self._reset(known, key, ((jump.number, jump.event_us),), jump.now_us, jump.epoch)
        else:
            self._ahead(known, key, jump.number, None, jump.now_us, jump.epoch, jump.event_us)

    def _drop(self, known: SequenceState, key: str) -> None:
        assert known.jump is not None
        self._odd(key, known.jump.number, "far ahead, and contradicted by the next ones")
        known.jump = None
        self._jumping.pop(key, None)

    def _reset(
        self, known: SequenceState, key: str, numbers: tuple[tuple[int, int], ...], now_us: int, epoch: int
    ) -> None:
        """Counting begins anew with these numbers, each with its event time."""
        first, event_us = numbers[0]
        self._odd(key, first, f"counting began anew after {known.last}")
        gap = Gap(self.stream, key, None, None, now_us, GapCause.RESET, None, None, from_us=known.event_us)
        gap.to_us = event_us
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(gap)
        known.begin(first, epoch, event_us)
        for number, event_us in numbers[1:]:
            self._ahead(known, key, number, None, now_us, epoch, event_us)

    def _odd(self, key: str, number: int, reason: str) -> None:
        if len(self.odd) < MOST_ODD:
            self.odd.append(OddNumber(key, number, reason))

    def numbers(self, key: str) -> SequenceState | None:
        """What is known of one key; None before its first number."""
        return self._numbers.get(key)

    def _open(self, key: str, number: int, epoch: int, event_us: int) -> None:
        """A key's first number; of numbers that belong to connections only the latest are kept."""
        if len(self._numbers) >= self._most and self._kept is None:
            return
        self._numbers[key] = SequenceState(number, epoch, event_us)
        if self._kept is not None and len(self._numbers) > self._kept:
            del self._numbers[next(iter(self._numbers))]

    def _ahead(
        self, known: SequenceState, key: str, number: int, previous: int | None, now_us: int, epoch: int, event_us: int
    ) -> None:
        cause, before_us = cause_of(known.epoch, epoch), known.event_us
        last, known.last, known.epoch = known.last, number, epoch
        known.event_us = event_us or before_us
        if self.rule == "contiguous":
            if number == last + 1:
                return
            first, end, count = last + 1, number - 1, number - last - 1
        elif self.rule == "linked" and previous is not None and previous != last:
            first, end, count = last, previous, None
        else:
            return
        if len(self._waiting) >= MOST_WAITING and known.widen(first, end, count or 0, event_us):
            return
        gap = known.latest = Gap(self.stream, key, first, end, now_us, cause, count, count)
        if count is not None:
            known.miss(first, end, gap)
        gap.from_us, gap.to_us = before_us, event_us
        self._waiting.append(gap)

    def due(self, now_us: int) -> Iterator[Gap]:
        """The gaps whose grace is over and of which something is still missing."""
        for key, known in list(self._jumping.items()):
            self._wait(known, key, now_us)
        while self._waiting and self._waiting[0].since_us + GRACE_US <= now_us:
            gap = self._waiting.popleft()
            if gap.open:
                gap.reported = gap.missing or 0
                yield gap

    def _wait(self, known: SequenceState, key: str, now_us: int) -> None:
        """A number far ahead after which nothing came: believed in the end, unless it is quite impossible."""
        jump = known.jump
        if jump is None:
            del self._jumping[key]
        elif known.last != jump.after:
            self._drop(known, key)
        elif jump.now_us + GRACE_US <= now_us and jump.number - known.last <= FARTHEST:
            self._believe(known, key, jump)

    # -- backfill

    def missing(self, gap: Gap) -> list[tuple[int, int]]:
        """The ranges of a contiguous gap that are still missing, oldest first; none where it is whole, or so old that
        its holes are no longer known one by one.
        """
        known = self._numbers.get(gap.key)
        return [(first, last) for first, last, owner in known.holes if owner is gap] if known else []

    def recovered(self, gap: Gap, number: int) -> bool:
        """A number of a gap was fetched; whether the gap has just become whole."""
        known = self._numbers.get(gap.key)
        return known is not None and known.in_hole(number) and known.fill(number) is gap

    # -- restart

    @property
    def last(self) -> dict[str, int]:
        """The latest number of each key."""
        return {key: numbers.last for key, numbers in self._numbers.items()}

    def latest(self) -> dict[str, tuple[int, int]]:
        """Each symbol's latest number, and its event time; nothing where numbers belong to connections."""
        if self.per != "symbol":
            return {}
        return {key: (one.last, one.event_us) for key, one in self._numbers.items()}

    def open_gaps(self) -> Iterator[Gap]:
        """The gaps of symbols of which something is known to be missing, and those that wait for their grace."""
        if self.per == "symbol":
            yield from self._waiting
            for known in self._numbers.values():
                for _, _, gap in known.holes:
                    yield gap

    def take_in(self, gap: Gap, ranges: Ordered[tuple[int, int]]) -> bool:
        """Goes on with a gap of an earlier process, of which these ranges are missing; false where this stream's
        numbers say nothing of it.
        """
        known = self._numbers.get(gap.key)
        if known is None or (ranges and self.rule != "contiguous"):
            return False
        for first, last in ranges:
            known.miss(first, last, gap)
        if gap.reported is None:
            self._waiting.append(gap)
        return True

    def state(self) -> dict[str, Any]:
        """What the next process must know: each symbol's latest number and its holes."""
        if self.per != "symbol":
            return {}
        return {
            key: {
                "last": numbers.last,
                "event_us": numbers.event_us,
                "holes": [[first, last, gap.from_us, gap.to_us] for first, last, gap in numbers.holes],
            }
            for key, numbers in self._numbers.items()
        }

    def resume(self, last: Mapping[str, int], event_us: Mapping[str, int] | None = None) -> None:
        """What an earlier process saw last: a hole since then is a gap too."""
        for key, number in last.items():
            if not plausible(number) or len(self._numbers) >= self._most:
                continue  # of a process that believed every number, or knew more of them
            self._numbers.setdefault(key, SequenceState(number, RESTARTED, (event_us or {}).get(key, 0)))

    def reopen(self, key: str, holes: list[list[int]], now_us: int) -> None:
        """The holes that an earlier process left, reported and asked for anew. Each is first, last and the times of the
        records around it.
        """
        known = self._numbers.get(key)
        if known is None or self.rule != "contiguous":
            return
        for first, last, from_us, to_us in holes[-HOLES:]:
            count = last - first + 1
            if not (plausible(first) and plausible(last)) or count > FARTHEST:
                continue
            cause = GapCause.RESTART
            gap = Gap(self.stream, key, first, last, now_us, cause, count, count, from_us=from_us, to_us=to_us)
            known.miss(first, last, gap)
            self._waiting.append(gap)


def cause_of(before: int, now: int) -> GapCause:
    """Why something may lie between the records of two epochs."""
    if before == RESTARTED:
        return GapCause.RESTART
    return GapCause.STREAM if before == now else GapCause.RECONNECT
