"""What kill -9 cost: everything the exchange sent, across all restarts, compared with what is in Kafka.

A record is *lost with the process* where the process had read it and it never reached Kafka; *missed while down* where
the exchange generated it while no process was running. Both must be covered by gap records where the stream has
sequence numbers, and the first can only have been read in the last moments before a kill. A record may be in Kafka
more than once, with the same message_id, if a process that was killed had read it.
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
"""A record lost with the process must have been read at most so many seconds before the kill. The spool is written
every 10 ms; the rest allows for a slow disk and an overloaded machine.
"""
_OWN = ("ingestion_timestamp", "vendor_data")
"""Fields that may differ between two records with the same message_id: a venue may repeat a record in a snapshot."""

ConfirmedAt = Callable[[int, int], float]
"""(connection, frame) -> when (monotonic) the frame was confirmed as read."""


class Kill(NamedTuple):
    """One kill: the number of connections made by then, and its time (monotonic)."""

    client_sessions: int
    moment: float


@dataclass(slots=True)
class CrashLosses:
    """One stream of one symbol: sent = published + filtered + quarantined + lost."""

    stream: str
    symbol: str
    sent: int = 0
    """Items that a process is confirmed to have read, or that are in Kafka."""
    published: int = 0
    """Of these, in Kafka; each counted once."""
    filtered: int = 0
    quarantined: int = 0
    lost: int = 0
    """Lost with the process."""
    lost_reported: int = 0
    """Of these, in gap records."""
    oldest_ms: int = 0
    """How long before the kill the oldest lost record was read."""
    missed: int = 0
    """Generated while no client was connected."""
    missed_reported: int = 0
    missed_untold: int = 0
    """Of these, on a stream without sequence numbers."""
    in_doubt: int = 0
    """In flight when a connection ended, and not in Kafka."""
    repeats: int = 0
    """Further copies in Kafka, with the same message_id."""
    reported_but_there: int = 0
    """In Kafka and also in a gap record, because the state file is a few seconds old at a kill."""
    wrong: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every item is accounted for."""
        return not self.wrong and self.sent == self.published + self.filtered + self.quarantined + self.lost


def account_for_losses(
    reference: ExpectedRecords, readback: Readback, kills: Sequence[Kill], confirmed_at: ConfirmedAt
) -> tuple[list[CrashLosses], list[str]]:
    """Accounts for all items, by stream and symbol. Also returns errors, as text."""
    found, wrong = sorted_records(reference, readback)
    wrong += reference.mismatches
    rows = []
    for place in sorted(reference.expected_streams):
        expected = reference.expected_streams[place]
        row = _row(expected, found.get(place, {}), ranges(readback.gaps, *place), kills, confirmed_at)
        wrong += [f"{row.stream} {row.symbol}: {text}" for text in row.wrong]
        if not row.balanced and not row.wrong:
            wrong.append(f"{row.stream} {row.symbol}: the equation does not hold")
        rows.append(row)
    if len(readback.dead_letters):
        wrong.append(f"{len(readback.dead_letters)} dead letters, although no broken frame was sent")
    return rows, wrong


def _row(
    expected: ExpectedStream, found: Found, reported: list[tuple[int, int]], kills: Sequence[Kill],
    confirmed_at: ConfirmedAt,
) -> CrashLosses:
    row = CrashLosses(expected.stream, expected.symbol, filtered=expected.filtered, quarantined=expected.dead)
    confirmed, in_doubt = expected.confirmed.keys(), expected.in_doubt.keys() - expected.confirmed.keys()
    here = Counter({key: len(records) for key, records in found.items()})
    most = Counter(confirmed | in_doubt) if expected.distinct else expected.confirmed + expected.in_doubt
    lost = sorted(((Counter(confirmed) if expected.distinct else expected.confirmed) - here).elements())
    row.repeats = (here - most).total()
    row.published = here.total() - row.repeats
    row.sent = row.published + len(lost) + row.filtered + row.quarantined
    row.lost, row.lost_reported = len(lost), _count_reported(expected, lost, reported)
    row.in_doubt = len(in_doubt - found.keys())
    missed = sorted(expected.never_sent.keys() - confirmed - in_doubt - found.keys())
    row.missed, row.missed_reported = len(missed), _count_reported(expected, missed, reported)
    row.missed_untold = sum(key not in expected.numbers for key in missed)
    row.reported_but_there = _count_reported(expected, [key for key in found if key in expected.numbers], reported)
    _judge_lost(row, expected, lost, kills, confirmed_at)
    _judge_numbers(row, expected, found, reported)
    if expected.distinct:
        _judge_repeats(row, expected, found, kills)
    strange = [expected.names[key] for key in found.keys() - confirmed - in_doubt]
    if strange:
        row.wrong.append(f"never sent: {', '.join(sorted(strange)[:SHOWN])}")
    return row


def _judge_lost(
    row: CrashLosses, expected: ExpectedStream, lost: Iterable[str], kills: Sequence[Kill], confirmed_at: ConfirmedAt
) -> None:
    """Checks that each lost record was read in the last moments of a process that was killed."""
    for key in lost:
        client_session, frame = expected.places[key]
        kill = next((one for one in kills if client_session < one.client_sessions), None)
        if kill is None:
            row.wrong.append(f"lost: {expected.names[key]}, by a process that was not killed")
            continue
        age = max(0.0, kill.moment - confirmed_at(client_session, frame))
        row.oldest_ms = max(row.oldest_ms, round(age * 1000))
        if age > LATEST:
            row.wrong.append(f"lost: {expected.names[key]}, read {age:.1f} s before the kill")
    del row.wrong[SHOWN:]


def _judge_numbers(row: CrashLosses, expected: ExpectedStream, found: Found, reported: list[tuple[int, int]]) -> None:
    """Checks that every missing sequence number is in a gap record."""
    here = {number for key, number in expected.numbers.items() if key in found}
    if not here:
        return
    within = [number for number in set(expected.numbers.values()) - here if min(here) < number < max(here)]
    missing_numbers = sorted(number for number in within if not _within(number, reported))
    if missing_numbers:
        row.wrong.append(f"missing without a gap record: {', '.join(map(str, missing_numbers[:SHOWN]))}")


def _judge_repeats(row: CrashLosses, expected: ExpectedStream, found: Found, kills: Sequence[Kill]) -> None:
    """Checks that each repeated record was read by a process that was killed, and that its copies are equal."""
    for key, records in found.items():
        if len(records) == 1:
            continue
        client_session, _ = expected.places[key]
        if not any(client_session < kill.client_sessions for kill in kills):
            row.wrong.append(f"published twice: {expected.names[key]}, and no process that read it was killed")
        if any(_comparable(one) != _comparable(records[0]) for one in records):
            row.wrong.append(f"published twice with one message_id and different contents: {expected.names[key]}")
    del row.wrong[SHOWN:]


def _comparable(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _OWN}


def _count_reported(expected: ExpectedStream, keys: Iterable[str], reported: list[tuple[int, int]]) -> int:
    """How many of the keys are covered by gap records."""
    return sum(key in expected.numbers and _within(expected.numbers[key], reported) for key in keys)


def _within(number: int, reported: list[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in reported)
