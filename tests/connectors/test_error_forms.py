"""Every shipped connector hears its venue's errors, in the venue's spelling, on a connection that waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.compiler.compiler import load_plan
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.actions import Close, Note
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Json
from tests.paths import ROOT

UNKNOWN = {"asx-quotes", "asx-trades", "bitbank", "bitkub", "bitso", "btse", "coincheck", "coindcx", "kalshi", "luno",
           "polymarket", "pyth"}
"""Venues whose documentation has no form of errors (or none on an open connection); and files, which report none."""

_BINANCE: list[Json] = [
    {"error": {"code": 3, "msg": "Invalid JSON"}, "id": None}, {"code": 2, "msg": "Invalid request", "id": 9},
]
_OKX: list[Json] = [
    {"event": "error", "code": "60014", "msg": "Requests too frequent", "connId": "a"},
    {"event": "channel-conn-count-error", "channel": "orders", "connCount": "20", "connId": "a"},
]
_JSON_RPC: list[Json] = [{"jsonrpc": "2.0", "id": 99, "error": {"code": 10028, "message": "too_many_requests"}}]
_ERROR_ID: list[Json] = [{"error": {"code": 6001, "message": "invalid argument"}, "id": None, "result": None}]
_CODE: list[Json] = [{"id": 99, "code": 20001, "message": "invalid argument", "msg": "invalid argument"}]
FORMS: dict[str, list[Json]] = {
    "alpaca": [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}],
    "ascendex": [{"m": "error", "code": 100005, "reason": "INVALID_WS_REQUEST_DATA", "info": "Missing field"}],
    "aster": [{"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}],
    "backpack": [{"id": None, "error": {"code": 4006, "message": "Invalid stream"}}],
    "binance": _BINANCE,
    "bingx": [{"id": "99", "code": 80015, "msg": "dataType not support", "timestamp": 1714650253104}],
    "bitfinex": [{"event": "error", "msg": "Already subscribed", "code": 10202}],
    "bitflyer": _JSON_RPC,
    "bitget": [{"event": "error", "arg": {"instType": "spot"}, "code": 30007, "msg": "request over limit"}],
    "bithumb": [{"error": {"name": "WRONG_FORMAT", "message": "Format does not match"}}],
    "bitmart": [{"event": "subscribe", "topic": "spot/x", "errorCode": "90004", "errorMessage": "Unmatched"}],
    "bitmex": [{"status": 429, "error": "Rate limit exceeded, retry in 1 seconds.", "request": {"op": "subscribe"}}],
    "bitstamp": [{"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}}],
    "bitvavo": [{"action": "subscribe", "errorCode": 205, "error": "market parameter is invalid."},
                {"errorCode": 110, "error": "Invalid endpoint."}],
    "blockchain": [{"seqnum": 1, "event": "rejected", "channel": "trades", "text": "Invalid channel"}],
    "blofin": [{"event": "error", "code": "60012", "msg": "Invalid request"}],
    "btc-markets": [{"messageType": "error", "code": 3, "message": "invalid channel names"}],
    "cex-io": [{"e": "disconnecting", "reason": "Too many requests", "time": 1435927928597}],
    "btcturk": [[100, {"type": 100, "ok": False, "message": "join|obdiff:BTCUSDT"}]],
    "bullish": [{"type": "error", "dataType": "V1TAErrorResponse", "data": {"errorCodeName": "BAD_REQUEST"}}],
    "bybit": [{"success": False, "ret_msg": "Request too frequent", "op": "subscribe", "conn_id": "x"},
              {"success": False, "ret_msg": "Unknown op", "op": "", "conn_id": "x"},
              {"success": False, "ret_msg": "error", "op": "unsubscribe", "req_id": "9", "conn_id": "x"}],
    "bybit-options": [{"success": False, "ret_msg": "Request too frequent", "conn_id": "x", "type": "COMMAND_RESP"}],
    "coinbase": [{"type": "error", "message": "Rate limit exceeded"}],
    "coinex": [*_CODE, {"id": None, "code": 11001, "message": "request timeout"}],
    "coinone": [{"response_type": "ERROR", "error_code": 160012, "message": "Invalid Topic"}],
    "crypto-com": [{"id": 99, "method": "subscribe", "code": 40003, "message": "Unknown symbol"},
                   {"id": 99, "method": "unsubscribe", "code": 42901, "message": "Too many requests"}],
    "delta": [{"type": "subscriptions", "channels": [{"name": "all_trades", "error": "subscription forbidden"}]},
              {"type": "subscriptions", "channels": [{"name": "l1_orderbook", "error": "subscription forbidden"}]}],
    "deribit": _JSON_RPC,
    "derive": _JSON_RPC,
    "digifinex": [{"error": {"code": 10002, "message": "method not found"}, "result": None, "id": 99}],
    "dydx": [{"type": "error", "message": "Invalid subscription", "connection_id": "a", "message_id": 1}],
    "eodhd-us": [{"status_code": 422, "message": "Unprocessable"}, {"status_code": 500, "message": "Server error"}],
    "exmo": [{"ts": 1, "event": "error", "code": 100000, "error": "invalid message", "message": "not JSON"}],
    "finnhub": [{"type": "error", "msg": "Subscribing to too many symbols"}],
    "gate-io": [{"time": 1, "channel": "spot.trades", "event": "subscribe", "error": {"code": 2, "message": "unknown"}},
                {"time": 1, "channel": "spot.trades", "event": "unsubscribe", "error": {"code": 1, "message": "bad"}},
                {"time": 1, "channel": "", "event": "", "error": {"code": 1, "message": "invalid request body"}}],
    "gemini": [{"id": 99, "status": 400, "error": {"code": -1121, "msg": "Invalid symbol"}},
               {"id": None, "status": 400, "error": {"code": -1100, "msg": "Invalid JSON"}}],
    "gemini-v1": [{"result": "error", "reason": "InvalidJson", "message": "not JSON"}],
    "hitbtc": [{"error": {"code": 1, "message": "Invalid json", "description": "JSON request is corrupted."}}],
    "htx": [{"status": "error", "ts": 1, "id": "99", "err-code": "bad-request", "err-msg": "invalid topic"}],
    "hyperliquid": [{"channel": "error", "data": "Already subscribed: {}"}],
    "independent-reserve": [{"Event": "Error", "Data": "Invalid channel", "Time": 1661145843028}],
    "indodax": [{"id": 99, "error": {"code": 108, "message": "method not found"}}],
    "korbit": [{"status": "fail", "message": "invalid_format"}],
    "kite": [{"type": "error", "data": "Token is invalid"}],
    "kraken": [{"error": "Exceeded msg rate", "method": "subscribe", "success": False, "time_in": "x"},
               {"error": "Malformed request", "success": False},
               {"error": "Not subscribed", "method": "unsubscribe", "success": False, "req_id": 9}],
    "kraken-futures": [{"event": "alert", "message": "Rate limit exceeded"}, {"event": "error", "message": "bad"}],
    "kraken-v1": [{"event": "error", "errorMessage": "Malformed request"},
                  {"event": "subscriptionStatus", "status": "error", "errorMessage": "Not subscribed", "reqid": 99}],
    "kucoin": [{"id": "99", "type": "error", "code": 509, "data": "exceed max subscription count"}],
    "lbank": [{"SERVER": "V2", "message": "Missing parameter ['kbar']", "status": "error",
               "TS": "2024-01-16T08:09:43.314"}],
    "lighter": [{"error": {"code": 30005, "message": "Invalid Channel:  (marketId)"}}],
    "lseg": [{"ID": 9, "Type": "Error", "Text": "JSON Unexpected Value"}],
    "massive": [{"ev": "status", "status": "error", "message": "not authorized"},
                {"ev": "status", "status": "max_connections", "message": "Maximum number of connections exceeded."}],
    "mercado-bitcoin": [{"type": "error", "message": "unknown message type"}],
    "mexc": [{"id": 0, "code": 1, "msg": "Not Subscribed successfully! [x]. Reason: Blocked!"}],
    "mexc-futures": [{"channel": "rs.error", "data": "Contract does not exist", "ts": 1}],
    "ndax": [{"m": 5, "i": 99, "n": "SubscribeTrades", "o": '{"result":false,"errormsg":"Not Authorized"}'}],
    "oanda": [{"errorMessage": "Insufficient authorization to perform request."}],
    "okx": _OKX,
    "paradex": _JSON_RPC,
    "phemex": [{"error": {"code": 6001, "message": "invalid argument"}, "id": 99, "result": None}],
    "pionex": [{"type": "ERROR", "code": "PARAMETER_ERROR", "message": "bad json payload", "timestamp": 1790133880248}],
    "poloniex": [{"event": "error", "message": "Subscription failed (already subscribed)"}],
    "tastytrade": [{"type": "ERROR", "channel": 1, "error": "BAD_ACTION", "message": "Unknown message type"}],
    "tiingo-iex": [{"messageType": "E", "response": {"code": 400, "message": "thresholdLevel not valid"}}],
    "toobit": [{"code": "-10001", "desc": "Invalid JSON!"}],
    "tradermade": ["User Key Used to many times"],
    "upbit": [{"error": {"name": "WRONG_FORMAT", "message": "Format does not match"}}],
    "weex": [{"result": False, "msg": "INVALID_ARGUMENT: unrecognized message : hello"}],
    "wazirx": [{"event": "error", "data": {"code": 400, "message": "Invalid request"}}],
    "whitebit": _ERROR_ID,
    "woo-x": [{"cmd": "ERROR", "data": "invalid request"}],
    "woo-x-v1": [{"event": "subscribe", "success": False, "ts": 1, "errorMsg": "symbol is invalid", "id": "99"},
                 {"event": "auth", "success": False, "ts": 1, "errorMsg": "too many"}],
    "xt": [*_CODE, {"id": "", "code": 1, "msg": "invalid parameter"}],
}
"""By the connector's name, or its first words."""


def forms(name: str) -> list[Json]:
    """The longest name in the table that a connector's name begins with."""
    known = [one for one in FORMS if name == one or name.startswith(f"{one}-")]
    return FORMS[max(known, key=len)] if known else []


NAMES = sorted(path.stem for path in (ROOT / "connectors").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNKNOWN])
def test_an_error_of_the_venue_is_heard_and_closes_nothing(name: str) -> None:
    assert forms(name), f"how does the venue of {name} say that something is wrong?"
    plan = load_plan(ROOT / "connectors" / f"{name}.yaml")
    session_context = SessionContext(lambda: "00000000-0000-4000-8000-000000000000", {})
    symbols = [symbol for one in plan.symbols.default if (symbol := plan.symbols.resolve(one))]
    for connection in plan.connections:
        for message in forms(name):
            pipeline = FramePipeline(ConnectorState(plan), connection, symbols, session_context)
            actions = said(pipeline, message)
            assert not any(isinstance(action, Close) for action in actions)
            assert [action.kind for action in actions if isinstance(action, Note)] == ["error"], message


def said(pipeline: FramePipeline, message: Json) -> list[Any]:
    """What a connection on which nothing waits makes of a message."""
    session = pipeline.session
    return session.respond(message, session.router.route(message, session.scope))


def test_who_has_no_known_form_is_a_connector() -> None:
    assert set(NAMES) >= UNKNOWN
