"""Who may listen at `/tap`, to what, and what a listener is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.monitoring import tap
from k2conn.monitoring.requests import BadRequest, header_of
from k2conn.monitoring.tap import Tap, Taps
from k2conn.observe import Observers, SessionPlace
from k2conn.secret_mask import SecretMask

PLACE = SessionPlace("venue", "main-0", 1)


def taps(token: str = "") -> Taps:
    return Taps(Observers(), compiled_condition, lambda place: {}, token)


@pytest.mark.parametrize(
    ("token", "said", "here", "status"),
    [
        ("", "", True, 0),
        ("", "", False, 403),
        ("sesame-1", "", True, 401),
        ("sesame-1", "Bearer sesame-2", False, 401),
        ("sesame-1", "Basic sesame-1", False, 401),
        ("sesame-1", "Bearer sesame-1", False, 0),
        ("sesame-1", "bearer  sesame-1", True, 0),
    ],
)
def test_who_may_listen(token: str, said: str, here: bool, status: int) -> None:
    if not status:
        assert isinstance(taps(token).begin("", said, here), Tap)
        return
    with pytest.raises(BadRequest) as refused:
        taps(token).begin("", said, here)
    assert refused.value.status == status
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    "query",
    ["kind=x", "rate=0", "rate=99999", "rate=a", "count=-1", "foo=1", "where=a.(", "where=" + "a" * 3000,
     "rate=%D9%A1", "count=" + "9" * 400],
)
def test_what_nobody_can_ask(query: str) -> None:
    with pytest.raises(BadRequest) as refused:
        taps().begin(query, "", True)
    assert refused.value.status == 400


def test_a_header_that_is_there_twice_says_nothing() -> None:
    head = b"GET /tap HTTP/1.1\r\nAuthorization: Bearer a\r\nHost: x"
    assert header_of(head, "authorization") == "Bearer a"
    assert header_of(head + b"\r\nauthorization: Bearer b", "authorization") == ""


async def _first(tap_: Tap, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    lines: AsyncIterator[bytes] = tap_.lines()
    async for line in lines:
        if line.strip():
            found.append(exactjson.decode(line))
        if len(found) == count:
            break
    return found


def test_a_slow_listener_loses_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "WAITING", 10)
    one = taps().begin("kind=received&rate=10000", "", True)
    for number in range(25):
        one.received(PLACE, [str(number)], 1.0, number)
    one.received(PLACE, ["x" * 10 * tap.WAITING_BYTES], 1.0, 1)
    found = asyncio.run(_first(one, 10))
    assert [line["text"] for line in found] == [str(number) for number in range(10)]
    assert one.figures() == {"tap_lost_events": 16}


def test_lines_beyond_the_rate_are_counted() -> None:
    one = taps().begin("kind=received&rate=3", "", True)
    for number in range(8):
        one.received(PLACE, [str(number)], 1.0, number)
    assert len(asyncio.run(_first(one, 3))) == 3


def test_what_is_shown_holds_no_secret_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = SecretMask()
    mask.add("very-secret-key")
    monkeypatch.setattr("k2conn.monitoring.tap.SECRETS", mask)
    one = taps().begin("kind=received,sent", "", True)
    one.sent(PLACE, '{"key": "very-secret-key"}', 1.0, 1)
    one.received(PLACE, [b'{"key": "very-secret-key"}', "x" * 300_000, b"\xff\x00"], 1.0, 1)
    found = asyncio.run(_first(one, 4))
    assert "very-secret-key" not in str(found)
    assert len(found[2]["text"]) == tap.LONGEST
    assert found[2]["cut"]
    assert found[3]["base64"] == "/wA="
