"""A venue's instrument list as a user meets it: `k2conn symbols`, a mock that serves it, a run that waits for it, a run
whose list is away, and a saved one.
"""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.support import warm_process

VENUE = """
connector: venue
exchange: VENUE
asset_class: options
docs: https://venue.example/docs
symbols:
  default: [BTC-27MAR26-90000-C]
  record: native
  list:
    http: GET https://venue.example/v1/instruments?kind=option
    pages: {next: result.cursor, query: cursor, most: 5}
    each: result.list
    symbol: name
    split: {from: name, pattern: "{base}-{_}-{_}-{_}"}
    quote: settle
    expiry: {from: expires, unit: ms}
    strike: strike
    option_right: {from: kind, map: {C: CALL, P: PUT}}
    multiplier: size
    tick: tick
    status: state
    trading: [open]
    refresh: 1h
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, args: $symbols}
      for: trade
      expect: {accepted: {ok: true}}
streams:
  trade:
    when: {ch: t}
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: T, unit: ms},
             side: {from: S, map: {b: BUY}}}
tests:
  - name: the list, in two pages
    list:
      answers:
        - result: {cursor: abc, list: [{name: BTC-27MAR26-90000-C, settle: USDC, expires: 1774598400000, strike: 90000,
                                        kind: C, size: 0.1, state: open}]}
        - result: {cursor: "", list: [{name: BTC-27MAR26-95000-P, settle: USDC, expires: 1774598400000, strike: 95000,
                                       kind: P, size: 0.1, tick: 5, state: closed}]}
  - name: a trade
    received: {ch: t, s: BTC-27MAR26-90000-C, i: 1, p: "5", q: "1", T: 1774598400000, S: b}
    records: [{symbol: BTC-27MAR26-90000-C, currency: USDC, vendor_data: {strike: "90000", option_right: CALL}}]
"""
CALL, PUT = "BTC-27MAR26-90000-C", "BTC-27MAR26-95000-P"
FRAME = json.dumps({"ch": "t", "s": PUT, "i": 7, "p": "5", "q": "1", "T": 1774598400000, "S": "b"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "venue.yaml").write_text(VENUE)
    return tmp_path


def k2conn(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*words, cwd=folder, env=environment(COLUMNS="250", **variables))


@contextmanager
def mocked(folder: Path, name: str = "venue.yaml") -> Iterator[dict[str, str]]:
    """The variables that a mock prints, while it serves."""
    mock = warm_process.started("mock", name, "--rate", "50", cwd=folder,
                                env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert mock.stdout is not None
        lines = [mock.stdout.readline().strip() for _ in range(2)]
        yield dict(line.split("=", 1) for line in lines)
    finally:
        mock.send_signal(signal.SIGINT)
        mock.communicate(timeout=30)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line)["record"] for line in done.stdout.splitlines() if line.startswith("{")]


def test_the_mock_serves_the_list_and_a_run_knows_what_it_says(folder: Path) -> None:
    with mocked(folder) as variables:
        assert set(variables) == {"K2_VENUE_WEBSOCKET_URL", "K2_VENUE_HTTP_URL"}
        done = k2conn(folder, "run", "venue.yaml", "--symbols", PUT, "--sink", "console", "--max-records", "2",
                      "--port", "-1", **variables)
        assert "instrument list read" in done.stdout + done.stderr
        listed = k2conn(folder, "symbols", "venue.yaml", "--save", "saved.json", **variables)
        missing = k2conn(folder, "run", "venue.yaml", "--symbols", "BTC-27MAR26-1-P", "--sink", "none", "--port", "-1",
                      **variables)
    (record, *_) = records(done)
    assert (record["symbol"], record["currency"]) == (PUT, "USDC")
    vendor = record["vendor_data"]
    assert isinstance(vendor, dict)
    assert {name: vendor[name] for name in ("expiry", "strike", "option_right", "multiplier")} == {
        "expiry": "2026-03-27T08:00:00Z", "strike": "95000", "option_right": "PUT", "multiplier": "0.1",
    }
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["native", CALL, PUT]
    assert "2 instruments" in listed.stderr
    assert missing.returncode == 2, missing.stderr
    assert "no symbol rule reads BTC-27MAR26-1-P" in missing.stderr


def test_a_list_of_several_calls(folder: Path) -> None:
    once = "    http: GET https://venue.example/v1/instruments?kind=option\n"
    calls = [f"GET https://venue.example/v1/instruments?kind={kind}" for kind in ("option", "future")]
    text = VENUE.replace("    pages: {next: result.cursor, query: cursor, most: 5}\n", "")
    (folder / "venue.yaml").write_text(text.replace(once, f"    http: {json.dumps(calls)}\n"))
    with mocked(folder) as variables:
        listed = k2conn(folder, "symbols", "venue.yaml", "--save", "saved.json", **variables)
        done = k2conn(folder, "run", "venue.yaml", "--symbols", PUT, "--sink", "console", "--max-records", "1",
                      "--port", "-1", **variables)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["native", CALL, PUT], listed.stderr
    assert records(done)[0]["symbol"] == PUT, done.stderr
    again = k2conn(folder, "symbols", "venue.yaml", "--from", "saved.json", "--json")
    assert [one["native"] for one in json.loads(again.stdout)] == [CALL, PUT]
    assert ", ".join(calls) in k2conn(folder, "explain", "venue.yaml").stdout


def test_what_is_shown_needs_no_network(folder: Path) -> None:
    for words in (["map", "venue.yaml", "frames.jsonl"], ["explain", "venue.yaml", "--symbols", PUT],
                  ["plan", "venue.yaml", "--symbols", PUT], ["test", "venue.yaml"]):
        (folder / "frames.jsonl").write_text(FRAME + "\n")
        done = k2conn(folder, *words)
        assert done.returncode == 0, (words, done.stderr)
    assert json.loads(k2conn(folder, "map", "venue.yaml", "frames.jsonl").stdout)["record"]["symbol"] == PUT


def test_the_list_is_searched_and_read_by_programs(folder: Path) -> None:
    done = k2conn(folder, "symbols", "venue.yaml", "--shown", "--search", "put 95000", "--json")
    assert json.loads(done.stdout) == [{
        "native": PUT, "symbol": PUT, "base": "BTC", "quote": "USDC", "currency": "USDC",
        "expiry": "2026-03-27T08:00:00Z", "strike": "95000", "option_right": "PUT", "multiplier": "0.1", "tick": "5",
        "status": "closed", "trading": False,
    }]
    table = k2conn(folder, "symbols", "venue.yaml", "--shown", "-s", "call")
    assert table.stdout.splitlines()[1].split() == [
        CALL, CALL, "BTC", "USDC", "2026-03-27T08:00:00Z", "90000", "CALL", "0.1", "open"]
    assert "1 of 2 instruments" in table.stderr
    nothing = k2conn(folder, "symbols", "venue.yaml", "--shown", "--search", "XRP")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "none of 2 instruments has 'XRP'" in nothing.stderr


@pytest.mark.parametrize(("words", "code", "text"), [
    (["symbols", "kraken"], 2, "kraken says no `list` in `symbols`"),
    (["symbols", "venue.yaml", "--format", "xml"], 2, "--format xml"),
    (["symbols", "venue.yaml", "--shown", "--from", "saved.json"], 2, "say one"),
    (["symbols", "venue.yaml", "--from", "absent.json"], 2, "absent.json: No such file or directory"),
    (["symbols", "venue.yaml", "--from", "venue.yaml"], 2, "not what venue answers"),
    (["symbols", "venue.yaml", "--from", "other.json"], 2, "list of other"),
    (["symbols", "venue.yaml", "--from", "empty.json"], 2, "the answer has no list of instruments"),
    (["symbols", "venue.yaml"], 69, "A saved one can be read with --from FILE"),
    (["map", "kraken", "frames.jsonl", "--list", "empty.json"], 2, "kraken says no `list`"),
    (["map", "venue.yaml", "frames.jsonl", "--list", "empty.json"], 2, "the answer has no list of instruments"),
])
def test_what_cannot_be_is_said(folder: Path, words: list[str], code: int, text: str) -> None:
    (folder / "other.json").write_text('{"k2conn":"list of other","answers":[]}')
    (folder / "empty.json").write_text("{}")
    (folder / "frames.jsonl").write_text(FRAME + "\n")
    done = k2conn(folder, *words, K2_VENUE_HTTP_URL="http://127.0.0.1:9")
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_has_examples() -> None:
    page = k2conn(Path(), "symbols", "--help").stdout
    assert "Example: k2conn symbols NAME --search BTC" in page
    assert "--from" in page


# -- the list is away

FORMED = VENUE.replace("  record: native\n", '  record: native\n  form: "{base}-{day}-{k}-{kind}"\n').replace(
    'form: "{base}-{day}-{k}-{kind}"', 'form: {form: "{base}-{day}-{k}-{kind}", quote: USD}')
OTHER = "ETH-27MAR26-3000-C"


def test_a_run_whose_list_is_away_goes_on_by_what_the_file_knows(folder: Path) -> None:
    """Names by its tests' list, then by its forms; what neither reads, only the list could tell."""
    (folder / "venue.yaml").write_text(FORMED)
    with mocked(folder) as variables:
        away = {**variables, "K2_VENUE_HTTP_URL": "http://127.0.0.1:9"}
        done = k2conn(folder, "run", "venue.yaml", "--symbols", f"{CALL},{OTHER}", "--sink", "console",
                      "--max-records", "20", "--port", "-1", **away)
    log = done.stdout + done.stderr
    assert log.count("instrument list not read") >= 3
    assert "going on without the venue's instrument list" in log
    found = {(one["symbol"], one["currency"]) for one in records(done)}
    assert found == {(CALL, "USDC"), (OTHER, "USD")}


def test_a_saved_list_stands_in_for_the_venue(folder: Path) -> None:
    """Also packed, and as the venue gave it; a file that cannot be read is refused before anything runs."""
    rows = [{"name": "SOL-27MAR26-100-P", "settle": "USDT", "kind": "P", "strike": 100}]
    (folder / "body.json.gz").write_bytes(gzip.compress(json.dumps({"result": {"list": rows}}).encode()))
    with mocked(folder) as variables:
        given = {"K2_VENUE_WEBSOCKET_URL": variables["K2_VENUE_WEBSOCKET_URL"]}
        refused = k2conn(folder, "run", "venue.yaml", "--sink", "none", "--port", "-1",
                      K2_VENUE_INSTRUMENT_LIST="absent.json", **given)
        done = k2conn(folder, "run", "venue.yaml", "--sink", "console", "--max-records", "1", "--port", "-1",
                   K2_VENUE_INSTRUMENT_LIST="body.json.gz", **given)
    assert refused.returncode == 2
    assert "absent.json: No such file or directory" in refused.stderr
    assert "instruments=1" in done.stdout + done.stderr
    assert records(done)[0]["symbol"] == CALL
    (folder / "frames.jsonl").write_text(FRAME.replace(PUT, "SOL-27MAR26-100-P") + "\n")
    unread = k2conn(folder, "map", "venue.yaml", "frames.jsonl")
    assert unread.returncode == 65
    assert "unknown-symbol" in unread.stderr
    mapped = k2conn(folder, "map", "venue.yaml", "frames.jsonl", "--list", "body.json.gz")
    assert json.loads(mapped.stdout)["record"]["currency"] == "USDT"


def test_no_list_is_read_where_the_file_has_none(folder: Path) -> None:
    done = k2conn(folder, "run", "kraken", "--sink", "none", "--port", "-1", K2_KRAKEN_INSTRUMENT_LIST="any.json")
    assert done.returncode == 2
    assert "kraken says no `list` in `symbols`" in done.stderr
