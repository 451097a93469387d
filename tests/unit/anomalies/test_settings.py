"""Thresholds as people write them: all that is wrong is said at once."""

from __future__ import annotations

import re

import pytest

from k2conn.anomalies.kinds import UNITS, AnomalyKind
from k2conn.anomalies.settings import AnomalyMode, AnomalySettings, read_thresholds
from k2conn.errors import SettingsError
from k2conn.settings import connector_settings


def test_what_is_said_is_read() -> None:
    said = read_thresholds(["price-move=0.025", "locked-quote=off", "quiet=5"])
    settings = AnomalySettings(said=said)
    assert (settings.number("price-move"), settings.number("size-spike"), settings.quiet_us) == (0.025, 50, 5_000_000)
    assert settings.kinds == set(AnomalyKind) - {AnomalyKind.LOCKED_QUOTE}


def test_all_that_is_wrong_is_said_at_once() -> None:
    words = ["pric-move=1", "halted=3", "quiet=off", "times=0", "size-spike=1e9", "wide-spread=-1",
             "clock-ahead=\u0662"]
    with pytest.raises(SettingsError) as caught:
        AnomalySettings(said=read_thresholds(words))
    assert [text.partition(":")[0].split(" ")[0] for text in caught.value.problems] == [
        "'pric-move'", "halted", "quiet=off", "times=0", "size-spike=1e9", "wide-spread=-1", "clock-ahead=\u0662",
    ]
    with pytest.raises(SettingsError, match=re.escape("'price-move': say NAME=VALUE, such as price-move=0.02")):
        read_thresholds(["price-move", "quiet=1"])


@pytest.mark.parametrize(("environment", "mode", "move"), [
    ({}, "watch", 0.01),
    ({"K2_ANOMALIES": "off", "K2_ANOMALY_THRESHOLDS": "price-move=0.5"}, "off", 0.5),
    ({"K2_ANOMALIES": "off", "K2_VENUE_ANOMALIES": "publish", "K2_VENUE_ANOMALY_THRESHOLDS": "price-move=0.2",
      "K2_ANOMALY_THRESHOLDS": "price-move=0.5"}, "publish", 0.2),
])
def test_a_connectors_own_variables_come_first(environment: dict[str, str], mode: str, move: float) -> None:
    found = connector_settings(environment, "VENUE", "venue").overrides.anomalies
    assert (found.mode, found.number("price-move")) == (AnomalyMode(mode), move)


def test_problems_name_their_variable() -> None:
    with pytest.raises(SettingsError) as caught:
        connector_settings({"K2_ANOMALIES": "yes", "K2_VENUE_ANOMALY_THRESHOLDS": "x=1"}, "VENUE", "venue")
    assert caught.value.problems[0] == "K2_ANOMALIES 'yes': say off, watch, publish"
    assert caught.value.problems[1].startswith("K2_VENUE_ANOMALY_THRESHOLDS: 'x' is none of price-move, ")


def test_every_kind_has_a_unit() -> None:
    assert set(UNITS) == set(AnomalyKind)
