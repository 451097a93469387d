"""Protobuf; the only module that uses its library.

The connector file names a FileDescriptorSet beside it and the message; fields keep the names of the .proto file, 64-bit
numbers come as text (exact), absent fields are absent; floating-point numbers are the shortest decimals that stand for
them (see `k2conn.binary.floating`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from k2conn import exactjson
from k2conn.binary import floating
from k2conn.binary.plain_messages import plain_reader
from k2conn.codecs.component import MessageFormat, Setting, Settings
from k2conn.errors import RecordError
from k2conn.plan import Json

if TYPE_CHECKING:
    from google.protobuf.message import Message


MOST = 50_000
"""Values of one message: the library takes some microseconds for each."""


class Protobuf(MessageFormat):
    """One protobuf message a frame."""

    description = "one protobuf message a frame"
    shallow = True
    frugal = True
    settings = (
        Setting("descriptor", "the file of a FileDescriptorSet beside this file", file=True),
        Setting("message", "the full name of the message"),
    )

    def check(self, settings: Settings) -> None:
        """Whether the descriptor can be read and has the message."""
        _message(settings)

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a binary frame to its message as JSON values."""
        from google.protobuf import json_format
        from google.protobuf.message import DecodeError

        kind = _message(settings)
        inexact, wire, plain = _has_floats(kind.DESCRIPTOR, set()), _WireCount(kind), plain_reader(kind.DESCRIPTOR)

        def decode(data: bytes) -> Json:
            try:
                if len(data) > MOST and wire.beyond(data, MOST):
                    raise RecordError("frame", None, None, "frame-too-large", f"it has more than {MOST} values")
                found = kind.FromString(data)
            except DecodeError as error:
                raise ValueError(f"no {settings['message']!s}: {error}") from None
            if plain is not None:
                return plain(found)
            try:
                message = json_format.MessageToDict(found, preserving_proto_field_name=True)
                return _exact(message) if inexact else message
            except (json_format.Error, TypeError) as error:  # a well-known type with what it cannot hold
                raise ValueError(f"no {settings['message']!s}: {error}") from None

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """The function from JSON text to a binary frame; None for what the message has no fields for."""
        from google.protobuf import json_format

        kind = _message(settings)

        def encode(text: bytes) -> bytes | None:
            try:
                value = exactjson.decode(text)
                return json_format.ParseDict(value, kind()).SerializeToString() if isinstance(value, dict) else None
            except (exactjson.JsonError, json_format.ParseError):
                return None

        return encode


def message_class(descriptor: bytes, name: str) -> type[Message]:
    """The class of a message in a FileDescriptorSet; ValueError says what is wrong with them."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    pool = descriptor_pool.DescriptorPool()
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
        for file in files.file:
            pool.Add(file)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    except (DecodeError, TypeError) as error:
        raise ValueError(f"the descriptor cannot be read: {error}") from None
    except KeyError:
        raise ValueError(f"the descriptor has no message '{name}'") from None


class _WireCount:
    """How many values a message has on the wire, found before the library makes them: an empty part of two bytes takes
    a hundred in memory.
    """

    def __init__(self, kind: type[Message]) -> None:
        self._root = kind.DESCRIPTOR
        self._parts: dict[str, Mapping[int, Any]] = {}
        """Of a message's full name, by number: the descriptor of a message within, or the bytes of a packed number."""

    def beyond(self, data: bytes, most: int) -> bool:
        """Whether it has more. What is no message is for the library to refuse: it is counted up to there."""
        at, ends, parts, groups = 0, [len(data)], [self._of(self._root)], [False]
        try:
            while most >= 0:
                while at >= ends[-1]:
                    ends.pop()
                    parts.pop()
                    groups.pop()
                    if not ends:
                        return False
                most -= 1
                tag, at = _varint(data, at)
                wire = tag & 7
                if wire == _LENGTH:
                    size, at = _varint(data, at)
                    part = parts[-1].get(tag >> 3)
                    if at + size > ends[-1]:
                        return False
                    if isinstance(part, int):
                        most -= _packed(data[at : at + size], part)
                    elif part is not None:
                        ends.append(at + size)
                        parts.append(self._of(part))
                        groups.append(False)
                        continue
                    at += size
                elif wire == _VARINT:
                    _, at = _varint(data, at)
                elif wire in _FIXED:
                    at += _FIXED[wire]
                elif wire == _GROUP:  # as a message within, but that a tag ends it, and not its length
                    part = parts[-1].get(tag >> 3)
                    ends.append(ends[-1])
                    parts.append({} if part is None or isinstance(part, int) else self._of(part))
                    groups.append(True)
                elif wire == _GROUP_END and groups[-1]:
                    ends.pop()
                    parts.pop()
                    groups.pop()
                else:
                    return False
        except IndexError:
            return False
        return True

    def _of(self, message: Any) -> Mapping[int, Any]:
        known = self._parts.get(message.full_name)
        if known is None:
            known = self._parts[message.full_name] = {
                field.number: field.message_type or _WIDTHS.get(field.type, 1) for field in message.fields
                if field.message_type is not None or field.type not in _LONG
            }
        return known


_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
_GROUP, _GROUP_END = 3, 4
_WIDTHS = {1: 8, 2: 4, 6: 8, 7: 4, 15: 4, 16: 8}
"""Bytes of packed numbers, by the field's type (double, float, fixed ones); all others are varints."""
_LONG = (9, 12)
"""Texts and bytes are never packed."""
_GOES_ON = bytes(range(128, 256))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place behind it. IndexError at the end, and for one of more than ten bytes."""
    byte = data[at]
    found, shift = byte & 0x7F, 7
    while byte > 0x7F:
        at += 1
        byte = data[at]
        found |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise IndexError
    return found, at + 1


def _packed(data: bytes, width: int) -> int:
    """How many numbers are packed."""
    return len(data) // width if width > 1 else len(data.translate(None, _GOES_ON))


def _has_floats(message: Any, seen: set[str]) -> bool:
    """Whether a message's descriptor has a floating-point field, or one that holds any message, at any depth."""
    if message.full_name in seen:
        return False
    seen.add(message.full_name)
    if message.full_name == "google.protobuf.Any":
        return True
    return any(
        field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE)
        or (field.message_type is not None and _has_floats(field.message_type, seen))
        for field in message.fields
    )


def _exact(value: Any) -> Any:
    """A message with decimals where the library has floats: it makes the shortest ones, also of 32 bits."""
    kind = type(value)
    if kind is float:
        return floating.double(value)
    if kind is dict:
        return {key: _exact(one) for key, one in value.items()}
    return [_exact(one) for one in value] if kind is list else value


def _message(settings: Settings) -> type[Message]:
    descriptor, name = settings["descriptor"], settings["message"]
    assert isinstance(descriptor, bytes)
    assert isinstance(name, str)
    return message_class(descriptor, name)


CODEC = Protobuf()
