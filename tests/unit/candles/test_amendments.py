"""What corrects trades or takes them back is left out of candles and audits, and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from k2conn.audit.intake import AuditIntake
from k2conn.avro.container import ContainerWriter
from k2conn.candles.bodies import TradeBodies
from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.settings import CandleSettings
from k2conn.cli.audit import StoredAudit
from k2conn.consumer.decoding import Decoded
from k2conn.consumer.stage import Place
from k2conn.consumer.topic_candles import TopicCandles
from k2conn.envelope import Envelope
from k2conn.intervals import Interval
from k2conn.plan import Audit, Stream
from k2conn.records import load_record
from k2conn.sinks.positions import SourcePartition
from tests.support.grown import grown_trade

ACTIONS = (None, "NEW", "CORRECT", "CANCEL", None)


def envelopes() -> list[Envelope]:
    account = SimpleNamespace(stream="trade")
    return [grown_trade(number, trade_action=action)._replace(account=cast(Any, account))
            for number, action in enumerate(ACTIONS)]


def by_bodies() -> tuple[int, int]:
    bodies = TradeBodies()
    bodies.waiting += [(one.schema, one.value) for one in envelopes() if one.schema is not None]
    return len(bodies.read()), bodies.amendments


def by_audit() -> tuple[int, int]:
    intake = AuditIntake()
    span = SimpleNamespace(interval=Interval("1m"))
    candle = SimpleNamespace(name="candle", audit=Audit("trade", fields=("volume",)), span=span)
    intake.choose([cast(Stream, SimpleNamespace(name="trade", audit=None, span=None)), cast(Stream, candle)])
    taken: list[Any] = []
    (one,) = intake
    one.auditor.trades = taken.extend  # type: ignore[method-assign,assignment]
    intake.take(envelopes())
    intake.read()
    return len(taken), intake.amendments["trade"]


def by_topic() -> tuple[int, int]:
    stage, partition = TopicCandles(CandleSettings(names=("1m",)), CandleEncoder()), SourcePartition("t", 0)
    stage.assigned(partition, Place(0))
    found = [Decoded(SimpleNamespace(offset=at, timestamp=one.timestamp_ms), one.schema, one.value)
             for at, one in enumerate(envelopes())]
    stage.take(partition, found, len(found), cast(Any, None))
    return stage._partitions[partition].aggregator.counts.trades, stage.amendments


@pytest.mark.parametrize("count", [by_bodies, by_audit, by_topic])
def test_they_are_left_out_and_counted(count: Callable[[], tuple[int, int]]) -> None:
    assert count() == (3, 2)


def test_those_in_files_are_said_by_the_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trades.avro"
    with path.open("wb") as stream:
        writer = ContainerWriter(stream, load_record("trade", 2).schema)
        for one in envelopes():
            writer.append(one.value)
        writer.flush()
    span = SimpleNamespace(interval=Interval("1m"))
    audit = StoredAudit("X", [cast(Stream, SimpleNamespace(audit=Audit("trade", fields=("volume",)), span=span))])
    audit.read([path])
    audit.told(True, "text")
    assert "3 trades, 0 candles, 2 corrections of trades left out" in capsys.readouterr().err
