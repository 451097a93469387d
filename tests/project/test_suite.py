"""What this suite adds to pytest: servers shared by several processes, tests that run alone, the account of skips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.plugins.account import Account, Allowed, allowed
from tests.servers.shared import Host, ask


def started(folder: Path, text: str, *words: str) -> subprocess.Popen[str]:
    """A pytest of its own, with two processes for the tests in ``text``; a session of its own takes signals."""
    (folder / "test_it.py").write_text(text)
    own = [f"tests.plugins.{name}" for name in ("parallel", "servers", "account")]
    plugins = [word for name in ("xdist.plugin", "pytest_timeout", *own) for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", folder, *plugins,
               "-p", "no:cacheprovider", "-n", "2", *words, folder / "test_it.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "K2CONN_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what it has no need of takes longer than all the rest
    # A job that a shell put into the background was born deaf to Ctrl-C, and so would its children be.
    return subprocess.Popen([sys.executable, "-c", HEARING, *map(str, command)], cwd=ROOT, text=True,
                            env=environment | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


HEARING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def waited(process: subprocess.Popen[str], within: float = 300) -> str:
    """What it printed until its end."""
    with process:
        try:
            said, _ = process.communicate(timeout=within)
        finally:
            process.kill()
    return said


# -- alone

TIMES = """
import time
from pathlib import Path
import pytest

def noted(name):
    began = time.monotonic()
    time.sleep(0.1)
    with (Path(__file__).parent / "times").open("a") as file:
        file.write(f'["{name}", {began}, {time.monotonic()}]\\n')

@pytest.mark.alone
@pytest.mark.parametrize("number", range(2))
def test_alone(number):
    noted("alone")

@pytest.mark.parametrize("number", range(8))
def test_with_others(number):
    noted("other")

@pytest.fixture(scope="module")
def costly():
    noted("costly")

@pytest.mark.parametrize("number", range(8))
def test_of_a_group(costly, number):
    pass
"""


def test_nothing_runs_beside_a_test_that_is_alone_and_groups_stay_together(tmp_path: Path) -> None:
    said = waited(started(tmp_path, TIMES))
    assert "18 passed" in said, said
    times = [json.loads(line) for line in (tmp_path / "times").read_text().splitlines()]
    assert [name for name, *_ in times].count("costly") == 1, "the tests of a group were torn apart"
    others = [span for name, *span in times if name == "other"]
    for name, began, ended in times:
        if name == "alone":
            assert all(end <= began or ended <= begin for begin, end in others)
    assert any(one[0] < other[0] < one[1] for one in others for other in others), "nothing ran side by side"


DEPLOY = """
import os
from pathlib import Path
import pytest

pytestmark = pytest.mark.deploy

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with (Path(__file__).parent / "processes").open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""


def test_a_folder_with_fixtures_of_its_own_stays_in_one_process(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "conftest.py").touch()
        for file in ("a", "b"):
            (tmp_path / name / f"test_{name}_{file}.py").write_text(DEPLOY)
    said = waited(started(tmp_path, "", "-m", "deploy", str(tmp_path)))
    assert "24 passed" in said, said
    for name in ("one", "other"):
        assert len(set((tmp_path / name / "processes").read_text().split())) == 1, name


# -- the servers

linux = pytest.mark.skipif(sys.platform != "linux", reason="the processes are looked up in /proc")


@pytest.mark.deploy
@linux
@pytest.mark.kafka
def test_all_who_ask_are_told_of_the_same_broker(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        where = host.listen()
        told: list[str] = []
        asking = [threading.Thread(target=lambda: told.append(ask(where, "broker"))) for _ in range(3)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert told == [host.address("broker")] * 3
        assert len(brokers_of(os.getpid(), tmp_path)) == 1
    finally:
        host.close()
    assert not brokers_of(os.getpid(), tmp_path)
    host.close()


ASKING = """
import time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(2))
def test_it(broker, number):
    (Path(__file__).parent / f"ready{number}").touch()
    time.sleep(600)
"""


@pytest.mark.deploy
@linux
@pytest.mark.kafka
def test_ctrl_c_stops_the_broker(tmp_path: Path) -> None:
    process = started(tmp_path, ASKING)
    try:
        end = time.monotonic() + 300
        while len(list(tmp_path.glob("ready*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        (broker,) = brokers_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        said = waited(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert not Path(f"/proc/{broker}").exists()


def brokers_of(parent: int, folder: Path | None = None) -> list[int]:
    """The Kafka brokers that a process has started and that still run, in the folder or wherever."""
    found = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in children.read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "kafka.Kafka" in words and (folder is None or str(folder) in "".join(words)):
                found.append(int(pid))
    return found


OWN_SERVERS = """
seen = []

def test_one_asks(own_postgres):
    seen.append(own_postgres)
    own_postgres.query("CREATE TABLE kept (one int)")

def test_nobody_asks():
    assert not seen[0].running

def test_another_one_asks(own_postgres):
    assert own_postgres.query("SELECT count(*) FROM kept") == [["0"]]
"""


def test_a_server_of_a_process_runs_while_somebody_asks_for_it(tmp_path: Path) -> None:
    said = waited(started(tmp_path, OWN_SERVERS, "-n", "0"))
    assert "3 passed" in said, said


# -- the account


def account(tmp_path: Path) -> Account:
    there = tmp_path / "there"
    there.touch()
    return Account([
        Allowed("*test_a.py::test_one*", "nothing here", str(tmp_path / "away"), "it is elsewhere"),
        Allowed("*test_b.py::*", "nothing here", str(there), "no more"),
        Allowed("*test_c.py::*", "nothing here", str(tmp_path / "away"), "stale"),
    ])


def skipped(test: str, reason: str) -> pytest.TestReport:
    said = ("file.py", 1, f"Skipped: {reason}")
    return pytest.TestReport(test, ("file.py", 1, test), {}, "skipped", said, "setup")


def test_skips_on_the_list_are_counted_and_named_once(tmp_path: Path) -> None:
    one = account(tmp_path)
    for number in range(3):
        one.pytest_runtest_logreport(skipped(f"t/test_a.py::test_one[{number}]", "nothing here"))
    assert one.lines(whole=True) == [
        "skip allowed: *test_a.py::test_one* (3): it is elsewhere",
        "allowed_skips.yaml allows what is not skipped any more: *test_c.py::*",
        "skips: 3, 0 of them not in allowed_skips.yaml",
    ]
    assert not any("any more" in line for line in one.lines(whole=False)), "some tests say nothing of the others"


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("t/test_a.py::test_two", "nothing here"),  # another test
        ("t/test_a.py::test_one", "no compiler"),  # for another reason
        ("t/test_b.py::test_one", "nothing here"),  # although the path is there
    ],
)
def test_any_other_skip_is_not_on_the_list(tmp_path: Path, test: str, reason: str) -> None:
    one = account(tmp_path)
    one.pytest_runtest_logreport(skipped(test, reason))
    found = one.lines(whole=False)
    assert found == [
        f"skip not in allowed_skips.yaml: {test}: {reason}", "skips: 1, 1 of them not in allowed_skips.yaml"
    ]


def test_many_skips_for_one_reason_are_one_line(tmp_path: Path) -> None:
    one = account(tmp_path)
    for name in "abcde":
        one.pytest_runtest_logreport(skipped(name, "not today"))
    assert one.lines(whole=False) == [
        "skip not in allowed_skips.yaml: a, b, c and 2 more: not today",
        "skips: 5, 5 of them not in allowed_skips.yaml",
    ]


def test_the_list_can_be_read_and_names_tests_that_exist() -> None:
    for entry in allowed():
        file, _, test = entry.tests.lstrip("*").partition("::")
        texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
        assert len(texts) == 1, file
        assert f"def {test.rstrip('*')}" in texts[0]


SKIPPING = """
import pytest

@pytest.mark.kafka
def test_kafka():
    pass

@pytest.mark.kafka
def test_kafka_skipped():
    pytest.skip("no reason")

def test_skipped():
    pytest.skip("none either")
"""


@pytest.mark.parametrize("processes", ["2", "0"])
def test_the_last_lines_are_the_same_in_one_process_and_in_two(tmp_path: Path, processes: str) -> None:
    said = waited(started(tmp_path, SKIPPING, "-n", processes))
    assert "kafka tests: 1 run, 1 skipped\n" in said, said
    assert "skips: 2, 2 of them not in allowed_skips.yaml\n" in said
    assert "1 passed, 2 skipped" in said.splitlines()[-1]
