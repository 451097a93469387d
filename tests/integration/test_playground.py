"""`k2conn playground` as a whole process: what its port gives and to whom, what becomes of a file and frames, and that
neither a file nor a page gets at more than that.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k2conn.cli.playground.sharing import EXAMPLE_FRAMES, EXAMPLE_SPEC
from k2conn.monitoring.console.bundle import POLICY
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, trade, trades
from tests.support.recordings import environment, k2conn

SPEC = HEAD + SUBSCRIBE + STREAMS
SECRET = "open-sesame-42"


def started(folder: Path, *words: object, **variables: str) -> tuple[subprocess.Popen[str], int]:
    process = warm_process.started(
        "playground", "--port", "0", *map(str, words), cwd=folder,
        env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert found is not None, process.communicate()
    return process, int(found[1])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a playground that was started beside a file that nobody asked for, with a variable that is a secret."""
    folder = tmp_path_factory.mktemp("playground")
    (folder / "table.csv").write_text(f"id,symbol\n1,{SECRET}\n")
    process, port = started(folder, K2_VENUE_API_KEY=SECRET)
    try:
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in out + err


def ask(
    port: int, path: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def play(port: int, spec: str, *frames: str) -> dict[str, Any]:
    question = json.dumps({"spec": spec, "frames": "\n".join(frames)}).encode()
    status, _, body = ask(port, "/play", question, Content_Type="application/json")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


# -- the port


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html; charset=utf-8"), ("/playground.js", "text/javascript; charset=utf-8"),
     ("/playground.css", "text/css; charset=utf-8"), ("/dom.js", "text/javascript; charset=utf-8"),
     ("/format.js", "text/javascript; charset=utf-8"), ("/console.css", "text/css; charset=utf-8"),
     ("/icon.svg", "image/svg+xml"), ("/begins-with", "application/json")],
)
def test_files_and_what_a_browser_may_do_with_them(port: int, path: str, kind: str) -> None:
    status, headers, body = ask(port, path)
    assert (status, headers["Content-Type"], headers["Content-Security-Policy"]) == (200, kind, POLICY)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(rb"<script(?![^>]*src=)|style=|https?://(?!www\.w3\.org)", body) or path == "/begins-with"


@pytest.mark.parametrize(
    "path", ["/../server.py", "/static/index.html", "/server.py", "/%2e%2e/server.py", "//etc/passwd", "/main.js",
             "/console/", "/play", "/metrics"],
)
def test_there_is_nothing_else(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403), ({"Host": "evil.example:80"}, 403), ({"Host": "192.168.0.1"}, 403),
        ({"Host": ""}, 403), ({"Host": "localhost"}, 200), ({"Host": "127.0.0.1:1"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
    ],
)
def test_other_names_and_other_sites_get_nothing(port: int, headers: dict[str, str], status: int) -> None:
    said = {name.replace("-", "_"): value for name, value in headers.items()}
    for path, body in (("/", None), ("/begins-with", None), ("/play", b'{"spec":"","frames":""}')):
        more = {"Content_Type": "application/json"} if body else {}
        assert ask(port, path, body, **said, **more)[0] == status, path


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"spec":"","frames":""}', {"Content_Type": "text/plain"}, 415),  # what a form of another site may send
        (b'{"spec":"","frames":""}', {}, 415),
        (b"{", {"Content_Type": "application/json"}, 400),
        (b"[]", {"Content_Type": "application/json"}, 400),
        (b'{"spec":1,"frames":""}', {"Content_Type": "application/json"}, 400),
        (b"", {"Content_Type": "application/json", "Content_Length": "99999999"}, 413),
        (b"", {"Content_Type": "application/json", "Content_Length": "-1"}, 400),
        (b"", {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}, 400),
    ],
)
def test_what_is_no_question(port: int, body: bytes, headers: dict[str, str], status: int) -> None:
    assert ask(port, "/play", body, **headers)[0] == status


def test_other_methods_and_other_places(port: int) -> None:
    assert ask(port, "/play", b"x", "PUT", Content_Type="application/json")[0] == 405
    assert ask(port, "/", b'{"spec":"","frames":""}', Content_Type="application/json")[0] == 405
    assert ask(port, "/", method="HEAD")[2] == b""
    assert ask(port, "/" + "x" * 20_000)[0] == 431


def test_only_this_machine_can_reach_it(port: int) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with socket.socket() as one:
            one.settimeout(5)
            assert one.connect_ex((address, port)) != 0 or str(address).startswith("127.")


def test_many_that_say_nothing_do_not_keep_others_out_for_long(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        for one in idle[20:]:  # beyond the most there may be: sent away at once
            one.settimeout(30)
            assert one.recv(1) == b""
    finally:
        for one in idle:
            one.close()
    for _ in range(100):
        try:
            if ask(port, "/")[0] == 200:
                break
        except (OSError, http.client.HTTPException):
            continue
    else:
        raise AssertionError("nobody may ask any more")


# -- what becomes of a file and frames


def test_each_frame_its_records_and_the_way_of_each_field(port: int) -> None:
    said = play(port, SPEC, trades(trade(1), trade(2)), '{"op":"sub","ok":true,"s":["BTC-USD"]}', '{"nobody":"knows"}',
                "{", "03:04:05 > " + trades(trade(3)), "[03:04:05] < " + trades(trade(4)))
    assert said["problems"] == []
    assert [one["kind"] for one in said["frames"]] == [
        "mapped", "conversation", "unrecognised", "malformed", "sent", "mapped"]
    first = said["frames"][0]
    assert [one["record"]["trade_id"] for one in first["records"]] == ["VENUE-1", "VENUE-2"]
    way = {step["field"]: step for step in first["records"][0]["trace"]}
    assert (way["price"]["expression"], way["price"]["value"]) == ("p", '"64000.10"')
    assert way["price"]["result"] == '"64000.1"'
    assert way["side"]["converter"]
    assert said["equation"].startswith("received 4 = published 3 + duplicates 0 + dead letters 1")


def test_numbers_stay_exact(port: int) -> None:
    item = '{"s":"BTC-USD","i":1,"p":64000.10000001,"q":1e-8,"t":1767323045678}'
    said = play(port, SPEC, f'{{"ch":"trade","data":[{item}]}}')
    record = said["frames"][0]["records"][0]["record"]
    assert (record["price"], record["quantity"]) == ("64000.10000001", "0.00000001")


def test_a_dead_letter_says_which_line_did_not_fit(port: int) -> None:
    said = play(port, SPEC, trades(trade(1, p="n/a"), trade(2)))
    letter, = said["frames"][0]["letters"]
    assert (letter["field"], letter["reason"], letter["value"]) == ("price", "bad-number", "n/a")
    assert SPEC.splitlines()[letter["line"] - 1].strip() == "price: p"
    assert len(said["frames"][0]["records"]) == 1


def test_problems_have_their_place(port: int) -> None:
    said = play(port, SPEC.replace("price: p", "prise: p"), trades(trade(1)))
    assert said["frames"] == []
    problem = next(one for one in said["problems"] if "prise" in one["text"])
    assert SPEC.splitlines()[problem["line"] - 1].strip() == "price: p"
    assert play(port, "a: [", "")["problems"][0]["code"] == "yaml"
    assert play(port, "", "")["problems"]


def test_what_is_odd_has_its_place_too(port: int) -> None:
    warning, *_ = play(port, SPEC)["warnings"]
    assert (warning["line"], warning["code"]) == (1, "missing") or warning["text"].startswith("the file has no tests")
    assert "warning[" not in warning["text"]


def test_the_tests_of_the_file_are_run(port: int) -> None:
    frame = trades(trade(1))
    text = SPEC + f"\ntests:\n  - name: right\n    received: {frame}\n    records: [{{trade_id: VENUE-1}}]\n"
    text += f"  - name: wrong\n    received: {frame}\n    records: [{{trade_id: VENUE-2}}]\n"
    tests = play(port, text)["tests"]
    assert [(one["name"], bool(one["different"])) for one in tests] == [("right", False), ("wrong", True)]


def test_the_example_shows_every_kind(port: int) -> None:
    first = json.loads(ask(port, "/begins-with")[2])
    assert (first["spec"], first["frames"]) == (EXAMPLE_SPEC, EXAMPLE_FRAMES)
    said = play(port, first["spec"], first["frames"])
    assert (said["problems"], said["warnings"]) == ([], [])
    assert [one["different"] for one in said["tests"]] == [[]]
    kinds = [one["kind"] for one in said["frames"]]
    assert kinds == ["conversation", "conversation", "mapped", "mapped", "unrecognised"]
    assert [len(one["letters"]) for one in said["frames"]] == [0, 0, 0, 1, 0]


# -- what a file may not


def test_no_variable_is_read(port: int) -> None:
    text = SPEC.replace("{op: sub, ch: trade,", "{op: sub, key: $env.K2_VENUE_API_KEY, ch: trade,", 1)
    said = play(port, text, trades(trade(1)))
    assert said["problems"] == []
    assert SECRET not in json.dumps(said)
    tested = text + "\ntests:\n  - name: sends\n    dialogue:\n      - sent: {op: sub, key: nothing}\n"
    said = play(port, tested)
    assert SECRET not in json.dumps(said)


@pytest.mark.parametrize("name", ["table.csv", "../table.csv", "/etc/passwd"])
def test_no_file_is_read(port: int, name: str) -> None:
    text = SPEC + f"\ntables: {{t: {{file: {name}, key: id, value: symbol}}}}\n"
    said = play(port, text, trades(trade(1)))
    assert said["frames"] == []
    assert any("tables" in one["text"] or "file" in one["text"] for one in said["problems"])
    assert SECRET not in json.dumps(said)


def doubling(times: int) -> str:
    """An expression that grows with each of its steps."""
    return "data" + " | [@, @][]" * times


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        (SPEC.replace("each: data", f'each: "{doubling(60)}"'), [trades(trade(1))]),
        (SPEC + "\ntests:\n" + "  - {name: many, received: '{\"data\": [" + ",".join(["{}"] * 300_000) + "]}'}\n", []),
        (SPEC, [trades(*(trade(at) for at in range(15_000)))]),
        (SPEC, [trades(trade(at)) for at in range(9_000)]),
        (SPEC, ["[" * 100_000]),
        ("a: " + "[" * 100_000, []),
        ("a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n", []),
        ("x" * (2 << 20), []),
    ],
    ids=["expression", "tests", "items", "frames", "nested-frame", "nested-yaml", "aliases", "long"],
)
def test_work_is_bounded_and_the_next_question_is_answered(port: int, spec: str, frames: list[str]) -> None:
    said = play(port, spec, *frames)
    assert said.get("failed") or said["problems"] or len(said["frames"]) <= 300
    assert len(json.dumps(said)) < 8 << 20
    assert play(port, SPEC, trades(trade(1)))["frames"][0]["records"]


def test_a_process_that_takes_too_much_is_ended_and_that_is_said(tmp_path: Path) -> None:
    """By the bounds of the system, should all others fail."""
    code = (
        "import resource, sys\nfrom k2conn.cli.playground import child\nchild.SECONDS = 1\n"
        "child.played = lambda *given: [0 for _ in iter(int, 1)]\nchild.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input='{"spec":"","frames":""}', text=True, cwd=tmp_path,
                          capture_output=True, timeout=100, check=False, env=environment())
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL), done.stderr
    code = code.replace("[0 for _ in iter(int, 1)]", "bytes(2 << 30)")
    done = subprocess.run([sys.executable, "-c", code], input='{"spec":"","frames":""}', text=True, cwd=tmp_path,
                          capture_output=True, timeout=100, check=False, env=environment())
    assert json.loads(done.stdout) == {"failed": "it takes more memory than a question may"}
    code = code.replace("bytes(2 << 30)", "open('written', 'w').write('x' * 9000)")
    done = subprocess.run([sys.executable, "-c", code], input='{"spec":"","frames":""}', text=True, cwd=tmp_path,
                          capture_output=True, timeout=100, check=False, env=environment())
    assert done.returncode != 0
    assert not (tmp_path / "written").exists() or not (tmp_path / "written").stat().st_size


# -- what it begins with


def test_it_begins_with_a_file_and_frames(tmp_path: Path) -> None:
    (tmp_path / "venue.yaml").write_text(SPEC)
    (tmp_path / "frames.jsonl").write_text(trades(trade(1)) + "\n")
    process, port = started(tmp_path, "venue.yaml", "--frames", "frames.jsonl")
    try:
        first = json.loads(ask(port, "/begins-with")[2])
        assert (first["name"], first["spec"], first["frames"]) == ("venue", SPEC, trades(trade(1)) + "\n")
        (tmp_path / "saved.json").write_text(json.dumps(first))
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.communicate()
    process, port = started(tmp_path, "saved.json")
    try:
        assert json.loads(ask(port, "/begins-with")[2]) == first
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "there is no connector 'nosuch'"), (["nosuch.json"], "No such file"),
        (["wrong.json"], "no file of the playground"), (["--frames", "nosuch"], "No such file"),
        (["wide.yaml"], "no UTF-8 text"),
    ],
)
def test_what_it_cannot_begin_with(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"kind": "something else"}')
    (tmp_path / "wide.yaml").write_bytes("connector: x".encode("utf-16"))
    done = k2conn(tmp_path, "playground", "--port", 0, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = k2conn(tmp_path, "playground", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "cannot listen there" in done.stderr
