"""Processes that we start import nothing of the folder that they are started in."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from k2conn.child_python import child_command, child_environment
from k2conn.cli import certify
from k2conn.cli.loading import load
from k2conn.tools.certify.connector_process import ConnectorProcess, ProcessSettings
from k2conn.workers.worker_pool import worker_command
from tests.integration.test_run import environment
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE

MODULES = ("json.py", "yaml.py", "msgspec.py", "asyncio.py", "sitecustomize.py", "k2conn/__init__.py",
           "k2conn/__main__.py")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules that tell when they are imported; the working folder."""
    folder = tmp_path / "stranger"
    (folder / "k2conn").mkdir(parents=True)
    mark = tmp_path / "imported"
    for name in MODULES:
        (folder / name).write_text(f"open({str(mark)!r}, 'a').write(__file__)\n")
    (folder / "venue.yaml").write_text(HEAD + SUBSCRIBE + STREAMS)
    monkeypatch.chdir(folder)
    return folder


def test_a_child_imports_nothing_of_its_folder(hostile: Path) -> None:
    program = "import json, sys; print(json.__file__); print(repr(sys.path[0]))"
    told = subprocess.run(child_command(["-c", program]), env=child_environment(environment()), cwd=hostile,
                          capture_output=True, text=True, check=True).stdout
    assert str(hostile) not in told
    assert not (hostile.parent / "imported").exists()


def test_children_of_children_are_as_safe() -> None:
    assert child_environment({})["PYTHONSAFEPATH"] == "1"
    assert worker_command()[:2] == child_command([])


def test_the_process_that_certify_kills_imports_nothing_of_the_folder(hostile: Path) -> None:
    asyncio.run(_started_and_killed(hostile))
    assert not (hostile.parent / "imported").exists()


async def _started_and_killed(hostile: Path) -> None:
    options = certify.CertifyOptions(["venue.yaml"], sink="kafka", kafka="127.0.0.1:1", registry="http://127.0.0.1:1")
    settings = certify._settings(options, hostile.parent / "out")
    setting = ProcessSettings(("trade",), "ws://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1", "p.",
                              hostile.parent / "own")
    process = ConnectorProcess(certify._launch(load("venue.yaml"), settings), setting, hostile.parent / "own" / "log")
    await process.start()
    try:
        async with asyncio.timeout(60):
            while "starting" not in process.log.read_text() and process.running:  # noqa: ASYNC110 - not our process
                await asyncio.sleep(0.1)
        assert "starting" in process.log.read_text(), process.tail()
    finally:
        await process.kill()
