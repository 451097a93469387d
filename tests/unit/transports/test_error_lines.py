"""What a program says on its standard error, in the log."""

from __future__ import annotations

from k2conn.transports.exec.error_lines import LONGEST, MOST, ErrorLines


def said(*pieces: bytes) -> list[str]:
    found: list[str] = []
    lines = ErrorLines(found.append)
    for piece in pieces:
        lines.feed(piece)
    lines.finish()
    return found


def test_lines_are_whole_and_visible() -> None:
    assert said(b"one\ntw", b"o\r\n\n\x1b[31mred\x07\n", b"end") == ["one", "two", "\\x1b[31mred\\x07", "end"]


def test_no_more_than_a_log_can_take() -> None:
    found = said(b"".join(b"%d\n" % number for number in range(1000)))
    assert found[:MOST] == [str(number) for number in range(MOST)]
    assert found[MOST:] == [f"({1000 - MOST} more lines are left out)"]


def test_a_line_without_an_end_is_cut() -> None:
    assert said(*[b"x" * 1000] * 1000) == ["x" * LONGEST]
