"""Protobuf; the only module that uses its library.

The connector file names a FileDescriptorSet beside it and the message; fields keep the names of the .proto file, 64-bit
numbers come as text (exact), absent fields are absent; floating-point numbers are the shortest decimals that stand for
them (see `k2conn.binary.floating`).
"""

from __future__ import annotations

from collections.abc import Callable
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
        inexact, plain = _has_floats(kind.DESCRIPTOR, set()), plain_reader(kind.DESCRIPTOR)

        def decode(data: bytes) -> Json:
            try:
                found = kind.FromString(data)
            except DecodeError as error:
                raise ValueError(f"no {settings['message']!s}: {error}") from None
            if len(data) > MOST and _counted(found, MOST) < 0:
                raise RecordError("frame", None, None, "frame-too-large", f"it has more than {MOST} values")
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


def _counted(value: Any, left: int) -> int:
    """How many of ``left`` values a message, and what is in it, leaves; below 0 where it has more."""
    for _, found in value.ListFields():
        left -= 1
        inner = (found,) if hasattr(found, "ListFields") else ()
        if not inner and type(found) not in _SINGLE and hasattr(found, "__len__"):
            left -= len(found)
            inner = found.values() if hasattr(found, "values") else found
        for one in inner if left >= 0 else ():
            if not hasattr(one, "ListFields"):
                break  # all of a list are of one kind
            left = _counted(one, left)
            if left < 0:
                return left
    return left


_SINGLE = (str, bytes)


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
