"""Frames to messages, through every codec: a message or a RecordError, within the limit; and what was read can be
written and read again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from k2conn import exactjson
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.errors import REASONS, RecordError
from k2conn.plan import FrameEncoding
from k2conn.resources import connectors_folder
from tests.paths import ROOT

LIMIT = 1 << 14
UNIT_DATA = ROOT / "tests" / "unit" / "codecs" / "data"
STEPS = (
    ("json",),
    ("gzip", "json"),
    ("zlib", "json"),
    ("deflate", "json"),
    ("auto", "json"),
    ("base64", "json"),
    ("base64", "gzip", "json"),
    ("base64", "deflate", "json"),
    ("gzip", "gzip", "json"),
    ("auto", "auto", "json"),
    ("documents",),
    ("prefixed",),
    ("tagvalue",),
    ("msgpack",),
)
LAYOUT = """{"byte_order": "big", "frame": {"by": "length", "of": {"1": "b"}, "else": "c"}, "b": {"x": "skip 1"},
"c": {"g": "i8", "p": {"count": "u16", "length": "u16", "of": "d"}, "r": "text"},
"d": {"t": {"type": "u32", "bits": {"s": "0-7"}}, "e": "i8", "q": {"type": "i64", "exponent": "e"}, "f": "f32",
"h": {"type": "u48", "exponent": "g"}, "i": {"count": "e", "of": "i24"}}}"""
RAW, PACKED = 0, 1
TRACED = ("k2conn.codecs", "k2conn.exactjson")
WORDS = (
    b"\x1f\x8b\x08",
    b"\x78\x9c",
    b"\x78\x01",
    b"\x00\x00\xff\xff",
    b'{"',
    b'":',
    b"[",
    b"]",
    b"1e",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"null",
    b"true",
    b"-0",
    b"0.1",
    b"e-9",
    b"AAAA",
    b"==",
)


def encodings() -> list[FrameEncoding]:
    """All combinations, those by a declaration, and protobuf by the descriptors that ship."""
    made = [FrameEncoding(text=steps, binary=steps, limit=LIMIT) for steps in STEPS]
    settings: dict[str, dict[str, str | bytes]] = {
        "layout": {"layout": LAYOUT},
        "sbe": {"schema": (UNIT_DATA / "trades.sbe.xml").read_bytes()},
    }
    made += [FrameEncoding(text=("json",), binary=(name,), limit=LIMIT, settings=settings[name]) for name in settings]
    return [*made, *map(protobuf, sorted(connectors_folder().glob("*.desc")))]


def protobuf(path: Path) -> FrameEncoding:
    """Frames of the first message type that a descriptor declares."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    declared = FileDescriptorSet.FromString(path.read_bytes()).file[-1]
    message = ".".join(filter(None, (declared.package, declared.message_type[-1].name)))
    settings: dict[str, str | bytes] = {"descriptor": path.read_bytes(), "message": message}
    return FrameEncoding(text=("json",), binary=("protobuf",), limit=LIMIT, settings=settings)


ENCODINGS = encodings()
CODECS = [(decoder(one), encoder(one)) for one in ENCODINGS]


def seeds() -> Iterator[bytes]:
    """Codec, kind, frame."""
    texts = (b'{"ch":"trade","data":[{"p":"64000.10"}]}', b'{"a":[1,-0.5e-7,"\\u00e9",null,true]}', b"pong", b"[" * 500)
    for (number, (_, encode)), text in itertools.product(enumerate(CODECS), texts):
        yield bytes((number, PACKED)) + text
        try:
            frame = encode(text)
        except ValueError:
            continue  # a word that the format cannot say
        yield bytes((number, RAW if isinstance(frame, bytes) else 2)) + (
            frame if isinstance(frame, bytes) else frame.encode()
        )


def target(data: bytes) -> None:
    """One frame: as it is (binary, or as text), or packed first."""
    if len(data) < 2:
        return
    decode, encode = CODECS[data[0] % len(CODECS)]
    kind, body = data[1] % 3, data[2:]
    frame: str | bytes = body
    if kind == 2:
        frame = body.decode("utf-8", "replace")
    elif kind == PACKED:
        try:
            frame = encode(body)
        except ValueError:
            return
    try:
        message = decode(frame)
    except RecordError as error:
        assert error.reason in REASONS
        assert str(error)
        return
    assert not exactjson.deeper(message)
    text = exactjson.encode(message)
    assert exactjson.decode(text) == message
