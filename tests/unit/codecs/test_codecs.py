"""Frames to messages: every coding, and every way to break one."""

from __future__ import annotations

import base64
import gzip
import zlib
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.codec import decoder
from k2conn.engine.protobuf import message_class
from k2conn.errors import RecordError
from k2conn.plan import Codec

TEXT = b'{"p":64000.10,"n":12345678901234567890}'
VALUE = {"p": Decimal("64000.10"), "n": 12345678901234567890}


def raw_deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


CODED = {
    "gzip": gzip.compress(TEXT),
    "zlib": zlib.compress(TEXT),
    "deflate": raw_deflate(TEXT),
    "base64": base64.b64encode(TEXT),
}


def decode(steps: tuple[str, ...], frame: bytes | str, limit: int = 1 << 20) -> Any:
    return decoder(Codec(text=steps, binary=steps, limit=limit))(frame)


def refused(steps: tuple[str, ...], frame: bytes | str, limit: int = 1 << 20) -> RecordError:
    with pytest.raises(RecordError) as caught:
        decode(steps, frame, limit)
    return caught.value


@pytest.mark.parametrize("step", sorted(CODED))
def test_a_coded_frame(step: str) -> None:
    found = decode((step, "json"), CODED[step])
    assert found == VALUE
    assert str(found["p"]) == "64000.10"


@pytest.mark.parametrize("frame", [TEXT, CODED["gzip"], CODED["zlib"]])
def test_auto_looks_at_the_first_bytes(frame: bytes) -> None:
    assert decode(("auto", "json"), frame) == VALUE
    assert decode(("auto", "json"), TEXT.decode()) == VALUE


@pytest.mark.parametrize("step", ["gzip", "zlib", "deflate"])
def test_a_bomb_is_not_unfolded(step: str) -> None:
    bomb = b"[" + b" " * 5_000_000 + b"]"
    coded = {"gzip": gzip.compress, "zlib": zlib.compress, "deflate": raw_deflate}[step](bomb)
    assert len(coded) < 20_000
    assert refused((step, "json"), coded).reason == "frame-too-large"


@pytest.mark.parametrize("step", ["gzip", "zlib", "deflate"])
def test_the_limit_is_the_limit(step: str) -> None:
    assert decode((step, "json"), CODED[step], limit=len(TEXT)) == VALUE
    assert refused((step, "json"), CODED[step], limit=len(TEXT) - 1).reason == "frame-too-large"


@pytest.mark.parametrize("step", sorted(CODED))
@pytest.mark.parametrize("part", ["start", "end", "other"])
def test_a_broken_frame_is_malformed(step: str, part: str) -> None:
    coded = CODED[step]
    broken = {"start": coded[:12], "end": coded[9:], "other": b"\x00\x01" + TEXT}[part]
    assert refused((step, "json"), broken).reason == "malformed-frame"


@pytest.mark.parametrize("step", ["gzip", "zlib"])
def test_what_follows_the_compressed_data_is_not_dropped_in_silence(step: str) -> None:
    assert "after the end" in refused((step, "json"), CODED[step] + b"more").detail


def test_a_venue_that_never_ends_its_deflate_stream_is_understood() -> None:
    machine = zlib.compressobj(wbits=-15)
    assert decode(("deflate", "json"), machine.compress(TEXT) + machine.flush(zlib.Z_SYNC_FLUSH)) == VALUE


def test_frames_of_the_other_kind_may_be_refused() -> None:
    assert "no binary frames" in refused((), b"{}").detail
    assert "no text frames" in refused((), "{}").detail


@pytest.mark.parametrize("word", ["pong", "PONG\n", "ok 1"])
def test_a_short_word_is_a_message(word: str) -> None:
    assert decode(("json",), word) == word.strip()
    assert decode(("json",), word.encode()) == word.strip()


@pytest.mark.parametrize("frame", ["", "{", "[1,", '"open', "x" * 64, b"\xff" * 64, "[" * 2000, "{'a': 1}"])
def test_what_is_no_json_is_malformed(frame: str | bytes) -> None:
    assert refused(("json",), frame).reason == "malformed-frame"


@given(st.binary(max_size=200), st.sampled_from([*sorted(CODED), "auto"]))
def test_no_bytes_do_more_than_be_malformed(frame: bytes, step: str) -> None:
    reason = ""
    try:
        decode((step, "json"), frame)
    except RecordError as error:
        reason = error.reason
    assert reason in ("", "malformed-frame", "frame-too-large")


# -- protobuf


def descriptor() -> bytes:
    found = descriptor_pb2.FileDescriptorSet()
    file = found.file.add(name="t.proto", package="venue", syntax="proto3")
    message = file.message_type.add(name="Deal")
    kinds = {"price": 9, "sentAt": 3, "kind": 5}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=1)  # type: ignore[arg-type]
    return found.SerializeToString()


def test_a_protobuf_frame() -> None:
    kind = message_class(descriptor(), "venue.Deal")
    frame = kind(price="64000.10", sentAt=1767323045678901234).SerializeToString()
    codec = Codec(binary=("protobuf",), descriptor=descriptor(), message_type="venue.Deal")
    assert decoder(codec)(frame) == {"price": "64000.10", "sentAt": "1767323045678901234"}
    with pytest.raises(RecordError, match="no venue"):
        decoder(codec)(b"\x0a\xff")


def test_a_descriptor_that_cannot_be_used_says_why() -> None:
    with pytest.raises(ValueError, match=r"no message 'venue\.Trade'"):
        message_class(descriptor(), "venue.Trade")
    with pytest.raises(ValueError, match="cannot be read"):
        message_class(b"\xff\xff", "venue.Deal")
