"""The YAML language server, asked as an editor asks it: over its standard input and output, in the words of LSP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .downloads import yaml_language_server
from .prerequisites import Missing

WITHIN = 120.0
"""Seconds for one answer on a busy machine."""
_SETTINGS = {
    "yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}, "customTags": []},
    "http": {"proxy": "", "proxyStrictSSL": False}, "[yaml]": {}, "editor": {}, "files": {},
}
_CAN = {
    "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]}, "publishDiagnostics": {},
        "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
    },
}


class LanguageServer:
    """One that runs. Files are told to it by their text; they need not be anywhere."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._news = threading.Condition()
        self._number = 0
        self._answers: dict[int, Any] = {}
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    # -- as an editor uses it

    def diagnostics(self, path: Path, text: str) -> list[dict[str, Any]]:
        """What it finds amiss in a file with this text, which stays open."""
        uri = path.as_uri()
        with self._news:
            self._found.pop(uri, None)
        self._tell("textDocument/didOpen",
                   {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
        with self._news:
            if not self._news.wait_for(lambda: uri in self._found, WITHIN):
                raise TimeoutError(f"no diagnostics of {path}")
            return self._found[uri]

    def hover(self, path: Path, line: int, character: int) -> str:
        """The text beside the pointer, both counted from 0; empty where there is none."""
        found = self._ask("textDocument/hover", _at(path, line, character))
        return str(found["contents"]["value"]) if found else ""

    def completions(self, path: Path, line: int, character: int) -> list[str]:
        """What may stand at a place, by its label."""
        found = self._ask("textDocument/completion", _at(path, line, character))
        items = found["items"] if isinstance(found, dict) else found or []
        return [str(one["label"]) for one in items]

    def close(self, path: Path) -> None:
        """The file is open no more."""
        self._tell("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    # -- the protocol

    def end(self) -> None:
        """It is ended, and nothing of it is read any more."""
        self._process.kill()
        self._process.wait()
        self._listening.join(WITHIN)

    def begin(self, folder: Path) -> None:
        """What an editor says first."""
        self._ask("initialize", {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": _CAN,
                                 "initializationOptions": {}})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": _SETTINGS})

    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        number = self._number
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        with self._news:
            if not self._news.wait_for(lambda: number in self._answers, WITHIN):
                raise TimeoutError(method)
            answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def _write(self, message: Any) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        while (message := self._read()) is not None:
            with self._news:
                if "method" not in message:
                    self._answers[message["id"]] = message
                elif message["method"] == "textDocument/publishDiagnostics":
                    self._found[message["params"]["uri"]] = message["params"]["diagnostics"]
                elif "id" in message:
                    self._write({"jsonrpc": "2.0", "id": message["id"], "result": _reply(message)})
                self._news.notify_all()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline()) != b"\r\n":
            if not line:
                return None
            if line.lower().startswith(b"content-length"):
                length = int(line.partition(b":")[2])
        return json.loads(self._process.stdout.read(length))


def _reply(message: Any) -> Any:
    if message["method"] == "workspace/configuration":
        return [_SETTINGS.get(one.get("section"), {}) for one in message["params"]["items"]]
    return None


def _at(path: Path, line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}


@contextmanager
def started(folder: Path) -> Iterator[LanguageServer]:
    """The server, until the block ends; Missing where it cannot be had."""
    node = shutil.which("node")
    if node is None:
        raise Missing("node is missing: the YAML language server runs on it. Install it with `apt-get install nodejs`.")
    command = [node, str(yaml_language_server()), "--stdio"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        server = LanguageServer(process)
        try:
            server.begin(folder)
            yield server
        finally:
            server.end()
