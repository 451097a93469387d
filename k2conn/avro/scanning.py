"""Container files read block by block, also while they grow: a file's end may be a block that is not whole yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2conn.avro.blocks import LARGEST, MalformedContainer, NotWhole, inflated, read_head, read_long
from k2conn.avro.schema import RecordSchema
from k2conn.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block is: its bytes begin at ``start``, the next block at ``end``."""

    start: int
    size: int
    end: int
    count: int


class GrowingContainer:
    """One file. MalformedContainer where it is none; NotWhole where its head is not all there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = read_head(file)
            self.first = file.tell()
        self.schema_text, self._deflate, self._sync = head

    def blocks(self, start: int) -> Iterator[Block]:
        """The whole blocks from a block's beginning on. MalformedContainer where one is none."""
        with self.path.open("rb") as file:
            length = file.seek(0, 2)
            at = start
            while at < length:
                file.seek(at)
                try:
                    count, size = read_long(file), read_long(file)
                except NotWhole:
                    return
                if count < 0 or not 0 <= size <= LARGEST:
                    raise MalformedContainer(f"{self.path}: no block at {at}")
                begin = file.tell()
                end = begin + size + len(self._sync)
                if end > length:
                    return
                file.seek(begin + size)
                if file.read(len(self._sync)) != self._sync:
                    raise MalformedContainer(f"{self.path}: no block at {at}")
                yield Block(begin, size, end, count)
                at = end

    def read(self, schema: RecordSchema, block: Block) -> list[dict[str, Any]]:
        """A block's records, as `RecordSchema.decode` has them. MalformedContainer where they are none."""
        with self.path.open("rb") as file:
            file.seek(block.start)
            data = file.read(block.size)
        try:
            return schema.decode_all(inflated(data) if self._deflate else data, block.count)
        except ValueError as error:
            raise MalformedContainer(f"{self.path}: block at {block.start}: {error}") from None


def full_name(schema_text: str) -> str:
    """A schema's name with its namespace; empty where the text is no schema."""
    try:
        found = json.loads(schema_text)
        return ".".join(filter(None, (found.get("namespace"), found["name"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def schema_of(name: str, text: str) -> RecordSchema:
    """The schema that a file was written with. MalformedContainer for what is none of ours."""
    try:
        return RecordSchema(name, text)
    except SettingsError as error:
        raise MalformedContainer(str(error)) from None

