"""`k2conn demo --kafka`: the exchanges' records by way of a real broker into the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_demo import end, start
from tests.kafka.test_sink import read as read_topic
from tests.lake.test_demo import COUNTS, KINDS, sent
from tests.servers import SharedBroker, SharedRegistry
from tests.support.lakes import lake, read

pytestmark = [pytest.mark.kafka, pytest.mark.deploy]


def test_the_demo_goes_by_way_of_topics_of_its_own(
    broker: SharedBroker, registry: SharedRegistry, tmp_path: Path
) -> None:
    for run in ("first", "second"):
        folder = tmp_path / run
        process = start("demo", "--section", "all", "--duration", "2s", "--folder", str(folder),
                        "--kafka", broker.bootstrap, "--registry", registry.url, PYTHONIOENCODING="utf-8")
        out, err = end(process, 120)
        assert process.returncode == 0, err
        ((trades, quotes),) = read(lake(folder), COUNTS, *KINDS)
        assert trades + quotes == sent(out) > 100  # the second has none of the first's
        assert f"consumed {sent(out)} = written {sent(out)} + dead letters 0" in out
    for topic in ("demo.market.crypto.trades.kraken", "demo.market.crypto.quotes.kraken"):
        assert read_topic(broker, topic, 1)
