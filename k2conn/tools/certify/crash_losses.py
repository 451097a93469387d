"""What kill -9 cost: what the exchange sent, through all lives of a process, beside what is in Kafka.

A record is *lost with the process* where the process had read it and it never came to Kafka; *missed while down* where
the exchange printed it and no process was there. Both must be in gap records where the stream's numbers tell, and the
first can only have been read in the last moments before a kill. A record may be in Kafka more than once, with the same
message_id, if a process that was killed had read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from k2conn.tools.certify.expected_records import ExpectedRecords, ExpectedStream
from k2conn.tools.certify.proof import SHOWN, Found, ranges, sorted_records
from k2conn.tools.certify.readback import Readback

LATEST = 0.5
"""Seconds before a kill in which a record must have been read that was lost with it: the spool is written every 10 ms,
and a disk and a crowded machine take their time.
"""
_OWN = ("ingestion_timestamp", "vendor_data")
"""What may differ between two records with the same message_id: a venue may repeat a record in a snapshot."""

ConfirmedAt = Callable[[int, int], float]
"""When (monotonic) a frame of a connection was known to be read."""


class Kill(NamedTuple):
    """One kill: how many connections there had been by then, and when (monotonic)."""

    client_sessions: int
    moment: float


@dataclass(slots=True)
class CrashLosses:
    """One stream of one symbol: sent = published + filtered + quarantined + lost."""

    stream: str
    symbol: str
    sent: int = 0
    """Items that a process read for certain, or that came to Kafka."""
    published: int = 0
    """Of these in Kafka, each once."""
    filtered: int = 0
    quarantined: int = 0
    lost: int = 0
    """Lost with the process."""
    lost_reported: int = 0
    """Of these in gap records."""
    oldest_ms: int = 0
    """How long before the kill the oldest of them was read."""
    missed: int = 0
    """Printed while nobody was connected."""
    missed_reported: int = 0
    missed_untold: int = 0
    """Of these on a stream whose numbers do not tell."""
    in_doubt: int = 0
    """Under way when a connection ended, and not in Kafka."""
    repeats: int = 0
    """There once more, with the same message_id."""
    reported_but_there: int = 0
    """In Kafka and in a gap record: the state file is some seconds behind a kill."""
    wrong: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether nothing is open."""
        return not self.wrong and self.sent == self.published + self.filtered + self.quarantined + self.lost


def settled_up(
    reference: ExpectedRecords, readback: Readback, deaths: Sequence[Kill], confirmed_at: ConfirmedAt
) -> tuple[list[CrashLosses], list[str]]:
    """The books of each stream and symbol, and what belongs to none or does not balance."""
    found, wrong = sorted_records(reference, readback)
    wrong += reference.odd
    rows = []
    for place in sorted(reference.lines):
        line = reference.lines[place]
        row = _row(line, found.get(place, {}), ranges(readback.gaps, *place), deaths, confirmed_at)
        wrong += [f"{row.stream} {row.symbol}: {text}" for text in row.wrong]
        if not row.balanced and not row.wrong:
            wrong.append(f"{row.stream} {row.symbol}: the equation does not hold")
        rows.append(row)
    if len(readback.letters):
        wrong.append(f"{len(readback.letters)} dead letters, and nothing was sent broken")
    return rows, wrong


def _row(
    line: ExpectedStream, found: Found, told: list[tuple[int, int]], deaths: Sequence[Kill], confirmed_at: ConfirmedAt
) -> CrashLosses:
    row = CrashLosses(line.stream, line.symbol, filtered=line.filtered, quarantined=line.dead)
    sure, doubt = line.sure.keys(), line.doubt.keys() - line.sure.keys()
    here = Counter({key: len(records) for key, records in found.items()})
    most = Counter(sure | doubt) if line.distinct else line.sure + line.doubt
    lost = sorted(((Counter(sure) if line.distinct else line.sure) - here).elements())
    row.repeats = (here - most).total()
    row.published = here.total() - row.repeats
    row.sent = row.published + len(lost) + row.filtered + row.quarantined
    row.lost, row.lost_reported = len(lost), _told(line, lost, told)
    row.in_doubt = len(doubt - found.keys())
    missed = sorted(line.absent.keys() - sure - doubt - found.keys())
    row.missed, row.missed_reported = len(missed), _told(line, missed, told)
    row.missed_untold = sum(key not in line.numbers for key in missed)
    row.reported_but_there = _told(line, [key for key in found if key in line.numbers], told)
    _judge_lost(row, line, lost, deaths, confirmed_at)
    _judge_numbers(row, line, found, told)
    if line.distinct:
        _judge_repeats(row, line, found, deaths)
    strange = [line.names[key] for key in found.keys() - sure - doubt]
    if strange:
        row.wrong.append(f"never sent: {', '.join(sorted(strange)[:SHOWN])}")
    return row


def _judge_lost(
    row: CrashLosses, line: ExpectedStream, lost: Iterable[str], deaths: Sequence[Kill], confirmed_at: ConfirmedAt
) -> None:
    """What was lost with the process was read in its last moments, and the process was killed."""
    for key in lost:
        client_session, frame = line.places[key]
        death = next((one for one in deaths if client_session < one.client_sessions), None)
        if death is None:
            row.wrong.append(f"lost: {line.names[key]}, by a process that was not killed")
            continue
        age = max(0.0, death.moment - confirmed_at(client_session, frame))
        row.oldest_ms = max(row.oldest_ms, round(age * 1000))
        if age > LATEST:
            row.wrong.append(f"lost: {line.names[key]}, read {age:.1f} s before the kill")
    del row.wrong[SHOWN:]


def _judge_numbers(row: CrashLosses, line: ExpectedStream, found: Found, told: list[tuple[int, int]]) -> None:
    """Every number that never came is in a gap record."""
    here = {number for key, number in line.numbers.items() if key in found}
    if not here:
        return
    lacking = sorted(n for n in set(line.numbers.values()) - here if min(here) < n < max(here) and not _within(n, told))
    if lacking:
        row.wrong.append(f"missing without a gap record: {', '.join(map(str, lacking[:SHOWN]))}")


def _judge_repeats(row: CrashLosses, line: ExpectedStream, found: Found, deaths: Sequence[Kill]) -> None:
    """What is there twice was read by a process that was killed, and is the same."""
    for key, records in found.items():
        if len(records) == 1:
            continue
        client_session, _ = line.places[key]
        if not any(client_session < death.client_sessions for death in deaths):
            row.wrong.append(f"there twice: {line.names[key]}, and no process that read it was killed")
        if any(_kept(one) != _kept(records[0]) for one in records):
            row.wrong.append(f"there twice with one message_id and different contents: {line.names[key]}")
    del row.wrong[SHOWN:]


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _OWN}


def _told(line: ExpectedStream, keys: Iterable[str], told: list[tuple[int, int]]) -> int:
    """How many of these are in gap records."""
    return sum(key in line.numbers and _within(line.numbers[key], told) for key in keys)


def _within(number: int, told: list[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in told)
