"""How what is sent becomes a frame: text, the same bytes in a binary frame, or as the connection's codec writes it."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.errors import RecordError, SettingsError
from k2conn.plan import Connection

Frame = str | bytes
_PLAIN = ("json",)


def request_encoder(connection: Connection) -> Callable[[Frame], Frame]:
    """The function from a frame as its step says it to the one that is sent."""
    if connection.send_as == "codec":
        return _by_codec(connection)
    return _in_bytes if connection.send_as == "binary" else lambda frame: frame


def _in_bytes(frame: Frame) -> Frame:
    return frame.encode() if isinstance(frame, str) else frame


def _by_codec(connection: Connection) -> Callable[[Frame], Frame]:
    encode = encoder(connection.codec)
    codec = connection.codec
    in_text = codec.binary in ((), _PLAIN)  # then the steps of text frames write
    steps = codec.text or _PLAIN if in_text else codec.binary

    def by_codec(frame: Frame) -> Frame:
        """A bare text is no message and is sent as it stands; SettingsError for a message that the codec cannot say."""
        data = _in_bytes(frame)
        assert isinstance(data, bytes)
        if data[:1] not in (b"{", b"["):
            return frame
        found = encode(data)
        unsaid = isinstance(found, str) and (not in_text or (steps != _PLAIN and found == data.decode()))
        if unsaid:
            shown = data[:200].decode("utf-8", "replace")
            raise SettingsError(f"`send_as: codec`: {'+'.join(steps)} cannot say {shown}")
        return found

    return by_codec


def request_decoder(connection: Connection) -> Callable[[Frame], Frame]:
    """The opposite, for who takes the venue's part: from a frame that was sent to what its step says."""
    if connection.send_as != "codec":
        return lambda frame: frame
    decode = decoder(connection.codec)

    def said(frame: Frame) -> Frame:
        try:
            return exactjson.encode(decode(frame)).decode()
        except RecordError:
            return frame  # a bare text

    return said
