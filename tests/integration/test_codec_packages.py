"""Codecs of other packages, installed as pip leaves them: through everything that reads or writes frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.support.plans import HEAD

PACKAGE = '''
from k2conn.codecs import MessageFormat, Packing, Setting


class Mirror(Packing):
    """The characters from the last to the first, after a mark."""

    description = "written backwards"
    text = True
    settings = (Setting("mark", "the character that frames begin with"),)

    def check(self, settings):
        if len(settings["mark"]) != 1:
            raise ValueError("`mark` is one character")

    def decoder(self, settings, limit):
        mark = settings["mark"].encode()

        def decode(data):
            if data[:1] != mark:
                raise ValueError("no mark")
            return data[:0:-1]

        return decode

    def encoder(self, settings):
        mark = settings["mark"].encode()
        return lambda data: mark + data[::-1]


class Greedy(Packing):
    """Ignores its limit."""

    description = "grows"
    text = True

    def decoder(self, settings, limit):
        return lambda data: data + b" " * limit

    def encoder(self, settings):
        return lambda data: data


class Pairs(MessageFormat):
    """`name=value;name=value`: values are text."""

    description = "pairs of names and values"
    text = True

    def decoder(self, settings):
        def decode(data):
            return dict(pair.split("=") for pair in data.decode().split(";"))

        return decode

    def encoder(self, settings):
        return lambda message: None


MIRROR, GREEDY, PAIRS = Mirror(), Greedy(), Pairs()
'''
POINTS = """
[k2conn.codecs]
mirror = mirrors:MIRROR
greedy = mirrors:GREEDY
pairs = mirrors:PAIRS
missing = nowhere:CODEC
"""
STREAM = """
streams:
  trade:
    when: {ch: trade}
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
CONNECTION = """
connection:
  url: wss://venue.example/ws
  codec: %s
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: first-data
"""
MESSAGE = '{"ch":"trade","s":"BTC-USD","i":"7","p":64000.10,"q":"0.5","t":1767323045678,"d":"buy"}'
TESTS = """
tests:
  - name: a message is packed as the venue packs it
    received: {ch: trade, s: BTC-USD, i: "6", p: 64000.10, q: "0.5", t: 1767323045678, d: sell}
    records: [{symbol: BTCUSD, price: "64000.10", side: SELL}]
  - name: a raw frame is as it is
    received: '%s'
    records: [{trade_id: VENUE-7}]
  - name: a frame without the mark
    received: 'x}{'
    dead_letters: [{reason: malformed-frame}]
""" % ("#" + MESSAGE[::-1])
MIRRORED = '{text: mirror, binary: refuse, mark: "#"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the installed package."""
    (tmp_path / "mirrors.py").write_text(PACKAGE)
    info = tmp_path / "mirrors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mirrors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return tmp_path


def written(folder: Path, codec: str, tests: str = "") -> Path:
    path = folder / "venue.yaml"
    path.write_text(HEAD + CONNECTION % codec + STREAM + tests)
    return path


def started(folder: Path, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("K2_")}
    path = os.pathsep.join((str(ROOT), str(folder)))
    return subprocess.Popen(
        [sys.executable, "-m", "k2conn", *map(str, arguments)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**clean, "PYTHONPATH": path, **variables},
    )


def run(folder: Path, *arguments: object, **variables: str) -> tuple[int, str, str]:
    process = started(folder, *arguments, **variables)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def test_a_connector_file_s_own_tests_pass_its_codec(folder: Path) -> None:
    spec = written(folder, MIRRORED, TESTS)
    assert run(folder, "validate", spec)[0] == 0
    code, out, err = run(folder, "test", spec)
    assert code == 0, out + err
    assert "3" in out


def test_recorded_frames_are_decoded(folder: Path) -> None:
    spec = written(folder, MIRRORED)
    frames = folder / "frames.jsonl"
    frames.write_text("\n".join(("#" + MESSAGE[::-1], "x" + MESSAGE[::-1], "")))
    code, out, err = run(folder, "map", spec, frames)
    assert code == 65, "the second one is a dead letter"
    (line,) = out.splitlines()
    assert json.loads(line)["record"]["trade_id"] == "VENUE-7"
    assert "no mark" in err


def test_the_mock_exchange_encodes_what_a_connector_decodes(folder: Path) -> None:
    spec = written(folder, MIRRORED, TESTS)
    mock = started(folder, "mock", spec, "--rate", "100")
    assert mock.stdout is not None
    name, _, value = mock.stdout.readline().strip().partition("=")
    code, _, err = run(folder, "run", spec, "--sink", "file", "--folder", folder / "out", "--max-records", "20",
                       "--port", "-1", **{name: value})
    mock.send_signal(signal.SIGINT)
    mock.communicate(timeout=60)
    assert code == 0, err
    assert "received 20 = published 20" in err


def test_a_codec_cannot_go_beyond_the_limit_unnoticed(folder: Path) -> None:
    spec = written(folder, "{text: greedy, limit: 1 KiB}")
    frames = folder / "frames.jsonl"
    frames.write_text(MESSAGE + "\n")
    code, out, err = run(folder, "map", spec, frames)
    assert (code, out) == (65, "")
    assert "frame-too-large" in err


def test_a_format_makes_messages_of_something_other_than_json(folder: Path) -> None:
    spec = written(folder, "{text: pairs}")
    frames = folder / "frames.txt"
    frames.write_text("ch=trade;s=BTC-USD;i=8;p=64000.10;q=0.5;t=1767323045678;d=buy\nno pairs\n")
    code, out, err = run(folder, "map", spec, frames)
    assert code == 65
    assert json.loads(out)["record"]["price"] == "64000.1"
    assert "malformed-frame" in err


@pytest.mark.deploy
@pytest.mark.parametrize(
    ("codec", "place", "problem"),
    [
        ("{text: mirrror}", "10:17", "'mirrror' is not allowed; did you mean 'mirror'?"),
        ("{text: mirror+gziip}", "10:24", "'gziip' is not allowed; did you mean 'gzip'?"),
        ("{text: mirror}", "10:10", "mirror needs `mark:` (the character that frames begin with)"),
        ("{text: mirror, mark: ab}", "10:10", "`mark` is one character"),
        ("{text: mirror, mark: a, marc: b}", "10:34", "unknown key 'marc'; did you mean 'mark'?"),
        ("{text: pairs, mark: a}", "10:24", "`mark` is for the codec `mirror`"),
        ("{text: pairs+mirror, mark: a}", "10:23", "'mirror' comes after a format, which ends the chain"),
        ("{text: missing}", "10:17", "the codec 'missing' of the package mirrors cannot be imported"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(folder: Path, codec: str, place: str, problem: str) -> None:
    code, out, err = run(folder, "validate", written(folder, codec))
    assert code == 78
    (said,) = [line for line in (out + err).splitlines() if "error[" in line]
    assert f":{place}: error" in said
    assert problem in said
