"""`k2conn env` and the environment at the end of every `--help`: what they list is what the commands read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from k2conn.api.settings import VARIABLES as API_VARIABLES
from k2conn.cli.application import application
from k2conn.cli.command_variables import CONNECTOR, READ, help_rows, room_of
from k2conn.cli.commands.registry import command_names
from k2conn.cli.variable_catalogue import known_variables
from k2conn.consumer.settings import VARIABLES as CONSUMER_VARIABLES
from k2conn.settings import RECORD_VARIABLES, SPOOL_VARIABLES
from k2conn.sinks import SINKS
from k2conn.variable_definitions import FOR_ALL, PROCESS_VARIABLES, PROXY_VARIABLES, ROOMS, Variable
from tests.integration.test_run import environment
from tests.paths import ROOT

EVERY = {one.name: one for one in known_variables()}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

ASKING = """
import json, os, sys
from importlib import import_module
from pathlib import Path
from k2conn.cli import main
for name in ("run", "probe", "serve", "load", "dlq", "candles", "doctor", "demo", "mock", "replay"):
    import_module(f"k2conn.cli.{name}")
from k2conn.settings.environment import Environment
plain, setting, asked, read = os._Environ.__getitem__, Environment.get, set(), set()
def asking(self, name):
    asked.add(name)
    return plain(self, name)
def reading(self, name, kind="text"):
    read.add(name)
    return setting(self, name, kind)
os._Environ.__getitem__, Environment.get = asking, reading
for line in json.loads(sys.stdin.read()):
    child = os.fork()
    if not child:
        asked.clear(), read.clear()
        sys.argv[1:] = line.split()
        try:
            main()
        except SystemExit:
            print(json.dumps([line, sorted(asked), sorted(read)]), file=open("asked.jsonl", "a"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""
"""Runs command lines, each in a process of its own, and notes what they ask the environment for."""
NOWHERE = {"K2_KRAKEN_WEBSOCKET_URL": "ws://127.0.0.1:1", "K2_POSTGRES_DSN": "postgresql://127.0.0.1:1/k2"}
LINES = {
    "run": ["run kraken --port 0 --duration 0.3", "run", "run --from kafka"],
    "record": ["record kraken --to {folder}/recording --duration 0.3", "record"],
    "probe": ["probe kraken --seconds 0.3"],
    "replay": ["replay {folder}/recording"],
    "doctor": ["doctor kraken", "doctor"],
    "status": ["status"],
    "demo": ["demo --duration 0.2 --plain --connectors kraken"],
    "mock": ["mock kraken --duration 0.1"],
    "tap": ["tap kraken --trace --at http://127.0.0.1:1"],
    "drift": ["drift kraken {frames}"],
    "dlq": ["dlq list {folder}", "dlq replay {folder} --connector kraken"],
    "validate": ["validate kraken"],
    "map": ["map kraken {frames}"],
    "test": ["test kraken"],
    "explain": ["explain kraken"],
    "plan": ["plan kraken"],
    "symbols": ["symbols lighter"],
    "docs": ["docs kraken --output {folder}/pages"],
    "audit": ["audit kraken {folder}"],
    "candles": ["candles {folder} --features 1m", "candles --from kafka"],
    "load": ["load asx-trades {frames}"],
    "serve": ["serve --store nonsense", "serve --store postgres --port 0", "serve --store lake --port 0 --kafka x:1"],
    "lake": ["lake stats"],
    "db": ["db status"],
    "list": ["list"],
    "eval": ["eval a {frames}"],
    "env": ["env kafka"],
}
"""Command lines that end by themselves, by command. `certify` and `query` read what their children, and the lake,
read.
"""
SINK_ROOMS = {"K2_SINK", "K2_SINK_", "K2_KAFKA_", "K2_STATE", "K2_POSTGRES_", "K2_QUESTDB_", "K2_LAKE_", "K2_SPOOL"}
ELSEWHERE = {
    # what k2conn sets itself, and how it says what is wrong with a command line
    "": {"K2_WORKER", "K2_LOG_FORMAT"},
    # it talks to this machine only
    "demo": {*PROXY_VARIABLES},
    # checked with all settings of a run, whose sink is none
    "record": {*SINK_ROOMS},
    # a connector's settings are read whole; what is made of records is then left out
    "probe": {"K2_CANDLES", "K2_CANDLES_DELAY", "K2_CANDLES_LATENESS", "K2_CANDLES_EMPTY", "K2_FEATURES",
              "K2_FEATURES_WINDOW", "K2_FEATURES_WARM_UP", "K2_ANOMALIES", "K2_ANOMALY_THRESHOLDS", "K2_AUDIT",
              "K2_BACKFILL", "K2_BAD_DATA_SHARE", "K2_DRIFT"},
    # checked with all settings of a connector that runs
    "symbols": {"K2_ANOMALIES", "K2_ANOMALY_THRESHOLDS", "K2_AUDIT", "K2_BACKFILL", "K2_BAD_DATA_SHARE", "K2_CANDLES",
                "K2_CANDLES_DELAY", "K2_CANDLES_EMPTY", "K2_CANDLES_LATENESS", "K2_DRIFT", "K2_FEATURES",
                "K2_FEATURES_WARM_UP", "K2_FEATURES_WINDOW"},
}
"""What is looked at and changes nothing, by command."""
UNSEEN = {"dlq": {"K2_ALLOW_ENV"}, "tap": {"K2_ALLOW_ENV"}}
"""What is read only where there is something to do."""




def asked(folder: Path) -> tuple[dict[str, set[str]], set[str]]:
    """What each command asks the environment for, of what is or could be ours; and what is read where a file may say
    it.
    """
    frames = folder / "frames.jsonl"
    frames.write_text('{"channel":"heartbeat"}\n')
    given = {line.format(folder=folder, frames=frames): name for name, lines in LINES.items() for line in lines}
    subprocess.run([sys.executable, "-c", ASKING], input=json.dumps(list(given)), text=True, cwd=folder, timeout=600,
                   env={**environment(), **NOWHERE}, capture_output=True, check=True)
    found: dict[str, set[str]] = {name: set() for name in LINES}
    in_files: set[str] = set()
    for line, names, read in map(json.loads, (folder / "asked.jsonl").read_text().splitlines()):
        ours = {name for name in names if name.startswith("K2") or name.upper() in EVERY}
        found[given[line]] |= {*read, *(ours - {*NOWHERE})}
        in_files |= {*read}
    return found, in_files


@pytest.mark.deploy
def test_commands_read_what_their_help_says_and_nothing_else(tmp_path: Path) -> None:
    problems = []
    commands, in_files = asked(tmp_path)
    for command, found in commands.items():
        said = READ.get(command, ())
        names = {name if name.upper() in EVERY else name.removesuffix("_FILE") for name in found}
        own = {CONNECTOR for name in names if name.upper() not in EVERY}
        rooms = {room_of(name.upper()) or name.upper() for name in names if name.upper() in EVERY} | own
        # settings of all sinks are checked, whichever it is
        beside = (SINK_ROOMS if SINK_ROOMS & {*said} else set()) | ELSEWHERE.get(command, set()) | {*ELSEWHERE[""]}
        unsaid = rooms - {*said, *FOR_ALL} - beside
        unread = {name for name in said if name in PROCESS_VARIABLES} - rooms - UNSEEN.get(command, set())
        if unsaid or unread:
            problems.append(f"{command}: reads {sorted(unsaid)} besides, does not read {sorted(unread)}")
    wrong = {name for name, one in PROCESS_VARIABLES.items() if one.in_file != (name in in_files)}
    problems += [f"{name}: it is not true whether a file may say it" for name in sorted(wrong)]
    assert problems == [], "\n".join(problems)


def said(*words: str, **variables: str) -> str:
    """What a command prints."""
    found = CliRunner(env={"COLUMNS": "400", **variables}).invoke(application, list(words))
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.parametrize("command", [*command_names(), None])
def test_every_help_lists_its_variables(command: str | None) -> None:
    page = said(*([command] if command else []), "--help").split("\nEnvironment:\n")[-1]
    listed = re.findall(r"^  (\S+)", page, re.MULTILINE)
    assert listed == [name for name, _ in help_rows(command)]
    assert {*FOR_ALL} <= {*listed}
    read = {name for name in EVERY if not EVERY[name].commands or command in EVERY[name].commands}
    assert {name for name in read if not any(name.startswith(one.rstrip("*")) for one in listed)} == set()


def test_a_command_s_options_and_its_help_name_the_same_variables() -> None:
    for name, command in get_command(application).commands.items():  # type: ignore[attr-defined]  # it is a group
        for option in command.params:
            if option.envvar:
                assert option.envvar in READ[name], name
                assert str(option.default) in PROCESS_VARIABLES[option.envvar].default, (name, option.envvar)


def test_every_setting_has_a_meaning() -> None:
    tables = [SINKS.get(kind).read_from(kind) for kind in SINKS.built_in]
    for table in (*tables, SPOOL_VARIABLES, CONSUMER_VARIABLES, RECORD_VARIABLES, API_VARIABLES):
        for name, one in table.items():
            assert isinstance(one, Variable), name
            assert one.meaning.strip(), name
            assert name.startswith(tuple(ROOMS)), name


def test_the_page_of_variables_is_up_to_date() -> None:
    """`k2conn env --format markdown > docs/environment.md`."""
    assert (ROOT / "docs" / "environment.md").read_text() == said("env", "--format", "markdown")


def test_the_tables_of_operations_have_the_same_defaults() -> None:
    rows = re.findall(r"^\| `(K2_[A-Z0-9_<>]+)`(?: \(`--[a-z]+`\))? \| .* \| ([^|]*) \|$", OPERATIONS, re.MULTILINE)
    compared = 0
    for name, text in rows:
        one = EVERY[name.replace("K2_<X>_", CONNECTOR)]
        default = text.replace("`", "").strip()
        if re.fullmatch(r"[a-z0-9.:/{}_@-]*|the file's, else \w+", default) and default not in ("none", ""):
            compared += 1
            assert one.default == default, name
    assert compared > 50


def test_words_and_a_command_choose() -> None:
    rows = json.loads(said("env", "kafka", "sasl", "--command", "run", "--format", "json"))
    assert {row["name"] for row in rows} == {name for name in EVERY if name.startswith("K2_KAFKA_SASL_")}
    assert {row["name"]: row["secret"] for row in rows}["K2_KAFKA_SASL_PASSWORD"] is True
    assert all("run" in row["commands"] and row["in_file"] for row in rows)
    assert "K2_KAFKA_LINGER_MS" in said("env", "linger")
    for words, text in ((["nonsense"], "no variable has nonsense"), (["--command", "rum"], "did you mean 'run'?"),
                        (["--format", "xml"], "--format xml; known: table")):
        found = CliRunner().invoke(application, ["env", *words])
        assert text in str(found.exception)


def test_what_is_set_is_shown_without_secrets() -> None:
    given = {
        "K2_SINK": "kafka", "K2_KAFKA_SASL_PASSWORD": "hunter2-hunter2", "K2_POSTGRES_PASSWORD_FILE": "/run/secrets/pg",
        "K2_KAFKA_CLIENT_ID": "of hunter2-hunter2", "K2_VENUE_SYMBOLS": "BTC/USD", "K2_VENUE_API_KEY": "key-of-a-venue",
        "K2_VENUE_WEBSOCKET_URL": "wss://me:pass-of-mine@venue.example/ws", "https_proxy": "http://u:pass-of-proxy@h:1",
        "K2_KAFKA_SSL_CA_FILE": "/ca.pem", "K2_KAFKA_BOOTSTRAP_SERVERS": " ", "OTHER": "none of ours",
    }
    shown = {row["name"]: row["value"] for row in json.loads(said("env", "--set", "--format", "json", **given))}
    assert {name: shown.get(name) for name in given} == {
        "K2_SINK": "kafka", "K2_KAFKA_SASL_PASSWORD": "[hidden]", "K2_POSTGRES_PASSWORD_FILE": "/run/secrets/pg",
        "K2_KAFKA_CLIENT_ID": "of [hidden]", "K2_VENUE_SYMBOLS": "BTC/USD", "K2_VENUE_API_KEY": "[hidden]",
        "K2_VENUE_WEBSOCKET_URL": "wss://me:[hidden]@venue.example/ws", "https_proxy": "[hidden]",
        "K2_KAFKA_SSL_CA_FILE": "/ca.pem", "K2_KAFKA_BOOTSTRAP_SERVERS": None, "OTHER": None,
    }
    for form in ("table", "markdown", "json"):
        text = said("env", "--set", "--format", form, **given)
        assert not re.search(r"hunter2|key-of|pass-of", text)
    assert "K2_KAFKA_SASL_PASSWORD" not in said("env", "connector", "--set", **given)
