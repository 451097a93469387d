"""What an operator is told before data is missing, as metrics of a run over real sockets."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import k2conn.runner.connection_supervisor as timing
from k2conn.monitoring.metrics import exposition
from k2conn.runner import Overrides
from tests.support.plans import trade, trades
from tests.support.venues import Run, Venue, says


def value(run: Run, name: str, **labels: str) -> float | None:
    """A sample's value; None where there is none."""
    for family in text_string_to_metric_families(exposition(run.runner).decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_a_clock_that_is_behind_shows() -> None:
    async def main() -> None:
        ahead = round(time.time() * 1000) + 30_000
        async with Venue(says(trades(trade(1, t=ahead), trade(2, t=ahead)))).open() as venue, Run(venue.plan()) as run:
            assert value(run, "k2conn_receipt_delay_seconds", stream="trade") is None
            await run.until(lambda: run.sink.taken)
            found = value(run, "k2conn_receipt_delay_seconds", stream="trade")
            assert found is not None
            assert -31 < found < -20
            assert value(run, "k2conn_receipt_delay_seconds", stream="quote") is None

    asyncio.run(main())


def test_a_rotation_that_fails_is_counted_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "TRY_AGAIN", 0.2)
    monkeypatch.setattr(timing, "PROVE_WITHIN", 0.2)
    monkeypatch.setattr(timing, "DRAIN", 0.05)
    full = False

    def admit(socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full") if full else None

    async def main() -> None:
        nonlocal full
        async with (
            Venue(says(trades(trade(1))), admit=admit).open() as venue,
            Run(venue.plan(), overrides=Overrides(max_age=0.5)) as run,
        ):
            await run.until(lambda: run.sink.taken)
            full = True
            await run.until(lambda: (value(run, "k2conn_replacement_failures") or 0) >= 2)
            assert value(run, "k2conn_connection_live") == 1
            full = False
            await run.until(lambda: value(run, "k2conn_replacement_failures") == 0)

    asyncio.run(main())


def test_gaps_that_nobody_fills_are_missing() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            assert value(run, "k2conn_backfills_pending", connector="venue") == 0
            assert value(run, "k2conn_records_missing", stream="trade") == 0
            run.ledger.account("trade", "BTCUSD").missing = 7
            run.ledger.unfilled["trade"] += 1
            assert value(run, "k2conn_records_missing", stream="trade") == 7
            assert value(run, "k2conn_gaps_unfilled_total", stream="trade") == 1

    asyncio.run(main())
