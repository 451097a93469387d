"""Sources that are no WebSockets, with `k2conn run` as a process: HTTP asked again and again, HTTP that goes on, TCP,
and a program beside it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.byte_venues import Request, answer, begin_answer, byte_venue, chunk, request
from tests.support.plans import HEAD, STREAMS, trade, trades

POLL = """
connection:
  url: http://127.0.0.1:%d/trades?symbol={$symbol}&after={$state.after}
  per: symbol
  poll: 200ms
  initial: {symbol: $symbol, after: 0}
  capture: [{when: {rows: $present}, into: after, value: "rows[-1].id", keep: true}]
  reconnect: {base: 50ms, cap: 100ms}
streams:
  trade:
    when: {rows: $present}
    each: rows
    fields:
      symbol: $state.symbol
      trade_id: id
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: s, map: {b: BUY, s: SELL}}
"""
STREAM = """
connection:
  url: http://127.0.0.1:%d/stream?symbols={$symbols}
  headers: {Authorization: "Bearer {$env.K2_VENUE_TOKEN}"}
  reconnect: {base: 50ms, cap: 100ms}
"""
TCP = """
connection:
  url: tcp://127.0.0.1:%d
  framing: %s
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
  heartbeat: {every: 1s, send: {op: ping}, answer: {op: pong}}
  reconnect: {base: 50ms, cap: 100ms}
"""
EXEC = """
connection:
  url: exec://bridge
  program: {arguments: [--symbols, "{$symbols}"], environment: {KEY: $env.K2_VENUE_KEY}}
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
  reconnect: {base: 50ms, cap: 100ms}
"""


def run(folder: Path, file: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "venue.yaml").write_text(file)
    return warm_process.k2conn(
        "run", "venue.yaml", "--sink", "console", "--port", "-1", "--streams", "trade", "--duration", "20s", *arguments,
        cwd=folder, env=environment(**variables),
    )


def ids(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The trade ids of what was published, in order."""
    records = [json.loads(line).get("record") for line in done.stdout.splitlines() if line.startswith("{")]
    return [one["trade_id"] for one in records if one and "trade_id" in one]


def row(number: int) -> dict[str, Any]:
    return {"id": number, "p": "100.5", "q": "2", "t": 1767323040000 + number, "s": "b"}


def line(number: int) -> bytes:
    return trades(trade(number)).encode()


# -- HTTP, asked again and again


def test_polling_follows_the_cursor_and_says_what_it_knows(tmp_path: Path) -> None:
    heard: list[Request] = []

    def act(opened: socket.socket, number: int) -> None:
        asked = request(opened)
        heard.append(asked)
        query = {name: one[0] for name, one in parse_qs(urlsplit(asked.target).query).items()}
        first = int(query["after"])
        if query["symbol"] == "ETH-USD" or first >= 6:
            if asked.headers.get("if-none-match") == '"full"':
                answer(opened, b"", "304 Not Modified")
            else:
                answer(opened, b'{"rows": []}', ETag='"full"', Last_Modified="Fri, 02 Jan 2026 03:04:05 GMT")
            return
        answer(opened, json.dumps({"rows": [row(one) for one in range(first, first + 4)]}).encode())

    with byte_venue(act) as port:
        done = run(tmp_path, HEAD + POLL % port, "--duration", "4s")
    assert done.returncode == 0, done.stderr
    assert ids(done) == [f"VENUE-{one}" for one in range(7)], "each once, though the last row comes twice"
    asked = [one.target for one in heard if "BTC-USD" in one.target]
    assert asked[:4] == [f"/trades?symbol=BTC-USD&after={after}" for after in (0, 3, 6, 6)]
    last = heard[-1]
    assert last.headers["if-none-match"] == '"full"'
    assert last.headers["if-modified-since"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert len(heard) < 60, "it keeps to its period"


def test_polling_stays_away_as_long_as_it_is_told_and_goes_on_from_its_cursor(tmp_path: Path) -> None:
    times: list[tuple[float, str]] = []

    def act(opened: socket.socket, number: int) -> None:
        asked = request(opened)
        if "ETH" in asked.target:
            answer(opened, b'{"rows": []}')
            return
        times.append((time.monotonic(), asked.target))
        if len(times) == 2:
            answer(opened, b"slow down", "429 Too Many Requests", Retry_After="2")
        else:
            answer(opened, json.dumps({"rows": [row(len(times))]}).encode())

    with byte_venue(act) as port:
        done = run(tmp_path, HEAD + POLL % port, "--max-records", "3")
    assert done.returncode == 0, done.stderr
    assert times[2][0] - times[1][0] >= 2.0
    assert times[2][1].endswith("after=1"), "the new connection begins with what the old one kept"
    assert "http-429" in done.stderr


def test_equal_rows_of_two_answers_are_one_record(tmp_path: Path) -> None:
    file = HEAD + POLL.replace("      trade_id: id\n", "").replace(
        "    each: rows\n", "    each: rows\n    identity: [price, quantity, timestamp]\n"
    )
    rows = json.dumps({"rows": [row(1), row(1), row(2)]}).encode()

    def act(opened: socket.socket, number: int) -> None:
        answer(opened, rows if "BTC" in request(opened).target else b'{"rows": []}')

    with byte_venue(act) as port:
        done = run(tmp_path, file % port, "--duration", "3s")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3, "two equal rows and another one, each once"


def test_requests_keep_to_the_venues_limit(tmp_path: Path) -> None:
    asked: list[str] = []

    def act(opened: socket.socket, number: int) -> None:
        asked.append(request(opened).target)
        answer(opened, json.dumps({"rows": [row(number)]}).encode())

    file = HEAD + POLL.replace("  poll: 200ms", "  poll: 100ms\n  limits: {requests: 2 per 1s}")
    with byte_venue(act) as port:
        run(tmp_path, file % port, "--duration", "4s")
    assert {one.partition("&")[0] for one in asked} == {"/trades?symbol=BTC-USD", "/trades?symbol=ETH-USD"}
    assert 4 <= len(asked) <= 12, "of both connections together; without the limit some 80"


# -- HTTP that goes on


@pytest.mark.parametrize("framing", ["lines", "events", "named-events"])
def test_an_answer_that_goes_on(tmp_path: Path, framing: str) -> None:
    heard: list[Request] = []

    def act(opened: socket.socket, number: int) -> None:
        heard.append(request(opened))
        begin_answer(opened)
        for one in range(3 * number, 3 * number + 3):
            if framing == "lines":
                data = line(one) + b"\r\n\n"
            else:
                data = b": alive\n\nevent: trade\nid: 7\ndata: " + line(one) + b"\n\n"
            half = len(data) // 2
            chunk(opened, data[:half])
            chunk(opened, data[half:])
        chunk(opened, line(99)[:20])  # breaks off in the middle

    streams = STREAMS
    if framing == "named-events":
        streams = STREAMS.replace("when: {ch: trade}\n    each: data", "when: {event: trade}\n    each: data.data")
    file = HEAD + STREAM + f"  framing: {framing}\n" + streams
    with byte_venue(act) as port:
        done = run(tmp_path, file % port, "--max-records", "6", K2_VENUE_TOKEN="hunter22hunter22")
    assert done.returncode == 0, done.stderr
    assert ids(done) == [f"VENUE-{one}" for one in range(6)]
    assert heard[0].target == "/stream?symbols=BTC-USD,ETH-USD"
    assert heard[0].headers["authorization"] == "Bearer hunter22hunter22"
    assert heard[0].headers["accept"] == ("application/json" if framing == "lines" else "text/event-stream")
    assert "hunter22" not in done.stderr + done.stdout


def test_redirects_are_not_followed_for_a_key_would_go_along(tmp_path: Path) -> None:
    heard: list[Request] = []

    def other(opened: socket.socket, number: int) -> None:
        heard.append(request(opened))

    with byte_venue(other) as elsewhere:

        def act(opened: socket.socket, number: int) -> None:
            request(opened)
            answer(opened, b"", "302 Found", Location=f"http://127.0.0.1:{elsewhere}/")

        with byte_venue(act) as port:
            done = run(
                tmp_path, HEAD + STREAM % port + STREAMS, "--duration", "2s", K2_VENUE_TOKEN="hunter22hunter22"
            )
    assert "redirects are not followed" in done.stderr
    assert not heard


def test_a_line_without_an_end_is_left(tmp_path: Path) -> None:
    def act(opened: socket.socket, number: int) -> None:
        request(opened)
        begin_answer(opened)
        for _ in range(300):
            chunk(opened, b"x" * 1000)
        opened.recv(1)

    file = HEAD + STREAM + "  max_frame: 100 KiB\n" + STREAMS
    with byte_venue(act) as port:
        done = run(tmp_path, file % port, "--duration", "2s", K2_VENUE_TOKEN="hunter22hunter22")
    assert "frame-too-large" in done.stderr


# -- TCP


@pytest.mark.parametrize(
    ("framing", "before", "behind"),
    [
        ("lines", lambda size: b"", b"\n"),
        ("{delimiter: '@@@'}", lambda size: b"", b"@@@"),
        ("{length: 4, byte_order: big}", lambda size: size.to_bytes(4, "big"), b""),
        ("{length: 2, byte_order: little, inclusive: true}", lambda size: (size + 2).to_bytes(2, "little"), b""),
    ],
)
def test_tcp(tmp_path: Path, framing: str, before: Any, behind: bytes) -> None:
    heard: list[bytes] = []

    def act(opened: socket.socket, number: int) -> None:
        heard.append(opened.recv(65536))

        def send(body: bytes) -> None:
            data = before(len(body)) + body + behind
            opened.sendall(data[:3])
            time.sleep(0.005)
            opened.sendall(data[3:])

        for symbol in ("BTC-USD", "ETH-USD"):
            send(json.dumps({"op": "sub", "ok": True, "s": symbol}).encode())
        for one in range(3 * number, 3 * number + 3):
            send(line(one))
        time.sleep(1.5)
        heard.append(opened.recv(65536))
        send(b'{"op": "pong"}')

    with byte_venue(act) as port:
        done = run(tmp_path, HEAD + TCP % (port, framing) + STREAMS, "--max-records", "6")
    assert done.returncode == 0, done.stderr
    assert ids(done) == [f"VENUE-{one}" for one in range(6)]
    sent = b'{"op":"sub","symbols":["BTC-USD","ETH-USD"]}'
    assert heard[0] == before(len(sent)) + sent + behind
    assert b'{"op":"ping"}' in heard[1]


# -- a program

BRIDGE = """
import json, os, subprocess, sys, time
json.dump([sys.argv[1:], sorted(os.environ), os.environ["KEY"], os.getpid()], open("seen.json", "w"))
child = subprocess.Popen(["sleep", "600"])
open("child", "w").write(str(child.pid))
for number in range(50):
    print(f"line {number} \\x1b[31m", file=sys.stderr, flush=True)
for said in sys.stdin:
    open("said", "a").write(said)
    for symbol in json.loads(said)["symbols"]:
        print(json.dumps({"op": "sub", "ok": True, "s": symbol}), flush=True)
    for number in range(3):
        print(json.dumps(%s(number)), flush=True)
    if not os.path.exists("once"):
        open("once", "w")
        sys.exit(3)
"""
ROW = (
    '(lambda n: {"ch": "trade", "data": [{"s": "BTC-USD", "i": n, "p": "1", "q": "1", "t": 1767323040000,'
    ' "d": "buy"}]})'
)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_program_that_the_operator_allows(tmp_path: Path) -> None:
    (tmp_path / "bridge.py").write_text(BRIDGE % ROW)
    done = run(
        tmp_path, HEAD + EXEC + STREAMS, "--duration", "6s", K2_VENUE_KEY="hunter22hunter22",
        K2_VENUE_ALLOW_EXEC=f"{sys.executable} bridge.py", K2_VENUE_SECRET="not for it",
    )
    assert done.returncode == 0, done.stderr
    assert ids(done) == ["VENUE-0", "VENUE-1", "VENUE-2"], "what comes again after its restart is dropped"
    arguments, names, key, pid = json.loads((tmp_path / "seen.json").read_text())
    assert arguments == ["--symbols", "BTC-USD,ETH-USD"]
    assert set(names) <= {"KEY", "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LC_CTYPE"}
    assert key == "hunter22hunter22"
    assert (tmp_path / "said").read_text().splitlines()[0] == '{"op":"sub","symbols":["BTC-USD","ETH-USD"]}'
    assert "ended with exit code 3" in done.stderr
    assert "bridge says: line 0" in done.stderr
    assert "line 49" not in done.stderr
    assert "more lines are left out" in done.stderr
    assert "\x1b" not in done.stderr
    assert "hunter22" not in done.stderr
    assert not alive(pid)
    assert not alive(int((tmp_path / "child").read_text())), "what it started ends with it"


def test_a_program_runs_only_where_the_operator_says_which(tmp_path: Path) -> None:
    done = run(tmp_path, HEAD + EXEC + STREAMS, K2_VENUE_KEY="hunter22hunter22")
    assert done.returncode == 2
    assert "K2_VENUE_ALLOW_EXEC=/path/to/it" in done.stderr
    wrong = run(tmp_path, HEAD + EXEC + STREAMS, K2_VENUE_KEY="x", K2_VENUE_ALLOW_EXEC="sh -c true")
    assert wrong.returncode == 2
    assert "whole path" in wrong.stderr


def test_a_program_that_ignores_everything_is_ended(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "while True: time.sleep(1)\n"
    )
    began = time.monotonic()
    run(tmp_path, HEAD + EXEC + STREAMS, "--duration", "2s", K2_VENUE_KEY="x",
        K2_VENUE_ALLOW_EXEC=f"{sys.executable} deaf.py")
    assert time.monotonic() - began < 30
    assert not alive(int((tmp_path / "pid").read_text()))
