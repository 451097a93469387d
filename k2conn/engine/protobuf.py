"""Protobuf frames to messages, and back for the mock exchange: the one door to protobuf.

The connector file ships a FileDescriptorSet beside it and names the message; fields keep the names of the .proto file,
64-bit numbers come as text (exact), absent fields are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

from k2conn.errors import RecordError
from k2conn.plan import Codec


def message_class(descriptor: bytes, name: str) -> type[Message]:
    """The class of a message in a FileDescriptorSet; ValueError says what is wrong with them."""
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


def protobuf_decoder(codec: Codec) -> Callable[[Any], Any]:
    """The function from a binary frame to its message as JSON values."""
    kind = message_class(codec.descriptor or b"", codec.message_type or "")

    def decode(frame: Any) -> Any:
        try:
            found = kind.FromString(bytes(frame))
        except DecodeError as error:
            raise RecordError("frame", None, None, "malformed-frame", f"no {codec.message_type}: {error}") from None
        return json_format.MessageToDict(found, preserving_proto_field_name=True)

    return decode


def protobuf_encoder(codec: Codec) -> Callable[[Any], bytes | None]:
    """The function from JSON values to a binary frame; None for what the message has no fields for."""
    kind = message_class(codec.descriptor or b"", codec.message_type or "")

    def encode(value: Any) -> bytes | None:
        if not isinstance(value, dict):
            return None
        try:
            return json_format.ParseDict(value, kind()).SerializeToString()
        except json_format.ParseError:
            return None

    return encode
