"""Shipped connector files with odd values in them: each is valid or refused with a place, by every command that reads
files, and none is ever a bug.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.cli import docs, explain, plan
from k2conn.cli.validate import check
from k2conn.compiler.language.document import MAX_PROBLEMS, read_document
from k2conn.errors import K2Error
from k2conn.resources import connectors_folder

Place = tuple[str | int, ...]
SHIPPED = {path.stem: path for path in sorted(connectors_folder().glob("*.yaml"))}
MARK = "odd value here"
ODD = [
    ".nan", ".inf", "-.inf", "1e400", "1e-400", "-1e399", "1e399", "1e-399", "9" * 399, "-1", "0", "0.0", "-0",
    "1.5",
    "true", "null", "[]", "{}", '""', '" "', '"\\0"', '"\\n"', '"\\e]0;x\\a"', '"\\u202e"', '"\\ud800"', '"[/red]"',
    '"$"',
    '"$$"', '"{$"', '"{"', '"}"', '"{}"', '"$env.HOME"', '"{$env.HOME}"', '"$state.x"', '"$symbol"', '"{$symbols}"',
    '"0s"', '"1us"', '"999999999999d"', '"1 per 0s"', '"999999999 per 1d"', '"999999999999 GiB"', '"0 B"', '"NaN"',
    '"Infinity"', '"1e400"', '"http://["', '"https://["', '"wss://["', '"wss://a.example:99999/"', '"wss://a.example:/"',
    '"wss://[fe80::1%25lo]/"', '"wss://[::1"', '"wss://\\uff0f/"', '"GET https://a.example:99999/"', '"GET https://["',
    '"GET https://[::1%lo]/"', '"@"', '"[*]"', '"[0]"', '"[-9999999999999999999]"', '"[::0]"', '"[0:1:9999999999999]"',
    '"`1e400`"', '"`NaN`"', '"to_number(`1`)"', '"max_by(@, &a)"', '"a[?b]"', '"||"', '"((((("', '"{base}"',
    '"{base}{quote}"', '"{base}{base}"', '"yymmdd"', '"\\u5e01"', '"' + "x" * 3000 + '"', "[[[[[[[[1]]]]]]]]",
    "{a: {b: {c: 1}}}",
    "[null]", "[1e399]", '["", ""]', "{$each_symbol: $symbol}", '{"": ""}', '{"\\n": "\\n"}', "{a: $present}",
    "{a: 1e399}",
]


@cache
def shipped(name: str) -> Any:
    return read_document(SHIPPED[name].name, SHIPPED[name].read_text()).value


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Every place of a document, but the whole and its name."""
    if path and path != ("connector",):
        yield path
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def changed(value: Any, path: Place, new: Any) -> Any:
    """A copy with another value at one place."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: changed(one, path[1:], new) if key == path[0] else one for key, one in value.items()}
    return [changed(one, path[1:], new) if at == path[0] else one for at, one in enumerate(value)]


@st.composite
def odd_files(draw: st.DrawFn) -> tuple[str, str]:
    """A connector's name, and its file with one to three odd values."""
    name = draw(st.sampled_from(sorted(SHIPPED)))
    value, text = shipped(name), ""
    tokens = draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=3))
    for at, _ in enumerate(tokens):
        value = changed(value, draw(st.sampled_from(list(places(value)))), f"{MARK} {at}")
    text = exactjson.encode(value).decode()
    for at, token in enumerate(tokens):
        text = text.replace(f'"{MARK} {at}"', token)
    return name, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("odd")
    for path in connectors_folder().glob("*.desc"):
        (found / path.name).write_bytes(path.read_bytes())
    return found


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(odd_files())
def test_an_odd_value_is_valid_or_has_a_place(folder: Path, odd: tuple[str, str]) -> None:
    name, text = odd
    path = folder / f"{name}.yaml"
    path.write_text(text)
    compiled, problems, _ = check(path)
    assert (compiled is None) == bool(problems)
    assert len(problems) <= MAX_PROBLEMS + sum(1 for problem in problems if problem.code in ("example", "limit"))
    assert all(problem.line >= 1 and problem.column >= 1 and problem.code for problem in problems)
    if compiled is None:
        return
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(K2Error):
        explain.run(str(path), None)
        plan.run(str(path), None, None, True)
        docs.run([str(path)], folder / "pages", False)
    assert all(one.isprintable() or one == "\n" for one in out.getvalue())
    page = folder / "pages" / f"{name}.md"
    if page.exists():
        assert all(one.isprintable() or one == "\n" for one in page.read_text())
