"""The proof: what the exchange sent compared with what was read back, id by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from k2conn.engine.accounting.dead_letter import RAW_LIMIT
from k2conn.engine.accounting.ledger import Account, Ledger
from k2conn.tools.certify.expected_records import ExpectedRecords, ExpectedStream, Place
from k2conn.tools.certify.readback import Readback

SHOWN = 20
"""Ids of each kind that a report lists."""


@dataclass(slots=True)
class ProofRow:
    """One stream of one symbol: sent = published + deduplicated + filtered + quarantined + lost.

    ``sent`` counts the items that the connector read: those that it confirmed, and, of the items in flight when a
    connection ended (``in_doubt``), as many as its ledger says it received.
    """

    stream: str
    symbol: str
    sent: int = 0
    published: int = 0
    deduplicated: int = 0
    filtered: int = 0
    quarantined: int = 0
    lost: int = 0
    in_doubt: int = 0
    recovered: int = 0
    """Never sent on a socket, but fetched by a backfill."""
    withheld: int = 0
    """Never sent: left out on purpose, or generated while no client was connected."""
    missing_ids: list[str] = field(default_factory=list)
    twice_ids: list[str] = field(default_factory=list)
    strange_ids: list[str] = field(default_factory=list)
    """Read back but never sent."""
    unreported: list[int] = field(default_factory=list)
    """Missing sequence numbers that are in no gap record."""
    wrong: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether the equation holds, nothing is lost, and each id was published once."""
        right = self.published + self.deduplicated + self.filtered + self.quarantined + self.lost
        ids = self.missing_ids or self.twice_ids or self.strange_ids or self.unreported or self.wrong
        return self.sent == right and not self.lost and not ids


@dataclass(slots=True)
class Proof:
    """All rows, and errors that belong to none of them."""

    rows: list[ProofRow]
    wrong: list[str]

    @property
    def balanced(self) -> bool:
        """Whether every item is accounted for."""
        return not self.wrong and all(row.balanced for row in self.rows)


def prove(reference: ExpectedRecords, readback: Readback, ledger: Ledger) -> Proof:
    """Compares three accounts: the exchange's, the sink's, the connector's own ledger."""
    accounts = {(one.stream, one.symbol): one for one in ledger.accounts()}
    found, unknown_records = sorted_records(reference, readback)
    dead = readback.dead()
    rows = []
    for place in sorted(reference.expected_streams):
        expected, account = reference.expected_streams[place], accounts.get(place) or Account(*place)
        row = _row(expected, found.get(place, {}), account, dead[place])
        _check_gaps(row, expected, found.get(place, {}), readback.gaps)
        rows.append(row)
    wrong = [*unknown_records, *reference.mismatches, *_check_dead_letters(reference, readback)]
    totals = ledger.totals()
    for word in ("lost", "in_flight"):
        if totals[word]:
            wrong.append(f"the connector's ledger says {word.replace('_', ' ')} {totals[word]}")
    return Proof(rows, wrong)


Found = dict[str, list[dict[str, Any]]]
"""The records of each key."""


def sorted_records(reference: ExpectedRecords, readback: Readback) -> tuple[dict[Place, Found], list[str]]:
    """The records by (stream, symbol) and key; and errors for records that were never generated."""
    found: dict[Place, Found] = {}
    unknown_records: list[str] = []
    for record in readback.records:
        key = reference.key_of(record, True)
        expected = reference.stream_by_key.get(key)
        if expected is None:
            key = reference.key_of(record, False)
            expected = reference.stream_by_key.get(key)
        if expected is not None:
            found.setdefault((expected.stream, expected.symbol), {}).setdefault(key, []).append(record)
        elif len(unknown_records) < SHOWN:
            name = f"{record['symbol']} {reference.venue_id(record)}"
            unknown_records.append(f"{name} was read back, but the exchange never generated it")
    return found, unknown_records


def _row(expected: ExpectedStream, found: Found, account: Account, dead: int) -> ProofRow:
    row = ProofRow(expected.stream, expected.symbol, filtered=account.filtered, deduplicated=account.duplicates)
    row.published = sum(map(len, found.values()))
    may_arrive = expected.in_doubt.total() + expected.other_in_doubt
    row.in_doubt = may_arrive + expected.broken_in_doubt
    row.withheld = expected.never_sent.total()
    missing = {key: lacking for key, count in expected.confirmed.items()
               if (lacking := _missing_count(expected, key, count, found)) > 0}
    row.lost = sum(missing.values())
    row.missing_ids = _named(expected, missing)
    row.twice_ids = _named(expected, (key for key, records in found.items() if len(records) > _allowed(expected, key)))
    _check_never_sent(row, expected, found)
    own = expected.confirmed.total() + expected.filtered + expected.dead
    arrived = account.received - row.recovered + account.filtered - own
    row.quarantined = expected.broken + dead
    row.sent = own + max(arrived, 0) + expected.broken
    if arrived < 0 and not row.lost:
        row.wrong.append(f"{-arrived} items were read from the socket that are not in the connector's ledger")
    if arrived > may_arrive:
        row.wrong.append(f"the connector's ledger has {arrived - may_arrive} items that were never sent")
    if account.published != row.published:
        row.wrong.append(f"the connector's ledger says published {account.published}, read back were {row.published}")
    if account.dead_letters != dead:
        row.wrong.append(f"the connector's ledger says dead letters {account.dead_letters}, read back were {dead}")
    return row


def _missing_count(expected: ExpectedStream, key: str, count: int, found: Found) -> int:
    """How many records of a key are missing."""
    return (1 if expected.distinct or expected.merged else count) - len(found.get(key, ()))


def _allowed(expected: ExpectedStream, key: str) -> int:
    """How often a key may have been published."""
    return 1 if expected.distinct else expected.confirmed[key] + expected.in_doubt[key] + expected.never_sent[key]


def _check_never_sent(row: ProofRow, expected: ExpectedStream, found: Found) -> None:
    """Checks that records of items that were never sent come from a backfill, and are marked so."""
    for key, records in found.items():
        if key in expected.confirmed or key in expected.in_doubt:
            row.recovered += sum(record["vendor_data"].get("backfill") == "true" for record in records)
        elif all(record["vendor_data"].get("backfill") == "true" for record in records):
            row.recovered += len(records)
        elif len(row.strange_ids) < SHOWN:
            row.strange_ids.append(expected.names[key])


def _check_gaps(row: ProofRow, expected: ExpectedStream, found: Found, gaps: Iterable[dict[str, Any]]) -> None:
    """Checks that every missing sequence number is in a gap record."""
    here = {number for key, number in expected.numbers.items() if key in found}
    if not here:
        return
    low, high = min(here), max(here)
    reported = ranges(gaps, row.stream, row.symbol)
    numbers = set(expected.numbers.values()) - here
    missing_numbers = sorted(number for number in numbers if low < number < high)
    silent = [number for number in missing_numbers if not any(first <= number <= last for first, last in reported)]
    row.unreported = silent[:SHOWN]


def ranges(gaps: Iterable[dict[str, Any]], stream: str, symbol: str) -> list[tuple[int, int]]:
    """The first and the last number of each gap record of a stream and symbol."""
    own = [gap for gap in gaps if (gap["stream"], gap["symbol"]) == (stream, symbol)]
    return [(gap["first_sequence"], gap["last_sequence"]) for gap in own if gap["first_sequence"] is not None]


def _check_dead_letters(reference: ExpectedRecords, readback: Readback) -> list[str]:
    """Checks that every broken frame became a dead letter, and no other frame did."""
    got = readback.frames()
    confirmed = Counter({_comparable(frame): count for frame, count in reference.dead_letters.items()})
    may = confirmed + Counter({_comparable(frame): count for frame, count in reference.dead_letters_in_doubt.items()})
    missing_numbers, surplus = (confirmed - got).total(), (got - may).total()
    found = []
    if missing_numbers:
        found.append(f"{missing_numbers} broken frames have no dead letter")
    if surplus:
        found.append(f"{surplus} dead letters are of frames that were not sent broken")
    return found


def _comparable(frame: bytes) -> bytes:
    """The part of a frame that a dead letter holds."""
    return frame[:RAW_LIMIT]


def _named(expected: ExpectedStream, keys: Iterable[str]) -> list[str]:
    """The venue's ids of the first few keys."""
    return [expected.names[key] for key, _ in zip(sorted(keys), range(SHOWN), strict=False)]
