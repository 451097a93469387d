"""The commands: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from k2conn import __version__
from k2conn.cli.application import application
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, trade, trades

COMMANDS = sorted(
    one.name or one.callback.__name__ for one in application.registered_commands if one.callback is not None
)


def k2conn(*arguments: object, cwd: Path | None = None, given: str | bytes = "") -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*arguments, cwd=cwd, env=environment(COLUMNS="200"), given=given)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "venue.yaml"
    path.write_text(HEAD + SUBSCRIBE + STREAMS)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(application, [name, "--help"])
    assert done.exit_code == 0
    example = done.output[done.output.index("Example: ") :]
    assert f"k2conn {name}" in example.splitlines()[0]


def test_version_and_no_arguments() -> None:
    assert k2conn("--version").stdout == f"k2conn {__version__}\n"
    done = k2conn()
    assert "Usage" in done.stdout + done.stderr
    assert k2conn("nosuch").returncode == 2


# -- map


def test_map_reads_lines_and_writes_records(spec: Path) -> None:
    done = k2conn("map", spec, given=trades(trade(1), trade(2)) + "\n\n" + trades(trade(3)) + "\n")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["record"]["trade_id"] for one in records] == ["VENUE-1", "VENUE-2", "VENUE-3"]
    assert records[0]["type"] == "trade"
    assert (records[0]["connector"], records[0]["stream"]) == ("venue", "trade")
    assert done.stderr.splitlines()[-1].startswith("venue: received 3 = published 3 ")


def test_map_exits_65_where_something_is_dead(spec: Path) -> None:
    done = k2conn("map", spec, "-", given=trades(trade(1), trade(2, p="x")) + "\n{\n")
    assert done.returncode == 65
    assert len(done.stdout.splitlines()) == 1
    lines = [text.removeprefix("dead letter: ") for text in done.stderr.splitlines() if "letter: " in text]
    letters = [json.loads(text) for text in lines]
    assert [letter["reason"] for letter in letters] == ["bad-number", "malformed-frame"]


def test_map_says_which_line_of_the_file_found_what(spec: Path) -> None:
    item = {key: value for key, value in trade(1).items() if key != "p"} | {"px\x1b[31m": "1", "n" * 500: 1}
    many = trade(2, q="x") | {f"k{at}": 0 for at in range(40)}
    done = k2conn("map", spec, given=trades(item, many) + "\n" + json.dumps({"ch": "trade", "date": []}))
    price, quantity, each = [text for text in done.stderr.splitlines() if text.startswith(f"  {spec}:")]
    lines = spec.read_text().splitlines()
    assert lines[int(price.split(":")[1]) - 1].strip() == "price: p"
    assert price.split(": ", 1)[1] == (
        "price: `p` finds nothing; the item has s, i, q, t, d, px\\x1b[31m, " + "n" * 40
    )
    assert lines[int(quantity.split(":")[1]) - 1].strip() == "quantity: q"
    assert quantity.endswith(" and 16 more")
    assert lines[int(each.split(":")[1]) - 1].strip() == "each: data"
    assert each.endswith("each: `data` finds nothing; the message has ch, date")


def test_a_failing_example_says_which_line_of_the_file_found_nothing(spec: Path) -> None:
    frame = trades(trade(1, p=None))
    spec.write_text(f"{spec.read_text()}tests:\n  - name: one\n    received: '{frame}'\n    records: [{{price: 1}}]\n")
    place = f"{spec}:{spec.read_text().splitlines().index('      price: p') + 1}"
    for command in ("validate", "test"):
        done = k2conn(command, spec)
        assert done.returncode in (1, 78)
        assert f"{place}: price: `p` finds nothing; the item has s, i, p, q, t, d" in done.stdout, command


def line(frame: object, moment: object, session: object = 1) -> str:
    return json.dumps({"raw": frame, "at": moment, "session": session}) + "\n"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-02T03:04:05.678901Z", 1_767_323_045_678_901),
        (1767323045.5, 1_767_323_045_500_000),
        ("1767323045.5", 1_767_323_045_500_000),
        (1767323045, 1_767_323_045_000_000),
    ],
)
def test_map_takes_frame_and_time_from_keys(spec: Path, tmp_path: Path, moment: object, expected: int) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_text(line(json.loads(trades(trade(1))), moment) + line(trades(trade(2)), moment))
    done = k2conn("map", spec, file, "--frame-key", "raw", "--time-key", "at")
    assert done.returncode == 0, done.stderr
    records = [json.loads(one)["record"] for one in done.stdout.splitlines()]
    assert [record["ingestion_timestamp"] for record in records] == [expected, expected]


def test_map_begins_anew_with_a_new_session(tmp_path: Path) -> None:
    path = tmp_path / "venue.yaml"
    path.write_text(HEAD + SUBSCRIBE + STREAMS.replace("    each: data\n", "    each: data\n    first_batch: tag\n"))
    rows = [line(trades(trade(n)), 1767323045, session) for n, session in ((1, "a"), (2, "a"), (3, "b"))]
    done = k2conn("map", path, "--frame-key", "raw", "--session-key", "session", given="".join(rows))
    found = [json.loads(one)["record"]["vendor_data"].get("snapshot") for one in done.stdout.splitlines()]
    assert found == ["true", None, "true"]


UNKNOWN = [
    *({"ch": "book", "bids": [[number, 1]]} for number in range(3)), {"ch": "candle", "o": 1}, {"op": "hello"},
]


def test_map_counts_what_it_does_not_recognise_and_shows_one_of_each_shape(spec: Path) -> None:
    frames = "\n".join([*map(json.dumps, UNKNOWN), trades(trade(1)), '{"ch": "book", "bids": [], "x\\u001b": 1}'])
    done = k2conn("map", spec, given=frames)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].endswith("; frames 7, unrecognised 6")
    assert [line for line in done.stderr.splitlines() if line.startswith("unrecognised, ")] == [
        'unrecognised, 3 frames like: {"ch": "book", "bids": [[0, 1]]}',
        'unrecognised, 1 frame like: {"ch": "candle", "o": 1}',
        'unrecognised, 1 frame like: {"op": "hello"}',
        'unrecognised, 1 frame like: {"ch": "book", "bids": [], "x\\u001b": 1}',
    ]


def test_map_bounds_the_shapes_and_the_samples(spec: Path) -> None:
    done = k2conn("map", spec, given="\n".join(json.dumps({f"k{number}": "y" * 1000}) for number in range(50)))
    shown = [line for line in done.stderr.splitlines() if line.startswith("unrecognised, ")]
    assert (len(shown), shown[-1]) == (21, "unrecognised, 30 frames of further shapes")
    assert max(map(len, shown)) < 400


MARK = b"\xef\xbb\xbf"


def test_recordings_with_a_byte_order_mark_are_read(spec: Path, tmp_path: Path) -> None:
    frame = trades(trade(1)).encode()
    file = tmp_path / "frames.jsonl"
    file.write_bytes(MARK + frame + b"\r\n" + MARK + trades(trade(2)).encode() + b"\r\n")
    done = k2conn("map", spec, file)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    file.write_bytes(MARK + b'{"raw": ' + json.dumps(frame.decode()).encode() + b"}\n")
    assert len(k2conn("map", spec, file, "--frame-key", "raw").stdout.splitlines()) == 1
    assert k2conn("eval", "raw", file).stdout == json.dumps(frame.decode()) + "\n"
    options = ("--sample", file, "--frame-key", "raw", "--output", "-")
    drafted = k2conn("new", "fresh", "--url", "wss://x.example", *options)
    assert drafted.returncode == 0
    assert "from 1 frames" in drafted.stderr
    mock = k2conn("mock", spec, "--frames", file, "--frame-key", "raw", "--duration", "1s")
    assert mock.returncode == 0, mock.stderr


@pytest.mark.parametrize("command", ["map", "eval"])
def test_a_recording_in_utf_16_is_called_that(command: str, spec: Path, tmp_path: Path) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_bytes(trades(trade(1)).encode("utf-16"))
    done = k2conn(command, spec if command == "map" else "a", file)
    assert done.returncode == 2
    assert "is UTF-16 text" in done.stderr


def test_map_drops_repeats_when_asked(spec: Path) -> None:
    twice = (trades(trade(1)) + "\n") * 2
    assert len(k2conn("map", spec, given=twice).stdout.splitlines()) == 2
    assert len(k2conn("map", spec, "--deduplicate", given=twice).stdout.splitlines()) == 1


def test_map_keeps_numbers_exact(spec: Path) -> None:
    item = '{"s":"BTC-USD","i":12345678901234567890,"p":64000.10000000,"q":1e-8,"t":1767323045678,"d":"buy"}'
    frame = f'{{"ch":"trade","data":[{item}]}}'
    record = json.loads(k2conn("map", spec, given=frame).stdout)["record"]
    assert (record["trade_id"], record["price"]) == ("VENUE-12345678901234567890", "64000.1")
    assert record["quantity"] == "0.00000001"


@pytest.mark.parametrize(
    ("arguments", "given", "code", "text"),
    [
        (["--time-key", "at"], "", 2, "need --frame-key"),
        (["--frame-key", "raw"], "not json\n", 2, "line 1 is no JSON object"),
        (["--frame-key", "raww"], line("{}", 1), 2, "did you mean 'raw'"),
        (["--frame-key", "raw", "--time-key", "at"], line("{}", "1.2.3"), 2, "'at' is no time"),
        (["--frame-key", "raw", "--time-key", "at"], line("{}", [1]), 2, "'at' is no time"),
        (["--streams", "trades"], "", 2, "did you mean 'trade'"),
        (["nosuch.jsonl"], "", 2, "nosuch.jsonl: No such file"),
    ],
)
def test_map_refuses_what_it_cannot_read(spec: Path, arguments: list[str], given: str, code: int, text: str) -> None:
    done = k2conn("map", spec, *arguments, given=given)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


# -- validate, test, list, explain


def test_validate_says_how_many_are_right(spec: Path) -> None:
    done = k2conn("validate", spec, "kraken")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line for line in lines if ": talks to " not in line and ": warning[" not in line] == []
    assert [line.split("]: ")[1].split(":")[0] for line in lines if ": warning[" in line] == [
        "the file has no tests", "no step subscribes stream 'quote'",
    ]
    assert "2 of 2" in done.stderr


def test_validate_prints_every_problem_with_its_place(spec: Path) -> None:
    spec.write_text(spec.read_text().replace("price: p\n", "prise: p\n", 1).replace("unit: ms", "unit: msec", 1))
    done = k2conn("validate", spec.name, cwd=spec.parent)
    assert done.returncode == 78
    problems = done.stdout.splitlines()
    assert len(problems) >= 3
    assert all(problem.startswith("venue.yaml:") and ": error[" in problem for problem in problems)
    places = [tuple(map(int, problem.split(":")[1:3])) for problem in problems]
    assert places == sorted(places)
    assert "0 of 1" in done.stderr


def test_validate_in_json(spec: Path) -> None:
    said = json.loads(k2conn("validate", spec, "--format", "json").stdout)
    assert ["the file has no tests" in said["warnings"][0], len(said.pop("warnings"))] == [True, 2]
    assert said == {
        "hosts": [{"connector": "venue", "host": "venue.example", "public": True}],
        "problems": [], "valid": 1, "variables": [],
    }
    spec.write_text(spec.read_text().replace("price: p\n", "prise: p\n", 1))
    done = k2conn("validate", spec, "--format", "json")
    assert done.returncode == 78
    first = json.loads(done.stdout)["problems"][0]
    assert {"file", "line", "column", "code", "message"} <= set(first)


EXAMPLE = """
tests:
  - name: one trade
    symbols: [BTC-USD]
    streams: [trade]
    dialogue:
      - received: {ch: trade, data: [{s: BTC-USD, i: 7, p: "1.5", q: "2", t: 1767323045678, d: buy}]}
        records: [{trade_id: VENUE-7, price: "%s"}]
"""


def test_test_plays_the_examples_and_shows_what_differs(spec: Path) -> None:
    spec.write_text(spec.read_text() + EXAMPLE % "1.5")
    done = k2conn("test", spec, "-v")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 0 failed" in done.stdout
    spec.write_text(spec.read_text().replace('"1.5"}]', '"1.6"}]'))
    done = k2conn("test", spec)
    assert done.returncode == 1
    assert "expected 1.6" in done.stdout
    assert "found    1.5" in done.stdout
    assert k2conn("validate", spec).returncode == 78


def test_what_may_be_the_reason_is_said_beside_an_example_that_does_not_map(spec: Path) -> None:
    """A warning of the file's own words is often why its examples fail: both are shown."""
    text = spec.read_text().replace("symbol: s\n      trade_id", "symbol: $key\n      trade_id")
    spec.write_text(text + EXAMPLE % "1.5")
    done = k2conn("validate", spec)
    assert done.returncode == 78
    assert "error[example]: example 'one trade': dead letters: expected 0, found 1: missing-field" in done.stdout
    assert "`each: data` gives a list, so $key is nothing" in done.stdout
    said = json.loads(k2conn("validate", spec, "--format", "json").stdout)
    assert said["problems"]
    assert any("$key is nothing" in one for one in said["warnings"])


def test_list_names_the_shipped_connectors() -> None:
    assert "kraken" in k2conn("list").stdout
    rows = json.loads(k2conn("list", "--format", "json").stdout)
    assert {"binance", "coinbase", "kraken"} <= {row["connector"] for row in rows}
    assert all({"connector", "exchange", "asset_class", "market", "streams", "docs"} <= set(row) for row in rows)
    assert k2conn("list", "--format", "xml").returncode == 2


def test_explain_shows_what_is_sent_recognised_and_made(spec: Path) -> None:
    done = k2conn("explain", spec, "--symbols", "ETH-USD")
    assert done.returncode == 0, done.stderr
    for text in ('{"op":"sub","ch":"trade","symbols":["ETH-USD"],"id":1}', "market.crypto.trades.venue", "trade_id",
                 "wss://venue.example/ws"):
        assert text in done.stdout


@pytest.mark.parametrize("command", ["plan", "explain", "run"])
def test_a_name_that_no_form_reads_is_refused_with_the_venues_spelling(command: str) -> None:
    done = k2conn(command, "bitfinex", "--symbols", "BTCUSD,BTC/USD")
    assert done.returncode == 2
    assert "no symbol rule reads BTC/USD; this venue writes them like BTCUSD" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["validate", "map", "test", "explain", "run"])
def test_an_unknown_connector_is_named_with_those_that_are_near(command: str) -> None:
    done = k2conn(command, "krakn")
    assert done.returncode == 2
    assert "there is no connector 'krakn'" in done.stderr
    assert "kraken" in done.stderr


@pytest.mark.parametrize("command", ["map", "test", "explain", "run"])
def test_a_wrong_file_is_78_everywhere(command: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("connector: bad\n")
    done = k2conn(command, "bad.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert "bad.yaml:1:1: error[" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
