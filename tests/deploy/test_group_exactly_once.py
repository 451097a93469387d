"""`k2conn certify --exactly-once` as an operator runs it, on a cluster of two brokers that keep everything twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.servers import Broker, Registry

pytestmark = [pytest.mark.deploy, pytest.mark.kafka]

TWICE = {
    "offsets.topic.replication.factor": "2", "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "2", "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8", "default.replication.factor": "2", "min.insync.replicas": "1",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Broker]]:
    first = Broker(tmp_path_factory.mktemp("first"), TWICE, heap=192)
    second = Broker(tmp_path_factory.mktemp("second"), TWICE, heap=192, joins=first)
    with first, second:
        yield first, second


def certified(
    cluster: tuple[Broker, Broker], registry: Registry, folder: Path, *arguments: str, **variables: str
) -> tuple[int, dict[str, object], str]:
    """The exit code, the report, and what was said."""
    report = folder / "report.json"
    command = [
        sys.executable, "-m", "k2conn", "certify", "--exactly-once", "--kafka",
        ",".join(one.bootstrap for one in cluster), "--registry", registry.url, "--folder", str(folder / "members"),
        "--report", str(report), *arguments,
    ]
    given = environment(K2_KAFKA_REPLICATION_FACTOR="2", K2_KAFKA_PARTITIONS="3", **variables)
    found = subprocess.run(command, capture_output=True, text=True, timeout=900, env=given, cwd=folder)
    said = found.stdout + found.stderr
    return found.returncode, json.loads(report.read_text()) if report.exists() else {}, said


def test_members_that_are_killed_frozen_and_cut_off_while_leaders_move_publish_each_trade_once(
    cluster: tuple[Broker, Broker], own_registry: Registry, tmp_path: Path
) -> None:
    code, report, said = certified(
        cluster, own_registry, tmp_path, "--duration", "60s", "--rate", "10", "--times", "8", "--members", "3"
    )
    assert code == 0, said
    assert report["passed"] is True
    assert len(report["happened"]) == 8  # type: ignore[arg-type]
    assert {one["kind"] for one in report["happened"]} == {  # type: ignore[attr-defined]
        "kill", "freeze", "restart", "partition", "leader", "coordinator"}
    assert report["holes_ms"], "no slot ever went over"
    assert report["sent"], "the venue sent nothing"
    assert (report["sent_and_missing"], report["twice"]) == (0, 0)
    assert set(report["cpu_seconds"]) == {"members", "venue", "reader"}  # type: ignore[call-overload]
