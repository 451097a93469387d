"""The alerts, recording rules and dashboards of `deploy/` are about metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.paths import ROOT
from tests.servers.prerequisites import Missing
from tests.servers.prometheus import installed
from tests.support.exposed_names import series_names
from tests.support.promql import names_read

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
OTHERS = {"up", "ALERTS"}
"""Of Prometheus itself."""
SEVERITIES = {"critical", "high", "warning"}
COMMON_NAMES = {
    "streaming_connection_state", "streaming_messages_received_total", "streaming_message_errors_total",
    "k2_binance_connection_status", "k2_binance_messages_received_total", "k2_binance_reconnects_total",
    "k2_binance_errors_total", "binance_connection_state", "binance_messages_received_total",
    "binance_message_latency_seconds_bucket", "binance_connection_errors_total", "kafka_messages_produced_total",
    "kafka_produce_errors_total",
}
PANELS = {"row", "stat", "timeseries", "bargauge"}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(dashboard["panels"])


def plain(expression: str) -> str:
    """A panel's expression without the variables of Grafana."""
    return re.sub(r"\$\{?\w+\}?", ".*", expression)


def expressions() -> list[Any]:
    found = [(f"rules.yml {rule.get('alert') or rule['record']}", rule["expr"]) for rule in RULES]
    for path in DASHBOARDS:
        for panel in panels(json.loads(path.read_text())):
            found += [(f"{path.name} {panel['title']}", plain(one["expr"])) for one in panel.get("targets", ())]
    return [pytest.param(expression, id=place) for place, expression in found]


@pytest.mark.parametrize("expression", expressions())
def test_it_reads_metrics_that_there_are(expression: str) -> None:
    assert names_read(expression) <= series_names() | RECORDED.keys() | OTHERS


def test_a_metric_that_is_not_there_is_seen() -> None:
    found = names_read('sum by (job) (rate(k2conn_no_such_total{a="b"}[5m])) > 0 or up')
    assert found - series_names() == {"k2conn_no_such_total", "up"}


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested_for_firing_and_for_not_firing(name: str) -> None:
    cases = [case for test in yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
             for case in test["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


def test_the_names_that_others_use_are_recorded() -> None:
    assert RECORDED.keys() >= COMMON_NAMES


@pytest.mark.deploy
@pytest.mark.parametrize("command", [
    ["promtool", "check", "config", "prometheus.yml"],
    ["promtool", "test", "rules", "rules_test.yml"],
    ["amtool", "check-config", "alertmanager.yml"],
], ids=lambda command: command[-1])
def test_prometheus_says_so_too(command: list[str]) -> None:
    try:
        installed()
    except Missing as why:
        pytest.skip(str(why))
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_is_whole(path: Any) -> None:
    found = json.loads(path.read_text())
    assert found["uid"].startswith("k2conn-")
    numbers = [panel["id"] for panel in panels(found)]
    assert len(numbers) == len(set(numbers))
    variables = {one["name"] for one in found["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in panels(found):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert panel["type"] in PANELS
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "prometheus"
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables


def test_there_are_four_dashboards_and_prices_are_five_seconds_old_at_most() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
    assert found.keys() == {"overview", "connector", "kafka-and-spool", "live-price"}
    assert len({one["uid"] for one in found.values()}) == 4
    assert found["live-price"]["refresh"] == "5s"
    assert "Live BTC Price" in {panel["title"] for panel in panels(found["live-price"])}


def test_compose_hands_all_of_it_to_the_servers() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("prometheus", "alertmanager", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for volume in services[name]["volumes"]:
            host = volume.split(":")[0]
            assert not host.startswith(".") or (ROOT / host).exists(), volume
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "k2conn.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
