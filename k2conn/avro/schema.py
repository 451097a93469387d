"""Record schemas: ``schemas/<name>_v2.avsc`` as the encoder, the decoder and the schema registry need them.

The one door to fastavro, which reads what the compiled encoder writes (and judges it in the tests).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any

import fastavro

from k2conn.avro.compiled import Piece, compile_encoder, compile_pieces
from k2conn.avro.fields import SchemaField, parse_field
from k2conn.errors import SettingsError
from k2conn.resources import schema_text, schemas_folder

VERSION = "_v2"


class RecordSchema:
    """One record type.

    ``name`` is the short name ("trade"), ``full_name`` Avro's, ``text`` the JSON to register (the same for
    the same file, documentation included), ``fields`` the fields in writing order.
    """

    def __init__(self, name: str, text: str) -> None:
        """Read an ``.avsc`` text; SettingsError for types this project does not write."""
        declared = json.loads(text)
        known: dict[str, Mapping[str, Any]] = {}
        self.name = name
        self.full_name = ".".join(filter(None, (declared.get("namespace"), declared["name"])))
        self.text = json.dumps(declared, separators=(",", ":"), ensure_ascii=False)
        self.fields: tuple[SchemaField, ...] = tuple(
            parse_field(field, known) for field in declared["fields"]
        )
        self._index = {field.name: index for index, field in enumerate(self.fields)}
        self._encode = compile_encoder(self.fields, {})
        self._reading = fastavro.parse_schema(_without_times(declared))

    def __repr__(self) -> str:
        return f"<RecordSchema {self.full_name}>"

    def index(self, name: str) -> int:
        """The place of field ``name`` in the writing order; KeyError where there is no such field."""
        return self._index[name]

    def encode(self, values: Sequence[object]) -> bytes:
        """The Avro body of one record, without framing. ``values`` are in schema order, as ``SchemaField``
        says.

        Raises EncodeError, which names the field, for a value that does not fit.
        """
        return self._encode(values)

    def compile(self, constants: Mapping[str, object]) -> Callable[[Sequence[object]], bytes]:
        """An ``encode`` in which the fields named in ``constants`` are fixed: what ``values`` holds there is
        ignored.

        Raises EncodeError for a constant that does not fit its field.
        """
        return compile_encoder(self.fields, constants)

    def pieces(
        self, constants: Mapping[str, object], first: int, end: int, places: Mapping[str, int]
    ) -> list[Piece]:
        """Like ``compile``, for the fields from place ``first`` to before ``end`` only, in pieces that a caller puts
        together; ``places`` says where in the values a field's value is.
        """
        return compile_pieces(self.fields, constants, first, end, places)

    def decode(self, body: bytes) -> dict[str, Any]:
        """The record of one Avro body: decimals as Decimal at the field's scale, times as int since 1970 UTC
        in the field's unit, all else as its JSON type. ValueError for bytes that are not such a record.
        """
        stream = BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, self._reading, None)
        except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
            raise ValueError(f"not a {self.name} record: {error!r}") from None
        if stream.tell() != len(body) or not isinstance(record, dict):
            raise ValueError(f"not a {self.name} record: {len(body) - stream.tell()} bytes too many")
        return record

    def decode_plain(self, body: bytes) -> dict[str, Any]:
        """Like ``decode``, ready for JSON: decimals as text without exponent or trailing zeros."""
        record = self.decode(body)
        return {
            name: plain_text(value) if isinstance(value, Decimal) else value for name, value in record.items()
        }


def plain_text(number: Decimal) -> str:
    """``number`` in its shortest plain notation: "64000.1", "0.00000001", "0"."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def known_schemas() -> tuple[str, ...]:
    """The short names of all record types that ship with k2conn, sorted."""
    return tuple(
        sorted(path.stem.removesuffix(VERSION) for path in schemas_folder().glob(f"*{VERSION}.avsc"))
    )


@cache
def load_schema(name: str) -> RecordSchema:
    """The record type ``name`` ("trade" is ``schemas/trade_v2.avsc``), read once.

    SettingsError, listing the known ones, where there is no such type.
    """
    if name not in known_schemas():
        raise SettingsError(f"no record type {name!r}; known are {', '.join(known_schemas())}")
    return RecordSchema(name, schema_text(name + VERSION))


def _without_times(declared: Any) -> Any:
    # fastavro's datetimes end with the year 9999 and cost time; a plain long keeps every value.
    if isinstance(declared, list):
        return [_without_times(part) for part in declared]
    if not isinstance(declared, dict):
        return declared
    kept = {key: _without_times(value) for key, value in declared.items() if key != "default"}
    if str(kept.get("logicalType", "")).startswith("timestamp-"):
        del kept["logicalType"]
    return kept
