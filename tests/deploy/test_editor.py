"""Connector files in an editor: what the YAML language server, which VS Code, Neovim and others ask, makes of them with
the JSON Schema that `k2conn schema` prints. Over all shipped files: nothing amiss where all is right, a text for each
word, the right words where one is to be written; and what is wrong is found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from k2conn.resources import connectors_folder
from tests.paths import ROOT
from tests.servers import language
from tests.servers.language import LanguageServer
from tests.servers.prerequisites import Missing

pytestmark = pytest.mark.deploy
FILES = sorted(connectors_folder().glob("*.yaml"))
_KEY = re.compile(r"( *)(?:- )?([a-z_]+):(?: |$)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An author's folder: the files, and the schema that the command prints, where their first line looks for it."""
    folder = tmp_path_factory.mktemp("editor")
    (folder / "connectors").mkdir()
    (folder / "schemas").mkdir()
    for path in FILES:
        shutil.copy(path, folder / "connectors" / path.name)
    printed = subprocess.run([sys.executable, "-m", "k2conn", "schema"], capture_output=True, timeout=120, check=True)
    (folder / "schemas" / "connector.schema.json").write_bytes(printed.stdout)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LanguageServer]:
    try:
        with language.started(folder) as found:
            yield found
    except Missing as missing:
        pytest.skip(str(missing))


def place_of(text: str, part: str) -> tuple[int, int]:
    """Line and character of a text's part, from 0."""
    at = text.index(part)
    return text.count("\n", 0, at), at - text.rfind("\n", 0, at) - 1


def test_every_shipped_file_names_the_schema() -> None:
    assert [path.name for path in FILES if not path.read_text().startswith("# yaml-language-server: $schema=")] == []


def test_no_shipped_file_has_anything_amiss(server: LanguageServer, folder: Path) -> None:
    found = {}
    for path in FILES:
        own = folder / "connectors" / path.name
        if said := server.diagnostics(own, path.read_text()):
            found[path.name] = [one["message"] for one in said]
        server.close(own)
    assert found == {}


_FOREIGN = re.compile(r"^( +)(?:(?:send|undo|later)|(layout)):\n((?:\1 +.*\n)+)", re.MULTILINE)
"""Frames that are sent, and what a file says of binary ones: structures, and below them their members."""


def test_every_word_of_the_shipped_files_has_its_text(server: LanguageServer, folder: Path) -> None:
    """Each word once, at the first place where a file has it; what authors name themselves (streams, parts of frames)
    apart.
    """
    seen: set[str] = set()
    silent: list[str] = []
    for path in FILES:
        own, text = folder / "connectors" / path.name, path.read_text()
        named = set(re.findall(r"^  ([a-z_0-9]+):$", text.partition("\nstreams:")[2], re.MULTILINE))
        for blanks, layout, part in _FOREIGN.findall(text):
            deep = len(blanks) + (3 if layout else 1)
            named |= set(re.findall(rf"^ {{{deep},}}([a-z_0-9]+):", part, re.MULTILINE))
        server.diagnostics(own, text)
        for number, line in enumerate(text.partition("\ntests:")[0].splitlines()):
            found = _KEY.match(line)
            if found is None or found[2] in seen or found[2] in named:
                continue
            seen.add(found[2])
            if not server.hover(own, number, found.start(2) + 1).strip():
                silent.append(f"{path.name}:{number + 1}: {found[2]}")
        server.close(own)
    assert len(seen) > 60
    assert silent == []


BROKEN = ROOT / "connectors" / "kraken.yaml"
NUMBERS = count()
"""So that each text has a name of its own: what is said of one may come late."""


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("  heartbeat:", "  hartbeat:", "hartbeat"),
        ("asset_class: crypto", "asset_class: stocks", "crypto"),
        ("    each: data", "    each: data\n    eech: data", "eech"),
        ("connector: kraken", "connector: [kraken]", "string"),
        ("unit: iso8601", "unit: minutes", "iso8601"),
        ("exchange: KRAKEN\n", "", "exchange"),
        ("streams:\n  trade:", "streams: {}\nother:\n  trade:", "other"),
    ],
)
def test_what_is_wrong_is_found_where_it_stands(
    server: LanguageServer, folder: Path, was: str, now: str, said: str
) -> None:
    text = BROKEN.read_text()
    assert was in text
    own = folder / "connectors" / f"wrong-{next(NUMBERS)}.yaml"
    found = server.diagnostics(own, text.replace(was, now, 1))
    server.close(own)
    assert any(said in one["message"] for one in found), [one["message"] for one in found]


@pytest.mark.parametrize(
    ("behind", "written", "offered"),
    [
        ("docs: https://docs.kraken.com/api/docs/websocket-v2/trade\n", "", {"symbols", "connection", "streams"}),
        ("connection:\n", "  ", {"heartbeat", "steps", "limits", "ignore", "capture"}),
        ("streams:\n  trade:\n", "    ", {"when", "each", "fields", "sequence"}),
        ("    fields:\n", "      ", {"symbol", "price", "quantity", "timestamp", "side"}),
        ("asset_class: ", "", {"crypto", "equities"}),
    ],
    ids=["top", "connection", "stream", "fields", "value"],
)
def test_what_may_be_written_is_offered(
    server: LanguageServer, folder: Path, behind: str, written: str, offered: set[str]
) -> None:
    text = BROKEN.read_text()
    at = text.index(behind) + len(behind)
    rest = text[at:].partition("\n")[2] if behind.endswith(" ") else text[at:]
    changed = f"{text[:at]}{written}\n{rest}"
    own = folder / "connectors" / f"typed-{next(NUMBERS)}.yaml"
    server.diagnostics(own, changed)
    line = text.count("\n", 0, at)
    labels = set(server.completions(own, line, at - text.rfind("\n", 0, at) - 1 + len(written)))
    server.close(own)
    assert offered - labels - {one for one in offered if f"\n{written}{one}:" in changed} == set(), sorted(labels)
