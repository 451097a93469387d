"""From a venue that stops to a message: k2conn, a real Prometheus and a real Alertmanager; and every query of the
dashboards, answered by that Prometheus.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.paths import ROOT
from tests.project.test_alerts_and_dashboards import DASHBOARDS, PROMETHEUS, panels, plain
from tests.servers import SharedBroker, SharedRegistry
from tests.servers.go_programs import dashboard_check
from tests.servers.prerequisites import Missing
from tests.servers.process import Server, free_port
from tests.servers.prometheus import Alertmanager, Prometheus, installed

pytestmark = pytest.mark.deploy
CONNECTORS = ("kraken", "binance")
Result = TypeVar("Result")


class Program(Server):
    """k2conn, as its users start it."""

    name = "k2conn"

    def __init__(self, folder: Path, name: str, *arguments: str, **variables: str) -> None:
        super().__init__(folder)
        self.log = folder / f"{name}.log"
        self._command = ["/usr/bin/env", f"PYTHONPATH={ROOT}", *(f"{key}={text}" for key, text in variables.items()),
                         sys.executable, "-m", "k2conn", *arguments]

    def command(self) -> list[str]:
        return self._command

    def answers(self) -> bool:
        return self.log.exists() and bool(self.log.read_text())


class Pager:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        self.alerts: queue.Queue[dict[str, Any]] = queue.Queue()
        kept = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for one in said["alerts"]:
                    kept.put(one)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def told(self, name: str, status: str, within: float) -> dict[str, Any]:
        """The first message of this alert and status."""
        end = time.monotonic() + within
        while True:
            one = self.alerts.get(timeout=max(0.01, end - time.monotonic()))
            if one["labels"]["alertname"] == name and one["status"] == status:
                return one

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Stack:
    """All of it at work."""

    def __init__(self, folder: Path, broker: SharedBroker, registry: SharedRegistry) -> None:
        self.pager = Pager()
        self.alertmanager = Alertmanager(folder / "alertmanager", self.pager.url).start()
        port = free_port()
        self.venue = Program(folder / "venue", "mock", "mock", *CONNECTORS, "--port", str(port), "--rate", "20").start()
        variables = dict(re.findall(r"(K2_\w+)=(\S+)", self.venue.log.read_text()))
        assert {f"K2_{name.upper()}_WEBSOCKET_URL" for name in CONNECTORS} <= variables.keys()
        metrics = free_port()
        self.process = Program(
            folder / "run", "run", "run", *CONNECTORS, "--daemon", "--port", str(metrics), **variables,
            K2_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap, K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url,
            K2_KAFKA_CREATE_TOPICS="true", K2_SPOOL="always", K2_SPOOL_FOLDER=str(folder / "spool"),
        ).start()
        self.prometheus = Prometheus(folder / "prometheus")
        self.prometheus.configure({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager.port}"]}]}]},
            "scrape_configs": [{"job_name": "k2conn", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}],
        }, impatient((PROMETHEUS / "rules.yml").read_text()))
        self.prometheus.start()

    def stop(self) -> None:
        for one in (self.prometheus, self.process, self.venue, self.alertmanager):
            one.stop()
        self.pager.close()


def impatient(rules: str) -> str:
    """The same rules, each alert after two seconds; no expression is touched."""
    found = yaml.safe_load(rules)
    for group in found["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "2s"
    return json.dumps(found)


def judged(*paths: Path) -> subprocess.CompletedProcess[str]:
    try:
        check = dashboard_check()
    except Missing as why:
        pytest.skip(str(why))
    return subprocess.run([check, *paths], capture_output=True, text=True, timeout=60, check=False)


def test_grafana_s_own_types_find_no_fault() -> None:
    done = judged(*DASHBOARDS)
    assert done.returncode == 0, done.stdout


def test_a_key_that_grafana_does_not_know_is_seen(tmp_path: Path) -> None:
    found = json.loads(DASHBOARDS[0].read_text())
    found["panels"][1]["options"]["colour"] = "red"
    (tmp_path / "one.json").write_text(json.dumps(found))
    assert "colour" in judged(tmp_path / "one.json").stdout


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, broker: SharedBroker, registry: SharedRegistry
) -> Iterator[Stack]:
    installed()
    found = Stack(tmp_path_factory.mktemp("stack"), broker, registry)
    yield found
    found.stop()


def until(look: Callable[[], Result], within: float = 60) -> Result:
    """What ``look`` gives, as soon as it gives something."""
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.25)
    return found


@pytest.mark.kafka
def test_every_query_of_the_dashboards_is_answered(stack: Stack) -> None:
    until(lambda: stack.prometheus.query("k2conn:receipt_to_ack_seconds:p99 > 0"))
    until(lambda: stack.prometheus.query("k2conn:dead_letters:ratio5m"))
    asked = 0
    for path in DASHBOARDS:
        found = json.loads(path.read_text())
        for panel in panels(found):
            for target in panel.get("targets", ()):
                expression = plain(target["expr"])
                until(lambda expression=expression: stack.prometheus.query(expression), 20)
                asked += 1
        for variable in found["templating"]["list"]:
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert match is not None
            assert stack.prometheus.label_values(match[2], match[1]), variable["name"]
    assert asked > 50


@pytest.mark.kafka
def test_the_names_that_others_use_have_values(stack: Stack) -> None:
    for name in ("streaming_connection_state", "streaming_messages_received_total", "k2_binance_connection_status",
                 "k2_binance_messages_received_total", "binance_message_latency_seconds_bucket",
                 "kafka_messages_produced_total"):
        until(lambda name=name: stack.prometheus.query(name), 20)
    sources = {one["metric"]["source"] for one in stack.prometheus.query("streaming_connection_state")}
    assert sources == set(CONNECTORS)


@pytest.mark.kafka
def test_prometheus_likes_the_exposition(stack: Stack) -> None:
    import urllib.request

    target = stack.prometheus.query("up")[0]["metric"]["instance"]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{target}/metrics") as answer:
        text = answer.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.kafka
def test_a_venue_that_stops_is_told_to_the_pager_and_so_is_its_return(stack: Stack) -> None:
    until(lambda: stack.prometheus.query("sum(k2conn_connection_live) == 2"))
    firing = [one["metric"]["alertname"] for one in stack.prometheus.query('ALERTS{alertstate="firing"}')]
    assert "StreamingSourceDisconnected" not in firing
    stack.venue.kill()
    told = stack.pager.told("StreamingSourceDisconnected", "firing", within=40)
    assert told["labels"]["severity"] == "critical"
    assert told["labels"]["connector"] in CONNECTORS
    assert told["annotations"]["runbook"] == "docs/runbook.md#streamingsourcedisconnected"
    stack.venue.start()
    stack.pager.told("StreamingSourceDisconnected", "resolved", within=90)
    os.kill(stack.process.pid or 0, 15)
    until(lambda: not stack.process.running)
    lines = [json.loads(line) for line in stack.process.log.read_text().splitlines() if line.startswith("{")]
    assert {line["connector"] for line in lines if line.get("lost") == 0} == set(CONNECTORS)
