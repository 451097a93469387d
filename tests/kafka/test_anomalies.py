"""Anomalies in Kafka: whole processes, one and several, a real broker and registry, Confluent's reader."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from k2conn import exactjson
from k2conn.clock import wall_us
from tests.integration.test_health import get
from tests.integration.test_workers import running_workers
from tests.kafka.test_end_to_end import NameTopic, readable
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.plans import HEAD, STREAMS, trade, trades
from tests.support.venues import CONNECTION, Venue

pytestmark = pytest.mark.kafka

SYMBOLS = {"BTC-USD": 0, "ETH-USD": 1000}
"""And the id of its first trade."""


class SpikingVenue(Venue):
    """Sends the symbols that a client has subscribed: 160 trades of each, of which the 151st is large and dear."""

    async def _serve(self, socket: ServerConnection) -> None:
        said = exactjson.decode(await socket.recv())
        await socket.send(exactjson.encode({"op": "sub", "ok": True, "s": said["symbols"]}).decode())
        for number in range(160):
            wild = {"p": "96000.10", "q": "250"} if number == 150 else {}
            for symbol in said["symbols"]:
                await socket.send(trades(
                    trade(SYMBOLS[symbol] + number, s=symbol, t=wall_us() // 1000) | wild))
        await self._listen(socket)


@pytest.mark.parametrize("workers", [1, 2])
def test_anomalies_are_read_back(
    workers: int, broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic(f"odd{workers}")

    async def main() -> None:
        async with SpikingVenue().open() as venue:
            (tmp_path / "venue.yaml").write_text(HEAD + CONNECTION % venue.port + STREAMS)
            arguments = ["venue.yaml", "--streams", "trade", "--kafka", broker.bootstrap, "--registry", registry.url,
                         "--anomalies", "publish", "--workers", workers]
            async with running_workers(tmp_path, *arguments, K2_KAFKA_TOPIC_PREFIX=f"{prefix}.") as run:
                await until_told(run.port)
                run.process.terminate()
                assert await asyncio.wait_for(run.process.wait(), 30) == 0, run.text
                assert '"event":"anomaly"' in run.text.replace(": ", ":")

    asyncio.run(asyncio.wait_for(main(), 90))
    records = readable(registry, read(broker, f"{prefix}.market.crypto.trades.venue", 320))
    messages = read(broker, f"{prefix}.market.crypto.anomalies.venue", 6)
    marked = {one["message_id"]: one for one in records}
    assert len(marked) == 320, "none is dropped"
    assert sum(one["price"] == Decimal("96000.1") for one in records) == 2, "or changed"
    found = readable(registry, messages)
    assert {(one["symbol"], one["kind"], one["count"], marked[one["record_message_id"]]["trade_id"])
            for one in found} == {
        (symbol, kind, 1, f"VENUE-{number}") for symbol, first in (("BTCUSD", 0), ("ETHUSD", 1000))
        for kind, number in (("price-move", first + 150), ("size-spike", first + 150), ("price-move", first + 151))
    }
    spike = next(one for one in found if one["kind"] == "size-spike")
    assert (spike["observed"], spike["quantity"], spike["price"]) == (250, 250, Decimal("96000.1"))
    assert {message.key() for message in messages} == {b"BTCUSD", b"ETHUSD"}


async def until_told(port: int) -> None:
    """Until /anomalies, which speaks for all workers, has both symbols' spikes, and the metric all of them."""
    while True:
        await asyncio.sleep(0.2)
        try:
            _, _, text = await get(port, "/anomalies")
            _, _, metrics = await get(port, "/metrics")
        except OSError:
            continue
        told = exactjson.decode(text).get("venue", [])
        lines = [one for one in metrics.decode().splitlines() if one.startswith("k2conn_anomalies_total{")]
        counted = sum(round(float(one.split()[-1])) for one in lines)
        if {one["symbol"] for one in told if one["kind"] == "size-spike"} == {"BTCUSD", "ETHUSD"} and counted == 6:
            return
