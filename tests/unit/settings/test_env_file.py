"""Files of variables: what a line says, and that nothing of it is run, expanded or shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from k2conn.errors import SettingsError
from k2conn.settings.env_file import LARGEST, read_env_file
from tests.integration.test_run import environment
from tests.support import warm_process


def read(folder: Path, text: str | bytes) -> dict[str, str]:
    path = folder / "variables"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_env_file(path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K2_A=1", "1"),
        ("  K2_A = 1  ", "1"),
        ("export K2_A=1", "1"),
        ("K2_A=", ""),
        ("K2_A='a b'", "a b"),
        ('K2_A="a b"', "a b"),
        ("K2_A=a=b#c", "a=b#c"),
        ("K2_A=$HOME `id` $(id) ${X}", "$HOME `id` $(id) ${X}"),
        ("K2_A=it's", "it's"),
        ("K2_A=é", "é"),
    ],
)
def test_a_line(tmp_path: Path, line: str, value: str) -> None:
    assert read(tmp_path, line) == {"K2_A": value}


def test_many_lines(tmp_path: Path) -> None:
    text = "\ufeff# comment\r\n\r\nK2_A=1\r\n  # K2_B=2\r\nK2_C='#3'\r\nK2_A=1"
    assert read(tmp_path, text) == {"K2_A": "1", "K2_C": "#3"}
    assert read(tmp_path, "") == {}


def test_all_that_is_wrong_is_said_with_its_line_and_without_a_value(tmp_path: Path) -> None:
    text = "geheim\nK2_A='geheim\nK2_B=ge\x1bheim\n1A=geheim\nK2_C=1\nK2_C=geheim\nK2_D=geheim\x00\nK2 E=geheim"
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, text)
    assert [one.split(", line ")[1] for one in raised.value.problems] == [
        "1: it is not NAME=VALUE",
        "2: the value of K2_A begins with a quote and does not end with it",
        "3: the value of K2_B has control characters",
        "4: it is not NAME=VALUE",
        "6: K2_C has another value further up",
        "7: the value of K2_D has control characters",
        "8: it is not NAME=VALUE",
    ]
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"K2_A=\xff", "no text in UTF-8"), (b"#" * (LARGEST + 1), "larger than 256 KiB"), (None, "No such file")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read(tmp_path, content) if content is not None else read_env_file(tmp_path / "none")


def ran(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*words, cwd=folder, env=environment(**variables))


def test_every_command_has_it_and_the_environment_comes_first(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("K2_SINK=nothing-here\nK2_DECIMALS=38,18\nK2_METRICS_PORT=nowhere\n")
    done = ran(tmp_path, "--env-file", "one", "run", "binance")
    assert done.returncode == 2
    assert "nothing-here" in done.stderr
    assert "K2_METRICS_PORT=nowhere" in done.stderr or "nowhere" in done.stderr
    done = ran(tmp_path, "--env-file", "one", "run", "binance", K2_SINK="other-than-that")
    assert "other-than-that" in done.stderr
    assert "nothing-here" not in done.stderr
    (tmp_path / "two").write_text("K2_DECIMALS=1,1\n")
    assert "1,1" in ran(tmp_path, "--env-file", "two", "list").stderr
    assert ran(tmp_path, "--env-file", "two", "list", K2_DECIMALS="18,8").returncode == 0


def test_a_file_that_is_wrong_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("K2_POSTGRES_PASSWORD='geheim\n")
    done = ran(tmp_path, "--env-file", "one", "list")
    assert done.returncode == 2
    assert "--env-file one, line 1: the value of K2_POSTGRES_PASSWORD begins with a quote" in done.stderr
    assert "geheim" not in done.stderr
