"""Frames cut out of bytes, however the bytes are divided."""

from __future__ import annotations

import json

import pytest

from k2conn.framing import LINES, LONGEST_RETRY, FrameTooLarge, Framing, cutter, framed

FRAMES = ['{"a": 1}', '{"b": "é"}', "x" * 300]
KINDS = [
    LINES,
    Framing("delimiter", b"\x01"),
    Framing("delimiter", b"@@@"),
    Framing("length", size=2),
    Framing("length", size=2, inclusive=True),
    Framing("length", size=4, big_endian=False),
]


def fed(framing: Framing, data: bytes, step: int, most: int = 1000) -> list[str | bytes]:
    cut = cutter(framing, most)
    found: list[str | bytes] = []
    for at in range(0, len(data), step):
        found += cut.feed(data[at : at + step])
    assert not cut.pending
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100_000])
@pytest.mark.parametrize("framing", KINDS, ids=lambda one: one.text)
def test_what_is_framed_is_cut_again(framing: Framing, step: int) -> None:
    data = b"".join(framed(one, framing) for one in FRAMES)
    found = fed(framing, data, step)
    assert [one if isinstance(one, str) else one.decode() for one in found] == FRAMES
    assert all(isinstance(one, bytes) == (framing.kind == "length") for one in found)


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_empty_lines_and_carriage_returns_are_no_part_of_lines(step: int) -> None:
    assert fed(LINES, b"a\r\n\r\n \nb\n\n", step) == ["a", "b"]


def test_what_is_no_text_stays_bytes() -> None:
    assert fed(LINES, b"\xff\xfe\nb\n", 100) == [b"\xff\xfe", "b"]


@pytest.mark.parametrize("framing", KINDS[:3], ids=lambda one: one.text)
@pytest.mark.parametrize("step", [10, 5000])
def test_a_frame_without_an_end_is_too_large_before_all_of_it_is_kept(framing: Framing, step: int) -> None:
    with pytest.raises(FrameTooLarge, match="more than 1000 bytes"):
        fed(framing, b"x" * 1500 + bytes(5000), step)


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        (Framing("length", size=4), b"\x7f\xff\xff\xff"),
        (Framing("length", size=2), b"\x03\xe9"),
        (Framing("length", size=2, inclusive=True), b"\x00\x01"),
    ],
)
def test_a_length_that_cannot_be_is_refused_at_once(framing: Framing, data: bytes) -> None:
    with pytest.raises(FrameTooLarge):
        cutter(framing, 1000).feed(data)


def test_a_frame_whose_length_does_not_fit_is_not_sent() -> None:
    with pytest.raises(FrameTooLarge, match="does not fit in 2 bytes"):
        framed(b"x" * 65536, Framing("length", size=2))
    assert len(framed(b"x" * 65535, Framing("length", size=2))) == 65537
    with pytest.raises(FrameTooLarge):
        framed(b"x" * 65534, Framing("length", size=2, inclusive=True))


EVENTS = (
    "\ufeff: a comment\n\nevent: trade\r\nid: 7\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\ndata\n\ndata:x\n\n"
    "retry: 2500\nevent: gone\n\nid: 8\ndata: 2\n\n"
).encode()


@pytest.mark.parametrize("step", [1, 2, 3, 50, 1000])
def test_server_sent_events(step: int) -> None:
    assert fed(Framing("events"), EVENTS, step) == ['{"a":\n 1}', "", "x", "2"]
    named = [json.loads(one) for one in fed(Framing("named-events"), EVENTS.replace(b"data:x\n\n", b""), step)]
    assert named == [
        {"event": "trade", "id": "7", "data": {"a": 1}},
        {"event": "message", "id": "7", "data": None},
        {"event": "message", "id": "8", "data": 2},
    ]


@pytest.mark.parametrize(("said", "seconds"), [("2500", 2.5), ("0", 0.0), ("9" * 30, LONGEST_RETRY), ("-1", 0.0)])
def test_how_long_events_keep_us_away(said: str, seconds: float) -> None:
    cut = cutter(Framing("events"), 1000)
    cut.feed(f"retry: {said}\n\n".encode())
    assert cut.retry == seconds


def test_an_event_of_many_lines_is_bounded() -> None:
    with pytest.raises(FrameTooLarge):
        fed(Framing("events"), b"data:\n" * 2000, 6)
