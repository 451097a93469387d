"""`k2conn probe` as an author runs it: against a mock of a venue, and against venues that refuse, say nothing, speak
another language, mean harm, or are not there.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.servers.process import free_port
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, trade, trades
from tests.support.recordings import environment, k2conn, mock
from tests.support.venues import CONNECTION

Act = Callable[[ServerConnection], Awaitable[None]]
ACCEPTED = '{"op":"sub","ok":true,"s":["BTC-USD","ETH-USD"]}'


def spec(folder: Path, port: int, connection: str = CONNECTION, streams: str = STREAMS) -> Path:
    path = folder / "venue.yaml"
    path.write_text(HEAD + connection % port + streams)
    return path


async def started(folder: Path, *words: object, **variables: str) -> asyncio.subprocess.Process:
    return await warm_process.executed(
        "probe", *map(str, words), cwd=folder, env=environment(**variables),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )


async def interrupted(process: asyncio.subprocess.Process, after: str, number: int = signal.SIGINT) -> str:
    """All that a probe says, which is interrupted once it has said something."""
    assert process.stdout is not None
    out = ""
    try:
        async with asyncio.timeout(100):
            while after not in out:
                line = (await process.stdout.readline()).decode()
                assert line, out
                out += line
            process.send_signal(number)
            rest, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert b"Traceback" not in err
    return out + rest.decode()


def probed(
    folder: Path, act: Act, after: str, connection: str = CONNECTION, streams: str = STREAMS, **variables: str
) -> tuple[int | None, str]:
    """The exit code and the output of a probe of a venue that does ``act`` with each connection; it is interrupted
    ``after`` it has said something.
    """

    async def main() -> tuple[int | None, str]:
        async with serve(act, "127.0.0.1", 0) as server:
            path = spec(folder, next(iter(server.sockets)).getsockname()[1], connection, streams)
            process = await started(folder, path.name, "--streams", "trade", "--seconds", "5m", **variables)
            out = await interrupted(process, after)
            return process.returncode, out

    return asyncio.run(main())


def saying(*frames: str) -> Act:
    """A venue that answers the subscription with these frames."""

    async def act(client: ServerConnection) -> None:
        await client.recv()
        for frame in frames:
            await client.send(frame)
        await client.wait_closed()

    return act


def test_the_conversation_and_the_first_records_are_shown(tmp_path: Path) -> None:
    with mock(tmp_path, "kraken", "--rate", 40) as venue:
        done = k2conn(tmp_path, "probe", "kraken", "--seconds", 2, "--symbols", "BTC/USD", "--records", 2, **venue)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = [line[10:] for line in done.stdout.splitlines()]
    kinds = [line.split()[0] for line in lines if line.strip()]
    assert kinds.index("sent") < kinds.index("received") < kinds.index("confirmed") < kinds.index("record")
    sent, = (line for line in lines if line.startswith("sent") and '"trade"' in line and '"subscribe"' in line)
    assert '"symbol":["BTC/USD"]' in sent
    assert "subscribed  2 confirmed" in done.stdout
    for stream in ("trade", "quote"):
        assert sum(line.startswith(f"record      {stream} BTCUSD ") for line in lines) == 2
        records, = re.findall(rf"^stream {stream}: (\d+) records$", done.stdout, re.MULTILINE)
        assert int(records) > 2
    assert sum(line.startswith("received") for line in lines) < 10  # of frames that look alike the first ones
    assert "why:" not in done.stdout
    assert not list(tmp_path.glob("*/"))  # nothing is kept


@pytest.mark.parametrize(
    ("frames", "after", "code", "said"),
    [
        (['{"op":"sub","ok":false,"s":"BTC-USD","why":"no such market"}', '{"op":"sub","ok":true,"s":"ETH-USD"}',
          trades(trade(1, s="ETH-USD"))], "  record ", 0, ["the venue refused trade of BTC-USD: no such market"]),
        ([ACCEPTED], "  subscribed ", 1, ["2 of 2 subscriptions are confirmed, and no frame of it "]),
        ([ACCEPTED, '{"channel":"trades","data":[]}'], "  unknown ", 1,
         ["its `when` (ch = trade) held for no frame", 'like: {"channel":"trades","data":[]}']),
        ([ACCEPTED, trades(trade(1, q=None))], "finds nothing", 65,
         ["dead letters of trade: quantity missing-field", "venue.yaml:",
          "`q` finds nothing; the item has s, i, p, q, t, d"]),
        ([], "  sent ", 1, ["the venue answered nothing at all"]),
    ],
    ids=["refused", "quiet", "another-channel", "dead", "mute"],
)
def test_why_nothing_comes(frames: list[str], after: str, code: int, said: list[str], tmp_path: Path) -> None:
    returned, out = probed(tmp_path, saying(*frames), after)
    assert returned == code, out
    why = out[out.index("why:"):]
    assert [text for text in said if text not in why] == [], out


def test_an_answer_that_the_file_does_not_know(tmp_path: Path) -> None:
    soon = CONNECTION.replace("within: 5s", "within: 1s")
    returned, out = probed(tmp_path, saying('{"result":"subscribed"}'), "  ended ", soon)
    assert returned == 1
    assert 'no rule of the file knows this: {"result":"subscribed"}' in out
    assert "unacknowledged: no answer to subscribe in time" in out[out.index("why:"):], out


def test_items_that_are_all_dropped(tmp_path: Path) -> None:
    streams = STREAMS.replace("    each: data\n", "    each: data\n    drop_when: d == 'sell'\n", 1)
    returned, out = probed(tmp_path, saying(ACCEPTED, trades(trade(1), trade(2))), '"data"', streams=streams)
    assert returned == 1
    assert "stream trade: all 2 items were left out" in out


def test_nobody_there(tmp_path: Path) -> None:
    done = k2conn(tmp_path, "probe", spec(tmp_path, free_port()), "--seconds", 30)
    assert done.returncode == 69, done.stdout
    assert "main-0 could not be opened: connect" in done.stdout
    assert "could not be opened, or ended: connect, 3 times" in done.stdout  # and then it gives up
    assert "Traceback" not in done.stdout + done.stderr


def test_what_a_venue_says_stays_text(tmp_path: Path) -> None:
    escape = "\\u001b[31mred\\u001b]8;;https://evil.example\\u0007\\u202e\\n  - all is well"
    hostile = f'{{"op":"sub","ok":false,"s":"BTC-USD","why":"{escape}"}}'
    raw = '{"note":"\x1b[2J\x1b]0;owned\x07\u202e\r\nfine"}'
    dead = f'{{"ch":"trade","data":[{{"s":"{escape}","i":"{escape}","p":"{escape}","q":1,"t":1,"d":"{escape}"}}]}}'
    returned, out = probed(tmp_path, saying(hostile, ACCEPTED, raw, "\x1b[2J", dead), "does not fit")
    assert returned == 65, out
    assert all(one.isprintable() or one == "\n" for one in out)
    assert "owned" in out
    assert not any(line.startswith("  - all is well") for line in out.splitlines())


def test_known_secrets_are_hidden(tmp_path: Path) -> None:
    async def act(client: ServerConnection) -> None:
        said = str(await client.recv())
        await client.send('{"echo":' + said + "}")
        await client.wait_closed()

    asked = CONNECTION.replace("{op: sub, s", "{op: sub, key: $env.K2_VENUE_API_KEY, s")
    _, out = probed(tmp_path, act, "  unknown ", asked, K2_VENUE_API_KEY="open-sesame-42")
    assert '"key":"[hidden]"' in out
    assert out.count("[hidden]") > 1  # what the venue repeats, too
    assert "sesame" not in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_early_with_what_came_until_then(number: signal.Signals, tmp_path: Path) -> None:
    async def main() -> tuple[int | None, str, list[str]]:
        heard: list[str] = []

        async def act(client: ServerConnection) -> None:
            heard.append(str(await client.recv()))
            await client.send(ACCEPTED)
            await client.send(trades(trade(1)))
            async for frame in client:
                heard.append(str(frame))

        async with serve(act, "127.0.0.1", 0) as server:
            path = spec(tmp_path, next(iter(server.sockets)).getsockname()[1])
            process = await started(tmp_path, path.name, "--streams", "trade", "--seconds", "5m")
            out = await interrupted(process, "  record ", number)
            return process.returncode, out, heard

    code, out, heard = asyncio.run(main())
    assert code == 0, out
    assert "stream trade: 1 records" in out
    assert '"unsub"' in heard[-1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["asx-trades"], 2, "reads files"),
        (["kraken", "--seconds", "soon"], 2, "--seconds"),
        (["kraken", "--seconds", "0"], 2, "--seconds"),
        (["kraken", "--streams", "trades"], 2, "trade"),
        (["nosuch"], 2, "there is no connector 'nosuch'"),
    ],
)
def test_what_cannot_be_is_said(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = k2conn(tmp_path, "probe", *words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
