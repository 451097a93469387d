"""Frames to messages: every coding, and every way to break one."""

from __future__ import annotations

import base64
import gzip
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.codecs import CODECS, MessageFormat, Packing
from k2conn.codecs.decoding import decoder, quick
from k2conn.codecs.encoding import encoder
from k2conn.codecs.json import read as read_json
from k2conn.codecs.protobuf import message_class
from k2conn.compiler.compiler import check_text
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding
from k2conn.resources import schemas_folder
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, plan_of

TEXT = b'{"p":64000.10,"n":12345678901234567890}'
SCHEMA = exactjson.decode((schemas_folder() / "connector.schema.json").read_bytes())
SHIPPED = CODECS.built_in
FORMATS = ("csv", "documents", "json", "jsonlines", "msgpack", "prefixed", "tagvalue")
"""Those that end a chain and need no settings."""
DECLARED = {
    "protobuf": "descriptor: example.desc, message: a.B",
    "sbe": "schema: example.xml",
    "layout": "layout: {byte_order: big, frame: {b: {a: u9}}}",
}
"""Those that need settings, and some that cannot be used."""
VALUE = {"p": Decimal("64000.10"), "n": 12345678901234567890}


def raw_deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


CODED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "zlib": zlib.compress(TEXT),
    "deflate": raw_deflate(TEXT),
    "base64": base64.b64encode(TEXT),
}


def decode(steps: tuple[str, ...], frame: bytes | str, limit: int = 1 << 20) -> Any:
    return decoder(FrameEncoding(text=steps, binary=steps, limit=limit))(frame)


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
    settings = {"descriptor": descriptor(), "message": "venue.Deal"}
    codec = FrameEncoding(binary=("protobuf",), settings=settings)
    assert decoder(codec)(frame) == {"price": "64000.10", "sentAt": "1767323045678901234"}
    with pytest.raises(RecordError, match="no venue"):
        decoder(codec)(b"\x0a\xff")


def test_floating_point_numbers_of_protobuf_are_exact_decimals() -> None:
    found = descriptor_pb2.FileDescriptorSet()
    file = found.file.add(name="f.proto", package="venue", syntax="proto3")
    inner = file.message_type.add(name="Level")
    for number, (name, kind) in enumerate({"price": 1, "size": 2}.items(), 1):
        inner.field.add(name=name, number=number, type=kind, label=1)  # type: ignore[arg-type]
    outer = file.message_type.add(name="Book")
    outer.field.add(name="bids", number=1, type=11, label=3, type_name=".venue.Level")
    settings = {"descriptor": found.SerializeToString(), "message": "venue.Book"}
    level = message_class(found.SerializeToString(), "venue.Level")(price=64000.1, size=0.1)
    frame = b"\x0a" + bytes([level.ByteSize()]) + level.SerializeToString()
    assert decoder(FrameEncoding(binary=("protobuf",), settings=settings))(frame) == {
        "bids": [{"price": Decimal("64000.1"), "size": Decimal("0.1")}]
    }


def test_a_descriptor_that_cannot_be_used_says_why() -> None:
    with pytest.raises(ValueError, match=r"no message 'venue\.Trade'"):
        message_class(descriptor(), "venue.Trade")
    with pytest.raises(ValueError, match="cannot be read"):
        message_class(b"\xff\xff", "venue.Deal")


# -- the room


def test_the_schema_for_editors_offers_the_codecs_that_there_are() -> None:
    """Shipped ones: those of other packages are not known to an editor, which takes any word."""
    word, whole = SCHEMA["$defs"]["codec"]["anyOf"]
    keys = whole["properties"]
    codecs = {name: CODECS.get(name) for name in SHIPPED}
    plain = {name for name, one in codecs.items() if one.binary and not any(key.required for key in one.settings)}
    assert set(word["examples"]) == plain
    assert set(keys["binary"]["examples"]) == {name for name, one in codecs.items() if one.binary} | {"refuse"}
    texts = {name for name, one in codecs.items() if one.text}
    assert {one.partition("+")[0] for one in keys["text"]["examples"]} == texts | {"refuse"}
    settings = {key.name: f"For {name}: {key.description}." for name, one in codecs.items() for key in one.settings}
    assert {key: keys[key]["description"] for key in keys if key not in ("text", "binary", "limit")} == settings


@pytest.mark.parametrize("word", ["text", "binary"])
def test_every_word_that_the_schema_offers_is_compiled(word: str) -> None:
    for offered in SCHEMA["$defs"]["codec"]["anyOf"][1]["properties"][word]["examples"]:
        if offered not in DECLARED:
            plan = plan_of(SUBSCRIBE + f"  codec: {{{word}: {offered}}}\n")
            found = getattr(plan.connections[0].codec, word)
            ends = {"refuse": (), **{name: (name,) for name in FORMATS}}
            assert found == ends.get(offered, (*offered.split("+"), "json"))
        else:
            with pytest.raises(AssertionError, match=r"'example\.[a-z]+' is no file|b: is a type or a map"):
                plan_of(SUBSCRIBE + f"  codec: {{{word}: {offered}, {DECLARED[offered]}}}\n")


def test_every_codec_is_in_the_reference_as_it_describes_itself() -> None:
    reference = (ROOT / "docs" / "spec.md").read_text()
    for name in SHIPPED:
        codec = CODECS.get(name)
        assert isinstance(codec, (Packing, MessageFormat))
        kinds = ", ".join(kind for kind in ("text", "binary") if getattr(codec, kind))
        assert f"\n| `{name}` | {codec.description} | {kinds} |\n" in reference


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"csv", "documents", "prefixed", "tagvalue", *DECLARED}))
def test_what_a_codec_encodes_it_decodes(name: str) -> None:
    kind = "text" if CODECS.get(name).text else "binary"
    steps = (name,) if name in FORMATS else (name, "json")
    encoding = FrameEncoding(**{kind: steps})
    assert decoder(encoding)(encoder(encoding)(TEXT)) == VALUE


def test_every_step_is_held_to_the_limit() -> None:
    """gzip in gzip: the first step's output fits, the second's does not."""
    frame = gzip.compress(gzip.compress(b"[" + b" " * 100_000 + b"]"))
    encoding = FrameEncoding(binary=("auto", "gzip", "json"), limit=10_000)
    with pytest.raises(RecordError) as caught:
        decoder(encoding)(frame)
    assert caught.value.reason == "frame-too-large"


def test_plain_json_is_one_call() -> None:
    decode = decoder(FrameEncoding())
    assert decode is read_json
    assert quick(decode) is exactjson.quick


def test_a_descriptor_without_the_message_is_a_problem_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "venue.desc").write_bytes(descriptor())
    text = HEAD + SUBSCRIBE + "  codec: {binary: protobuf, descriptor: venue.desc, message: venue.Trade}\n" + STREAMS
    _, problems = check_text("venue.yaml", text, tmp_path)
    assert [problem.text for problem in problems] == ["the descriptor has no message 'venue.Trade'"]
