"""What a request may say of the records that it wants: models that FastAPI reads, made from the record types.

Nothing is guessed: a time has its zone, a parameter that is not known is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from k2conn.api.asked import Asked, filters_of
from k2conn.api.cursors import LONGEST, Cursors
from k2conn.api.problems import RequestRefused
from k2conn.api.wire import EPOCH
from k2conn.records import RecordType

LONGEST_TEXT = 100
DEFAULT_LIMIT = 100
WINDOW_MINUTES = 15
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_MICRO = timedelta(microseconds=1)
_NAIVE = EPOCH.replace(tzinfo=None)


def read_time(text: str) -> int:
    """Microseconds since 1970 UTC of a time in RFC 3339; ValueError with what is wrong. What is finer than a
    microsecond is left out; the leap second is the next one.
    """
    if not _TIME.fullmatch(text):
        raise ValueError("a time with its zone is needed, such as 2026-01-02T03:04:05.678Z (a + is written %2B in "
                         "an address)")
    leap = text[17:19] == "60"
    whole = f"{text[:17]}{'59' if leap else text[17:19]}"
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError as error:
        raise ValueError(f"no such time: {error}") from None
    rest = text[19:]
    fraction = re.match(r"\.(\d+)", rest)
    micros = int(fraction[1][:6].ljust(6, "0")) if fraction else 0
    zone = rest[len(fraction[0]) if fraction else 0:]
    minutes = 0 if zone in "Zz" else int(f"{zone[0]}1") * (int(zone[1:3]) * 60 + int(zone[4:6]))
    return (moment - _NAIVE) // _MICRO + micros + (1_000_000 if leap else 0) - minutes * 60_000_000


def _time(text: str) -> str:
    read_time(text)
    return text


NeededText = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = NeededText | None
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"}), AfterValidator(_time)] | None

_DOCS = {
    "symbol": "In the shared spelling, such as BTCUSDT.",
    "exchange": "In capitals, as records have it; small letters mean the same.",
    "currency": "Of the price, such as USD; small letters mean the same.",
    "interval": "Of candles, such as 1m.",
    "side": "Of the aggressor; small letters mean the same.",
}
_CAPITALS = ("exchange", "currency", "side", "status")


def _filter(record: RecordType, name: str) -> tuple[Any, Any]:
    field = record.field(name)
    doc = _DOCS.get(name, field.doc)
    text: Any = Text
    if field.symbols:  # in the document only: other cases of letters are taken, too
        text = Annotated[NeededText, Field(json_schema_extra={"enum": list(field.symbols)})] | None
    return (text, Field(default=None, description=doc))


def page_model(record: RecordType, most: int, **without: bool) -> type[BaseModel]:
    """The parameters of a page of records."""
    fields: dict[str, Any] = {name: _filter(record, name) for name in filters_of(record) if name not in without}
    return create_model(
        f"{_title(record)}Page{'Of' if without else ''}", __config__=ConfigDict(extra="forbid"), **fields,
        since=(Time, Field(default=None, description="From this time on (RFC 3339).")),
        until=(Time, Field(default=None, description="Before this time (RFC 3339).")),
        limit=(int, Field(default=min(DEFAULT_LIMIT, most), ge=1, le=most, description="So many records at most.")),
        cursor=(Annotated[str, Field(max_length=LONGEST)] | None,
                Field(default=None, description="`next` of the page before, with the same parameters.")),
    )


def recent_model(record: RecordType, most: int) -> type[BaseModel]:
    """The parameters of the newest records."""
    fields: dict[str, Any] = {name: _filter(record, name) for name in filters_of(record)}
    return create_model(
        f"{_title(record)}Recent", __config__=ConfigDict(extra="forbid"), **fields,
        window_minutes=(int, Field(default=WINDOW_MINUTES, ge=1, le=60, description="No older than this.")),
        limit=(int, Field(default=min(DEFAULT_LIMIT, most), ge=1, le=most, description="So many records at most.")),
    )


def _title(record: RecordType) -> str:
    return "".join(part.title() for part in record.name.split("_"))


def texts_of(record: RecordType, said: Mapping[str, Any]) -> dict[str, str]:
    """The filters that were said, as records spell them. RequestRefused where a field has no such word."""
    found, errors = {}, []
    for name in filters_of(record):
        text = said.get(name)
        if text is None:
            continue
        symbols = record.field(name).symbols
        if name in _CAPITALS:
            text = text.upper()
        elif symbols:
            text = next((one for one in symbols if one.lower() == text.lower()), text)
        if symbols and text not in symbols:
            errors.append((name, f"one of {', '.join(symbols)} is needed"))
        found[name] = text
    if errors:
        raise RequestRefused(422, errors=errors)
    return found


def asked_of(record: RecordType, said: Mapping[str, Any], cursors: Cursors) -> Asked:
    """The question of a page. RequestRefused with all that is wrong."""
    asked = Asked(record=record, texts=texts_of(record, said), limit=said["limit"],
                  since=_moment(said.get("since")), until=_moment(said.get("until")))
    if said.get("cursor") is None:
        return asked
    try:
        before = cursors.read(asked, said["cursor"])
    except ValueError as error:
        raise RequestRefused(422, errors=[("cursor", str(error))]) from None
    return replace(asked, before=before)


def _moment(text: str | None) -> int | None:
    return None if text is None else within_time(read_time(text))


def within_time(micros: int) -> int:
    """A moment, or the nearest one that records can have."""
    return max(0, min(_FAR, micros))


_FAR = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
