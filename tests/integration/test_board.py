"""/board of a run: what is in it, that it is bounded, and that nothing is kept or watched while nobody asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from k2conn.monitoring.board import watching
from k2conn.monitoring.board.query import SORTS, BoardQuery
from k2conn.monitoring.board.watching import BoardWatch
from k2conn.monitoring.health import KEPT, HealthServer, RunnerView
from k2conn.secret_mask import SECRETS
from tests.integration.test_health import ask, get
from tests.integration.test_status_documents import SpooledMemorySink
from tests.support.plans import trade, trades
from tests.support.venues import Run, Venue

FRAMES = (
    trades(trade(1), trade(2, p="x")), trades(trade(3, s="ETH-USD", p="2.50")), trades(trade(3, s="ETH-USD", p="2.50")),
    "{", trades(trade(4, s="ETH-USD", p="2.75")),
)


class Turn:
    """Sends frames, and further ones when it is told to."""

    def __init__(self, *frames: str) -> None:
        self.frames = frames
        self.sockets: list[ServerConnection] = []

    async def __call__(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        for frame in self.frames:
            await socket.send(frame)

    async def more(self, *frames: str) -> None:
        for frame in frames:
            await self.sockets[-1].send(frame)


def looked(check: Any, *frames: str, received: int = 6) -> None:
    """Runs a check against the server of a run that looks after these frames, and can be sent more."""

    async def main() -> None:
        turn = Turn(*(frames or FRAMES))
        async with Venue(turn).open() as venue, Run(venue.plan(), sink=SpooledMemorySink) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(lambda: run.runner.connectors[0].state == "live")
            await run.until(lambda: run.ledger.totals()["received"] >= received)
            await run.until(lambda: run.ledger.totals()["in_flight"] == 0)
            await run.until(lambda: run.runner.connectors[0].silence.watch.states)
            await check(server.port, run, turn)
            await server.stop()

    asyncio.run(main())


async def board(port: int, query: str = "") -> dict[str, Any]:
    status, headers, body = await get(port, f"/board?{query}")
    assert status == 200, body
    assert headers["content-type"] == "application/json"
    found: dict[str, Any] = json.loads(body)
    return found


def test_what_is_on_it() -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        found = await board(port)
        (connector,) = found["connectors"]
        assert (connector["connector"], connector["exchange"], connector["state"]) == ("venue", "VENUE", "live")
        assert connector["ledger"].startswith("received 6 = published 3 + duplicates 1 + dead letters 2")
        assert connector["balanced"] is True
        assert connector["dead_letter_reasons"] == {"bad-number": 1, "malformed-frame": 1}
        assert connector["frames"] == run.ledger.frames
        assert [one["socket"] for one in connector["sockets"]] == ["main-0"]
        (stream,) = found["streams"]
        assert (stream["record"], stream["state"], stream["published"], stream["duplicates"]) == ("trade", "live", 3, 1)
        assert stream["receipt_to_ack_ms"]["p99"] >= stream["receipt_to_ack_ms"]["p50"] > 0
        rows = {one["symbol"]: one for one in found["symbols"]["rows"]}
        assert (found["symbols"]["found"], set(rows)) == (2, {"BTCUSD", "ETHUSD"})
        assert (rows["BTCUSD"]["published"], rows["BTCUSD"]["dead_letters"]) == (1, 1)
        assert rows["ETHUSD"]["fields"] == {"price": "2.75"}, "the headline is known before anybody looks"
        assert rows["ETHUSD"]["last_received"].endswith("Z")
        assert found["sink"]["name"] == "memory"
        assert found["sink"]["spool"] == {"state": "direct", "bytes": 16, "max_bytes": 4096, "behind": 1, "full": False,
                                          "seconds_to_full": None}
        (error,) = [one for one in found["errors"] if one["stream"] == "trade"]
        assert (error["connector"], error["kind"], error["reason"]) == ("venue", "dead letter", "bad-number")
        assert "BTCUSD" in error["text"]
        assert (found["over_seconds"], found["per_second"], rows["BTCUSD"]["per_second"]) == (None, None, None)

    looked(check)


def test_rates_and_records_come_with_the_second_look() -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        await board(port, "limit=7")
        await turn.more(*(trades(trade(at, s="ETH-USD", p="3.25", q="0.5", d="sell")) for at in range(10, 20)))
        await run.until(lambda: run.ledger.totals()["published"] == 13)
        await asyncio.sleep(0.6)
        found = await board(port, "limit=8")
        assert found["over_seconds"] > 0.5
        assert found["per_second"] == pytest.approx(10 / found["over_seconds"], rel=0.02)
        rows = {one["symbol"]: one for one in found["symbols"]["rows"]}
        assert rows["BTCUSD"]["per_second"] == 0
        assert rows["ETHUSD"]["per_second"] == found["streams"][0]["per_second"] == found["per_second"]
        assert rows["ETHUSD"]["fields"] == {"price": "3.25", "quantity": "0.5", "side": "SELL"}
        assert found["connectors"][0]["frames_per_second"] > 0

    looked(check)


def test_sorted_filtered_and_cut() -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        async def names(query: str) -> list[str]:
            return [one["symbol"] for one in (await board(port, query))["symbols"]["rows"]]

        assert await names("") == ["BTCUSD", "ETHUSD"]
        assert await names("sort=-symbol") == ["ETHUSD", "BTCUSD"]
        assert await names("sort=published") == ["ETHUSD", "BTCUSD"]
        assert await names("sort=-published") == ["BTCUSD", "ETHUSD"]
        assert await names("sort=dead_letters&limit=1") == ["BTCUSD"]
        assert await names("offset=1") == ["ETHUSD"]
        assert await names("symbol=eth") == ["ETHUSD"]
        assert await names("stream=quote") == []
        assert await names("connector=other") == []
        found = await board(port, "connector=other")
        assert (found["streams"], found["errors"], len(found["connectors"])) == ([], [], 1)
        for sort in SORTS:
            assert len(await names(f"sort={sort}")) == 2

    looked(check)


@pytest.mark.parametrize(
    ("query", "word"),
    [("limit=0", "limit"), ("limit=501", "500"), ("offset=-1", "offset"), ("sort=luck", "sort"), ("who=1", "who"),
     ("limit=1e2", "limit"), ("symbol=" + "x" * 201, "symbol"), ("offset=5001", "5000")],
)
def test_a_wrong_question_is_refused(query: str, word: str) -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        status, _, body = await get(port, f"/board?{query}")
        assert (status, word in json.loads(body)["error"]) == (400, True)

    looked(check)


def test_many_questions_at_once_are_answered_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        made: list[str] = []
        own = RunnerView.board

        async def counted(view: RunnerView, query: BoardQuery) -> Any:
            made.append(query.encoded())
            await asyncio.sleep(0)
            return await own(view, query)

        monkeypatch.setattr(RunnerView, "board", counted)
        # An answer is kept as long as its work is worth: here longer than a busy machine takes for five questions.
        monkeypatch.setattr("k2conn.monitoring.health.SHARE", 1e-6)
        first = await board(port)
        for _ in range(5):
            assert (await board(port, "sort=symbol&limit=50"))["at"] == first["at"], "the same question in other words"
        assert len(made) < 6

    looked(check)

    async def small(port: int, run: Run, turn: Turn) -> None:
        server = HealthServer(run.runner, "127.0.0.1", 0)
        for number in range(KEPT + 10):
            server._second = -1
            server._credit = 1.0
            await server._answer(f"/board?limit={number + 1}")
        assert len(server._latest) == KEPT

    looked(small)


def test_nothing_is_watched_while_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "IDLE", 0.3)

    async def check(port: int, run: Run, turn: Turn) -> None:
        assert not run.runner.observers.watching
        await board(port)
        assert len(run.runner.observers.watching) == 1
        await board(port, "limit=3")
        assert len(run.runner.observers.watching) == 1
        await run.until(lambda: not run.runner.observers.watching)
        assert (await board(port, "limit=4"))["over_seconds"] is None, "what was seen before is forgotten"

    looked(check)


def test_another_host_asks_in_vain() -> None:
    async def check(port: int, run: Run, turn: Turn) -> None:
        assert (await ask(port, "GET /board HTTP/1.1\r\nHost: evil.example\r\n\r\n"))[0] == 403
        assert (await ask(port, "POST /board HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 405

    looked(check)


def test_a_venues_text_stays_within_its_strings() -> None:
    name = 'E\x1b[31m"<b>[red]\u202e-USD'
    odd = trade(9, s=name)

    async def check(port: int, run: Run, turn: Turn) -> None:
        status, _, body = await get(port, "/board?sort=dead_letters")
        assert (status, b"\x1b" in body) == (200, False)
        found = json.loads(body)
        assert all(one["text"].isprintable() for one in found["errors"])
        assert found["errors"]

    looked(check, trades(odd, trade(2, p="x\x1b[2J")), received=2)


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sesame-open-1"
    SECRETS.add(secret)

    async def check(port: int, run: Run, turn: Turn) -> None:
        status, _, body = await get(port, "/board")
        assert (status, secret.encode() in body, b"[hidden]" in body) == (200, False, True)

    looked(check, trades(trade(2, p=secret)), received=1)


def test_a_watch_without_a_past() -> None:
    """Where no time has passed between two looks, there is no rate."""

    async def check(port: int, run: Run, turn: Turn) -> None:
        watch = BoardWatch(run.runner)
        assert watch.figures(BoardQuery())["over_seconds"] is None
        assert watch.figures(BoardQuery())["over_seconds"] is None
        watch.rest()
        watch.rest()
        assert not run.runner.observers.watching

    looked(check)
