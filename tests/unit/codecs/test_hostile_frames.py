"""Binary frames of a venue that means harm, of every format: what they say of lengths and counts costs no more than
what they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks.hostile import binary
from benchmarks.hostile.venue import beside, connector
from k2conn.codecs.decoding import decoder
from k2conn.compiler.compiler import load_plan
from k2conn.errors import RecordError
from k2conn.plan import Json
from tests.paths import ROOT

FORMATS = sorted(binary.FORMATS)
LONGEST = 1.0
"""Seconds of CPU for one frame."""
MOST_MEMORY = 60_000_000
"""Bytes beside the frame itself: about 27 MB of values, and what Python's own pools leave between them."""
_MEASURED = """\
import json, resource, sys
from pathlib import Path
from tests.unit.codecs.test_hostile_frames import decode_of, largest, result
decode = decode_of(sys.argv[1], Path(sys.argv[2]))
frames = largest(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
said = [result(decode, frame) for frame in frames]
print(json.dumps([said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024]))
"""


def decode_of(name: str, folder: Path) -> Callable[[bytes], Json]:
    """How a format's connector reads its frames."""
    (folder / f"{name}.yaml").write_text(connector(name))
    for file, data in beside(name).items():
        (folder / file).write_bytes(data)
    return decoder(load_plan(folder / f"{name}.yaml").connections[0].codec)


def largest(name: str) -> list[bytes]:
    """All frames that hold as much as they can."""
    return [make() for make in binary.FORMATS[name].many]


def result(decode: Callable[[bytes], Json], frame: bytes) -> str:
    """Why a frame is no message; empty where it is one."""
    try:
        decode(frame)
    except RecordError as error:
        return error.reason
    return ""


@cache
def bombs() -> tuple[bytes, ...]:
    return binary._bombs()


def hostile(name: str) -> Iterator[bytes]:
    known = binary.FORMATS[name]
    right = known.right(2)
    yield from (lie(right) for lie in known.lying)
    yield from map(known.deep, (1, 50, 99, 101, 399, 401, 2000, 200_000))
    yield from (right[:end] for end in range(0, len(right), 3))
    for bit in (1, 128):
        yield from (right[:at] + bytes((right[at] ^ bit,)) + right[at + 1 :] for at in range(len(right)))
    yield from (one.right(2) for one in binary.FORMATS.values())
    yield from bombs()


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_a_frame_says_it_is_a_message_or_a_dead_letter_within_bounds(name: str, tmp_path: Path) -> None:
    decode = decode_of(name, tmp_path)
    for frame in hostile(name):
        began = time.process_time()
        assert result(decode, frame) in ("", "malformed-frame", "frame-too-large")
        assert time.process_time() - began < LONGEST, frame[:40]
    assert result(decode, binary.FORMATS[name].right(1000)) == ""


@pytest.mark.parametrize("name", FORMATS)
def test_the_largest_frames_take_little_beside_themselves(name: str, tmp_path: Path) -> None:
    """Measured in a process of its own: what a library takes is no object of Python's."""
    done = subprocess.run([sys.executable, "-c", _MEASURED, name, str(tmp_path)], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    said, taken = json.loads(done.stdout)
    assert "frame-too-large" in said
    assert set(said) <= {"", "malformed-frame", "frame-too-large"}
    assert taken < MOST_MEMORY
