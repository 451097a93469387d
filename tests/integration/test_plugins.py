"""Another package, really installed, adds a sink and a transport: data goes through both in a real `k2conn run`."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.paths import ROOT
from tests.support.data.plugin.tiny_plugin.transport import framed, read
from tests.support.plans import HEAD, STREAMS, trade, trades

CONNECTION = """
connection:
  url: lines://%s
  steps:
    - name: subscribe trades
      send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
"""
BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(ROOT / "tests/support/data/plugin", folder / "source")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, check=True, capture_output=True, text=True, timeout=60
    )
    words = ["pip", "install", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", "--target"]
    subprocess.run(
        [sys.executable, "-m", *words, str(folder / "site"), str(folder / built.stdout.split()[-1])], check=True,
        capture_output=True, timeout=60,
    )
    return folder / "site"


@dataclass
class Server:
    """A venue that speaks the package's transport: it acknowledges, then sends three trades in binary frames."""

    port: int = 0
    heard: list[str | bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                frame = await read(reader)
                self.heard.append(frame)
                if isinstance(frame, str):
                    for symbol in json.loads(frame)["symbols"]:
                        writer.write(framed(json.dumps({"op": "sub", "ok": True, "s": symbol})))
                    for number in range(3):
                        writer.write(framed(trades(trade(number)).encode()))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    found, loop = Server(), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(found.talk, "127.0.0.1", 0))
    found.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield found

    async def ended() -> None:
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(ended(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def k2conn(folder: Path, site: Path | None, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = environment(**variables)
    if site is not None:
        given["PYTHONPATH"] += f":{site}"
    return subprocess.run(
        [sys.executable, "-m", "k2conn", *arguments], cwd=folder, env=given, capture_output=True, text=True, timeout=60,
        check=False,
    )


def written(folder: Path, host: str) -> None:
    (folder / "venue.yaml").write_text(HEAD + CONNECTION % host + STREAMS)


def test_data_goes_through_the_transport_and_the_sink_of_another_package(
    installed: Path, server: Server, tmp_path: Path
) -> None:
    written(tmp_path, f"127.0.0.1:{server.port}")
    done = k2conn(
        tmp_path, installed, "run", "venue.yaml", "--sink", "jsonlines", "--sink-option", "label=here", "--max-records",
        "3", "--port", "-1", "--streams", "trade", "--duration", "20s",
        K2_SINK_JSONLINES_PATH="out.jsonl", K2_SINK_JSONLINES_KEY="hunter2",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["record"]["trade_id"] for line in lines] == ["VENUE-0", "VENUE-1", "VENUE-2"]
    assert {(line["topic"], line["label"], line["keyed"]) for line in lines} == {
        ("market.crypto.trades.venue", "here", True)
    }
    assert server.heard[0] == b"\x00hello\xff", "a binary frame that was sent"
    assert json.loads(server.heard[1])["symbols"] == ["BTC-USD", "ETH-USD"]
    assert "published 3" in done.stderr
    assert "hunter2" not in done.stderr


def test_the_compiler_knows_the_schemes_of_another_package(installed: Path, tmp_path: Path) -> None:
    written(tmp_path, "127.0.0.1:9")
    assert k2conn(tmp_path, installed, "validate", "venue.yaml").returncode == 0
    unknown = k2conn(tmp_path, None, "validate", "venue.yaml")
    assert unknown.returncode == 78
    assert "error[url]" in unknown.stdout
    written(tmp_path, "venue.example")
    clear = k2conn(tmp_path, installed, "validate", "venue.yaml")
    assert clear.returncode == 78
    assert "error[insecure]: lines:// sends everything in the clear: use liness://" in clear.stdout
    (tmp_path / "venue.yaml").write_text(
        (HEAD + CONNECTION % "venue.example" + STREAMS).replace("lines://", "liness://")
    )
    assert k2conn(tmp_path, installed, "validate", "venue.yaml").returncode == 0


@pytest.mark.deploy
@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        (["--sink", "jsonline"], {}, "there is no sink 'jsonline'; did you mean 'jsonlines'?"),
        (["--sink", "jsonlines", "--sink-option", "lable=x"], {}, "--sink-option lable: say NAME=VALUE, a setting of "
         "the jsonlines sink; did you mean 'label'?"),
        (["--sink", "jsonlines", "--sink-option", "every=x"], {}, "--sink-option every 'x': a whole number is needed"),
        (["--sink", "jsonlines", "--sink-option", "every=0"], {}, "every=0 is below 1"),
        (["--sink", "jsonlines", "--sink-option", "key=hunter2"], {}, "a secret is not said there: set "
         "K2_SINK_JSONLINES_KEY"),
        (["--sink", "jsonlines"], {"K2_SINK_JSONLINES_EVERY": "no"}, "K2_SINK_JSONLINES_EVERY 'no': a whole number"),
        (["--sink", "jsonlines", "--workers", "2"], {}, "the jsonlines sink is for one process: leave --workers out"),
        (["--sink", "file", "--sink-option", "label=x"], {}, "a setting of the file sink; known: folder"),
    ],
)
def test_its_settings_are_checked(
    installed: Path, tmp_path: Path, arguments: list[str], variables: dict[str, str], text: str
) -> None:
    written(tmp_path, "127.0.0.1:9")
    done = k2conn(tmp_path, installed, "run", "venue.yaml", "--port", "-1", *arguments, **variables)
    assert done.returncode == 2
    assert text in done.stderr
    assert "hunter2" not in done.stderr


def test_a_variable_of_it_that_nothing_reads_is_reported(installed: Path, tmp_path: Path) -> None:
    written(tmp_path, "127.0.0.1:9")
    words = ["run", "venue.yaml", "--port", "-1", "--sink", "jsonlines", "--duration", "100ms"]
    done = k2conn(tmp_path, installed, *words, K2_SINK_JSONLINES_PAHT="x")
    assert "nothing reads this variable" in done.stderr
    assert "K2_SINK_JSONLINES_PAHT" in done.stderr


def test_a_package_that_takes_a_name_of_ours_is_named(installed: Path, tmp_path: Path) -> None:
    site = shutil.copytree(installed, tmp_path / "site")
    (points,) = site.glob("*.dist-info/entry_points.txt")
    points.write_text(points.read_text().replace("jsonlines =", "file ="))
    written(tmp_path, "127.0.0.1:9")
    done = k2conn(tmp_path, site, "run", "venue.yaml", "--port", "-1", "--duration", "100ms")
    assert done.returncode == 2
    assert "the package tiny-plugin names a sink 'file', as one of k2conn's own" in done.stderr
