"""The judge of exactly once must be able to say no."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from k2conn import exactjson
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.tools.certify.committed_books import CommittedBooks, HandOver, SymbolBook
from k2conn.tools.certify.exactly_once import ExactlyOnceProof, ProofSettings, at_rest, judge, percentile
from k2conn.tools.certify.group_faults import Happened


def book_of(*numbers: int, fetched: tuple[int, ...] = ()) -> SymbolBook:
    book = SymbolBook()
    for number in numbers:
        book.take(number, number in fetched)
    return book


def judged(books: CommittedBooks, symbols: int = 1) -> list[str]:
    proof = ExactlyOnceProof()
    judge(books, ProofSettings(KafkaSettings(), {}, "", Path(), symbols=symbols, history=False), proof, {})
    return proof.problems


def books_of(**found: SymbolBook) -> CommittedBooks:
    books = CommittedBooks(KafkaSettings(), "t", "g", "s")
    books.symbols.update(found)
    return books


def test_what_is_there_once_and_in_order_is_proven() -> None:
    assert judged(books_of(A=book_of(5, 6, 7, 9, 8, 10, fetched=(8,)))) == []


@pytest.mark.parametrize(
    ("book", "said"),
    [
        (book_of(5, 6, 6, 7, fetched=(6,)), "A: 1 numbers more than once: [6]"),
        (book_of(5, 7, 6), "A: 1 numbers out of order: [6]"),
        (book_of(5, 9000), "A: 8994 numbers missing and named by no gap"),
    ],
)
def test_what_is_not_is_said_with_its_numbers(book: SymbolBook, said: str) -> None:
    (problem, *_) = judged(books_of(A=book))
    assert problem.startswith(said)


def test_a_hole_that_a_gap_names_is_none_that_nobody_knows_of() -> None:
    books = books_of(A=book_of(5, 9))
    books.named["A"] = {6, 7}
    assert judged(books) == ["A: 1 numbers missing and named by no gap: [8]"]
    books.named["A"] = {6, 7, 8}
    assert judged(books) == []


def test_symbols_of_which_nothing_came_are_missed() -> None:
    assert judged(books_of(A=book_of(1)), symbols=2) == ["trades of 1 symbols only, of 2"]


class Message:
    def __init__(self, incarnation: str, timestamp: int) -> None:
        self.key = exactjson.encode(["border", "unit"])
        self.value = exactjson.encode({"v": 1, "incarnation": incarnation, "number": 1})
        self.timestamp = timestamp


def test_a_hole_begins_with_the_last_state_of_the_one_process_and_ends_with_the_first_of_the_other() -> None:
    books = books_of()
    for message in (Message("a", 100), Message("a", 200), Message("b", 950), Message("b", 1000)):
        books._state_entry(3, message)
    books._state_entry(4, Message("c", 5000))
    assert [one[:3] for one in books.handovers] == [HandOver(3, 750, 950)[:3]]


def test_holes_are_told_apart_by_what_had_happened() -> None:
    proof = ExactlyOnceProof(
        happened=[Happened("kill", "m0", 10_000, 20_000), Happened("freeze", "m1", 50_000, 5_000)],
        handovers=[HandOver(0, 6_000, 16_000), HandOver(1, 200, 30_500), HandOver(2, 100, 45_000),
                   HandOver(3, 42_000, 51_000)],
    )
    assert proof.holes() == {
        "after a fault": [200], "kill": [6_000], "kill among others": [42_000], "planned": [100],
    }
    assert [percentile([1, 2, 3, 4], share) for share in (0.5, 0.99)] == [2, 4]


def test_a_hole_that_the_venue_could_have_filled_is_told() -> None:
    books, proof = books_of(A=book_of(5, 7)), ExactlyOnceProof()
    books.named["A"] = {6}
    judge(books, ProofSettings(KafkaSettings(), {}, "", Path(), symbols=1), proof, {})
    assert proof.problems == ["A: 1 numbers named by a gap and not filled, though the venue has them: [6]"]


def test_of_what_was_sent_each_is_counted_once_between_the_first_and_the_last_that_was_found() -> None:
    books, proof = books_of(AUSD=book_of(5, 6, 9, 9, 10)), ExactlyOnceProof()
    judge(books, ProofSettings(KafkaSettings(), {}, "", Path(), symbols=1), proof, {"A-USD": [(1, 7), (6, 7), (9, 20)]})
    assert (proof.sent, proof.sent_missing, proof.twice) == (5, 1, 1), "5 to 7, and 9 to 10; 7 is missing"
    assert book_of(5, 6, 7).among([(1, 6), (6, 9)]) == (3, 0)


def rested(books: CommittedBooks) -> list[str]:
    async def main() -> list[str]:
        reading = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_later(0.05, books.symbols["A"].take, 8, False)
        try:
            return await at_rest(books, reading, 0.5)  # type: ignore[arg-type]
        finally:
            reading.cancel()

    return asyncio.run(main())


def test_a_symbol_that_does_not_go_on_is_named_and_what_was_found_is_judged_all_the_same() -> None:
    (said,) = rested(books_of(A=book_of(5, 6, 7), B=book_of(5)))
    assert said == "the group did not begin to go on in 0 s: nothing new of B"


def test_all_symbols_that_go_on_are_at_rest() -> None:
    assert rested(books_of(A=book_of(5, 6, 7))) == []
