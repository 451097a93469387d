"""The attack soak finds what is planted into the process, and nothing where nothing is; and a short one of its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hostile import binary
from benchmarks.hostile.asker import SAID, Look, look_of, times
from benchmarks.hostile.attacks import ATTACKS
from benchmarks.hostile.secrets import KEY, leaks, spellings
from benchmarks.hostile.venue import CALLS, HANDSHAKES
from tests.paths import ROOT

SECONDS = 20


def soaked(folder: Path, seconds: float, *words: str) -> dict[str, Any]:
    """What a soak of so many seconds found."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "hostile-soak", "--minutes", f"{seconds / 60}", "--keep", str(folder),
         *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 300,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["passed"] else 1)
    return found


@pytest.mark.parametrize("spelling", sorted(spellings(KEY)))
def test_a_secret_is_found_in_every_spelling(spelling: str) -> None:
    text = spellings(KEY)[spelling]
    assert list(leaks("log", f'{{"detail": "{text}"}}'.encode(), {"key": KEY}))


@pytest.mark.parametrize("before", range(6))
def test_a_secret_is_found_within_a_frame_in_base64(before: int) -> None:
    for inner in (KEY, json.dumps(KEY)):
        data = base64.b64encode(b"x" * before + inner.encode() + b"behind it")
        (found,) = {one.split(" in base64")[0] for one in leaks("letter", b'{"frame":"' + data + b'"}', {"key": KEY})}
        assert found.startswith("letter: key (")


def test_where_there_is_no_secret_none_is_found() -> None:
    others = (KEY[:-1] + "X", KEY[1:], "[hidden]", base64.b64encode(b"something else entirely").decode())
    assert not list(leaks("log", json.dumps(others).encode(), {"key": KEY}))


@pytest.mark.deploy
@pytest.mark.alone
def test_planted_faults_are_found(tmp_path: Path) -> None:
    found = soaked(tmp_path, 10, "--only", "prices", "--plant", "leak,growth,loss")
    assert not found["passed"]
    assert found["wrong"].keys() >= {"secrets", "memory", "files"}
    assert any(one.startswith("k2conn.log: key") for one in found["wrong"]["secrets"])
    assert found["wrong"]["memory"][0] > 300_000_000


@pytest.mark.deploy
@pytest.mark.alone
@pytest.mark.parametrize("fault", ["busy", "deaf"])
def test_a_port_that_answers_late_or_not_at_all_is_found(tmp_path: Path, fault: str) -> None:
    found = soaked(tmp_path, 5, "--only", "prices", "--plant", fault)
    assert found["wrong"]["looks"], found


def test_of_an_answer_s_time_only_what_others_had_the_processors_is_left_out() -> None:
    assert Look(200, 3.0, 2.7, 0.2, b"").own == pytest.approx(0.3)
    assert Look(200, 3.0, 2.7, 0.9, b"").own == 0.9
    assert Look(200, 0.8, 0.0, 0.0, b"").own == 0.8
    one = Look(503, 1.0, 0.5, 0.1, b"{}")
    assert look_of(one.line().removeprefix(SAID)) == one


def test_an_answer_that_is_no_state_is_none_unless_the_machine_kept_it() -> None:
    assert Look(503, 0.1, 0.0, 0.0, b"{}").answered
    assert not Look(429, 0.1, 0.0, 0.0, b"{}").answered
    assert not Look(0, 5.0, 1.0, 0.5, b"").answered
    assert Look(0, 5.0, 4.0, 0.5, b"").answered


def test_the_kernel_says_how_long_a_process_ran() -> None:
    before = times(os.getpid())
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    after = times(os.getpid())
    assert max(after[name][0] - before[name][0] for name in before.keys() & after.keys()) > 40_000_000


@pytest.mark.deploy
@pytest.mark.alone
def test_where_nothing_is_planted_nothing_is_found(tmp_path: Path) -> None:
    for number in range(3):
        found = soaked(tmp_path / f"{number}", 5, "--only", "prices")
        if found["wrong"].keys() != {"looks"}:  # that alone hangs on what else the machine does: the best try counts
            break
    assert found["wrong"] == {}
    assert found["passed"]
    assert set(found["attacks"]) == {"prices"}
    assert found["honest_frames"]["sent"] == found["honest_frames"]["received"] > 100
    assert found["honest_published"] > 100
    assert found["looks"]["count"]
    assert all(one["published"] for one in found["attacked"].values())


@pytest.mark.deploy
@pytest.mark.alone
def test_every_kind_of_attack_at_random(tmp_path: Path) -> None:
    for number in range(3):
        found = soaked(tmp_path / f"{number}", SECONDS, "--seed", "1")
        if found["wrong"].keys() != {"looks"}:
            break
    assert found["wrong"] == {}
    assert found["passed"]
    assert len(found["attacks"]) > (len(ATTACKS) + len(HANDSHAKES) + len(CALLS)) // 2
    assert set(binary.KINDS) <= set(found["attacks"])
    assert all(found["attacked"][name]["malformed"] for name in binary.FORMATS)
    assert all(one["published"] for one in found["attacked"].values())
