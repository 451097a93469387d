"""The rules of docs/architecture.md: imports only go down, a dependency is used in one place, no exchange in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "k2conn"

LEAVES = {
    "codecs", "compat", "compression", "ending_tasks", "errors", "exactjson", "framing", "graded", "hosts", "intervals",
    "merging", "plan", "printable", "records", "schemes", "scope", "secret_mask", "signing", "symbols",
    "variable_definitions", "variable_files", "variables",
}
"""Packages and modules that nearly every other may import: they import none of ours, or only each other."""

IMPORTABLE: dict[str, set[str]] = {
    "errors": set(),
    "intervals": set(),
    "resources": set(),
    "exactjson": set(),
    "framing": {"exactjson"},
    "compression": set(),
    "graded": set(),
    "merging": {"graded"},
    "loopback": set(),
    "child_python": set(),
    "clock": set(),
    "ending_tasks": set(),
    "files": set(),
    "registry": {"errors"},
    "compat": {"exactjson"},
    "signing": {"errors"},
    "schemes": {"loopback"},
    "variable_definitions": set(),
    "variables": {"variable_definitions"},
    "variable_files": {"errors", "secret_mask"},
    "printable": set(),
    "secret_mask": set(),
    "hosts": {"loopback"},
    "net": {"clock", "errors", "exactjson", "hosts", "loopback", "secret_mask"},
    "avro": {"errors", "native", "resources"},
    "envelope": {"avro"},
    "observe": {"envelope", "plan"},
    "recording": {*LEAVES, "clock", "envelope", "files", "observe"},
    "symbols": set(),
    "scope": {"symbols"},
    "plan": {"compression", "framing", "intervals", "schemes", "scope", "symbols"},
    "binary": {"errors"},
    "codecs": {"binary", "errors", "exactjson", "native", "plan", "registry"},
    "records": {"avro", "errors", "resources"},
    "native": set(),
    "compiler/language": {*LEAVES, "avro", "resources"},
    "compiler/converters": {*LEAVES, "compiler/language"},
    "compiler/expressions": {*LEAVES, "compiler/converters", "compiler/language", "native"},
    "compiler/sections": {
        *LEAVES,
        "avro",
        "compiler/converters",
        "compiler/expressions",
        "compiler/language",
    },
    "compiler": {*LEAVES, "compiler/language", "compiler/sections"},
    "engine/accounting": {*LEAVES, "envelope", "native"},
    "engine/resilience": {*LEAVES, "engine/conversation"},
    "engine/identity": {*LEAVES, "engine/resilience"},
    "engine/sharding": LEAVES,
    "engine/symbol_state": LEAVES,
    "engine/symbol_directory": LEAVES,
    "engine/conversation": {*LEAVES, "engine/sharding", "engine/symbol_state", "native"},
    "engine/gaps": {*LEAVES, "avro", "engine/identity", "envelope"},
    "engine/mapping": {
        *LEAVES,
        "avro",
        "engine/accounting",
        "engine/gaps",
        "engine/identity",
        "engine/symbol_directory",
        "engine/symbol_state",
        "envelope",
        "native",
    },
    "engine/backfill": {
        *LEAVES, "engine/accounting", "engine/gaps", "engine/mapping", "engine/resilience", "envelope"
    },
    "engine/planning": {*LEAVES, "engine/conversation", "engine/sharding"},
    "engine": {
        *LEAVES,
        "engine/accounting",
        "engine/backfill",
        "engine/conversation",
        "engine/gaps",
        "engine/identity",
        "engine/mapping",
        "engine/resilience",
        "engine/symbol_directory",
        "envelope",
        "native",
    },
    "anomalies": {*LEAVES, "avro", "engine", "envelope"},
    "audit": {*LEAVES, "avro", "candles", "envelope"},
    "candles": {*LEAVES, "avro", "engine", "envelope"},
    "drift": LEAVES,
    "features": {*LEAVES, "avro", "engine", "envelope"},
    "charts": {"printable"},
    "sinks/settings": {"errors"},
    "lake": {"avro", "clock", "compat", "envelope", "errors", "exactjson", "files", "loopback", "native", "records",
             "sinks/settings", "variable_definitions", "variable_files"},
    "sinks": {
        "avro", "clock", "compat", "ending_tasks", "envelope", "errors", "exactjson", "lake", "loopback", "merging",
        "native", "net", "records", "registry", "schemes", "secret_mask", "sinks/settings", "variable_definitions",
        "variable_files",
    },
    "spool": {"avro", "ending_tasks", "envelope", "errors", "files", "graded", "merging", "records", "sinks"},
    "transports": {
        "clock", "compat", "compression", "ending_tasks", "errors", "framing", "loopback", "native", "net", "printable",
        "registry", "schemes",
    },
    "consumer": {
        *LEAVES, "avro", "candles", "clock", "engine", "envelope", "net", "runner", "sinks",
    },
    "runner": {
        *LEAVES, "anomalies", "audit", "avro", "candles", "clock", "drift", "engine", "envelope", "features", "files",
        "net", "observe", "sinks", "spool", "transports",
    },
    "monitoring": {
        *LEAVES, "consumer", "envelope", "observe", "sinks", "clock", "engine", "loopback", "runner", "spool"
    },
    "batch": {
        *LEAVES, "clock", "engine", "envelope", "files", "observe", "recording", "runner", "sinks", "spool",
        "transports",
    },
    "letters": {*LEAVES, "batch", "clock", "engine", "envelope", "files", "runner", "sinks"},
    "workers": {
        *LEAVES, "child_python", "clock", "engine", "files", "monitoring", "observe", "runner", "sinks", "spool"
    },
    "group/slots": {"plan"},
    "group/assignor": set(),
    "group/said": {"group/slots"},
    "group/member_data": {"exactjson", "group/assignor", "group/said", "group/slots"},
    "group": {
        *LEAVES, "clock", "engine", "envelope", "group/assignor", "group/member_data", "group/said", "group/slots",
        "observe", "runner", "sinks",
    },
    "api": {*LEAVES, "avro", "clock", "lake", "loopback", "runner", "sinks"},
    "settings": {
        *LEAVES, "anomalies", "candles", "compiler", "consumer", "features", "group", "net", "recording", "runner",
        "sinks", "transports",
    },
    "tools/example_verdicts": {*LEAVES, "audit", "envelope"},
    "tools/letter_places": {*LEAVES},
    "tools/connector_tests": {*LEAVES, "engine", "envelope", "tools/example_verdicts", "tools/letter_places"},
    "tools/recorded_frames": {"errors", "recording"},
    "tools/anomalies_of_recordings": {*LEAVES, "anomalies", "engine", "envelope", "recording"},
    "tools/drift_of_recordings": {*LEAVES, "drift", "engine", "recording", "tools/recorded_lines"},
    "tools/recorded_lines": {"errors"},
    "tools/unrecognised_frames": {"exactjson"},
    "tools/trade_files": {"avro", "candles", "errors", "exactjson"},
    "tools/mock": {
        *LEAVES, "clock", "engine", "envelope", "recording", "tools/connector_tests", "tools/recorded_frames",
        "tools/recorded_lines",
    },
    "tools/certify": {
        *LEAVES, "avro", "child_python", "clock", "engine", "envelope", "runner", "sinks", "spool", "tools/mock"
    },
    "tools/drafting": {
        *LEAVES, "avro", "compiler", "engine", "envelope", "tools/connector_tests", "tools/letter_places",
        "tools/unrecognised_frames",
    },
    "tools": set(),
}
"""What each package or module may import beside itself; a package stands for everything in it. `cli` is above all of
them and may import anything; `k2conn` itself (its version) may be imported by all.
"""

USED_IN: dict[str, set[str]] = {
    "yaml": {"compiler/language/document.py"},
    "jsonschema": {"compiler/language/shape.py"},
    "jmespath": {
        "compat/jmespath.py",
        "compiler/expressions/expressions.py",
        "compiler/expressions/functions.py",
        "compiler/expressions/interpreter.py",
    },
    "fastavro": {"avro/"},
    "msgspec": {"exactjson.py"},
    "google": {"codecs/protobuf.py"},
    "websockets": {"compat/websockets.py", "transports/websocket/", "tools/mock/"},
    "python_socks": {"net/socks.py"},
    "aiokafka": {
        "compat/aiokafka.py", "consumer/member.py", "consumer/whole_topics.py", "group/beats_topic.py",
        "group/membership.py", "group/removal.py", "group/topics.py", "sinks/kafka/",
        # a reader that is not what is judged, and what happens to the cluster
        "tools/certify/committed_books.py", "tools/certify/exactly_once.py", "tools/certify/leader_moves.py",
    },
    "asyncpg": {"sinks/postgres/"},
    "fastapi": {"api/"},
    "starlette": {"api/"},
    "pydantic": {"api/"},
    "uvicorn": {"api/server.py", "compat/uvicorn.py"},
    "pyiceberg": {"lake/", "compat/pyiceberg.py"},
    "pyarrow": {"lake/"},
    "duckdb": {"lake/engine.py"},
    "numpy": {"features/window.py"},
    "requests": {"lake/catalog.py"},
    "sqlalchemy": {"lake/catalog.py"},
    "prometheus_client": {"monitoring/"},
    "structlog": {"compat/structlog.py"},
    "typer": {"cli/"},
    "rich": {"cli/screen.py"},
    "textual": {"cli/board/application.py", "compat/textual.py"},
    "uvloop": {"cli/event_loop.py"},
    "zstandard": {"recording/blocks.py", "transports/file/"},
    "isal": {"avro/container.py"},
    "cryptography": {"signing.py"},
}
"""The only places where a dependency may be imported; its errors are translated there."""

ONE_PLACE = {
    r"http\.client|urllib\.request": "net/http.py",
    r"create_default_context|SSLContext\(": "net/tls.py",
    r"\btime\.(time|time_ns|monotonic|perf_counter)\(": "clock.py",
    r"os\.replace|os\.rename|\.tmp\b": "files.py",
}
"""What may be written in one file only, so that it is decided once."""

WORLD = {"asyncio", "time", "socket", "threading", "random", "http", "urllib.request", "ssl", "subprocess", "os"}
"""What pure packages must not import: event loop, clock, network, randomness, environment."""

FORBIDDEN = {
    "eval(": "runs what an author wrote",
    "exec(": "runs what an author wrote",
    "pickle": "runs what a stranger wrote",
    "yaml.load(": "makes objects of what a stranger wrote",
    "float(": "loses digits",
    "asyncio.wait_for(": "loses a cancellation before Python 3.12: asyncio.timeout",
}
ALLOWED = {
    ("binary/floating.py", "float("): "of 32 and 64 bits, as exact decimals",
    ("cli/run.py", "float("): "a duration in seconds",
    ("compiler/language/durations.py", "float("): "seconds and sizes, never a price",
    ("net/", "float("): "Retry-After, in seconds",
    ("tools/mock/", "float("): "delays in seconds",
    ("engine/planning/forecast.py", "float("): "seconds",
    ("cli/demo.py", "float("): "seconds",
}


@cache
def sources() -> dict[str, str]:
    found = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    return {name: text for name, text in found.items() if not name.startswith(("connectors/", "schemas/"))}


@cache
def imports(name: str) -> tuple[str, ...]:
    """The dotted names that a file imports, wherever in it; those for type checkers only are left out."""
    return tuple(_imports(name))


def _imports(name: str) -> Iterator[str]:
    tree = ast.parse(sources()[name])
    typed = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    skipped = {id(inner) for node in typed for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: str) -> str:
    """The innermost key of IMPORTABLE that a file or module (``engine/gaps/gap_tracker``) belongs to."""
    parts = path.removesuffix(".py").split("/")
    for count in range(len(parts), 0, -1):
        if (name := "/".join(parts[:count])) in IMPORTABLE:
            return name
    return parts[0]


def inner(dotted: str) -> str | None:
    """The same for a dotted name; None for what is not ours."""
    parts = dotted.split(".")
    if parts[0] != "k2conn" or len(parts) < 2 or parts[1].startswith("__"):
        return None
    return package_of("/".join(parts[1:]))


def may_import(own: str, other: str) -> bool:
    """Whether a package may import another: it, or a package that contains it, is named in IMPORTABLE."""
    inside_own = other.startswith(f"{own}/") or own.startswith(f"{other}/")  # must be named exactly
    names = {other} if inside_own or own.split("/")[0] == other.split("/")[0] else {other, other.split("/")[0]}
    return other == own or bool(names & IMPORTABLE[own])


def test_imports_only_go_down() -> None:
    wrong = []
    for name in sources():
        own = package_of(name)
        if own in ("cli", "__main__", "__init__"):
            continue
        assert own in IMPORTABLE, f"{name}: a new package: add to IMPORTABLE what it may import"
        for dotted in imports(name):
            other = inner(dotted)
            if other is not None and not may_import(own, other):
                wrong.append(f"{name} imports {dotted}")
    assert not wrong, "\n".join(wrong)


def test_allowed_imports_have_no_circle() -> None:
    below = {own: {other for other in IMPORTABLE if other != own and may_import(own, other)} for own in IMPORTABLE}
    seen: set[str] = set()
    while len(seen) < len(IMPORTABLE):
        ready = {name for name, needed in below.items() if name not in seen and needed <= seen}
        assert ready, f"these packages import each other: {sorted(set(IMPORTABLE) - seen)}"
        seen |= ready


def modules_of(dotted: str) -> Iterator[str]:
    parts = dotted.split(".")[1:]
    for count in (len(parts), len(parts) - 1):
        stem = "/".join(parts[:count])
        for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
            if candidate in sources():
                yield candidate
                return


def test_no_module_imports_itself_in_a_circle() -> None:
    below = {
        name: {module for dotted in imports(name) if inner(dotted) for module in modules_of(dotted)} - {name}
        for name in sources()
    }
    seen: set[str] = set()
    while len(seen) < len(below):
        ready = {name for name, needed in below.items() if name not in seen and needed <= seen}
        assert ready, f"circle among {sorted(set(below) - seen)}"
        seen |= ready


PURE = (
    "anomalies", "audit", "binary", "candles", "charts", "compiler", "drift", "engine", "features", "plan", "records",
    "scope", "codecs", "errors", "envelope", "exactjson", "group/slots", "group/assignor", "group/said",
    "group/member_data", "schemes", "tools/connector_tests",
)


@pytest.mark.parametrize("package", PURE)
def test_the_pure_packages_use_neither_loop_nor_clock_nor_network(package: str) -> None:
    wrong = []
    for name in sources():
        if name.removesuffix(".py").startswith(package):
            for dotted in imports(name):
                if dotted in WORLD or any(dotted.startswith(f"{one}.") for one in WORLD):
                    wrong.append(f"{name} imports {dotted}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", sorted(USED_IN))
def test_each_dependency_is_used_in_one_place(library: str) -> None:
    users = {name for name in sources() if any(dotted.split(".")[0] == library for dotted in imports(name))}
    strangers = {name for name in users if not any(name.startswith(place) for place in USED_IN[library])}
    assert not strangers, f"{library} is imported by {sorted(strangers)}"


def test_every_dependency_is_listed() -> None:
    standard = {"__future__"} | set(__import__("sys").stdlib_module_names)
    found = {dotted.split(".")[0] for name in sources() for dotted in imports(name)} - standard - {"k2conn"}
    assert found <= set(USED_IN)


@pytest.mark.parametrize("pattern", ONE_PLACE)
def test_one_place_for_what_is_decided_once(pattern: str) -> None:
    found = {name for name, text in sources().items() if re.search(pattern, text)}
    assert found == {ONE_PLACE[pattern]}


def words_of(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Za-z0-9]+", text)}


def test_no_exchange_has_a_line_of_python() -> None:
    names = {part for path in (ROOT / "connectors").glob("*.yaml") for part in path.stem.split("-")[:1]}
    assert {"binance", "kraken", "coinbase"} <= names
    wrong = []
    for name, text in sources().items():
        found = (words_of(text) & names) - {"gate", "crypto", "delta", "independent", "btc"}  # words of ours, too
        wrong += [f"{name}: {one}" for one in sorted(found)]
    assert not wrong, "\n".join(wrong)


def test_nothing_dangerous_and_nothing_inexact() -> None:
    wrong = []
    for name, text in sources().items():
        for number, line in enumerate(text.splitlines(), 1):
            code = line.split("#")[0]
            for word, why in FORBIDDEN.items():
                if re.search(rf"(?<![\w.`]){re.escape(word)}", code) and not allowed(name, word):
                    wrong.append(f"{name}:{number}: {word} {why}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def allowed(name: str, word: str) -> bool:
    return any(name.startswith(place) and word == one for place, one in ALLOWED)


def test_the_architecture_page_names_every_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    folders = {name for name in IMPORTABLE if (PACKAGE / name).is_dir()}
    missing = {name for name in folders if f"`{name}`" not in page and f"{name.split('/')[-1]}/" not in page}
    assert not missing


def test_no_class_name_stands_for_two_things() -> None:
    found: dict[str, list[str]] = {}
    for name, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(name)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
