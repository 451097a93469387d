"""`k2conn new`: what a draft makes of a few recorded frames, and that it validates as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.new import NewOptions, finished, run, tried
from k2conn.compiler.compiler import check_text
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.tools.connector_tests import run_test
from k2conn.tools.drafting.draft import Draft, DraftRequest, draft
from k2conn.tools.drafting.playing import PlayedSample
from k2conn.tools.drafting.recording import DraftFrame, NoFrame, frames
from k2conn.tools.drafting.separators import separators_of
from k2conn.tools.drafting.writing import flow, written
from tests.support.drafts import corpus_files, score

DATA = Path(__file__).parent / "data" / "new"
SAID = {"name": "venue", "url": "wss://ws.example.com", "sample": str(DATA / "letters.jsonl"), "output": "-"}
ASKED = DraftRequest("venue", "VENUE", "crypto", "wss://ws.example.com/v1", None)


def drafted(name: str) -> tuple[Draft, str, Plan]:
    sample = list(frames((DATA / f"{name}.jsonl").read_bytes().splitlines(), None))
    made = draft(ASKED, sample)
    text, problems = finished(made, sample)
    assert problems == []
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    return made, text, plan


def said(made: Draft, stream: str) -> dict[str, Any]:
    """A drafted stream's guesses, by name."""
    one = next(one for one in made.streams if one.name == stream)
    found = {name: guess.value for name, guess in one.mapping.fields.items()}
    options = {name: guess.value for name, guess in one.mapping.options.items()}
    where = {"when": one.when.value, "each": one.mapping.place.each, "symbol": one.mapping.symbol.guess.value}
    return {**where, **found, **options}


def trade(**members: object) -> str:
    """A frame with one trade; what is said replaces or adds members."""
    plain = {"type": "trade", "symbol": "BTC-USD", "price": "1.5", "size": "2", "side": "buy", "id": 77001,
             "ts": 1700000000123}
    return exactjson.encode({**plain, **members}).decode()


def of(*texts: str) -> Draft:
    return draft(ASKED, list(frames([text.encode() for text in texts], None)))


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.jsonl")))
def test_a_draft_validates_and_its_own_tests_pass(name: str) -> None:
    _, text, plan = drafted(name)
    assert plan.tests
    assert [difference for example in plan.tests for difference in run_test(plan, example)] == []
    assert "GAP" in text


def test_single_letters_and_a_value_that_is_price_times_quantity() -> None:
    made, _, _ = drafted("letters")
    assert said(made, "trade") == {
        "when": {"type": "trades", "payload": "$present"}, "each": "payload", "symbol": "$message.book",
        "trade_id": "i", "price": "r", "quantity": "a", "timestamp": {"from": "x", "unit": "ms"},
        "side": {"from": "t", "map": {"0": "BUY", "1": "SELL"}},
    }
    assert [one.name for one in made.streams] == ["trade"]


def test_a_channel_with_the_symbol_in_it_and_a_maker_flag() -> None:
    made, _, _ = drafted("topics")
    trade, quote = said(made, "trade"), said(made, "quote")
    assert trade["when"] == "ends_with(stream, '@trade')"
    assert trade["side"] == {"from": "m", "map": {"true": "SELL", "false": "BUY"}}
    assert (quote["bid_price"], quote["bid_quantity"], quote["timestamp"]) == ("b", "B", "$received_at")
    assert (made.spelling.forms, made.spelling.quotes) == (["{base}{quote}"], ["BTC", "USDT"])


def test_levels_and_deltas_are_carried() -> None:
    made, _, _ = drafted("levels")
    quote = said(made, "quote")
    assert quote["when"] == "starts_with(topic, 'orderbook.1.')"
    assert quote["bid_price"] == {"from": "b[?[1] != '0'] | [0][0]", "absent": 0}
    assert quote["carry"] == {"per": "symbol", "begin": {"type": "snapshot"}}
    assert said(made, "trade")["side"]["map"] == {"Buy": "BUY", "Sell": "SELL"}


def test_arrays_are_read_by_position() -> None:
    made, _, _ = drafted("arrays")
    trade = said(made, "trade")
    assert (trade["when"], trade["each"], trade["symbol"]) == ({"[2]": "trade"}, "[1]", "$message[3]")
    assert (trade["price"], trade["timestamp"]) == ("[0]", {"from": "[2]", "unit": "s"})
    assert trade["side"]["map"] == {"b": "BUY", "s": "SELL"}


def test_a_channel_number_is_learnt_from_its_acknowledgement_and_the_sign_tells_the_side() -> None:
    made, _, _ = drafted("numbered")
    assert made.capture == {"when": {"event": "subscribed"}, "into": "symbol_of", "key": "chanId", "value": "pair"}
    trade = said(made, "trade")
    assert trade["symbol"] == {"from": "$message[0]", "look_up": "$state.symbol_of"}
    assert trade["side"]["sign"] == {"positive": "BUY", "negative": "SELL"}
    assert trade["quantity"] == {"from": "[2]", "magnitude": True}
    assert trade["order"] == "newest-first"


def test_a_symbol_is_cut_out_of_the_channel() -> None:
    made, _, _ = drafted("cut")
    assert said(made, "trade")["symbol"] == {"from": "$message.ch", "pattern": "market.{symbol}.trade.detail"}
    assert said(made, "trade")["trade_id"] == "tradeId || id"


@pytest.mark.parametrize(("value", "unit"), [
    ("1700000000", "s"), ("1700000000123", "ms"), ("1700000000123456", "us"), ("1700000000123456789", "ns"),
    ('"1700000000.123"', "s"), ('"2023-11-14T22:13:20.123456Z"', "iso8601"),
])
def test_the_unit_of_a_time_by_magnitude_and_type(value: str, unit: str) -> None:
    made = of(f'{{"type":"trade","symbol":"BTC-USD","price":"1.5","size":"2","time":{value},"id":77001}}')
    assert said(made, "trade")["timestamp"] == {"from": "time", "unit": unit}


def test_a_time_without_offset_is_a_gap() -> None:
    made = of('{"type":"trade","symbol":"BTC-USD","price":"1.5","size":"2","time":"2023-11-14T22:13:20","id":77001}')
    guess = made.streams[0].mapping.fields["timestamp"]
    assert guess.value == {"from": "time", "unit": "iso8601", "zone": "UTC"}
    assert not guess.sure
    assert "zone" in guess.gap


@pytest.mark.parametrize(("ids", "rule"), [
    ((1001, 1002, 1003, 1004), "contiguous"), ((1001, 1005, 1006, 1010), "monotonic"), ((1001, 1009, 1003, 1004), None),
])
def test_what_ids_promise(ids: tuple[int, ...], rule: str | None) -> None:
    made = of(*(trade(id=one) for one in ids))
    assert said(made, "trade").get("sequence", {}).get("rule") == rule


@pytest.mark.parametrize(("names", "forms"), [
    (("BTC-USD",), ["{base}-{quote}"]), (("KRW-ETC",), ["{quote}-{base}"]), (("btc_mxn",), ["{base}_{quote}"]),
    (("BTC-USDT-SWAP",), ["{base}-{quote}-SWAP"]), (("PERP_BTC_USDT",), ["PERP_{base}_{quote}"]),
    (("ETH-USD-211224",), ["{base}-{quote}-{expiry}"]), (("FI_XBTUSD_190927",), ["FI_{base}{quote}_{expiry}"]),
    (("BTC-PERPETUAL",), [{"form": "{base}-PERPETUAL", "quote": "USD"}]),
])
def test_how_symbols_are_spelled(names: tuple[str, ...], forms: list[Any]) -> None:
    made = of(*(trade(symbol=name) for name in names))
    assert made.spelling.forms == forms


def test_numbers_keep_their_digits() -> None:
    frame = b'{"type":"trade","symbol":"BTC-USD","price":64000.10,"size":1e-7,"side":"buy","id":77001}'
    read = list(frames([frame], None))
    text, _ = finished(draft(ASKED, read), read)
    assert '"price":64000.10,"size":1e-7' in text
    assert 'price: "64000.1", quantity: "0.0000001"' in text


def test_frames_may_be_held_under_a_key() -> None:
    lines = [b'{"raw":{"a":1.50}}', b'{"raw":"pong"}', b'{"raw":"{\\"b\\":2}"}']
    assert [frame.text for frame in frames(lines, "raw")] == ['{"a":1.50}', "pong", '{"b":2}']
    with pytest.raises(NoFrame, match=r"line 1 has no 'frame'; it has raw"):
        list(frames(lines, "frame"))


def test_a_sample_without_trades_leaves_a_marked_gap() -> None:
    sample = [DraftFrame("pong", "pong"), DraftFrame('{"a":1}', {"a": 1})]
    text, problems = finished(draft(ASKED, sample), sample)
    assert problems == []
    assert "no message looks like a trade, a quote or a candle" in text


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "venue.yaml"
    target.write_text("mine")
    options = {**SAID, "output": str(target)}
    with pytest.raises(SettingsError, match="--force"):
        run(NewOptions(**options))  # type: ignore[arg-type]
    assert target.read_text() == "mine"
    assert run(NewOptions(**options, force=True)) == 0  # type: ignore[arg-type]
    assert "connector: venue" in target.read_text()


@pytest.mark.parametrize(("change", "text"), [
    ({"name": "Venue"}, "no connector name"), ({"url": "tcp://x:1"}, "an address such as wss://host/path or https://"),
    ({"asset_class": "bonds"}, "asset-class"), ({"docs": "http://x"}, "https://"),
    ({"exchange": "low"}, "no exchange code"), ({"sample": "/nowhere"}, "No such file"),
])
def test_what_cannot_be_drafted_is_reported(change: dict[str, str], text: str) -> None:
    options = {**SAID, **change}
    with pytest.raises(SettingsError, match=text):
        run(NewOptions(**options))  # type: ignore[arg-type]


def test_drafts_of_the_corpus_are_as_good_as_the_guide_says(corpus: Path) -> None:
    scores = [score(path) for path in corpus_files(corpus)]
    assert [one.name for one in scores if not one.valid] == []
    able = [one for one in scores if one.trades]
    assert sum(one.right for one in able) >= 35
    assert sum(one.exact for one in able) >= 498


# -- a draft is played on its own sample


def tried_of(*texts: str) -> tuple[str, PlayedSample]:
    sample = list(frames([text.encode() for text in texts], None))
    text, problems, played = tried(draft(ASKED, sample), sample)
    assert problems == []
    assert played is not None
    return text, played


def line_of(text: str, key: str) -> str:
    """The line of a key in a draft, with its comment, which may stand above it."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{key}: "))
    above = [line for line in lines[max(0, at - 3) : at] if line.strip().startswith("#")]
    return " ".join([*above, lines[at]]) if "#" not in lines[at] else lines[at]


def test_each_frame_is_mapped_or_of_the_conversation_or_unrecognised() -> None:
    text, played = tried_of(
        *(trade(id=77001 + at) for at in range(12)), '{"type":"heartbeat"}', '{"type":"subscribed","channel":"trade"}',
        '{"nobody":"knows"}', trade(id=78000, price="1e30"),
    )
    assert (played.frames, played.mapped, played.conversation, played.unrecognised, played.dead) == (16, 13, 2, 1, 1)
    assert played.streams["trade"].records == 12
    said = list(played.lines())
    assert said[0] == ("played on 16 different frames of its sample: 13 mapped, 2 of the conversation, 1 unrecognised; "
                       "1 dead letter")
    assert "  trade: 12 records, 1 dead letter" in said
    assert any(line.startswith("  dead letters, 1 like: trade price overflow: `price` does not fit") for line in said)
    assert any('frame like: {"nobody":"knows"}' in line for line in said)
    assert "# played on 16 different frames of its sample: 13 mapped" in text


def test_sure_is_what_was_played_and_leaves_nothing_to_find_out() -> None:
    text, _ = tried_of(*(trade(id=77001 + at, side=("buy", "sell")[at % 2]) for at in range(12)), '{"type":"x"}')
    for key in ("when", "price", "trade_id", "sequence"):
        assert "# sure: " in line_of(text, key), key
    assert "# guess: 12 of 12 are buy or sell; GAP: whether this names the aggressor" in " ".join(
        line_of(text, "side").replace("#  ", "").split())


@pytest.mark.parametrize(
    ("frames", "key"),
    [
        ([trade(), trade(id=77002)], "trade_id"),  # two ids show little
        ([trade(rate="2", price=None)], "price"),  # a name that may mean something else
        ([trade(price="1e30")], "price"),  # no record was made
        ([trade(price="1e30"), trade(id=1234)], "price"),  # one could not be made
        ([trade(price="1e30")], "timestamp"),
    ],
)
def test_nothing_else_is_sure(frames: list[str], key: str) -> None:
    text, _ = tried_of(*frames)
    assert "# sure: " not in line_of(text, key)
    assert "# guess: " in line_of(text, key)


def test_dead_letters_stand_beside_what_did_not_fit() -> None:
    text, _ = tried_of(trade(price="1e30"), trade(id=1234))
    assert "DEAD LETTERS when played: 1 overflow" in line_of(text, "price")


def test_the_report_says_what_was_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(NewOptions(**SAID)) == 0  # type: ignore[arg-type]
    assert "played on 4 different frames of its sample: 1 mapped, 2 of the conversation, 1 unrecognised" in (
        capsys.readouterr().err)


@pytest.mark.parametrize(
    ("ping", "when", "answer"),
    [
        ('{"ping":"a13a939c","action":"ping"}', {"action": "ping"}, {"pong": "$message.ping", "action": "pong"}),
        ('{"ping":1767323045678}', {"ping": "$present"}, {"pong": "$message.ping"}),
        ('{"op":"ping","args":["1767323045678"]}', {"op": "ping"}, {"op": "pong", "args": "$message.args"}),
        ('{"Event":"PING","id":7}', {"Event": "PING"}, {"Event": "PONG", "id": "$message.id"}),
        ("ping", {"@": "ping"}, "pong"),
        ('{"op":"pong"}', None, None), ('{"type":"heartbeat"}', None, None), ('{"shopping":1}', None, None),
    ],
)
def test_the_venues_pings_are_answered_in_their_own_words(ping: str, when: Any, answer: Any) -> None:
    text, played = tried_of(trade(), trade(id=77002), ping)
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    found = [(one.when, one.send) for one in plan.connections[0].answer]
    assert len(found) == (when is not None)
    if when is None:
        return
    assert f"answer: [{flow({'when': when, 'send': answer})}]" in text
    assert played.unrecognised == 0


def test_an_address_that_is_asked_again_and_again() -> None:
    sample = list(frames([b'[{"symbol":"BTC-USD","price":"1.5","size":"2","side":"buy","id":7,"ts":1700000000123}]'
], None))
    text, problems, played = tried(draft(ASKED._replace(url="https://api.example.com/trades?n=5"), sample), sample)
    assert problems == []
    assert "  url: https://api.example.com/trades?n=5\n  poll: 2s  # GAP" in text
    assert "heartbeat, such as" not in text
    assert "# 1. url: how it names a symbol" in text
    assert played is not None
    assert played.streams["trade"].records == 1


def test_frames_that_are_no_json_are_said_to_be_unread() -> None:
    _, played = tried_of(trade(), '42["trade",{"price":"1.5"}]')
    assert (played.frames, played.mapped, played.unreadable) == (2, 1, 1)
    assert any("1 frame cannot be read as JSON: `codec` says how" in line for line in played.lines())


# -- recordings with a time, a direction, lists of messages


@pytest.mark.parametrize(
    ("line", "text", "sent"),
    [
        ('2026-01-02T03:04:05Z {"a":1}', '{"a":1}', False),
        ('[03:04:05.678] < {"a":1}', '{"a":1}', False),
        ('1767323045.678: {"a":1}', '{"a":1}', False),
        ('1616161616.12:["a"]', '["a"]', False),
        ('1767323045678,"{""a"":""x""}"', '{"a":"x"}', False),
        ("12:00:00 ping", "ping", False),
        ('> {"a":1}', '{"a":1}', True),
        ("2026-01-02 03:04:05,123 - sent: [1,2]", "[1,2]", True),
        ('[2026-01-02T03:04:05+00:00][recv] {"a":1}', '{"a":1}', False),
        ('2026-01-02T03:04:05Z < 42["a",{}]', '42["a",{}]', False), ("03:04:05 > 40", "40", True),
        # what is no prefix stays
        ("2026-01-02T03:04:05.40", "2026-01-02T03:04:05.40", False), ('42["a",{}]', '42["a",{}]', False),
        ("1767323045", "1767323045", False), ("inverse", "inverse", False), ("out of [1]", "out of [1]", False),
        ("2026-01-02T03:04:05Z hello {x", "2026-01-02T03:04:05Z hello {x", False),
        ('[1,"te",[3]]', '[1,"te",[3]]', False),
    ],
)
def test_a_time_and_a_direction_before_a_frame(line: str, text: str, sent: bool) -> None:
    one, = frames([line.encode()], None)
    assert (one.text, one.sent) == (text, sent)


def test_what_was_sent_becomes_steps_and_its_answers_what_is_expected() -> None:
    text, played = tried_of(
        '> {"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"],"id":1}', '< {"result":null,"id":1}',
        '> {"op":"subscribe","args":[{"channel":"bbo","instId":"BTCUSDT"}],"id":2}',
        '< {"event":"subscribe","arg":{"channel":"bbo","instId":"BTCUSDT"}}',
        "< " + trade(symbol="BTCUSDT"), "< " + trade(symbol="ETHUSDT", id=77002),
        '< {"type":"bbo","symbol":"BTCUSDT","bid":["1.5","2"],"ask":["1.6","2"],"ts":1700000000123}',
        "> ping", "< pong",
        '> {"method":"login","apiKey":"open-sesame"}', '> {"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":3}',
    )
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    assert 'send: {method: SUBSCRIBE, params: ["{$symbol.lower}@trade"], id: $counter}' in text
    assert "send: {op: subscribe, args: {$each_symbol: {channel: bbo, instId: $symbol}}, id: $counter}" in text
    assert "expect: {accepted: {event: subscribe, arg.channel: bbo}, symbol: arg.instId}" in text
    assert [step.streams for step in plan.connections[0].steps] == [("trade",), ("quote",)]
    assert "UNSUBSCRIBE" not in text
    assert "sesame" not in text  # a key is no part of a file
    assert "GAP: 1 sent frame with a key or a token" in text
    assert "# sent in the sample: ping" in text
    assert (played.frames, played.unrecognised, played.dead) == (6, 0, 0)


SOCKET_IO = (
    '< 0{"sid":"abc","pingInterval":25000,"pingTimeout":20000}', "> 40", '< 40{"sid":"def"}',
    '> 42["subscribe",{"channel":"trades","pairs":["BTC-USD","ETH-USD"]}]',
    '< 42["subscribed",{"channel":"trades","pairs":["BTC-USD","ETH-USD"]}]',
    '< 42["trade",{"pair":"BTC-USD","id":1,"price":"64000.1","amount":"0.25","side":"buy","time":1767623402123}]',
    '< 42["trade",{"pair":"ETH-USD","id":2,"price":"3100.1","amount":"1.5","side":"sell","time":1767623402223}]',
)


def test_events_of_socket_io() -> None:
    text, played = tried_of(*SOCKET_IO, "< 2", "> 3")
    assert (played.frames, played.mapped, played.conversation) == (6, 2, 4)
    assert (played.unrecognised, played.dead, played.streams["trade"].records) == (0, 0, 2)
    plan, problems = check_text("venue.yaml", text, Path())
    assert plan is not None, problems
    connection = plan.connections[0]
    assert connection.codec.text == ("prefixed",)
    assert [step.name for step in connection.steps][:2] == ["open", "enter"]
    assert connection.steps[2].text == '42["subscribe",{"channel":"trades","pairs":["{$symbol}"]}]'
    assert "expect: {accepted: {event: subscribed, data.channel: trades}}" in text
    assert 'answer: [{when: {prefix: "2"}, send: "3"}]' in text
    assert "when: {event: trade}" in text
    assert plan.tests, "a frame of the sample became a test"


def test_an_older_socket_io_is_pinged_as_its_welcome_says() -> None:
    text, _ = tried_of(*SOCKET_IO, "> 2", "< 3")
    assert 'heartbeat: {every: "25000 ms", send: "2", answer: {prefix: "3"}}' in text
    assert "answer: [" not in text


def test_lists_of_texts_of_sockjs() -> None:
    rows = [exactjson.encode([trade(id=number)]).decode() for number in (1, 2, 3)]
    sent = exactjson.encode(['{"op":"sub","symbol":"BTC-USD"}']).decode()
    text, played = tried_of("< o", f"> {sent}", *(f"< a{row}" for row in rows), "< h")
    assert (played.frames, played.unreadable, played.unrecognised) == (5, 0, 0)
    assert played.streams["trade"].records == 3
    assert "body[*].from_json(@)" in text
    assert "- {prefix: h}" in text
    assert "- {name: open, expect: {accepted: {prefix: o}}}" in text
    assert r'- send: ["{\"op\":\"sub\",\"symbol\":\"{$symbol}\"}"]' in text


def test_frames_that_are_lists_of_messages() -> None:
    quote = '{"type":"quote","symbol":"BTC-USD","bid":"1","ask":"2","ts":1}'
    two = f"[{trade()},{trade(id=77002)},{quote}]"
    text, played = tried_of(two, "[" + trade(id=77003) + "]", '[{"type":"status","msg":"authenticated"}]')
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    assert plan.connections[0].each is not None
    assert played.streams["trade"].records == 3


def test_lists_within_lists() -> None:
    def frame(*books: tuple[str, int]) -> str:
        data = [{"symbol": name, "trades": [
            {"price": f"{at}.5", "qty": "2", "side": "buy", "id": 77000 + at, "ts": 1700000000123 + at},
            {"price": f"{at}.6", "qty": "3", "side": "sell", "id": 78000 + at, "ts": 1700000000124 + at},
        ]} for name, at in books]
        return exactjson.encode({"ch": "trade", "data": data}).decode()

    texts = [frame(("BTC-USD", 1), ("ETH-USD", 2)), frame(("ETH-USD", 3)), frame(("BTC-USD", 4))]
    sample = list(frames([text.encode() for text in texts], None))
    made = draft(ASKED, sample)
    one = said(made, "trade")
    assert (one["each"], one["symbol"], one["trade_id"]) == (["data", "trades"], "$parent.symbol", "id")
    text, problems = finished(made, sample)
    assert problems == []
    assert "    each: [data, trades]\n" in text
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    assert [difference for example in plan.tests for difference in run_test(plan, example)] == []
    assert sum(len(turn.records or ()) for example in plan.tests for turn in example.dialogue) >= 2


def test_a_message_that_is_the_list_of_rows() -> None:
    rows = [["1663318663", 2357062, "btc_jpy", "2820896.0", "5.0", "sell"],
            ["1663318664", 2357063, "btc_jpy", "2820897.0", "0.1", "buy"]]
    made = of(exactjson.encode(rows).decode())
    found = said(made, "trade")
    assert made.listed
    assert (found["trade_id"], found["price"], found["quantity"]) == ("[1]", "[3]", "[4]")
    assert (found["symbol"], found["timestamp"]) == ("[2]", {"from": "[0]", "unit": "s"})


# -- quotes, sides, the recent past


def book(bids: object, asks: object, **members: object) -> str:
    return exactjson.encode({"channel": "depth", "symbol": "BTC-USD", "bids": bids, "asks": asks, "ts": 1700000000123,
                             **members}).decode()


@pytest.mark.parametrize(
    ("frame", "price", "quantity"),
    [
        (book([["1.5", "2"], ["1.4", "1"]], [["1.6", "2"], ["1.7", "1"]]), "bids[0][0]", "bids[0][1]"),
        (book([{"price": "1.5", "size": "2"}, {"price": "1.4", "size": "1"}], [{"price": "1.6", "size": "2"}]),
         "bids[0].price", "bids[0].size"),
        ('{"channel":"l1","symbol":"BTC-USD","bid":{"price":"1.5","size":"2"},"ask":{"price":"1.6","size":"2"},"ts":1}',
         "bid.price", "bid.size"),
        ('{"channel":"l1","symbol":"BTC-USD","bid":["1.5","2"],"ask":["1.6","2"],"ts":1700000000123}',
         "bid[0]", "bid[1]"),
    ],
)
def test_the_best_of_lists_and_objects(frame: str, price: str, quantity: str) -> None:
    quote = said(of(frame), "quote")
    assert (quote["bid_price"], quote["bid_quantity"]) == (price, quantity)


@pytest.mark.parametrize(
    "frame",
    [
        book([["1.4", "2"], ["1.5", "1"]], [["1.6", "2"]]),  # not the best first
        book([["1.5", "2"], ["1.4", "0"]], [["1.6", "2"], ["1.7", "0"]]),  # one is taken away
        book([["1.5", "2"], ["1.4", "2"]], []),  # a side that did not change
    ],
)
def test_changes_of_a_book_are_no_quotes(frame: str) -> None:
    whole = book([["1.5", "2"], ["1.4", "1"]], [["1.6", "2"], ["1.7", "1"]])
    found = of(whole, frame, trade())
    assert found.streams[-1].name == "trade"
    assert "GAP: changes of a book make no quotes" in written(found)


def test_a_list_named_after_trades_a_short_id_and_a_time_by_its_magnitude() -> None:
    """Nothing else in these messages says that they are trades; a time of an unknown name is never sure."""
    rows = [("BTC-USD", "a1", 1767323045123), ("ETH-USD", "a2", 1767323045223), ("BTC-USD", "a3", 1767323045323)]
    text, _ = tried_of(*(
        exactjson.encode({"symbol": symbol, "trades": [{"tid": tid, "px": "2.5", "qty": "3", "maker": "buyer",
                                                        "at": at}]}).decode()
        for symbol, tid, at in rows
    ))
    assert "when: {trades: $present}" in text
    assert "trade_id: tid  # guess: 3 different values" in text
    assert "timestamp: {from: at, unit: ms}" in text
    assert "GAP: that it is the time of the event" in text
    assert "side: {from: maker, map: {buyer: SELL, seller: BUY}}" in text


@pytest.mark.parametrize(("inside", "columns"), [(False, "{id: id, t: t, p: p, v: v}"),
                                                 (True, "{id: d.id, t: d.t, p: d.p, v: d.v}")])
def test_columns_become_rows(inside: bool, columns: str) -> None:
    frames = []
    for first in (7, 17, 27):
        table = {"id": [first, first + 1], "t": [1767323045123, 1767323045124], "p": ["64000.1", "64000.2"],
                 "v": ["0.5", "0.25"]}
        whole = {"ch": "trades", "s": "BTC-USD", **({"d": table} if inside else table)}
        frames.append(exactjson.encode(whole).decode())
    text, played = tried_of(*frames)
    assert f'each: "rows({columns})"' in text
    assert "symbol: $message.s" in text
    assert "price: p" in text
    assert (played.mapped, played.streams["trade"].records) == (3, 6)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1.234,5"], (".", ",")), (["1,234.5", "7"], (",", ".")), (["0,5", "1234,25", None, ""], ("", ",")),
        (["1.234.567", "1.234"], (".", ",")), (["1'000.5"], ("'", ".")), (["1 234,5"], (" ", ",")),
        (["1.234"], None), (["1,234"], None), (["0,125", "2,250"], None), (["1.5", "2"], None), ([1, "2"], None),
        (["1.234,5", "x"], None), (["1.23,4"], None), ([], None), (["1,2,3"], None), (["2026-01-02"], None),
    ],
)
def test_separators_are_those_that_alone_make_numbers_of_texts(values: list[Any], found: Any) -> None:
    assert separators_of(values) == found


def test_numbers_with_a_comma_before_the_decimals() -> None:
    trades = [trade(price=f"64.000,{number}", qty=f"0,{number}") for number in (11, 12, 13)]
    quotes = [exactjson.encode({"type": "quote", "symbol": "BTC-USD", "bid": f"64.000,{number}", "bidSize": "1,5",
                                "ask": f"64.001,{number}", "askSize": "0,5"}).decode() for number in (11, 12, 13)]
    text, played = tried_of(*trades, *quotes)
    assert 'price: {from: price, thousands: ".", decimal: ","}' in text
    assert 'bid_price: {from: bid, thousands: ".", decimal: ","}' in text
    assert 'ask_quantity: {from: askSize, decimal: ","}' in text
    assert (played.mapped, played.dead) == (6, 0)


def test_a_level_of_a_book_is_no_table() -> None:
    made = of(*(exactjson.encode({"s": "BTC-USD", "u": number, "t": 1767323045123, "bid": ["64000.1", "0.5"],
                                  "ask": ["64000.2", "0.7"], "x": ["1", "2"]}).decode() for number in (7, 8, 9)))
    assert "rows(" not in written(made)


@pytest.mark.parametrize(
    ("flags", "inverted"),
    [
        ({"isTaker": True}, {"isTaker": False}), ({"isMaker": False}, {"isMaker": True}),
        ({"role": "taker"}, {"role": "maker"}), ({"liquidity": "M"}, {"liquidity": "M"}),
    ],
)
def test_a_flag_that_says_whose_side_it_is(flags: dict[str, object], inverted: dict[str, object]) -> None:
    made = of(trade(**flags))
    plain = {"from": "side", "map": {"buy": "BUY", "sell": "SELL"}}
    assert said(made, "trade")["side"] == {**plain, "invert_when": inverted}
    assert not made.streams[0].mapping.fields["side"].sure


def test_a_seller_who_was_the_maker() -> None:
    assert said(of(trade(side=None, is_maker_ask=True)), "trade")["side"]["map"] == {"true": "BUY", "false": "SELL"}


def trades_of(*ids: int) -> str:
    one = [exactjson.decode(trade(id=number)) for number in ids]
    return exactjson.encode({"type": "trades", "data": one}).decode()


def test_a_first_message_with_many_trades_is_the_recent_past() -> None:
    past = trades_of(*range(77001, 77010))
    assert said(of(past, trades_of(77010), trades_of(77011, 77012)), "trade")["first_batch"] == "tag"
    assert "first_batch" not in said(of(past, trades_of(*range(77010, 77016)), trades_of(77019)), "trade")
    assert "first_batch" not in said(of(past, trades_of(77010)), "trade")


def test_shares_keep_their_names() -> None:
    asked = ASKED._replace(asset_class="equities")
    sample = list(frames([b'[{"T":"t","S":"BRK.B","p":300.5,"s":2,"i":96921,"t":"2021-02-22T15:51:44.208Z"}]',
                          b'[{"T":"q","S":"AAPL","bp":1.5,"bs":1,"ap":1.6,"as":4,"t":"2021-02-22T15:51:45.335689322Z"}]',
                          b'[{"T":"success","msg":"connected"}]'], None))
    text, problems = finished(draft(asked, sample), sample)
    assert problems == []
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    assert [symbol.record for name in ("BRK.B", "AAPL") if (symbol := plan.symbols.resolve(name))] == ["BRK.B", "AAPL"]
    assert [stream.name for stream in plan.streams] == ["trade", "quote"]
    assert [difference for example in plan.tests for difference in run_test(plan, example)] == []


# -- candles


def kline(begin: int, close: str, closed: bool) -> str:
    candle = {"t": begin, "T": begin + 59_999, "s": "NKNUSDT", "i": "1m", "o": "0.3527", "c": close, "h": "0.3528",
              "l": "0.3522", "v": "25877.00", "n": 30, "x": closed, "q": "9116.046"}
    event = {"e": "kline", "E": begin + 43_963, "s": "NKNUSDT", "k": candle}
    return exactjson.encode({"stream": "nknusdt@kline_1m", "data": event}).decode()


KLINES = [kline(1_633_998_480_000, "0.3528", False), kline(1_633_998_480_000, "0.3526", True)]
ROWS = [
    exactjson.encode({"topic": "/market/candles:FET-BTC_15min", "subject": "trade.candles.update", "data": {
        "symbol": "FET-BTC", "candles": [str(1_619_378_100 + 900 * n), "776", "778", "779", "775", "12.2", "0.09"],
        "time": 1_619_378_337_806_000_034}}).decode()
    for n in range(3)
]
FLAGGED = [
    exactjson.encode({"arg": {"channel": "candle1H", "instId": "BTC-USDT"}, "data": [
        [str(1_597_024_800_000 + 3_600_000 * n), "8533", "8553", "8527", "8548", "45247", "529.5", str(n % 2)],
    ]}).decode()
    for n in range(4)
]


@pytest.mark.parametrize(
    ("texts", "intervals", "mapped"),
    [
        (KLINES, {"1m": "1m"}, {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "trade_count": "n",
                                "quote_volume": "q", "is_closed": "x", "open_time": {"from": "t", "unit": "ms"}}),
        (ROWS, {"15m": "15min"}, {"open": "data.candles[1]", "close": "data.candles[2]", "high": "data.candles[3]",
                                  "low": "data.candles[4]", "volume": "data.candles[5]", "closed": "when-next-opens"}),
        (FLAGGED, {"1h": "1H"}, {"open": "[1]", "high": "[2]", "low": "[3]", "close": "[4]", "volume": "[5]",
                                 "is_closed": {"from": "[7]", "map": {"1": True, "0": False}}}),
    ],
    ids=["objects", "rows", "flagged"],
)
def test_candles_are_drafted(texts: list[str], intervals: dict[str, str], mapped: dict[str, Any]) -> None:
    sample = list(frames([text.encode() for text in texts], None))
    made = draft(ASKED, sample)
    assert [(one.name, one.mapping.record) for one in made.streams] == [("candle", "candle")]
    assert said(made, "candle").items() >= {"intervals": intervals, **mapped}.items()
    text, problems = finished(made, sample)
    assert problems == []
    assert "GAP: the venue's other intervals" in " ".join(text.replace("#", "").split())
    plan, _ = check_text("venue.yaml", text, Path())
    assert plan is not None
    assert not plan.streams[0].default
    assert [difference for example in plan.tests for difference in run_test(plan, example)] == []
    assert bool(plan.tests) == (mapped.get("closed") is None)  # one frame alone closes none there


def test_a_day_s_statistics_are_no_candle() -> None:
    ticker = {"e": "24hrTicker", "E": 1_672_515_782_136, "s": "BNBBTC", "o": "0.0010", "h": "0.0025", "l": "0.0010",
              "c": "0.0025", "v": "10000", "q": "18", "O": 1_672_429_380_000, "C": 1_672_515_780_000, "n": 18151}
    made = of(exactjson.encode(ticker).decode(), trade())
    assert [one.mapping.record for one in made.streams] == ["trade"]
