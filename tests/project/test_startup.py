"""What the quick commands leave alone: libraries that take longer to import than the command takes to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from k2conn.cli.application import application
from tests.integration.test_run import environment

NETWORK = {"aiokafka", "asyncio", "google.protobuf", "prometheus_client", "ssl", "structlog", "uvloop", "websockets"}
DRAWING = {"markdown_it", "pydantic", "pygments", "rich"}
READING = {"fastavro", "jmespath", "jsonschema", "msgspec", "yaml"}
RUNNING = {"k2conn.monitoring", "k2conn.runner", "k2conn.sinks", "k2conn.spool", "k2conn.transports"}
JUDGING = {"attr", "jsonschema", "referencing", "rpds"}
ROOMS = {"k2conn.avro", "k2conn.engine", "k2conn.plan", "k2conn.compiler"}

UNTOUCHED = {
    "--help": NETWORK | DRAWING | READING | RUNNING | ROOMS,
    "--version": NETWORK | DRAWING | READING | RUNNING | ROOMS,
    "run --help": NETWORK | DRAWING | READING | RUNNING | ROOMS,
    "validate --help": NETWORK | DRAWING | READING | RUNNING | ROOMS,
    "validate kraken": NETWORK | DRAWING | JUDGING | RUNNING,
    "validate kraken binance --format json": NETWORK | DRAWING | JUDGING | RUNNING,
}
"""Command lines, and the packages that must not be imported by them."""

PROBE = """
import json, sys
from k2conn.cli import main
try:
    main()
except SystemExit as ended:
    with open({report!r}, "w") as report:
        json.dump({{"code": ended.code, "modules": sorted(sys.modules)}}, report)
"""


def after(folder: Path, *arguments: object) -> tuple[int, set[str]]:
    """The exit code of a command in a fresh process, and what was imported when it ended."""
    report = folder / "report.json"
    probe = PROBE.format(report=str(report))
    words = [sys.executable, "-c", probe, *map(str, arguments)]
    subprocess.run(words, env=environment(), capture_output=True, timeout=60, check=True)
    found = json.loads(report.read_text())
    return found["code"], set(found["modules"])


@pytest.mark.parametrize("line", UNTOUCHED)
def test_a_quick_command_imports_little(line: str, tmp_path: Path) -> None:
    code, modules = after(tmp_path, *line.split())
    assert code == 0
    assert UNTOUCHED[line] & modules == set()
    assert ("k2conn.cli.validate" in modules) == (line.startswith("validate k"))


@pytest.mark.parametrize(("words", "number"), [("k2conn va", 1), ("k2conn run kra", 2), ("k2conn run --", 2)])
def test_completing_imports_as_little_as_help(words: str, number: int, tmp_path: Path) -> None:
    """It is asked at each press of the Tab key."""
    report = tmp_path / "report.json"
    probe = "import sys; sys.argv[0] = 'k2conn'" + PROBE.format(report=str(report))
    given = {**environment(), "_K2CONN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, env=given, capture_output=True, timeout=60, text=True, check=True)
    assert {"k2conn va": "validate", "k2conn run kra": "kraken", "k2conn run --": "--workers"}[words] in done.stdout
    modules = set(json.loads(report.read_text())["modules"])
    assert UNTOUCHED["run --help"] & modules == set()


def test_a_file_with_problems_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "venue.yaml"
    path.write_text("connector: venue\n")
    code, modules = after(tmp_path, "validate", path)
    assert code == 78
    assert modules >= JUDGING


# -- the same options and help without what was left alone


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["status", "--port", "x"], "--port"),
        (["mock", "kraken", "--port", "70000"], "--port"),
        (["mock", "kraken", "--limit", "0"], "--limit"),
        (["explain"], "connector"),
        (["validate"], "files"),
        (["validate", "kraken", "--format"], "--format"),
        (["plann"], "Did you mean 'plan'"),
    ],
)
def test_what_no_option_takes_is_refused(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 2
    assert text in done.output


def test_help_says_each_command_whole() -> None:
    shown = " ".join(CliRunner(env={"COLUMNS": "80"}).invoke(application, ["--help"]).output.split())
    assert "..." not in shown.replace("COMMAND [ARGS]...", "")
    for one in application.registered_commands:
        assert one.callback is not None
        assert one.callback.__doc__ is not None
        assert " ".join(one.callback.__doc__.split("\n\n")[0].split()) in shown


def test_help_has_bold_headings_on_a_terminal_only() -> None:
    for arguments in (["--help"], ["run", "--help"]):
        assert "\x1b[1mOptions:\x1b[0m" in CliRunner().invoke(application, arguments, color=True).output
        assert "\x1b" not in CliRunner().invoke(application, arguments).output
