"""With `--daemon`, or K2_LOG_FORMAT=json, a process prints JSON and nothing else, whatever becomes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE


def lines(*arguments: str, code: int, program: tuple[str, ...] = (), **variables: str) -> list[Any]:
    """What a process says on both of its outputs; every line must be a JSON object."""
    env = environment(**variables)
    done = subprocess.run(
        [sys.executable, *program, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False,
    ) if program else warm_process.k2conn(*arguments, env=env)
    assert done.returncode == code, done.stderr
    found = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert all(isinstance(one, dict) for one in found)
    return found


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--nope"], {}, "No such option: --nope"),
        (["--max-records", "0"], {}, "--max-records"),
        ([], {"K2_METRICS_PORT": "abc"}, "K2_METRICS_PORT"),
        (["nosuch"], {}, "there is no connector 'nosuch'"),
        (["kraken", "--duration", "soon"], {}, "--duration"),
    ],
)
def test_what_is_refused(arguments: list[str], variables: dict[str, str], words: str) -> None:
    (said,) = lines("run", *arguments, "--daemon", code=2, **variables)
    assert words in said["event"]
    assert (said["level"], said["exit_code"]) == ("error", 2)
    assert said["timestamp"].endswith("Z")
    assert lines("run", *arguments, code=2, **variables, K2_LOG_FORMAT="json")[0]["event"] == said["event"]


def test_a_wrong_file_says_each_problem_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    file.write_text(HEAD + SUBSCRIBE + STREAMS.replace("price: p\n", "prise: p\n", 1))
    said = lines("run", str(file), "--daemon", code=78)
    assert {one["code"] for one in said} == {"unknown-field", "unmapped-field"}
    assert all(one["file"] == str(file) and one["line"] > 10 and one["level"] == "error" for one in said)


def test_the_final_figures_are_fields(tmp_path: Path) -> None:
    said = lines("run", "kraken", "--daemon", "--duration", "1s", "--port", "-1", "--folder", str(tmp_path), code=69,
                 K2_KRAKEN_WEBSOCKET_URL="ws://127.0.0.1:9")
    last = said[-1]
    assert last["event"].startswith("kraken: received 0 = published 0")
    assert (last["connector"], last["received"], last["lost"], last["frames"]) == ("kraken", 0, 0, 0)
    assert any(one["event"] == "connection lost" for one in said)


def test_a_bug_is_one_line_with_its_traceback() -> None:
    program = "import sys, k2conn.cli.startup as s, k2conn.cli as c; s.jobs_for = lambda *a, **k: 1 / 0; c.main()"
    said = lines("run", "kraken", "--daemon", program=("-c", program), code=70)[-1]
    assert "this is a bug of k2conn" in said["event"]
    assert "ZeroDivisionError" in said["traceback"]


def test_what_libraries_log_is_json_too() -> None:
    program = (
        "import logging, warnings; from k2conn.runner.event_log import configure; configure('info', True);"
        "warnings.warn('old'); logging.getLogger('lib').error('%s', object());"
        "\ntry: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('lib').exception('failed')"
    )
    said = lines(program=("-W", "always", "-c", program), code=0)
    assert [("old" in one["event"], "ZeroDivisionError" in one.get("exception", "")) for one in said] == [
        (True, False), (False, False), (False, True)
    ]


def test_people_get_text() -> None:
    done = warm_process.k2conn("run", "--nope", env=environment())
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
