"""`k2conn load` as a process: files in, records out, whatever happens in between."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
import zstandard

from tests.paths import ROOT
from tests.support import warm_process
from tests.support.files import quote_rows, trade_rows, written

TRADES, QUOTES = "market.equities.trades.asx", "market.equities.quotes.asx"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "k2conn", "load", *map(str, words)]


def load(folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a load in a folder to its end."""
    return warm_process.k2conn("load", *words, cwd=folder, timeout=600,
                               env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


def records(folder: Path, topic: str = TRADES, only: Collection[str] = ()) -> list[dict[str, Any]]:
    """All records of a topic, read by a library that we did not write; of a file that was cut off, its whole blocks. Of
    very many, ``only`` some fields, in a third of the time.
    """
    found: list[Any] = []
    for path in sorted((folder / "data" / topic).glob("*.avro"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        with path.open("rb") as file:
            try:
                whole = fastavro.reader(file)
                if only:
                    schema: Any = whole.writer_schema
                    file.seek(0)
                    kept = [one for one in schema["fields"] if one["name"] in only]
                    whole = fastavro.reader(file, reader_schema={**schema, "fields": kept})
                found += whole
            except EOFError:
                continue
    return found


def dead_letters(folder: Path, topic: str = TRADES) -> list[dict[str, Any]]:
    files = sorted((folder / "data" / f"{topic}.dlq").glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_trades_of_several_companies(tmp_path: Path) -> None:
    """Every row is a record of its own, in order, with its own time and id; equal rows too."""
    own = {"7078": trade_rows(20_000, 1), "7458": trade_rows(5_000, 2), "3153": trade_rows(11, 3)}
    files = [written(tmp_path / "in" / f"{name}.csv", rows) for name, rows in own.items()]
    done = load(tmp_path, "asx-trades", *files, "--summary", "s.json", "--no-progress")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert len(found) == sum(map(len, own.values()))
    assert len(set(own["7078"])) < 20_000  # there are equal rows
    assert len({one["message_id"] for one in found}) == len(found)
    for name, symbol in (("7078", "BHP"), ("7458", "RIO"), ("3153", "MWR")):
        mine = [one for one in found if one["symbol"] == symbol]
        for number, (row, one) in enumerate(zip(own[name], mine, strict=True), 1):
            day, _, price, volume, qualifiers, venue, buyer = row.split(",")
            month, day, year = day.split("/")
            assert one["trade_id"] == f"ASX-{name}-{year}{month}{day}-{number}"
            local = one["timestamp"].astimezone(ZoneInfo("Australia/Sydney"))
            assert f"{local:%m/%d/%Y,%H:%M:%S}.{local.microsecond // 1000:03}" == ",".join(row.split(",")[:2])
            assert (f"{one['price']:.3f}", int(one["quantity"])) == (price, int(volume))
            assert (one["currency"], one["asset_class"], one["side"]) == ("AUD", "equities", "UNKNOWN")
            kept = {"company_id": name, "qualifiers": qualifiers, "venue": venue, "buyer_id": buyer}
            assert kept.items() - one["vendor_data"].items() == {(key, "") for key, one in kept.items() if not one}
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["rows"], summary["published"], summary["balanced"]) == (25_011, 25_011, True)
    assert summary["rows_per_second"] > 0
    assert "25,011 rows in" in done.stderr


def test_quotes_that_cross_and_quotes_with_one_side(tmp_path: Path) -> None:
    rows = quote_rows(2_000)
    done = load(tmp_path, "asx-quotes", written(tmp_path / "7181.csv", rows))
    assert done.returncode == 0, done.stderr
    found = records(tmp_path, QUOTES)
    assert [f"{float(one['bid_price'])},{float(one['ask_price'])},{one['bid_quantity']:.0f},{one['ask_quantity']:.0f}"
            for one in found] == [
        ",".join([*map(str, map(float, row.split(",")[2:4])), *row.split(",")[4:]]) for row in rows
    ]
    assert sum(0 < one["ask_price"] < one["bid_price"] for one in found) > 100
    assert sum(one["ask_price"] == 0 for one in found) == 40


def test_rows_that_are_none_are_dead_letters_with_file_and_line(tmp_path: Path) -> None:
    """A file that changes its columns midway, and other accidents: the rest is loaded."""
    rows = trade_rows(300)
    data = [f"{row}\n".encode() for row in rows]
    data[100:200] = [line.replace(b"\n", b",extra\n") for line in data[100:200]]
    data[50], data[51], data[52] = b'03/10/2014,"10:00\n', b"\xff,\0\n", b"x" * 2_000_000 + b"\n"
    data[60] = data[60].replace(b"03/10/2014", b"10/05/2014").replace(b",10:", b",02:")
    path = tmp_path / "7078.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(data).replace(b"\n", b"\r\n"))
    done = load(tmp_path, "asx-trades", path)
    assert done.returncode == 65, done.stderr
    found, dead = records(tmp_path), dead_letters(tmp_path)
    assert len(found) == 300 - 104
    assert Counter(one["reason"] for one in dead) == {"malformed-frame": 102, "frame-too-large": 1, "bad-time": 1}
    assert {one["file"] for one in dead} == {str(path)}
    assert [(one["line"], one["row"]) for one in dead] == [(n, n) for n in [51, 52, 53, 61, *range(101, 201)]]
    numbers = [int(one["trade_id"].rpartition("-")[2]) for one in found]
    assert numbers == [n for n in range(1, 301) if n not in {one["row"] for one in dead}]
    assert "dead letters: 102 malformed-frame" in done.stderr


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_files(tmp_path: Path, kind: str) -> None:
    rows = trade_rows(3_000)
    data = "".join(f"{row}\n" for row in rows).encode()
    packed = gzip.compress(data) if kind == "gz" else zstandard.compress(data)
    (tmp_path / f"7078.csv.{kind}").write_bytes(packed)
    done = load(tmp_path, "asx-trades", f"7078.csv.{kind}")
    assert done.returncode == 0, done.stderr
    assert [one["trade_id"].partition("-")[2][:5] for one in records(tmp_path)] == ["7078-"] * 3_000
    (tmp_path / f"7458.csv.{kind}").write_bytes(packed[:-9])
    done = load(tmp_path, "asx-trades", f"7458.csv.{kind}")
    assert done.returncode == 66
    assert "the compressed file is cut off" in done.stderr


def test_a_second_load_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    rows = trade_rows(1_000)
    path = written(tmp_path / "7078.csv", rows[:600])
    assert load(tmp_path, "asx-trades", path).returncode == 0
    again = load(tmp_path, "asx-trades", path)
    assert (again.returncode, "0 rows, 600 before" in again.stderr) == (0, True)
    written(path, rows)
    assert load(tmp_path, "asx-trades", path).returncode == 0
    assert [one["trade_id"].rpartition("-")[2] for one in records(tmp_path)] == [str(n) for n in range(1, 1001)]
    written(path, ["changed", *rows[1:]])
    changed = load(tmp_path, "asx-trades", path)
    assert (changed.returncode, "--again loads it from its beginning" in changed.stderr) == (66, True)
    assert load(tmp_path, "asx-trades", path, "--again").returncode == 65
    assert len(records(tmp_path)) == 1_999


@pytest.mark.parametrize("number", [
    pytest.param(signal.SIGINT, marks=pytest.mark.deploy, id="SIGINT"),
    pytest.param(signal.SIGTERM, marks=pytest.mark.deploy, id="SIGTERM"), pytest.param(signal.SIGKILL, id="SIGKILL"),
])
def test_a_load_that_is_ended_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    """However it ends, every row is there; after a stop in order, each once."""
    count = 150_000
    path = written(tmp_path / "7078.csv", trade_rows(30_000) * 5)
    ended = 0
    slow = {**os.environ, "K2CONN_PURE_PYTHON": "1"}  # or all of it is loaded before there is a first position to see
    for _ in range(2):
        with warm_process.started(
            "load", "asx-trades", path, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=slow
        ) as process:
            before = saved(tmp_path)
            while process.poll() is None and saved(tmp_path) == before:
                time.sleep(0.01)
            time.sleep(0.2)
            process.send_signal(number)
            assert process.stderr is not None
            said = process.stderr.read()
            process.wait(60)
            ended += process.returncode != 0
            assert process.returncode in (0, -9 if number == signal.SIGKILL else 130), said
    last = load(tmp_path, "asx-trades", path)
    assert last.returncode == 0, last.stderr
    assert ended
    found = records(tmp_path, only=("trade_id", "message_id"))
    names = Counter(one["trade_id"] for one in found)
    assert {int(name.rpartition("-")[2]) for name in names} == set(range(1, count + 1))
    assert len({one["message_id"] for one in found}) == count  # by it a reader drops what came again
    assert len(found) == count or (number == signal.SIGKILL and len(found) < 2 * count)


def saved(folder: Path) -> str:
    """The position on the disk."""
    return "".join(path.read_text() for path in (folder / "state").glob("*.json"))


LOADER = """
connector: own
exchange: ASX
asset_class: equities
docs: https://docs.example/loader
symbols: {default: [BHP], form: {form: "{base}", quote: AUD}, record: "{base}"}
connection: {url: "file://", codec: %s}
streams:
  trade:
    when: "@"
    sequence: {from: sequence_number, rule: monotonic, per: symbol}
    fields:
      symbol: symbol
      trade_id: trade_id
      price: price
      quantity: quantity
      timestamp: {from: exchange_timestamp, unit: iso8601}
      side: {from: side, map: {buy: BUY, sell: SELL, short: SELL_SHORT, sell_short: SELL_SHORT}, absent: UNKNOWN}
      source_sequence: sequence_number
    vendor_data: [company_id, qualifiers, venue]
"""


def test_a_header_line_names_the_columns(tmp_path: Path) -> None:
    """The loader's own format; columns it knows nothing of are kept, and a row twice is a repeat."""
    (tmp_path / "own.yaml").write_text(LOADER % "csv")
    (tmp_path / "x.csv").write_text(
        "symbol,exchange_timestamp,price,quantity,side,sequence_number,trade_id,company_id,note\n"
        "BHP,2026-01-02T03:04:05.678Z,36.77,100,buy,1,a,7078,\"one, \"\"two\"\"\n three\"\n"
        "BHP,2026-01-02T03:04:06Z,36.78,100,short,2,b,7078,\n"
        "BHP,2026-01-02T03:04:06Z,36.78,100,short,2,b,7078,\n"
        "BHP,2026-01-02T03:04:07Z,36.79,100,,3,c,7078,\n"
    )
    done = load(tmp_path, "own.yaml", "x.csv")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert [(one["trade_id"], one["side"], one["source_sequence"]) for one in found] == [
        ("ASX-a", "BUY", 1), ("ASX-b", "SELL_SHORT", 2), ("ASX-c", "UNKNOWN", 3)]
    assert found[0]["vendor_data"]["note"] == 'one, "two"\n three'
    assert "duplicates 1" in done.stderr


def test_json_lines(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(LOADER % "jsonlines")
    rows = [{"symbol": "BHP", "exchange_timestamp": "2026-01-02T03:04:05Z", "price": 36.77, "quantity": n,
             "side": "sell", "sequence_number": n, "trade_id": n} for n in range(1, 501)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "[]\n")
    assert load(tmp_path, "own.yaml", "x.jsonl").returncode == 65
    found = [(one["trade_id"], int(one["quantity"])) for one in records(tmp_path)]
    assert found == [(f"ASX-{n}", n) for n in range(1, 501)]
    (dead,) = dead_letters(tmp_path)
    assert (dead["line"], dead["detail"]) == (501, "a row is a JSON object")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["asx-trades", "gone.csv", "folder", "7078.csv", "7078.csv"], 2,
         ["gone.csv: No such file", "folder is no file", "7078.csv is named twice"]),
        (["kraken", "7078.csv"], 2, ["kraken connects to its exchange: k2conn run kraken"]),
        (["asx-trades", "7078.csv", "--streams", "quote"], 2, ["asx-trades has no stream 'quote'"]),
        (["asx-trades", "7078.csv", "--sink", "nosink"], 2, ["there is no sink 'nosink'"]),
        (["asx-trades", "7078.csv", "--state", "7078.csv"], 2, ["--state 7078.csv:"]),
        (["bad.yaml", "7078.csv"], 78, ["which files are read, the command line says"]),
        (["asx-trades", "7078.csv", "--kafka", "127.0.0.1:9", "--registry", "http://127.0.0.1:9"], 69, ["127.0.0.1:9"]),
    ],
    ids=["files", "venue", "streams", "sink", "state", "spec", "away"],
)
def test_what_cannot_be_loaded(tmp_path: Path, words: list[str], code: int, said: list[str]) -> None:
    written(tmp_path / "7078.csv", trade_rows(3))
    (tmp_path / "folder").mkdir()
    bad = LOADER.replace("connector: own", "connector: bad").replace("file://", "file:///etc/passwd")
    (tmp_path / "bad.yaml").write_text(bad % "csv")
    done = load(tmp_path, *words, K2_KAFKA_OPEN_TIMEOUT_MS="2000")
    assert done.returncode == code, done.stderr
    for text in said:
        assert text in done.stderr
    assert not (tmp_path / "data").exists()


def test_run_and_the_players_of_venues_refuse_a_connector_of_files(tmp_path: Path) -> None:
    for words in (["run", "asx-trades", "--port", "-1"], ["mock", "asx-trades"], ["certify", "asx-trades"]):
        done = warm_process.k2conn(*words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert (done.returncode, "asx-trades reads files" in done.stderr) == (2, True)


def test_map_shows_what_becomes_of_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "7078.csv", [*trade_rows(3), "x"])
    done = warm_process.k2conn("map", "asx-trades", path, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 65
    assert [json.loads(line)["record"]["symbol"] for line in done.stdout.splitlines()] == ["BHP"] * 3
    assert '"line":4' in done.stderr
