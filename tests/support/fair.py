"""Fair comparison of our records with the corpus's independently normalised ones: the rules, nothing venue-specific
but what the corpus itself says of its oracles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from k2conn import exactjson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def on_the_wire(line: Mapping[str, Any], frame: str) -> list[str]:
    """The frame as a socket delivers it. `not_wire: suffixed`: the recorder appended channel and symbol to an array,
    which stand for the acknowledgement that told them: it is said again, and the suffix cut off."""
    if line.get("not_wire") != "suffixed":
        return [frame]
    *message, channel, name = exactjson.decode(frame)
    known = {"pair": name} if len(name) > 5 else {"currency": name}
    acknowledgement = {"event": "subscribed", "channel": channel, "chanId": message[0], **known}
    return [exactjson.encode(one).decode() for one in (acknowledgement, message)]


def micros(value: Any) -> int | None:
    """A time of the corpus as microseconds: ISO text, or seconds."""
    if value is None:
        return None
    if isinstance(value, str) and not value.replace(".", "").isdigit():
        return (datetime.fromisoformat(value.replace("Z", "+00:00")) - _EPOCH) // timedelta(microseconds=1)
    return int(Decimal(str(value)) * 1_000_000)


def _letters(symbol: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())


def same_symbol(expected: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Our spelling or the native one, whatever stands between the words and in whatever case."""
    names = {_letters(str(expected[key])) for key in ("symbol", "symbol_std") if expected.get(key)}
    return bool(names & {_letters(record["symbol"]), _letters(record["vendor_data"].get("native_symbol", ""))})


def same_number(expected: Any, text: Any, ours: str, signed: bool = False) -> bool:
    """Rule 1: exact decimals where the oracle kept the text, else our decimal as a double equals the oracle's.

    Quantities are absolute; prices are ``signed`` (a spread may cost less than nothing).
    """
    if text is None and isinstance(expected, str):
        text = expected
    if text not in (None, ""):
        exact = Decimal(str(text))
        return (exact if signed else abs(exact)) == Decimal(ours)
    if expected in (None, 0, ""):
        return Decimal(ours) == 0
    return float(expected if signed else abs(expected)) == float(ours)


def _exact(record: Mapping[str, Any], field: str) -> str:
    """Rule 1: as exact decimals. Where the record's 8 decimals cannot hold a number, vendor_data has its text."""
    text: str = record["vendor_data"].get(f"{field}_exact", record[field])
    return text


def same_time(expected: Any, ours: int, within_us: int) -> bool:
    """Within the oracle's own precision."""
    wanted = micros(expected)
    return wanted is None or abs(wanted - ours) <= within_us


def precision(expected: Any) -> int:
    """Microseconds by which the oracle's time may differ: it has ms, or µs within 1."""
    text = str(expected)
    fraction = re.search(r"\.(\d+)", text)
    return 1 if fraction and len(fraction.group(1)) > 3 else 1000 - 1


def trade_differs(expected: Mapping[str, Any], record: Mapping[str, Any], inexact: bool) -> str:
    """What differs, or nothing."""
    prefix = record["exchange"] + "-"
    wrong = []
    if not same_symbol(expected, record):
        wrong.append(f"symbol {expected['symbol']} != {record['symbol']}")
    identity = expected.get("id")
    if identity is not None and not inexact and prefix + str(identity) != record["trade_id"]:
        wrong.append(f"id {identity} != {record['trade_id']}")
    for theirs, ours in (("price", "price"), ("amount", "quantity")):
        if not same_number(expected[theirs], expected.get(f"{theirs}_str"), _exact(record, ours), ours == "price"):
            wrong.append(f"{theirs} {expected[theirs]} != {record[ours]}")
    if (expected["side"] or "unknown").upper() != record["side"]:
        wrong.append(f"side {expected['side']} != {record['side']}")
    if not same_time(expected["timestamp"], record["timestamp"], precision(expected["timestamp"])):
        wrong.append(f"time {micros(expected['timestamp'])} != {record['timestamp']}")
    return "; ".join(wrong)


def quote_differs(expected: Mapping[str, Any], record: Mapping[str, Any], sizes: bool = True) -> str:
    """What differs, or nothing."""
    wrong = []
    if not same_symbol(expected, record):
        wrong.append(f"symbol {expected['symbol']} != {record['symbol']}")
    for side in ("bid", "ask"):
        for theirs, ours in (("price", "price"), ("amount", "quantity")):
            key = f"{side}_{theirs}"
            if theirs == "amount" and not sizes:
                continue
            text, exact = expected.get(f"{key}_str"), _exact(record, f"{side}_{ours}")
            if not same_number(expected[key], text, exact, ours == "price"):
                wrong.append(f"{key} {expected[key]} != {record[f'{side}_{ours}']}")
    if not same_time(expected["timestamp"], record["timestamp"], precision(expected["timestamp"])):
        wrong.append(f"time {micros(expected['timestamp'])} != {record['timestamp']}")
    return "; ".join(wrong)
