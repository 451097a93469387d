"""How often honest records are called odd: recordings of real venues, played over and over.

Each recording is mapped once; its records are then looked at again and again, as if the venue went on like that: their
own times, and the moments of their receipt, go on with it. Frames of other tests are in the corpus, too; nobody noted
when those were received, so they have no place here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2conn import exactjson
from k2conn.anomalies.kinds import AnomalyKind
from k2conn.anomalies.marker import QUOTE, TRADE, AnomalyMarker
from k2conn.anomalies.settings import AnomalySettings
from k2conn.anomalies.upper_bound import WARM_UP
from k2conn.avro.unscaled import UnscaledReader
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.records import record_revisions
from tests.support.fair import on_the_wire
from tests.support.shipped import load

FILES: dict[str, str] = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())
RECORDINGS = sorted(name for name in FILES if name.endswith(".recorded.jsonl") and not name.startswith("blockchain."))
"""The one that is left out has no trade and no quote."""
TIMES = 3 * WARM_UP
"""How often each is played: every symbol's habits are known after the first third."""
MOST = 10_000
"""Records of one recording that are looked at."""
READERS = {
    one.schema: UnscaledReader(one.schema.text) for name in (TRADE, QUOTE) for one in record_revisions(name)
}


def records(corpus: Path, name: str) -> tuple[Plan, list[Envelope]]:
    """Its trades and quotes that came as they happened, in their order, each received when the recording says."""
    plan = load(FILES[name])
    state = ConnectorState(plan, [stream.name for stream in plan.streams], window=0)
    symbols = [found for one in plan.symbols.default if (found := plan.symbols.resolve(one))]
    found: list[Envelope] = []
    session, pipelines = object(), []
    for text in (corpus / name).read_bytes().splitlines():
        line, raw = exactjson.decode(text), exactjson.members(text)["raw"]
        wall = _us(str(line["local_timestamp"]))
        if line.get("session") != session:
            session = line.get("session")
            pipelines = [FramePipeline(state, one, symbols, SessionContext(lambda: "", {})) for one in plan.connections]
        for frame in on_the_wire(line, exactjson.decode(raw) if raw[:1] == b'"' else raw.decode()):
            for pipeline in pipelines:
                envelopes, _ = pipeline.receive([frame], wall / 1e6, wall)
                found += [one for one in envelopes if one.schema in READERS and one.received_us]
                if envelopes:
                    break
    return plan, found


def _us(text: str) -> int:
    if "T" in text:
        return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1_000_000)
    return int(Decimal(text) * 1_000_000)


def played(found: list[Envelope], times: int) -> Iterator[Envelope]:
    """The same records, again and again: each time later by the length of the whole."""
    length = max(one.received_us for one in found) - min(one.received_us for one in found) + 1_000_000
    decoded: list[tuple[Envelope, dict[str, Any]]] = [
        (one, READERS[one.schema].record(one.value)) for one in found if one.schema is not None
    ]
    for number in range(times):
        for one, values in decoded:
            assert one.schema is not None
            later = dict(values)
            later["timestamp"] += number * length
            later["ingestion_timestamp"] += number * length
            body = one.schema.encode([later[field.name] for field in one.schema.fields])
            yield one._replace(value=body, received_us=one.received_us + number * length)


def looked(corpus: Path, name: str, settings: AnomalySettings | None = None) -> AnomalyMarker:
    """A marker that has seen a recording, many times."""
    plan, found = records(corpus, name)
    assert found, "it has trades or quotes"
    marker = AnomalyMarker(plan, settings or AnomalySettings())
    going_on = played(found, min(TIMES, MOST // len(found)))
    while some := list(itertools.islice(going_on, 500)):
        marker.look(some, some[-1].received_us, lambda symbol: None)
    return marker


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_that_was_not_touched_has_no_anomaly(corpus: Path, name: str) -> None:
    marker = looked(corpus, name)
    assert marker.looked > 500
    assert marker.reports.counts == Counter()


def test_the_same_recording_is_odd_by_thresholds_of_nothing(corpus: Path) -> None:
    """So what is looked for was looked at."""
    names = ("price-move", "size-spike", "wide-spread")
    least = AnomalySettings(said=(*((name, "0.000001") for name in names), ("times", "0.000001")))
    marker = looked(corpus, "binance.recorded.jsonl", least)
    assert {kind for _, kind in marker.reports.counts} == {
        AnomalyKind.PRICE_MOVE, AnomalyKind.SIZE_SPIKE, AnomalyKind.WIDE_SPREAD,
    }
