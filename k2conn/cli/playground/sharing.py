"""One file with a connector file and frames: what the page saves and opens, and what it may begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.loading import find
from k2conn.errors import SettingsError

KIND = "k2conn playground"
VERSION = 1
LARGEST = 3 << 20
"""Bytes of a file that is read."""
EXAMPLE_SPEC = """\
# A venue that does not exist: change anything, and look below.
connector: example
exchange: EXAMPLE
asset_class: crypto
docs: https://example.com/docs

symbols:
  default: [BTC-USD]
  form: "{base}-{quote}"

connection:
  url: wss://ws.example.com
  steps:
    - send: {op: subscribe, channel: trades, symbols: $symbols}
      for: trade
      expect: {accepted: {op: subscribed}}
  ignore: {op: heartbeat}

streams:
  trade:
    when: {channel: trades}
    each: data
    fields:
      symbol: symbol
      trade_id: id
      price: price
      quantity: size
      timestamp: {from: time, unit: ms}
      side: {from: side, map: {buy: BUY, sell: SELL}}   # the taker's

tests:
  - name: one trade
    received:
      {channel: trades, data: [{symbol: BTC-USD, id: 1, price: "1.50", size: "2", side: buy, time: 1767323045678}]}
    records: [{trade_id: EXAMPLE-1, symbol: BTCUSD, price: "1.5", side: BUY, timestamp: "2026-01-02T03:04:05.678Z"}]
"""
EXAMPLE_FRAMES = """\
{"op":"subscribed","channel":"trades"}
{"op":"heartbeat"}
{"channel":"trades","data":[{"symbol":"BTC-USD","id":1001,"price":"64000.10","size":"0.25","side":"sell","time":1767323045678}]}
{"channel":"trades","data":[{"symbol":"BTC-USD","id":1002,"price":"n/a","size":"0.25","side":"buy","time":1767323045700}]}
{"channel":"unheard of"}
"""


def begins_with(file: str | None, frames: Path | None) -> dict[str, Any]:
    """What the page shows first: the example, or a connector file by path or shipped name, or a shared file."""
    if file is None:
        found = shared("example", EXAMPLE_SPEC, EXAMPLE_FRAMES)
    elif file.endswith(".json"):
        found = _opened(Path(file))
    else:
        path = find(file)
        found = shared(path.stem, _text(path), "")
    if frames is not None:
        found["frames"] = _text(frames)
    return found


def shared(name: str, spec: str, frames: str) -> dict[str, Any]:
    """The file's contents."""
    return {"kind": KIND, "version": VERSION, "name": name, "spec": spec, "frames": frames}


def _opened(path: Path) -> dict[str, Any]:
    try:
        said = exactjson.decode(_text(path))
    except exactjson.JsonError as error:
        raise SettingsError(f"{path} is no file of the playground: {error}") from None
    if not isinstance(said, dict) or said.get("kind") != KIND or said.get("version") != VERSION:
        raise SettingsError(f"{path} is no file of the playground, or one of another version")
    if not all(isinstance(said.get(name), str) for name in ("spec", "frames")):
        raise SettingsError(f"{path} is no file of the playground: spec and frames are texts")
    return shared(str(said.get("name") or "shared"), said["spec"], said["frames"])


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST:
        raise SettingsError(f"{path} has more than {LARGEST >> 20} MiB: take a part of it")
    return text
