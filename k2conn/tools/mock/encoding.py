"""The venue's side of a codec: from JSON text to the frame its sockets carry."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.plan import Codec

Encode = Callable[[bytes], str | bytes]


def encoder(codec: Codec) -> Encode:
    """The function from JSON text (or a word) to a frame. Packed frames are binary where the codec packs those;
    SettingsError for a packing this side does not have.
    """
    if codec.binary == ("protobuf",):
        return _protobuf(codec)
    if codec.binary not in ((), ("json",)):
        stages = _stages(codec.binary)
        return lambda text: _run(stages, text)
    stages = _stages(codec.text)
    return lambda text: _run(stages, text).decode()


def _protobuf(codec: Codec) -> Encode:
    """Binary what the descriptor knows, text what it does not (acknowledgements)."""
    from k2conn.engine.protobuf import protobuf_encoder

    encode = protobuf_encoder(codec)

    def either(text: bytes) -> str | bytes:
        try:
            packed = encode(exactjson.decode(text))
        except exactjson.JsonError:
            packed = None
        return text.decode() if packed is None else packed

    return either


def _run(stages: list[Callable[[bytes], bytes]], data: bytes) -> bytes:
    for stage in stages:
        data = stage(data)
    return data


def _stages(steps: tuple[str, ...]) -> list[Callable[[bytes], bytes]]:
    """The packings, innermost first; reading goes the other way round."""
    unknown = [step for step in steps if step != "json" and step not in _PACK]
    if unknown:
        raise SettingsError(f"the mock exchange cannot write {unknown[0]} frames")
    return [_PACK[step] for step in reversed(steps) if step != "json"]


def _deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(1, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


_PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "auto": _gzip,
    "zlib": lambda data: zlib.compress(data, 1),
    "deflate": _deflate,
    "base64": base64.b64encode,
}
