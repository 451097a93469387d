"""A venue's instrument list in a file: as `k2conn symbols --save` wrote it, or a body as the venue gave it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.codecs.bodies import body_reader
from k2conn.errors import RecordError, SettingsError
from k2conn.net.http import MAX_ANSWER
from k2conn.plan import InstrumentList
from k2conn.runner.list_pages import MOST_LISTED_VALUES

LARGEST = 2 * MAX_ANSWER
"""Bytes of such a file, packed or not."""
_KEYS = {"k2conn", "answers"}
_GZIP = b"\x1f\x8b"


def saved_text(connector: str, answers: list[Any]) -> bytes:
    """What is written into a file, for `read_saved`: the answers, one for each page."""
    return exactjson.encode({"k2conn": f"list of {connector}", "answers": answers})


def read_saved(connector: str, listing: InstrumentList, path: Path) -> list[Any]:
    """The answers in a file, one for each page. SettingsError where it cannot be read, or is another connector's."""
    data = _contents(path)
    if data[:2] == _GZIP and "gzip" not in listing.encoding.binary:  # as curl leaves it, or as somebody packed it
        data = _unpacked(path, data)
    whole = _whole(connector, path, data)
    if whole is not None:
        return whole
    try:
        return [body_reader(listing.encoding, MOST_LISTED_VALUES)(data)]
    except RecordError as error:
        raise SettingsError(f"{path}: not what {connector} answers: {error.detail}") from None


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LARGEST:
        raise SettingsError(f"{path}: more than {LARGEST} bytes are no list")
    return data


def _whole(connector: str, path: Path, data: bytes) -> list[Any] | None:
    """The answers in a file that `saved_text` is in; None for any other."""
    if not data.lstrip().startswith(b'{"k2conn":') or exactjson.values(data) > MOST_LISTED_VALUES:
        return None
    try:
        found = exactjson.decode(data)
    except exactjson.JsonError:
        return None
    if not isinstance(found, dict) or found.keys() != _KEYS or not isinstance(found["answers"], list):
        return None
    if found["k2conn"] != f"list of {connector}":
        raise SettingsError(f"{path}: a {exactjson.spell(found['k2conn'])[:100]}, not of {connector}")
    return found["answers"]


def _unpacked(path: Path, data: bytes) -> bytes:
    machine = zlib.decompressobj(31)
    try:
        found = machine.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise SettingsError(f"{path}: gzip that cannot be inflated: {error}") from None
    if len(found) > LARGEST or not machine.eof:
        raise SettingsError(f"{path}: gzip that ends too early, or holds more than {LARGEST} bytes")
    return found
