"""`k2conn run --features`: as a process, and the stage by itself."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro.reading import read_container
from k2conn.candles.settings import CandleSettings
from k2conn.compiler.compiler import load_plan
from k2conn.engine.connector_state import ConnectorState
from k2conn.errors import SettingsError
from k2conn.features.settings import FeatureSettings
from k2conn.runner.candle_stage import CandleStage
from k2conn.runner.feature_stage import FeatureStage
from tests.integration.test_candles_command import candles, written
from tests.integration.test_run import run
from tests.paths import ROOT
from tests.support.features import COUNT, binance_minutes, minute_inputs, near, reference
from tests.support.lists import shown_list
from tests.support.trade_data import BEGIN_US, trade

PLAN = ROOT / "connectors" / "binance.yaml"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance_minutes() as url:
        yield url


def records(folder: Path) -> list[dict[str, Any]]:
    found = [one for path in folder.rglob("*features*/*.avro") for one in read_container(path)]
    return sorted(found, key=lambda one: (one["symbol"], one["open_time"]))


@pytest.mark.parametrize("size", ["18,8", "38,18"])
def test_features_of_a_venues_candles(tmp_path: Path, address: str, size: str) -> None:
    done = run(
        tmp_path, "binance", "--symbols", "BTCUSDT,ETHUSDT", "--streams", "candle,quote", "--intervals", "1m",
        "--features", "1m", "--folder", "out", "--port", -1, "--summary", "sum.json", "--duration", "6s",
        K2_BINANCE_WEBSOCKET_URL=address, K2_BACKFILL="false", K2_FEATURES_WARM_UP="58",
        K2_DECIMALS=size, **shown_list(tmp_path, "binance"),
    )
    assert done.returncode == 0, done.stderr
    books = json.loads((tmp_path / "sum.json").read_text())["connectors"]["binance"]
    assert books["balanced"]
    made = COUNT - 57
    assert books["streams"]["features"]["published"] == 2 * made
    found = records(tmp_path / "out")
    assert [one["symbol"] for one in found] == ["BTCUSDT"] * made + ["ETHUSDT"] * made
    rows = {symbol: minute_inputs(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
    for at, one in enumerate(found):
        number = at % made + 57
        assert one["is_warmed_up"] == (number >= 59)
        assert (one["candles"], one["missing"], one["stream"]) == (min(60, number + 1), 0, "candle_1m")
        near(one, *reference(rows[one["symbol"]][max(0, number - 59) : number + 1]))
    assert {one["spread_bps_zscore"] != 0 for one in found} == {True}, "the quotes were seen"


def test_settings_that_cannot_be_are_told(tmp_path: Path) -> None:
    done = run(tmp_path, "binance", "--features", "1x", K2_FEATURES_WINDOW="1")
    assert done.returncode == 2
    assert "K2_BINANCE_FEATURES: '1x' is no interval" in done.stderr
    assert "a window of 1 candles is not from 2 to 1440" in done.stderr


# --- the stage by itself


def chosen(streams: list[str], made: CandleStage | None = None, **given: Any) -> tuple[FeatureStage, ConnectorState]:
    state = ConnectorState(load_plan(PLAN), streams)
    stage = FeatureStage(state.plan, FeatureSettings(**given))
    stage.choose(state, made)
    return stage, state


def test_without_candles_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    stage, state = chosen(["trade"])
    assert stage.topics(state) == {}
    assert "no features: no candles of this interval" in capsys.readouterr().out


def test_candles_of_trades_where_the_venues_do_not_run() -> None:
    made = CandleStage(load_plan(PLAN), CandleSettings(names=("1m", "5m")))
    stage, state = chosen(["trade"], made, names=("1m",))
    assert list(stage.topics(state)) == ["market.crypto.features.binance"]
    assert stage._sources == {("candle-of-trades", "1m")}


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "numpy":
            raise ModuleNotFoundError("No module named 'numpy'", name="numpy")
        return real(name, *rest, **more)

    for name in ("k2conn.features.maker", "k2conn.features.window"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(SettingsError, match=r"pip install 'k2conn\[features\]'"):
        FeatureStage(load_plan(PLAN), FeatureSettings())


def test_who_makes_no_features_does_not_load_numpy() -> None:
    text = "import sys, k2conn.cli.run, k2conn.cli.candles; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


# --- of stored trades


def test_features_of_candles_of_stored_trades(tmp_path: Path) -> None:
    written(tmp_path / "trades.avro", [trade(number, BEGIN_US + number * 20_000_000) for number in range(3 * 12)])
    options = ("--intervals", "1m,5m", "--features", "1m", "--open", "close", "--folder", "out")
    done = candles(tmp_path, "trades.avro", *options, K2_FEATURES_WINDOW="10", K2_FEATURES_WARM_UP="5")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "out")
    assert [one["candles"] for one in found] == [5, 6, 7, 8, 9, 10, 10, 10]
    assert {(one["stream"], one["interval"], one["spread_bps_minmax"]) for one in found} == {
        ("candle-of-trades", "1m", "0.5")
    }
    assert [one["is_warmed_up"] for one in found] == [False] * 5 + [True] * 3


def test_features_of_candles_that_are_not_made_are_refused(tmp_path: Path) -> None:
    done = candles(tmp_path, "-", "--intervals", "5m", "--features", "1m", data=b"")
    assert done.returncode == 2
    assert b"--features 1m: no such candles are made: say --intervals 5m,1m" in done.stderr
