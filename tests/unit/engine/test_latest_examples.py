"""Examples of dead letters and gaps: bounded, the rare ones not driven out by the frequent ones."""

from __future__ import annotations

from k2conn.engine.accounting.latest import KINDS, LETTER_BYTES, OF_A_KIND, LatestExamples
from k2conn.engine.accounting.ledger import Ledger


def kind(number: int) -> tuple[str, str, str]:
    return "trade", "bad-number", f"field {number}"


def test_of_a_kind_there_are_few_and_the_newest() -> None:
    latest = LatestExamples()
    latest.add_letter(kind(0), b"rare")
    for number in range(1000):
        latest.add_letter(kind(1), b"%d" % number)
    assert latest.letters == [b"rare", *(b"%d" % number for number in range(1000 - OF_A_KIND, 1000))]


def test_kinds_and_bytes_are_bounded() -> None:
    latest = LatestExamples()
    for number in range(3 * KINDS):
        latest.add_letter(kind(number), b"%d" % number)
    assert latest.letters == [b"%d" % number for number in range(2 * KINDS, 3 * KINDS)]
    for number in range(200):
        latest.add_letter(kind(number), b"x" * (LETTER_BYTES // 7))
        assert sum(map(len, latest.letters)) <= LETTER_BYTES
    assert len(latest.letters) == 7
    latest.add_letter(kind(0), b"x" * (LETTER_BYTES + 1))
    assert len(latest.letters) == 7


def test_nothing_is_kept_of_what_is_good() -> None:
    assert Ledger("venue", "VENUE").latest.letters == []
