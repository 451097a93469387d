"""Who may listen at `/tap`, to what, and what a listener is sent."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.monitoring.requests import BadRequest, header_of
from k2conn.monitoring.tap import passing
from k2conn.monitoring.tap.listening import TapListener, Taps
from k2conn.monitoring.tap.pace import TapPace
from k2conn.monitoring.tap.passing import Tap
from k2conn.monitoring.tap.query import asked_tap
from k2conn.observe import Observer, Observers, SessionPlace
from k2conn.secret_mask import SecretMask

PLACE = SessionPlace("venue", "main-0", 1)


def taps(token: str = "") -> Taps:
    return Taps(lambda wanted: Tap(wanted, Observers(), lambda place: {}), compiled_condition, token)


def tap(query: str) -> Tap:
    return Tap(asked_tap(query, compiled_condition), Observers(), lambda place: {})


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
        assert isinstance(taps(token).begin("", said, here), TapListener)
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
    async with aclosing(tap_.batches()) as batches:
        async for batch in batches:
            found += map(exactjson.decode, batch)
            if len(found) >= count:
                break
    return found


def test_a_slow_listener_loses_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "WAITING", 10)
    one = tap("kind=received&rate=10000")
    for number in range(25):
        one.received(PLACE, [str(number)], 1.0, number)
    one.received(PLACE, ["x" * 10 * passing.WAITING_BYTES], 1.0, 1)
    found = asyncio.run(_first(one, 10))
    assert [line["text"] for line in found] == [str(number) for number in range(10)]
    assert one.figures() == {"tap_lost_events": 16}


def test_lines_beyond_the_rate_are_counted() -> None:
    one = tap("kind=received&rate=3")
    for number in range(8):
        one.received(PLACE, [str(number)], 1.0, number)
    assert len(asyncio.run(_first(one, 3))) == 3


def test_what_is_shown_holds_no_secret_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = SecretMask()
    mask.add("very-secret-key")
    monkeypatch.setattr("k2conn.monitoring.tap.passing.SECRETS", mask)
    one = tap("kind=received,sent")
    one.sent(PLACE, '{"key": "very-secret-key"}', 1.0, 1)
    one.received(PLACE, [b'{"key": "very-secret-key"}', "x" * 300_000, b"\xff\x00"], 1.0, 1)
    found = asyncio.run(_first(one, 4))
    assert "very-secret-key" not in str(found)
    assert len(found[2]["text"]) == passing.LONGEST
    assert found[2]["cut"]
    assert found[3]["base64"] == "/wA="


def test_what_is_lost_is_told_also_where_it_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose queue is never empty is told, too."""
    monkeypatch.setattr(passing, "WAITING", 10)
    source = tap("kind=received&rate=10")

    async def main() -> dict[str, Any]:
        async with aclosing(TapListener(asked_tap("", compiled_condition), source, taps()).lines()) as lines:
            number = 0
            while True:
                for _ in range(20):
                    number += 1
                    source.received(PLACE, [str(number)], 1.0, number)
                line = exactjson.decode(await anext(lines))
                if line["kind"] == "lost":
                    return dict(line)

    found = asyncio.run(asyncio.wait_for(main(), 20))
    assert found["lost"] >= 10


def test_nothing_is_watched_before_and_after_a_listener() -> None:
    observers = Observers()
    listeners = Taps(lambda wanted: Tap(wanted, observers, lambda place: {}), compiled_condition)

    async def main() -> None:
        lines = listeners.listener("kind=sent&count=1").lines()
        first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        assert len(observers.watching) == 1
        observers.tell(Observer.sent, PLACE, "a", 1.0, 1)
        assert exactjson.decode(await first)["text"] == "a"
        with pytest.raises(StopAsyncIteration):
            await anext(lines)
        assert observers.watching == ()

    asyncio.run(main())


def test_a_busy_source_leaves_room_for_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quiet one's lines come last in every second; from the second one on they have their place."""
    pace, now = TapPace(10, 2), [100.0]
    monkeypatch.setattr("k2conn.monitoring.tap.pace.monotonic", lambda: now[0])
    shown = []
    for _ in range(4):
        busy = sum(pace.allows(0) for _ in range(50))
        quiet = sum(pace.allows(1) for _ in range(2))
        shown.append((busy, quiet))
        now[0] += 1.0
    assert shown == [(10, 0), (8, 2), (8, 2), (8, 2)]
    assert [pace.allows(1) for _ in range(12)].count(True) == 5, "what the other one is kept is not taken"
    now[0] += 5.0
    assert [pace.allows(1) for _ in range(12)].count(True) == 10, "after a pause nothing is kept"


def test_a_rate_below_the_number_of_sources_is_kept() -> None:
    pace = TapPace(3, 8)
    assert sum(pace.allows(source) for source in range(8)) == 3


def test_small_pieces_of_work_are_paid_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener's share of the time holds also where there is never much to do at once."""
    spent, slept = [0.0], []

    def thread_time() -> float:
        spent[0] += 0.001
        return spent[0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def main() -> None:
        source = tap("kind=received")
        async with aclosing(source.batches()) as batches:
            for number in range(5):
                source.received(PLACE, [str(number)], 1.0, number)
                assert len(await anext(batches)) == 1

    monkeypatch.setattr(passing, "thread_time", thread_time)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(main())
    assert slept == pytest.approx([0.002 / passing.SHARE] * 4)
