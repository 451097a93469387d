"""A recording's file: blocks of whole lines, each compressed by itself and found without reading those before it.

Before the data of each block stands a head that says which span of time it holds and how long it is. In a zstd file
that is a skippable frame, in a gzip file a field of the member's header: so `zstdcat` and `zcat` read the lines as of
any such file, a reader that knows the heads goes from one to the next, and a file that was cut off in the middle ends
with its last whole block.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import BinaryIO, NamedTuple

from k2conn.errors import SettingsError

SUFFIXES = {".jsonl.zst": "zstd", ".jsonl.gz": "gzip"}
LARGEST = 256 * 1024 * 1024
"""Bytes of a block's lines, and of what is stored of them: a head that says more is no head."""
_FIELDS = struct.Struct("<4sQQIII")
_TAG = b"K2R1"
_SKIPPABLE = struct.pack("<II", 0x184D2A5B, _FIELDS.size)
_MEMBER = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H2sH", _FIELDS.size + 4, b"K2", _FIELDS.size)
_LEVEL = {"zstd": 3, "gzip": 4}


class BlockHead(NamedTuple):
    """``first`` and ``last`` are microseconds since the epoch; ``stored`` and ``plain`` bytes behind the head, as they
    stand in the file and as lines.
    """

    first: int
    last: int
    stored: int
    plain: int
    lines: int


class Damaged(Exception):
    """What should be a block is none, or not a whole one."""


def zstd_there() -> bool:
    """Whether zstd can be used (the extra `zstd`)."""
    try:
        import zstandard  # noqa: F401
    except ImportError:
        return False
    return True


def best() -> str:
    """The suffix of new files: zstd where it is installed."""
    return ".jsonl.zst" if zstd_there() else ".jsonl.gz"


def block(suffix: str, lines: bytes, count: int, first: int, last: int) -> bytes:
    """A whole block, with its head."""
    if SUFFIXES[suffix] == "zstd":
        stored = _zstd_packer()(lines)
        return _SKIPPABLE + _FIELDS.pack(_TAG, first, last, len(stored), len(lines), count) + stored
    packer = zlib.compressobj(_LEVEL["gzip"], zlib.DEFLATED, -15)
    body = packer.compress(lines) + packer.flush()
    stored = body + struct.pack("<II", zlib.crc32(lines), len(lines) & 0xFFFFFFFF)
    return _MEMBER + _FIELDS.pack(_TAG, first, last, len(stored), len(lines), count) + stored


def begins_block(start: bytes) -> bool:
    """Whether a file that begins so is a recording's."""
    return any(start.startswith(one) and start[len(one) :].startswith(_TAG) for one in (_SKIPPABLE, _MEMBER))


START = max(len(_SKIPPABLE), len(_MEMBER)) + len(_TAG)
"""Bytes that `begins_block` looks at."""


def read_head(file: BinaryIO) -> tuple[BlockHead, str] | None:
    """The next head, and how its block is compressed; None at the end of the file. Raises Damaged."""
    start = file.read(4)
    if not start:
        return None
    how, mark = ("zstd", _SKIPPABLE) if start == _SKIPPABLE[:4] else ("gzip", _MEMBER)
    rest = start + file.read(len(mark) - len(start))
    fields = file.read(_FIELDS.size)
    if rest != mark or len(fields) < _FIELDS.size:
        raise Damaged("no head of a block")
    tag, first, last, stored, plain, lines = _FIELDS.unpack(fields)
    if tag != _TAG or max(stored, plain) > LARGEST:
        raise Damaged("no head of a block")
    return BlockHead(first, last, stored, plain, lines), how


def read_lines(file: BinaryIO, head: BlockHead, how: str) -> bytes:
    """The lines of the block behind a head. Raises Damaged; SettingsError where zstd is not installed."""
    stored = file.read(head.stored)
    if len(stored) < head.stored:
        raise Damaged("cut off")
    plain = _zstd_lines(stored, head.plain) if how == "zstd" else _gzip_lines(stored, head.plain)
    if len(plain) != head.plain:
        raise Damaged("not as long as its head says")
    return plain


def _gzip_lines(stored: bytes, size: int) -> bytes:
    opener = zlib.decompressobj(-15)
    try:
        plain = opener.decompress(stored, size + 1)
    except zlib.error as error:
        raise Damaged(str(error)) from None
    if not opener.eof or opener.unused_data != struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF):
        raise Damaged("not what was written")
    return plain


@cache
def _zstd_packer() -> Callable[[bytes], bytes]:
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL["zstd"], write_checksum=True).compress


def _zstd_lines(stored: bytes, size: int) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise SettingsError("the recording is compressed with zstd: pip install 'k2conn[zstd]'") from None
    try:
        if zstandard.frame_content_size(stored) != size:
            raise Damaged("not as long as its head says")
        return bytes(zstandard.ZstdDecompressor().decompress(stored, max_output_size=size))
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from None
