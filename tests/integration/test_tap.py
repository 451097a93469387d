"""`k2conn tap` on a running process: what passes is shown as it passes, bounded, and at no cost to the feed."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port
from tests.support import warm_process
from tests.support.recordings import environment, k2conn, mock


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder and the port of a run against a simulated venue that sends broken frames, too."""
    folder, port = tmp_path_factory.mktemp("tap"), free_port()
    with mock(folder, "bitfinex", "--rate", 40, "--garbage-every", 10) as venue, warm_process.started(
        "run", "bitfinex", "--sink", "none", "--port", str(port), cwd=folder,
        env=environment(**venue), stderr=subprocess.PIPE, text=True,
    ) as process:
        try:
            for _ in range(600):
                try:
                    if published(port) > 20:
                        break
                except (OSError, KeyError):
                    assert process.poll() is None
                time.sleep(0.1)
            yield folder, port
        finally:
            process.terminate()
            process.wait(60)


def published(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
        return int(json.load(answer)["connectors"]["bitfinex"]["published"])


def may_listen(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/tap", timeout=20):
            return True
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code != 429


def tapped(running: tuple[Path, int], *words: object) -> list[dict[str, object]]:
    folder, port = running
    done = k2conn(folder, "tap", "bitfinex", "--at", f"127.0.0.1:{port}", "--format", "json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_records_and_dead_letters_as_they_pass(running: tuple[Path, int]) -> None:
    found = tapped(running, "--count", 60)
    assert len(found) == 60
    assert {one["kind"] for one in found} == {"record", "dead"}
    assert {one["stream"] for one in found} >= {"trade", "quote"}


def test_only_what_is_asked_for(running: tuple[Path, int]) -> None:
    found = tapped(running, "--count", 10, "--streams", "trade", "--symbols", "BTCUSD", "--where",
                   "record.side == 'BUY' && to_number(record.price) > `1`")
    assert {(one["kind"], one["stream"], one["symbol"]) for one in found} == {("record", "trade", "BTCUSD")}
    assert {one["record"]["side"] for one in found} == {"BUY"}  # type: ignore[index]
    frames = tapped(running, "--count", 5, "--kinds", "received")
    assert all(one["kind"] == "received" and one["text"] for one in frames)


def test_a_record_is_traced_to_its_frame_field_by_field(running: tuple[Path, int]) -> None:
    """Where a frame says only a channel's number, what was captured on the connection is needed, too."""
    for one in tapped(running, "--count", 3, "--kinds", "record", "--streams", "trade", "--trace"):
        record, fields = one["record"], {row["field"]: row for row in one["fields"]}  # type: ignore[attr-defined]
        price = fields["price"]
        assert price["value"] in one["frame"]["text"]  # type: ignore[index]
        assert json.loads(price["result"]) == record["price"]  # type: ignore[index]
        assert price["expression"]
        assert price["converter"]


def test_the_screen_shows_the_same(running: tuple[Path, int]) -> None:
    folder, port = running
    done = k2conn(folder, "tap", "--at", f"http://127.0.0.1:{port}", "--count", 4, "--kinds", "record", "--trace")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("record   bitfinex") == 4
    assert "expression" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kinds", "nothing"], "there are received, sent"),
        (["--where", "record.("], "--where"),
        (["--format", "xml"], "text, json"),
    ],
)
def test_what_cannot_be_is_said(running: tuple[Path, int], words: list[str], said: str) -> None:
    folder, port = running
    done = k2conn(folder, "tap", "--at", f"127.0.0.1:{port}", *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_listeners_are_few_and_those_that_stall_hold_up_nothing(running: tuple[Path, int]) -> None:
    _, port = running
    stalled = []
    try:
        for _ in range(4):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(b"GET /tap?rate=10000&kind=received,record HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert one.recv(15) == b"HTTP/1.1 200 OK"
            stalled.append(one)
        assert not may_listen(port)
        before = published(port)
        for _ in range(100):
            time.sleep(0.2)
            if published(port) > before + 50:
                break
        else:
            raise AssertionError("the feed stands still")
    finally:
        for one in stalled:
            one.close()
    for _ in range(100):  # who has left makes room
        if may_listen(port):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("nobody may listen any more")
