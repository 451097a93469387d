"""Reading container files back: for proofs and for people, not for speed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro

from k2conn.avro.container import MAGIC
from k2conn.avro.schema import plain_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_container(path: Path) -> Iterator[dict[str, Any]]:
    """The records of one container file as `RecordSchema.decode_plain` gives them; a torn tail ends them. ValueError
    for a file that is no container.
    """
    with path.open("rb") as stream:
        try:
            reader = fastavro.reader(stream)
        except (EOFError, IndexError, ValueError):
            stream.seek(0)
            if MAGIC.startswith(stream.read(len(MAGIC))):
                return  # not even the header was written out
            raise ValueError(f"{path} is no Avro container") from None
        while True:
            try:
                record = next(reader)
            except (StopIteration, EOFError, ValueError):
                return
            yield _plain(record)


def _plain(record: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in record.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain_text(value)
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value
