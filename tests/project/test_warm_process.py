"""A command that is a fork of a process with the imports done is what one is that is started as users do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.support import warm_process

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each is started as users do")
FRAME = json.dumps({"raw": '{"channel":"heartbeat"}', "at": "soon"}) + "\n"


@pytest.mark.deploy
@linux
@pytest.mark.parametrize(
    ("words", "given", "variables"),
    [
        (("--version",), "", {}),
        (("run", "kraken", "--candles", "1x"), "", {"K2_SINK": "nothing"}),
        (("map", "kraken"), FRAME, {"COLUMNS": "60"}),
        (("validate", "none.yaml"), "", {}),
        (("list",), "", {"K2CONN_PURE_PYTHON": "1"}),
    ],
)
def test_it_prints_and_ends_as_one_that_is_started(
    tmp_path: Path, words: tuple[str, ...], given: str, variables: dict[str, str]
) -> None:
    env = environment(**variables)
    started = subprocess.run([sys.executable, "-m", "k2conn", *words], cwd=tmp_path, env=env, input=given, text=True,
                             capture_output=True, timeout=120, check=False)
    found = warm_process.k2conn(*words, cwd=tmp_path, env=env, given=given, timeout=120)
    assert (found.returncode, found.stdout, found.stderr) == (started.returncode, started.stdout, started.stderr)


@linux
def test_one_that_goes_on_is_a_child_like_any_other(tmp_path: Path) -> None:
    with warm_process.started("mock", "kraken", "--rate", "5", cwd=tmp_path, env=environment(), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True) as process:
        assert process.stdout is not None
        assert "ws://" in process.stdout.readline()
        assert Path(f"/proc/{process.pid}/cwd").readlink() == tmp_path
        assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with warm_process.started("map", "kraken", cwd=tmp_path, env=environment(), text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        said = process.communicate(FRAME, timeout=60)
    waited = warm_process.k2conn("map", "kraken", cwd=tmp_path, env=environment(), given=FRAME)
    assert (process.returncode, *said) == (waited.returncode, waited.stdout, waited.stderr)
    with warm_process.started("mock", "kraken", cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


@linux
def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    assert warm_process.k2conn("--version", env=environment(), timeout=120).returncode == 0  # the imports are done
    with pytest.raises(subprocess.TimeoutExpired):
        warm_process.k2conn("mock", "kraken", cwd=tmp_path, env=environment(), timeout=3)


def test_what_is_read_at_the_start_needs_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warm_process._may_be_a_fork(environment(K2_SINK="file")) == (sys.platform == "linux")
    for name in ("K2CONN_PURE_PYTHON", "PYTHONIOENCODING", "TZ", "COVERAGE_PROCESS_CONFIG"):
        assert not warm_process._may_be_a_fork(environment(**{name: "some"})), name
