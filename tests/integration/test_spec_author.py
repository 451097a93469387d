"""What a hostile or careless author of a connector file may do, through the commands as a user runs them."""

from __future__ import annotations

import ast
import importlib
import json
import re
import resource
import runpy
import subprocess
from pathlib import Path
from typing import cast

import pytest

from k2conn import cli
from k2conn.cli import check_budget
from k2conn.engine.accounting.figures import ConnectorReport
from k2conn.tools.certify.certification import CertificationOutcome
from k2conn.tools.certify.page import page
from k2conn.tools.certify.proof import Proof
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE


def k2conn(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*arguments, cwd=cwd, env=environment(COLUMNS="200", **variables))


def written(folder: Path, connection: str = SUBSCRIBE, head: str = HEAD) -> Path:
    path = folder / "venue.yaml"
    path.write_text(head + connection + STREAMS)
    return path


def reading(folder: Path, name: str) -> Path:
    """A file that sends a variable in a header."""
    return written(folder, SUBSCRIBE.replace("connection:\n", f"connection:\n  headers: {{X-Key: $env.{name}}}\n", 1))


# -- the environment


@pytest.mark.parametrize("command", ["validate", "explain", "plan", "test", "run", "mock", "certify"])
def test_a_file_reads_no_variables_of_others(command: str, tmp_path: Path) -> None:
    path = reading(tmp_path, "AWS_SECRET_ACCESS_KEY")
    done = k2conn(command, path, AWS_SECRET_ACCESS_KEY="k33p-this")
    assert done.returncode == 78
    assert "error[variable]" in done.stdout + done.stderr
    assert "--allow-env AWS_SECRET_ACCESS_KEY" in done.stdout + done.stderr
    assert "K2_VENUE_AWS_SECRET_ACCESS_KEY" in done.stdout + done.stderr
    assert "k33p-this" not in done.stdout + done.stderr


def test_the_operator_allows_a_variable_by_flag_or_environment(tmp_path: Path) -> None:
    path = reading(tmp_path, "SOME_TOKEN")
    by_flag = k2conn("validate", path, "--allow-env", "OTHER", "--allow-env", "SOME_TOKEN")
    by_variable = k2conn("validate", path, K2_ALLOW_ENV="OTHER,SOME_TOKEN")
    assert (by_flag.returncode, by_variable.returncode) == (0, 0), by_flag.stdout + by_variable.stdout
    assert k2conn("validate", path, "--allow-env", "OTHER").returncode == 78


@pytest.mark.parametrize("name", ["K2_KAFKA_SASL_PASSWORD", "K2_SINK_FOLDER", "K2_SPOOL_FOLDER", "HTTPS_PROXY",
                                  "K2_METRICS_HOST", "K2_ALLOW_ENV"])
def test_nobody_can_allow_a_setting_of_the_process(name: str, tmp_path: Path) -> None:
    path = reading(tmp_path, name)
    by_flag, by_variable = k2conn("validate", path, "--allow-env", name), k2conn("validate", path, K2_ALLOW_ENV=name)
    for done in (by_flag, by_variable):
        assert done.returncode == 2
        assert name in done.stderr
    assert k2conn("validate", path).returncode == 78


def test_a_connector_cannot_be_named_into_the_settings_of_the_process(tmp_path: Path) -> None:
    for name, variable in (("kafka", "K2_KAFKA_SASL_PASSWORD"), ("kafka-sasl", "K2_KAFKA_SASL_PASSWORD"),
                           ("sink", "K2_SINK_FOLDER"), ("metrics", "K2_METRICS_HOST"), ("venue", "K2_VENUE_PROXY"),
                           ("venue", "K2_VENUE_SPOT_PROXY")):
        text = (HEAD + SUBSCRIBE + STREAMS).replace("connector: venue", f"connector: {name}")
        path = tmp_path / f"{name}.yaml"
        path.write_text(text.replace("connection:\n", f"connection:\n  headers: {{X-Key: $env.{variable}}}\n", 1))
        done = k2conn("validate", path)
        assert done.returncode == 78, variable
        assert f"$env.{variable} is a setting" in done.stdout


def test_what_a_file_reads_is_listed_without_values(tmp_path: Path) -> None:
    path = reading(tmp_path, "K2_VENUE_KEY")
    text = k2conn("validate", path, K2_VENUE_KEY="k33p-this")
    assert f"{path}: reads K2_VENUE_KEY (secret, set): sent in connection.headers.X-Key" in text.stdout
    found = json.loads(k2conn("validate", path, "--format", "json").stdout)["variables"]
    assert found == [{"connector": "venue", "name": "K2_VENUE_KEY", "places": ["connection.headers.X-Key"],
                      "secret": True, "set": False}]
    explained = k2conn("explain", path, K2_VENUE_KEY="k33p-this")
    assert "K2_VENUE_KEY (secret, set): sent in connection.headers.X-Key" in explained.stdout
    assert "k33p-this" not in text.stdout + text.stderr + explained.stdout


@pytest.mark.parametrize(
    ("url", "before", "said"),
    [
        ("wss://venue.example/ws", "", "talks to venue.example"),
        ("ws://127.0.0.1:1/ws", "", "talks to 127.0.0.1 (this machine only: any port of it)"),
        ("wss://venue.example/ws", "http://127.0.0.1:2/x",
         "talks to 127.0.0.1 (this machine: refused unless K2_VENUE_ALLOW_PRIVATE_HOSTS=true), venue.example"),
        ("ws://localhost:1/ws", "https://10.0.0.1/x",
         "talks to 10.0.0.1 (not public: refused unless K2_VENUE_ALLOW_PRIVATE_HOSTS=true), "
         "localhost (this machine: refused unless K2_VENUE_ALLOW_PRIVATE_HOSTS=true)"),
    ],
)
def test_the_hosts_of_a_file_are_listed(tmp_path: Path, url: str, before: str, said: str) -> None:
    call = f"  before: [{{http: GET {before}, capture: {{x: x}}}}]\n" if before else ""
    connection = re.sub("url: .*", f"url: {url}", SUBSCRIBE, count=1)
    path = written(tmp_path, connection.replace("connection:\n", f"connection:\n{call}", 1))
    assert f"{path}: {said}\n" in k2conn("validate", path).stdout
    assert said in " ".join(k2conn("explain", path).stdout.split())


# -- what is shown

ESCAPES = (
    "\\e]0;owned\\a\\e[2J\\e]8;;https://a.example\\a\\x9b31m\\r\\nfake.yaml:1:1: ok \\u202e\\u2028 [bold][/bold] :100:"
)
"""As it stands in a file: the window's title, a cleared screen, a link, a line of its own, text from right to left."""


def with_escapes(folder: Path) -> Path:
    text = (HEAD + SUBSCRIBE + STREAMS).replace("docs: https://docs.example/ws", f'docs: "https://x/{ESCAPES}"')
    assert ESCAPES in text
    people = f'market: "{ESCAPES}"\nnotes: "{ESCAPES} <script>x</script>"'
    text = text.replace("exchange: VENUE", f"exchange: VENUE\n{people}")
    text = text.replace("connection:\n", f'connection:\n  ignore: [{{a: "{ESCAPES}"}}, "x == \'{ESCAPES}\'"]\n', 1)
    tests = f'\ntests:\n  - {{name: "{ESCAPES}", received: {{a: "{ESCAPES}"}}, records: [{{symbol: "{ESCAPES}"}}]}}\n'
    path = folder / "venue.yaml"
    path.write_text(text + tests)
    return path


@pytest.mark.parametrize("command", ["validate", "validate --format json", "test -v", "explain", "plan --frames",
                                     "docs --output pages"])
def test_an_author_sends_nothing_to_the_terminal(command: str, tmp_path: Path) -> None:
    name, *options = command.split()
    path = with_escapes(tmp_path)
    done = k2conn(name, path, *options, cwd=tmp_path)
    assert done.returncode != 70, done.stderr
    shown = done.stdout + done.stderr
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert not any(line.startswith("fake.yaml") for line in shown.splitlines())
    if name == "docs":
        page = (tmp_path / "pages" / "venue.md").read_text()
        assert all(one.isprintable() or one == "\n" for one in page)
        assert "<script>" not in page
        assert "https://a.example\\x07" in page  # the link is text, as all the rest is


def test_commands_print_by_the_one_door() -> None:
    """What escapes text is in `messages` (and in `screen`, which uses it): nothing else prints."""
    for path in (Path(cli.__file__).parent).glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [one for one in calls if isinstance(one, ast.Name) and one.id == "print"]
        assert not printing or path.name == "messages.py", path.name


# -- what it costs

def test_tests_of_a_file_may_not_take_for_ever(tmp_path: Path) -> None:
    rows = ",".join(["{}"] * 300_000)
    text = HEAD + SUBSCRIBE + STREAMS + f"\ntests:\n  - {{name: many, received: '{{\"data\": [{rows}]}}'}}\n"
    path = tmp_path / "venue.yaml"
    path.write_text(text.replace("    when:", "    when: data  #", 1))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = k2conn("validate", path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 78), done.stdout[-500:] + done.stderr[-500:]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 6
    assert len(done.stdout) < 100_000


WORK = """
import time
until = time.process_time() + 0.8
while time.process_time() < until:
    pass
"""


def test_the_time_in_which_modules_are_loaded_is_not_the_file_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_load.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(check_budget, "SECONDS", 0.4)
    with check_budget.check_budget():
        importlib.import_module("slow_to_load")
    with pytest.raises(check_budget.BudgetExceeded), check_budget.check_budget():
        runpy.run_path(str(tmp_path / "slow_to_load.py"))


def test_a_certificate_shows_what_an_author_wrote_and_does_nothing() -> None:
    text = "\x1b[2J\u202e<script>x</script>&\"'"
    proof = Proof([], [])
    outcome = CertificationOutcome(text, text, "file", 1, 1.0, 1.0, [], proof, 0, cast(ConnectorReport, {}), [text])
    shown = page([outcome])
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert "<script>" not in shown
    assert "default-src 'none'" in shown
