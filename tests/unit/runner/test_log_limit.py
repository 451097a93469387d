"""Log floods: the first lines of a kind stand whole, the others are counted, and ends are always told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from k2conn.runner.log_limit import ENDS, EVERY, KINDS, LINES, PLACE, LogLimit
from tests.integration.test_run import environment
from tests.paths import ROOT
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS
from tests.support.venues import CONNECTION


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_lines_of_a_kind_stand_and_the_others_are_counted_once(clock: Clock) -> None:
    limit = LogLimit(clock)
    stood = sum(limit.allows("warning", {"event": "lost", "connector": "a"}) for _ in range(LINES + 500))
    assert stood == LINES
    assert list(limit.left_out()) == []
    clock.now += EVERY
    (told,) = limit.left_out()
    assert (told.event, told.level, told.lines, told.seconds) == ("lost", "warning", 500, EVERY)
    assert told.names == {"connector": "a"}
    assert list(limit.left_out(last=True)) == []
    assert limit.allows("warning", {"event": "lost", "connector": "a"})  # a new minute: told whole again


def test_a_flood_of_one_kind_costs_no_other_a_line(clock: Clock) -> None:
    limit = LogLimit(clock)
    for _ in range(LINES + 1):
        limit.allows("warning", {"event": "lost", "connector": "a"})
    assert not limit.allows("warning", {"event": "lost", "connector": "a"})
    assert limit.allows("warning", {"event": "lost", "connector": "b"})
    assert limit.allows("warning", {"event": "gap", "connector": "a"})
    assert limit.allows("error", {"event": "lost", "connector": "a"})


def test_what_is_not_due_is_told_at_the_end(clock: Clock) -> None:
    limit = LogLimit(clock)
    for _ in range(LINES + 3):
        limit.allows("info", {"event": "lost"})
    assert [one.lines for one in limit.left_out(last=True)] == [3]


def test_each_kind_has_a_minute_of_its_own(clock: Clock) -> None:
    limit = LogLimit(clock)
    told, stood = [], 0
    for second in range(600):
        clock.now = 1000 + second
        kind = "early" if second < 50 else "late"
        stood += sum(limit.allows("info", {"event": kind}) for _ in range(LINES))
        told += [(one.event, one.lines, one.seconds) for one in limit.left_out()]
    told += [(one.event, one.lines, one.seconds) for one in limit.left_out(last=True)]
    assert told[0] == ("early", 49 * LINES, EVERY)
    assert stood + sum(lines for _, lines, _ in told) == 600 * LINES  # each stood or was counted
    assert 10 <= stood / LINES <= 12  # of eleven minutes
    assert all(seconds <= EVERY for _, _, seconds in told)


@pytest.mark.parametrize("event", sorted(ENDS))
def test_what_tells_of_an_end_is_never_left_out_and_is_said_somewhere(event: str) -> None:
    limit = LogLimit()
    assert all(limit.allows("error", {"event": event}) for _ in range(LINES * 3))
    own = ROOT / "k2conn" / "runner" / "log_limit.py"
    assert any(f'"{event}"' in path.read_text() for path in (ROOT / "k2conn").rglob("*.py") if path != own)


def test_ever_new_texts_are_one_kind_where_their_place_is_one(clock: Clock) -> None:
    limit = LogLimit(clock)
    events = [{"event": f"cannot reach {n}", "source": "lib", PLACE: "lib.py:7"} for n in range(LINES + 9)]
    assert sum(limit.allows("error", event) for event in events) == LINES
    assert all(PLACE not in event for event in events)
    assert [one.lines for one in limit.left_out(last=True)] == [9]


def test_memory_is_bounded_whatever_is_said(clock: Clock) -> None:
    limit = LogLimit(clock)
    stood = sum(limit.allows("info", {"event": f"{n}" * 1000}) for n in range(20 * KINDS))
    assert stood == KINDS + LINES
    assert [(one.event, one.lines) for one in limit.left_out(last=True)] == [("other events", 19 * KINDS - LINES)]


FLOOD = """\
import logging, threading
from k2conn.runner.event_log import configure, get_logger
configure("info", True)
def work():
    for n in range(1000):
        logging.getLogger("library").error("trouble %d", n)
        get_logger(connector="a").warning("lost", n=n)
        get_logger(connector="a").error("gave up", n=n)
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
"""


def test_in_a_process_from_every_thread_and_library() -> None:
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True, cwd=ROOT)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert sum(line["event"].startswith("trouble") for line in lines) == LINES + 1
    assert sum(line["event"] == "lost" for line in lines) == LINES
    assert sum(line["event"] == "gave up" for line in lines) == 4000
    told = {line.get("connector", line.get("source")): line for line in lines if line["event"].endswith("more of them")}
    assert {name: (line["count"], line["level"]) for name, line in told.items()} == {
        "a": (4000 - LINES, "warning"),
        "library": (4000 - LINES, "error"),
    }
    assert PLACE not in done.stderr


def test_a_venue_that_ends_each_connection_at_once_cannot_flood_the_log(tmp_path: Path) -> None:
    ended, enough = 0, asyncio.Event()

    async def end(socket: ServerConnection) -> None:
        nonlocal ended
        ended += 1
        if ended >= 4 * LINES:
            enough.set()
        await socket.close()

    async def main() -> str:
        async with serve(end, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            quick = CONNECTION.replace("{base: 50ms, cap: 100ms}", "{base: 1ms, cap: 1ms}") % port
            (tmp_path / "venue.yaml").write_text(HEAD + quick + "  limits: {connect: 1000 per 1s}\n" + STREAMS)
            running = await warm_process.executed(
                "run", "venue.yaml", "--port", -1, "--daemon",
                cwd=tmp_path,
                env=environment(K2_VENUE_BREAKER_FAILURES="100000"),
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                await enough.wait()
                running.terminate()
                return (await running.communicate())[1].decode()

    lines = [json.loads(line) for line in asyncio.run(main()).splitlines()]
    lost = [line for line in lines if line["event"] == "connection lost"]
    (more,) = (line for line in lines if line["event"] == "connection lost: more of them")
    assert len(lost) == LINES
    assert 0 <= ended - (len(lost) + more["count"]) <= 2  # those at the very end are not told
    assert more["connector"] == "venue"


def test_the_log_of_a_library_keeps_its_traceback() -> None:
    code = (
        "import logging\nfrom k2conn.runner.event_log import configure\nconfigure('info', False)\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger('lib').exception('odd')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "ZeroDivisionError" in done.stderr
