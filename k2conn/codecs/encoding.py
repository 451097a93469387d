"""Messages to frames: the venue's side of a codec, for the mock exchange and for a connector file's own tests."""

from __future__ import annotations

from collections.abc import Callable

from k2conn.codecs import CODECS, FileFormat, MessageFormat, Packing
from k2conn.codecs.bodies import rows_writer
from k2conn.plan import FrameEncoding

Encode = Callable[[bytes], str | bytes]

_PLAIN = ("json",)


def encoder(encoding: FrameEncoding) -> Encode:
    """The function from JSON text (or a word) to the frame that a venue's socket carries: binary where the venue packs
    binary frames, else text. What a binary format cannot say (an acknowledgement, in protobuf) is a text frame.
    """
    text = _pack(encoding.text or _PLAIN, encoding)
    if encoding.binary in ((), _PLAIN):
        return lambda message: _text(text, message)
    binary = _pack(encoding.binary, encoding)

    def encode(message: bytes) -> str | bytes:
        found = binary(message)
        return _text(text, message) if found is None else found

    return encode


def _text(pack: Callable[[bytes], bytes | None], message: bytes) -> str:
    found = pack(message)
    return (message if found is None else found).decode()


def _pack(steps: tuple[str, ...], encoding: FrameEncoding) -> Callable[[bytes], bytes | None]:
    """From a message to bytes, its format first, then its packings, the innermost first."""
    *packings, last = map(CODECS.get, steps)
    assert isinstance(last, MessageFormat)
    write = last.encoder(encoding.settings)
    if encoding.table and isinstance(last, FileFormat):
        write = rows_writer(last, encoding.settings)
    packers = [one.encoder(encoding.settings) for one in reversed(packings) if isinstance(one, Packing)]

    def pack(message: bytes) -> bytes | None:
        data = write(message)
        for packer in packers:
            data = data if data is None else packer(data)
        return data

    return pack
