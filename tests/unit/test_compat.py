"""What other libraries do not promise and k2conn uses all the same: a test says where a new version has it no more."""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jmespath.functions
import jmespath.lexer
import jmespath.parser
import pytest
import typer.core
import typer.main
import uvicorn
import uvicorn.server
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.codec import lz4_decode, lz4_encode
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.producer.producer import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from textual.app import App
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from k2conn.compat.aiokafka import CODECS, LZ4_LEVEL, Batch, Leaders, stop_consumer
from tests.project.test_layers import ROOT, sources

FILES = [name for name in sources() if name.startswith("compat/") and not name.endswith("__init__.py")]
NAMED = {"_replace", "_asdict", "_make", "_fields", "_exit"}
"""Names that are public in spite of their underscore: of named tuples, and `os._exit`."""


def needs(library: str, owner: Any, *names: str) -> None:
    """Fails where something of a library lacks names that a file of the compat room uses."""
    gone = [name for name in names if not hasattr(owner, name)]
    what = getattr(owner, "__qualname__", type(owner).__qualname__)
    assert not gone, (
        f"{library} {version(library)}: {what} has no {', '.join(gone)} any more: see k2conn/compat/{library}.py"
    )


def test_textual_has_what_the_board_s_application_uses() -> None:
    needs("textual", App, "_handle_exception", "_close_messages_no_wait")
    needs("textual", App(), "_exception", "_exception_event", "_return_code")


# -- versions


@pytest.mark.parametrize("name", FILES)
def test_each_file_names_the_versions_it_was_tried_with(name: str) -> None:
    library = Path(name).stem
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = {*project["dependencies"], *(text for name in extras if name != "test" for text in extras[name])}
    (required,) = {one.specifier for text in texts if (one := Requirement(text)).name == library}
    tried = SpecifierSet(import_module(f"k2conn.compat.{library}").VERSIONS)
    assert required == tried
    assert any(one.operator == "<" for one in tried), "what is private may go with any version: there is an upper bound"
    assert version(library) in tried


# -- each library


def test_uvicorn() -> None:
    asyncio.run(_uvicorn())


async def _uvicorn() -> None:
    config = uvicorn.Config(lambda *_: None, log_config=None, ws=WebSocketsSansIOProtocol)
    config.load()
    state = uvicorn.server.ServerState()
    for kind in (H11Protocol, WebSocketsSansIOProtocol):
        needs("uvicorn", kind(config, state, {}), "transport", "connections", "loop", "pause_writing", "resume_writing")
    needs("uvicorn", H11Protocol(config, state, {}), "cycle", "data_received")
    assert "response_complete" in inspect.getsource(RequestResponseCycle)


def test_aiokafka() -> None:
    needs("aiokafka", BatchBuilder, "_build", "append", "close", "size", "record_count")
    needs("aiokafka", MessageBatch, "get_data_buffer", "drain_ready")
    assert "_builder._build()" in inspect.getsource(MessageBatch.get_data_buffer), "who compresses a batch?"
    assert lz4_encode.__defaults__ == (9,), "aiokafka has another LZ4 level now: is compat's still needed?"
    codecs = {name: getattr(DefaultRecordBatch, f"CODEC_{name.upper()}") for name in CODECS}
    assert codecs == CODECS

    async def look() -> None:
        producer, admin = AIOKafkaProducer(), AIOKafkaAdminClient()
        consumer = AIOKafkaConsumer(enable_auto_commit=False)
        needs("aiokafka", producer, "_sender", "_message_accumulator", "client")
        needs("aiokafka", producer._sender, "sender_task")
        needs("aiokafka", producer._message_accumulator, "_pending_batches", "_batches", "fail_all")
        needs("aiokafka", producer.client, "_md_update_fut", "close")
        needs("aiokafka", MessageBatch(None, None, 1, 0), "_drain_waiter", "_retry_count", "_ctime", "future")
        numbering = AIOKafkaProducer(enable_idempotence=True)
        assert Leaders(numbering).lacking == Leaders(producer).lacking == []
        needs("aiokafka", AIOKafkaConnection("localhost", 1), "_requests", "_writer", "_versions", "connected", "close",
              "_next_correlation_id")
        await numbering.stop()
        needs("aiokafka", admin, "_client")
        needs("aiokafka", admin._client.cluster, "controller")
        needs("aiokafka", consumer, "_client")
        needs("aiokafka", consumer._client, "force_metadata_update")
        for one in (producer, consumer):
            await one.stop()
        await admin.close()

    asyncio.run(look())
    handled = inspect.getsource(AIOKafkaConnection._handle_frame)
    assert "correlation_id, request, fut = self._requests[0]" in handled, "what is in a connection's queue?"
    assert "request.parse_response_header(" in handled
    assert "resp_type.decode(" in handled


def test_a_batch_of_ours_is_compressed_quickly_and_no_other_is() -> None:
    text = b"BTC-USD 64000.10 " * 400

    def built(batch: Any) -> bytes:
        for number in range(50):
            batch.append(timestamp=number, key=b"k", value=text[number:])
        batch.close()
        return bytes(batch._build())

    ours, theirs = built(Batch(1 << 20, "lz4")), built(BatchBuilder(1 << 20, CODECS["lz4"]))
    assert lz4_encode.__defaults__ == (9,), "the default is as it was"
    assert [record.value for record in MemoryRecords(ours).next_batch()] == [text[at:] for at in range(50)]
    plain = lz4_decode(ours[61:])
    assert (ours[61:], theirs[61:]) == (lz4_encode(plain, LZ4_LEVEL), lz4_encode(plain, 9))
    assert ours[61:] != theirs[61:]


def test_jmespath() -> None:
    found = jmespath.lexer.Lexer()
    needs("jmespath", found, "START_IDENTIFIER", "_consume_literal", "_consume_until", "tokenize")
    list(found.tokenize("a.b"))
    needs("jmespath", found, "_position", "_expression")
    needs("jmespath", jmespath.parser.Parser, "_CACHE", "_expression", "_current_token", "_lookahead_token")
    kinds = jmespath.functions.Functions
    needs("jmespath", kinds, "_get_allowed_pytypes", "_convert_to_jmespath_type", "_func_type", "FUNCTION_TABLE")
    assert "_Expression" in str(jmespath.functions.REVERSE_TYPES_MAP), "`&expression` has another class now"


def test_structlog() -> None:
    module = import_module("k2conn.compat.structlog").structlog
    needs("structlog", module.dev, "ConsoleRenderer", "default_exception_formatter")
    import rich

    assert rich.__name__ == "rich", "who imports rich gets it"


def test_typer() -> None:
    application = typer.Typer()

    @application.command()
    def command(number: int = 1) -> None:
        """One command."""

    (found,) = typer.main.get_command(application).params[:1]
    needs("typer", found, "_runtime_param", "type_descriptor", "get_runtime_param", "multiple", "nargs")
    needs("typer", found.type_descriptor, "annotation")
    needs("typer", found.get_runtime_param(), "coerce")


def test_websockets() -> None:
    """No private names, but methods that only its own classes override: see `k2conn.transports.websocket.reader`."""

    async def look() -> None:
        connection = ClientConnection(ClientProtocol(parse_uri("ws://localhost/")))
        for name in ("data_received", "process_event", "send_data", "response", "protocol"):
            assert hasattr(connection, name), f"websockets {version('websockets')}: ClientConnection has no {name} now"

    asyncio.run(look())
    assert list(inspect.signature(ClientConnection.process_event).parameters) == ["self", "event"]
    assert "self.process_event(" in inspect.getsource(Connection), "who hands frames on?"


# -- nobody else


def private(name: str) -> Iterator[str]:
    """Where a file uses a private name of something that is not of its own class."""
    tree = ast.parse(sources()[name])
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            if not _is_self(node.value) and node.attr not in own | NAMED:
                yield f"{name}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("k2conn", "__")):
            yield from (f"{name}:{node.lineno}: {one.name}" for one in node.names if one.name.startswith("_"))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_private_names_of_others_are_in_compat_only() -> None:
    wrong = [place for name in sources() if not name.startswith("compat/") for place in private(name)]
    assert not wrong, "\n".join(wrong)


SAID = {"compat/aiokafka.py", "compat/jsonschema.py", "compat/structlog.py"}
"""Each says there why it changes something of another library, and for how long."""


def test_no_default_of_another_library_is_changed() -> None:
    for name, text in sources().items():
        if name not in SAID:
            assert "__defaults__" not in text, name
            assert "sys.modules[" not in text, name
            assert "setattr(" not in text, name


class Fetching:
    """A consumer whose `stop` raises the cancellation of its own task, or never comes to an end."""

    def __init__(self, ends: bool) -> None:
        self._ends = ends

    async def stop(self) -> None:
        task = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.sleep(0)
        if self._ends:
            task.cancel()
        await task


@pytest.mark.parametrize("ends", [True, False])
def test_a_consumer_that_is_stopped_ends_nobody_else(ends: bool) -> None:
    async def main() -> str:
        async with asyncio.timeout(60):
            await stop_consumer(Fetching(ends), 0.05)
        return "went on"

    assert asyncio.run(main()) == "went on"
