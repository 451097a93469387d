"""The programs compared, each with its version, its command and its way to be read back."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import builds
from benchmarks.peers.proof import Trade, read_avro, read_json
from benchmarks.processes import Process
from benchmarks.tapes import BinanceTape
from k2conn import __version__
from k2conn.avro import load_schema
from k2conn.cli.loading import find
from k2conn.native import Mapper
from tests.support.lists import shown_list

SYMBOLS = 10
NATIVE = "native program"
_HERE = Path(__file__).parent
_TAPE = BinanceTape(SYMBOLS, 1)
_PAIRS = [f"{base}-USDT" for base in _TAPE.bases]
_PURE = {"K2CONN_PURE_PYTHON": "1"}
_SUBJECT = "market.crypto.trades.binance-value"


@dataclass(frozen=True, slots=True)
class Round:
    """Where one program runs once: ``folder`` and ``topic`` are its own, ``url`` is the feeder's WebSocket."""

    folder: Path
    topic: str
    url: str
    bootstrap: str
    registry: str


@dataclass(frozen=True, slots=True)
class Program:
    """One program. ``ready`` is what the feeder says when it has connected and asked for all symbols."""

    name: str
    version: str
    start: Callable[[Round], Process]
    ready: str
    frames: int
    quick_frames: int
    note: str = ""
    topics: Callable[[str], Sequence[str]] = lambda topic: [topic]
    read: Callable[[bytes], Trade] = read_avro


def programs() -> tuple[list[Program], dict[str, str]]:
    """All that can be run on this machine, in the order of a round; and of the others, why not."""
    found, absent = [*_k2conn(), _interpreted(), _naive()], {}
    others = (("cryptofeed", _cryptofeed), ("Redpanda Connect", _redpanda_connect), (NATIVE, _native))
    for name, make in others:
        try:
            found += make()
        except builds.Absent as error:
            absent[name] = str(error)
    return found, absent


def _k2conn() -> list[Program]:
    """As it is installed here; where that is with its part in C, also without."""
    asked = f"asked {SYMBOLS}"
    if Mapper is None:
        return [Program("k2conn", f"{__version__}, without its part in C", engine, asked, 150_000, 20_000)]
    return [
        Program("k2conn", f"{__version__}, with its part in C", engine, asked, 150_000, 20_000),
        Program(
            "k2conn, without C", __version__, lambda at: engine(at, environment=_PURE), asked, 150_000, 20_000,
            note="K2CONN_PURE_PYTHON=1, as it runs where no C compiler was at hand when it was installed",
        ),
    ]


def _interpreted() -> Program:
    return Program(
        "k2conn, interpreted", f"{__version__}, jmespath {version('jmespath')}, fastavro {version('fastavro')}",
        lambda at: engine(at, "benchmarks.peers.interpreted", _PURE), f"asked {SYMBOLS}", 150_000, 20_000,
        note="the same engine, every expression run by jmespath's interpreter, every record written by fastavro",
    )


def engine(at: Round, module: str = "k2conn", environment: Mapping[str, str] | None = None) -> Process:
    """k2conn with its shipped connector; the topic is this round's own."""
    file = at.folder / "binance.yaml"
    file.write_text(find("binance").read_text(encoding="utf-8") + f'\nkafka_topic: "{at.topic}"\n', encoding="utf-8")
    command = [
        sys.executable, "-m", module, "run", str(file), "--streams", "agg_trade", "--symbols", ",".join(_TAPE.symbols),
        "--kafka", at.bootstrap, "--registry", at.registry, "--port", "0", "--log-level", "error",
    ]
    given = {"K2_BINANCE_WEBSOCKET_URL": f"{at.url}/stream", "K2_BINANCE_BACKFILL": "false",
             "K2_SPOOL_FOLDER": str(at.folder / "spool"), "K2_KAFKA_LINGER_MS": "5", **shown_list(at.folder, "binance")}
    return Process(module, command, at.folder / "log", {**given, **(environment or {})})


def _naive() -> Program:
    parts = ", ".join(f"{name} {version(name)}" for name in ("websockets", "jmespath", "fastavro", "aiokafka"))
    return Program(
        "naive Python", parts, _start_naive, f"asked {SYMBOLS}", 150_000, 20_000,
        note="benchmarks/peers/naive.py, about a hundred lines: no checks, no metrics, a send for each record",
    )


def _start_naive(at: Round) -> Process:
    given = [f"{at.url}/stream", at.bootstrap, at.registry, at.topic, ",".join(_TAPE.symbols)]
    return Process("naive", [sys.executable, "-m", "benchmarks.peers.naive", *given], at.folder / "log")


def _cryptofeed() -> list[Program]:
    python, parts = builds.cryptofeed()

    def start(at: Round) -> Process:
        given = [at.url, at.bootstrap, at.topic, ",".join(_PAIRS)]
        command = [str(python), str(_HERE / "cryptofeed_run.py"), *given]
        return Process("cryptofeed", command, at.folder / "log")

    return [Program(
        "cryptofeed", parts, start, "open binance", 30_000, 3_000,
        note="its Kafka backend as it is: JSON with binary floats, every record awaited",
        topics=lambda topic: [f"{topic}-BINANCE-{name}" for name in _PAIRS], read=read_json,
    )]


def _redpanda_connect() -> list[Program]:
    binary, parts = builds.redpanda_connect()

    def start(at: Round, environment: Mapping[str, str]) -> Process:
        _register(at.registry)
        given = {"FEED_URL": at.url, "KAFKA": at.bootstrap, "REGISTRY_URL": at.registry, "TOPIC": at.topic}
        command = [str(binary), "run", str(_HERE / "redpanda-connect" / "binance-aggtrade-kafka.yaml")]
        return Process("redpanda-connect", command, at.folder / "log", {**given, **environment})

    def program_of(name: str, environment: Mapping[str, str]) -> Program:
        return Program(
            name, parts, lambda at: start(at, environment), "open binance", 150_000, 20_000,
            note="threads 1, max_in_flight 1: with more, records of one symbol leave out of order",
        )

    return [program_of("Redpanda Connect", {}), program_of("Redpanda Connect, GOMAXPROCS=1", {"GOMAXPROCS": "1"})]


def _native() -> list[Program]:
    _, parts = builds.native()
    return [Program(
        NATIVE, parts, lambda at: start_native(at.folder, at.topic, at.url, at.bootstrap, at.registry),
        f"asked {SYMBOLS}", 150_000, 20_000,
        note="benchmarks/peers/native, the same records and nothing else: what k2conn could cost at the very least; "
             "no compression, no idempotence, SHA-1 without the processor's instructions for it",
    )]


def start_native(folder: Path, topic: str, url: str, bootstrap: str, registry: str) -> Process:
    """The program in C, with linger 5 ms."""
    program, _ = builds.native()
    ports = [address.rpartition(":")[2] for address in (url, bootstrap)]
    given = [*ports, topic, str(_register(registry)), ",".join(_PAIRS)]
    return Process("native", [str(program), "run", *given], folder / "log")


def _register(registry: str) -> int:
    """The schema's id, registered for programs that do not (under the subject that Redpanda Connect's words name)."""
    body = json.dumps({"schema": load_schema("trade").text}).encode()
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{registry}/subjects/{_SUBJECT}/versions", body, kind)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.load(answer)["id"])
