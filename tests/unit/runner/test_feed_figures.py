"""What /health says for dashboards of candle feeders, and when it is degraded by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k2conn.errors import SettingsError
from k2conn.monitoring import feed_figures
from k2conn.monitoring.feed_figures import NOTHING, FeedFigures, beyond_limits, memory_mb, merge_feeds
from k2conn.runner.health_limits import HealthLimits
from k2conn.settings import health_limits
from k2conn.sinks import SINKS, database
from k2conn.sinks.settings import SinkSettings


def figures(**given: Any) -> FeedFigures:
    return {**NOTHING, **given}  # type: ignore[typeddict-item]


def found(limits: HealthLimits, feeds: bool = True, **given: Any) -> list[str]:
    return list(beyond_limits(figures(**given), limits, feeds))


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_without_limits_nothing_is_too_much() -> None:
    assert found(HealthLimits(), errors_24h=10**9, memory_mb=10.0**9, last_candle_time=ago(10**8)) == []


def test_too_many_errors() -> None:
    assert found(HealthLimits(errors=10), errors_24h=10) == []
    assert found(HealthLimits(errors=10), errors_24h=11) == ["11 errors in 24 hours, more than 10"]
    assert found(HealthLimits(errors=0), errors_24h=1) != []


def test_too_much_memory() -> None:
    assert found(HealthLimits(memory_mb=100), memory_mb=100.0) == []
    assert found(HealthLimits(memory_mb=100), memory_mb=100.6) == ["101 MB of memory, more than 100"]
    assert found(HealthLimits(memory_mb=100), memory_mb=None) == [], "where nobody can know it"


def test_stale_candles() -> None:
    limits = HealthLimits(candle_age=120)
    assert found(limits, last_candle_time=ago(100)) == []
    assert found(limits, last_candle_time=ago(130)) == ["no candle for 130 s"]
    assert found(limits, last_candle_time=None, uptime_seconds=100.0) == []
    assert found(limits, last_candle_time=None, uptime_seconds=121.0) == ["no candle yet"]
    assert found(limits, feeds=False, last_candle_time=None, uptime_seconds=121.0) == []


def test_the_limits_are_read() -> None:
    assert health_limits({}) == HealthLimits()
    said = {"K2_DEGRADED_ERRORS_24H": "10", "K2_DEGRADED_MEMORY_MB": "100", "K2_DEGRADED_CANDLE_AGE": "2m"}
    assert health_limits(said) == HealthLimits(10, 100, 120.0)
    with pytest.raises(SettingsError) as raised:
        health_limits({"K2_DEGRADED_ERRORS_24H": "x", "K2_DEGRADED_MEMORY_MB": "0"})
    assert len(raised.value.problems) == 2


def test_workers_together() -> None:
    one = figures(candles_processed=3, candles_in_db=2, database_connected=True, last_candle_time=ago(5),
                  details={**NOTHING["details"], "errors_by_kind": {"http": 1}, "features_warmed_up": True})
    newest = ago(1)
    other = figures(candles_processed=4, candles_in_db=4, database_connected=False, last_candle_time=newest,
                    details={**NOTHING["details"], "errors_by_kind": {"http": 2, "gap": 1},
                             "features_warmed_up": False})
    whole = merge_feeds([one, other])
    assert (whole["candles_processed"], whole["candles_in_db"], whole["database_connected"]) == (7, 6, False)
    assert whole["last_candle_time"] == newest
    assert whole["websocket_connected"] is None
    assert whole["details"]["errors_by_kind"] == {"http": 3, "gap": 1}
    assert whole["details"]["features_warmed_up"] is False
    assert merge_feeds([]) == NOTHING


def test_memory_is_this_processs_or_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = memory_mb()
    assert known is None or 10 < known < 10_000
    monkeypatch.setattr(feed_figures, "_MEMORY", str(tmp_path / "none"))
    assert memory_mb() is None


def test_which_sinks_are_databases() -> None:
    assert [name for name in SINKS.built_in if SINKS.get(name).database] == ["postgres", "questdb"]
    assert not database(SinkSettings(kind="file"))
