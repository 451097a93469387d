"""Features: against values worked out by hand, and against a reference that reckons with fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest

from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.features import maker as feature_maker
from k2conn.features.inputs import NAMES, CandleInputs
from k2conn.features.maker import FeatureMaker
from k2conn.features.settings import FeatureSettings
from k2conn.features.window import Window
from k2conn.intervals import Interval
from tests.support.features import INPUTS, MINUTE_US, inputs, minute, near, reference, walk


def plain(envelope: Envelope | None) -> dict[str, Any]:
    assert envelope is not None
    assert envelope.schema is not None
    return envelope.schema.decode_plain(envelope.value)


def small(**given: Any) -> FeatureMaker:
    return FeatureMaker(FeatureSettings(**({"window": 3, "warm_up": 2} | given)))


def closes(maker: FeatureMaker, *values: int) -> list[dict[str, Any]]:
    """The records of candles that follow each other, with these closing prices."""
    made = [maker.features(minute(number, close=value * 10**8), "candle", 0) for number, value in enumerate(values)]
    return [plain(one) for one in made if one is not None]


def test_by_hand() -> None:
    found = closes(small(), 1, 2, 3, 3, 0, 4)
    assert [one["close_minmax"] for one in found] == ["1", "1", "1", "0", "1"]
    # 1,2: (2-1.5)/0.5; 1,2,3: 1/sqrt(2/3); 2,3,3: (1/3)/sqrt(2/9); 3,3,0: -2/sqrt(2); 3,0,4: (5/3)/sqrt(26/9)
    assert [one["close_zscore"] for one in found] == [
        "1", "1.224744871392", "0.707106781187", "-1.414213562373", "0.980580675691",
    ]
    assert {one["open_minmax"] for one in found} == {"0.5"}, "equal in the whole window"
    assert {one["open_zscore"] for one in found} == {"0"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_a_reference_of_fractions_has_it(seed: int) -> None:
    maker, rows = FeatureMaker(FeatureSettings()), []
    for number, candle in enumerate(walk(130, seed)):
        spread = Fraction(number % 7, 8)
        rows.append(inputs(candle, spread))
        made = maker.features(candle, "candle", spread.numerator / spread.denominator)
        if number < 29:
            assert made is None
            continue
        record = plain(made)
        assert (record["candles"], record["missing"]) == (min(number + 1, 60), 0)
        assert record["is_warmed_up"] == (number >= 59)
        if number % 10 != 9:  # the reference takes its time
            continue
        near(record, *reference(rows[-60:]))
    assert (maker.counts.made, maker.counts.warming, maker.warmed_up) == (101, 29, True)


def test_the_inputs_are_the_nearest_numbers() -> None:
    assert NAMES == INPUTS
    for candle in walk(40):
        row = CandleInputs().row(candle, 0)
        assert row == tuple(one.numerator / one.denominator for one in inputs(candle))


def test_what_a_venue_does_not_tell_is_null_in_the_whole_window() -> None:
    maker = small()
    told = {"quote_volume": 1, "taker_buy_quote": 1}
    found = [maker.features(minute(0, **told, taker_buy_base=None), "candle", 0)]
    found += [maker.features(minute(number, **told, close=number), "candle", 0) for number in (1, 2, 3)]
    records = [plain(one) for one in found[1:]]
    assert [one["taker_buy_base_zscore"] for one in records] == [None, None, "0"]
    assert [one["taker_buy_ratio_minmax"] for one in records] == [None, None, "0.5"]
    assert all(one["close_zscore"] is not None for one in records)


def test_without_volume_half_of_it_bought() -> None:
    assert CandleInputs().row(minute(0, volume=0, taker_buy_base=0), 0)[-1] == 0.5
    assert CandleInputs().row(minute(0, volume=0, taker_buy_base=None), 0)[-1] == 0.5


def test_the_spread_is_the_quoted_one() -> None:
    spread = CandleInputs().spread_bps
    assert spread({"bid_price": 99_00000000, "ask_price": 101_00000000}) == 200
    assert spread({"bid_price": 101_00000000, "ask_price": 99_00000000}) == -200
    assert spread({"bid_price": 0, "ask_price": 101_00000000}) == 0


def test_noise_of_the_arithmetic_is_no_difference() -> None:
    third = 10**18 // 3
    maker = small()
    found = [maker.features(minute(number, volume=volume * 3, taker_buy_base=volume), "candle", 0)
             for number, volume in enumerate((third, third * 7, third * 11))]
    record = plain(found[-1])
    assert (record["taker_buy_ratio_minmax"], record["taker_buy_ratio_zscore"]) == ("0.5", "0")
    assert record["volume_minmax"] == "1"


def test_a_candle_that_changes_gives_features_again_and_others_stay() -> None:
    maker = small()
    first = closes(maker, 1, 2, 3)
    again = plain(maker.features(minute(2, close=3 * 10**8), "candle", 0))
    assert again == first[-1], "the same candle has the same record, by its id too"
    changed = plain(maker.features(minute(2, close=5 * 10**8), "candle", 0))
    assert changed["message_id"] != again["message_id"]
    assert changed["open_time"] == again["open_time"]
    assert changed["close_zscore"] == "1.372812945967"  # 1,2,5: (7/3)/sqrt(26/9)
    following = plain(maker.features(minute(3, close=5 * 10**8), "candle", 0))
    assert following["close_zscore"] == "0.707106781187"  # 2,5,5


def test_late_candles_take_their_place_and_a_hole_is_told() -> None:
    maker = small()
    closes(maker, 1, 2)
    hole = plain(maker.features(minute(4, close=3 * 10**8), "candle", 0))
    assert (hole["candles"], hole["missing"]) == (3, 2)
    late = plain(maker.features(minute(3, close=9 * 10**8), "candle", 0))
    assert (late["open_time"], late["missing"]) == (minute(3)["open_time"], 1)
    assert late["close_minmax"] == "1"
    assert plain(maker.features(minute(2, close=0), "candle", 0))["close_minmax"] == "0"
    newest = plain(maker.features(minute(5, close=4 * 10**8), "candle", 0))
    assert (newest["missing"], newest["close_minmax"]) == (0, "0.166666666667")  # 9,3,4


def test_what_is_older_than_all_that_is_kept_is_counted() -> None:
    maker = small()
    closes(maker, *range(1, 9))
    assert maker.features(minute(1), "candle", 0) is None
    assert maker.counts.late == 1
    assert maker.features(minute(2), "candle", 0) is None
    assert (maker.counts.late, maker.counts.warming) == (1, 2), "it is kept, with too few before it"


def test_a_window_keeps_its_order_whatever_comes() -> None:
    window, interval = Window(Interval("1m"), 4), Interval("1m")
    kept: dict[int, float] = {}
    for number in (5, 3, 9, 4, 3, 12, 10, 11, 2, 1, 6, 20, 7):
        at = window.put(interval.begin_us(number), [float(number)] * len(NAMES))
        if len(kept) == 8 and number not in kept:
            oldest = min(kept)
            assert (at is None) == (number < oldest)
            if at is None:
                continue
            del kept[oldest]
        kept[number] = number
        assert at == sorted(kept).index(number)
        begins = sorted(kept)[max(0, at - 3) : at + 1]
        found = window.normalised(at)
        assert (found.candles, found.missing) == (len(begins), number - begins[0] + 1 - len(begins))
        assert found.minmax[0] in (10**12, 10**12 // 2)


def test_symbols_and_intervals_have_windows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_maker, "MOST_SERIES", 2)
    maker = small(names=("1m", "5m"))
    for number in range(3):
        maker.features(minute(number), "candle", 0)
    assert maker.warmed_up
    five = minute(0, interval="5m", close_time=minute(0)["open_time"] + 5 * MINUTE_US)
    assert maker.features(five, "candle", 0) is None
    assert not maker.warmed_up
    assert maker.features(minute(0, symbol="ETHUSD"), "candle", 0) is None
    assert maker.counts.unknown == 1


def test_extreme_numbers_are_no_infinity() -> None:
    maker = small()
    largest = 10**38 - 1
    maker.features(minute(0, volume=1, taker_buy_base=largest), "candle", 0)
    record = plain(maker.features(minute(1, volume=largest, taker_buy_base=0), "candle", math.inf))
    assert record["volume_minmax"] == "1"
    assert record["spread_bps_minmax"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"names": ()}, "no interval is named"),
        ({"names": ("1x", "2y")}, "'2y' is no interval"),
        ({"window": 1}, "a window of 1 candles is not from 2 to 1440"),
        ({"warm_up": 61}, "a warm-up of 61 candles is not from 2 to the window's 60"),
        ({"names": tuple(f"{n}m" for n in range(1, 40))}, "39 intervals are more than 32"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        FeatureSettings(**given)
