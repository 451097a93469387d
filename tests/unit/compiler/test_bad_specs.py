"""Broken connector files: each with exactly the problems that stand beside it, and none that brings us down."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2conn.compiler.compiler import check_file, check_text
from k2conn.compiler.language.document import MAX_BYTES, MAX_PROBLEMS
from k2conn.compiler.language.problems import Problem
from k2conn.resources import connectors_folder
from tests.paths import ROOT
from tests.support.tries import tried

FOLDER = Path(__file__).parent / "bad_specs"
BAD = sorted(FOLDER.glob("*.yaml"))
GOOD = [file.read_text() for file in sorted(connectors_folder().glob("*.yaml"))]
KRAKEN = (connectors_folder() / "kraken.yaml").read_text()
CODES = {
    "duplicate-key",
    "expression",
    "form",
    "function-arguments",
    "insecure",
    "missing",
    "name",
    "path",
    "pattern",
    "record",
    "secret",
    "shape",
    "side-map",
    "time-unit",
    "too-large",
    "too-many",
    "type",
    "unknown-field",
    "unknown-function",
    "unknown-key",
    "unknown-name",
    "unknown-placeholder",
    "unknown-state",
    "unknown-stream",
    "unknown-symbol",
    "unmapped-field",
    "unreadable",
    "url",
    "value",
    "variable",
    "yaml",
    "yaml-trap",
}
"""All problem codes; documented in docs/spec.md."""


def checked(text: str) -> list[Problem]:
    """The problems of a text that was meant to be kraken.yaml, all of them as they must be."""
    plan, problems = check_text("kraken.yaml", text, connectors_folder())
    assert (plan is None) == bool(problems)
    assert len(problems) <= MAX_PROBLEMS
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)  # what YAML takes for the end of a line
    for problem in problems:
        assert problem.code in CODES
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1
        assert len(problem.text) < 1000
        assert "\n" not in problem.text
    return problems


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_broken_file_has_exactly_these_problems(file: Path) -> None:
    plan, problems = check_file(file)
    found = [str(problem).removeprefix(f"{file}:") for problem in problems]
    assert plan is None
    assert found == file.with_suffix(".expected").read_text().splitlines()


def test_every_broken_file_has_its_expected_problems_beside_it() -> None:
    assert len(BAD) >= 24
    assert {file.stem for file in BAD} == {file.stem for file in FOLDER.glob("*.expected")}
    assert all(file.with_suffix(".expected").read_text() for file in BAD)


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_problem_points_into_the_file(file: Path) -> None:
    lines = file.read_text().split("\n")
    for problem in check_file(file)[1]:
        assert problem.code in CODES
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_problems_are_plain_data_for_machines() -> None:
    (problem,) = check_file(FOLDER / "unknown_name.yaml")[1]
    assert problem.plain() == {
        "file": str(FOLDER / "unknown_name.yaml"),
        "line": 23,
        "column": 14,
        "code": "unknown-name",
        "message": "unknown name $mesage; did you mean '$message'?",
        "path": "streams.trade.fields.price",
    }


def hostile() -> Iterator[tuple[str, str]]:
    """Texts from somebody who does not mean well."""
    head, tail = KRAKEN.split("streams:")[0], KRAKEN.split("tests:")[0]
    size = MAX_BYTES
    yield "a MiB of [", "[" * size
    yield "a MiB of {", "{" * size
    yield "a MiB of -", "- " * (size // 2)
    yield "a MiB of ?", "? " * (size // 2)
    yield "a MiB of quotes", '"' * (size - 1)
    yield "a MiB of spaces", " " * (size - 1)
    yield "a MiB of lines", "\n" * (size - 1)
    yield "a MiB of values", "[" + "1," * (size // 2 - 2) + "]"
    yield "a MiB of one text", "connector: " + "x" * (size - 100)
    yield "more than a MiB", "a: " + "x" * size
    yield "deep", "\n".join(" " * depth + "a:" for depth in range(1400))
    yield "many keys", "\n".join(f"k{at}: 1" for at in range(10_000))
    yield "many keys beside good ones", KRAKEN + "\n" + "\n".join(f"k{at}: 1" for at in range(10_000))
    yield "many duplicates", "\n".join(f"k{at % 5000}: 1" for at in range(10_000))
    yield "many streams", head + "streams:\n" + "\n".join(f"  k{at}: 1" for at in range(9_000))
    yield (
        "many good streams",
        head + "streams:\n" + "\n".join(f"  k{at}: {{when: a, fields: {{}}}}" for at in range(4_900)),
    )
    yield "many steps", KRAKEN.replace("  steps:\n", "  steps:\n" + "    - {send: {a: $symbols}}\n" * 4_000)
    yield "many bad conditions", KRAKEN.replace("  ignore: [", "  ignore: [" + "{a: [[b]]}, " * 3_000)
    yield "many tests", tail + "tests:\n" + "  - {name: a, received: {}, streams: [q], symbols: [q]}\n" * 1_500
    yield "many symbols", KRAKEN.replace("default: [BTC/USD", "default: [" + "AAA, " * 15_000 + "BTC/USD")
    yield "a huge number", "a: " + "9" * 5_000
    yield "a huge key", "9" * 900 + ": 1"
    yield "a long fraction", "a: 1." + "9" * 500_000
    yield "a large exponent", "a: 1e9999"
    yield "laughs", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    yield "an alias as key", "*a : 1"
    yield "a Python object", "a: !!python/object/apply:os.system ['true']"
    yield "a tag", "a: !secret x"
    yield "NUL", "connector: \0"
    yield "an escaped NUL", KRAKEN.replace("wss://ws.kraken.com/v2", '"wss://\\0"')
    yield "half a surrogate pair", "connector: \ud800"
    yield "half a pair, escaped", 'connector: "\\ud800"'
    yield "control characters", "connector: \x07\x1b"
    yield "nothing", ""
    yield "null", "null"
    yield "a text", "kraken"
    yield "a list", "[]"
    yield "a deep expression", KRAKEN.replace("when: {channel: trade}", "when: '" + "[" * 1_900 + "'")
    yield "a long expression", KRAKEN.replace("when: {channel: trade}", "when: '" + "a." * 900 + "a'")
    yield "a very long expression", KRAKEN.replace("when: {channel: trade}", "when: '" + "a" * 9_000 + "'")
    yield "many placeholders", KRAKEN.replace("{method: ping, req_id: $counter}", '"' + "{$" * 100_000 + '"')
    yield "many form parts", KRAKEN.replace('"{base}/{quote}"', '"' + "{base}" * 20_000 + '"')
    yield "a format", 'kafka_topic: "{exchange!r:>99999999}"\n' + KRAKEN
    yield "a folder as zone", KRAKEN.replace("unit: iso8601", "unit: iso8601, zone: ../../etc/passwd")
    yield "a broken host", KRAKEN.replace("wss://ws.kraken.com/v2", "wss://[::1")
    yield "a broken port", KRAKEN.replace("wss://ws.kraken.com/v2", "wss://a:999999/")


HOSTILE = dict(hostile())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_has_problems_within_seconds(name: str) -> None:
    started = time.process_time()
    problems = checked(HOSTILE[name])
    assert time.process_time() - started < 4  # the slowest takes one, on a busy machine two
    assert problems


@pytest.mark.parametrize("data", [b"\xff\xfe", b"connector: \xe9", b"\x00", b"a: 1\n\xc3(", b"\xff" * (MAX_BYTES + 5)])
def test_bytes_that_are_no_text_are_a_problem(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(data)
    plan, problems = check_file(file)
    assert plan is None
    assert problems


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "a\0b.yaml"):
        (problem,) = check_file(path)[1]
        assert problem.code == "unreadable"


pieces = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\n  ",
        ":",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "`",
        "$",
        "$$",
        "{$",
        "#",
        "&a",
        "*a",
        "!!int",
        "|",
        ">",
        "?",
        "on",
        "012",
        "null",
        "~",
        "1e5",
        "-",
        "@",
        "%",
        "\t",
        "\0",
        "\ud800",
        "é",
        "$symbol",
        "$state.x",
        "||",
        "foo(",
        "))",
        "[0]",
        "streams:",
        "when:",
        "fields:",
        "connection:",
        "steps:",
        "send:",
        "tests:",
        "9" * 500,
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(st.data())
def test_any_mutation_of_a_good_file_is_checked_without_a_traceback(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(GOOD))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(pieces) + text[at + data.draw(st.sampled_from([0, 0, 1, 2, 5, 20, 100])) :]
    checked(text)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_line_may_be_lost_moved_or_replaced(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(GOOD)).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at, to = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["lose", "move", "copy", "indent", "value", "key"]))
        line = lines[at]
        if kind == "lose":
            del lines[at]
        elif kind == "move":
            lines.insert(to, lines.pop(at))
        elif kind == "copy":
            lines.insert(to, line)
        elif kind == "indent":
            lines[at] = "  " + line
        elif kind == "value":
            lines[at] = line.partition(":")[0] + ": " + data.draw(pieces)
        else:
            lines[at] = data.draw(pieces) + ":" + line.partition(":")[2]
        if not lines:
            return
    checked("\n".join(lines))


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_any_text_is_checked_without_a_traceback(text: str) -> None:
    checked(text)


def test_forty_files_are_validated_within_two_seconds() -> None:
    """The same file forty times, import included, with nothing remembered between different texts."""
    program = (
        "import time; started = time.process_time()\n"
        "from k2conn.resources import connectors_folder\n"
        "from k2conn.compiler.compiler import check_text\n"
        "text = (connectors_folder() / 'kraken.yaml').read_text()\n"
        "for at in range(40):\n"
        "    assert check_text('kraken.yaml', text + f'# {at}', connectors_folder())[0]\n"
        "print(time.process_time() - started)"
    )

    def seconds() -> float:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
        return float(done.stdout)

    spent = tried(seconds, lambda one: one < 2)
    assert spent[-1] < 2, spent
