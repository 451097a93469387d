"""A variable's value in a file that another variable names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from k2conn.consumer.settings import VARIABLES as CONSUMER_VARIABLES
from k2conn.errors import SettingsError
from k2conn.runner.secret_values import ReadVariables
from k2conn.secret_mask import SECRETS
from k2conn.settings import SPOOL_VARIABLES, connector_settings, sink_settings
from k2conn.settings.environment import Environment
from k2conn.settings.unread_variables import unread
from k2conn.sinks import SINKS
from k2conn.variable_files import LARGEST, latest, value_of
from k2conn.variables import CONNECTOR_VARIABLES, PROCESS_VARIABLES, Readable

KEY = "key-of-the-file-1"
SINK_VARIABLES = {name for kind in SINKS.built_in for name in SINKS.get(kind).read_from(kind)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def test_either_says_it(file: Path) -> None:
    assert value_of("K2_X_KEY", {"K2_X_KEY": " a "}) == "a"
    assert value_of("K2_X_KEY", {"K2_X_KEY_FILE": str(file), "K2_X_KEY": " "}) == KEY
    assert value_of("K2_X_KEY", {}) == ""


def test_both_are_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"^K2_X_KEY and K2_X_KEY_FILE are both set: keep one of them$"):
        value_of("K2_X_KEY", {"K2_X_KEY": "a", "K2_X_KEY_FILE": str(file)})


@pytest.mark.parametrize(("made", "said"), [
    (lambda path: None, "No such file or directory"),
    (lambda path: path.mkdir(), "Is a directory"),
    (os.mkfifo, "it is no file"),
    (lambda path: path.write_bytes(b" \n"), "it is empty"),
    (lambda path: path.write_bytes(b"\xff\xfe"), "it is no text in UTF-8"),
    (lambda path: path.write_bytes(b"x" * (LARGEST + 1)), "it is larger than 64 KB: a secret is short"),
], ids=["none", "folder", "pipe", "empty", "bytes", "large"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, made: object, said: str) -> None:
    path = tmp_path / "other"
    made(path)  # type: ignore[operator] # each of the above
    with pytest.raises(SettingsError, match=f"^K2_X_KEY_FILE {path}: {said}$"):
        value_of("K2_X_KEY", {"K2_X_KEY_FILE": str(path)})


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="K2_X_KEY_FILE a\0b: embedded null byte"):
        value_of("K2_X_KEY", {"K2_X_KEY_FILE": "a\0b"})


def test_every_setting_of_a_sink_and_of_a_connector_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("broker:9092\n")
    assert sink_settings({"K2_KAFKA_BOOTSTRAP_SERVERS_FILE": str(file)}, "kafka").options.bootstrap == "broker:9092"
    file.write_text("BTC-USD,ETH-USD\n")
    assert connector_settings({"K2_X_SYMBOLS_FILE": str(file)}, "X", "x").symbols == ("BTC-USD", "ETH-USD")


def test_no_two_variables_are_confused() -> None:
    names = SINK_VARIABLES | SPOOL_VARIABLES.keys() | CONSUMER_VARIABLES.keys() | set(PROCESS_VARIABLES)
    names |= {f"K2_X_{suffix}" for suffix in CONNECTOR_VARIABLES}
    assert not {name for name in names if f"{name}_FILE" in names}


def test_all_problems_are_told_at_once(tmp_path: Path, file: Path) -> None:
    given = {"K2_A_FILE": str(tmp_path / "a"), "K2_B_FILE": str(file), "K2_B": "x", "K2_C_FILE": str(file)}
    reader = Environment(given)
    assert [reader.get(name, "secret") for name in ("K2_A", "K2_B", "K2_C")] == [None, None, KEY]
    assert len(reader.problems) == 2


def test_what_a_file_says_is_a_secret(file: Path) -> None:
    assert ReadVariables({"K2_X_KEY_FILE": str(file)})["K2_X_KEY"] == KEY
    assert KEY not in SECRETS.hide(f"bad key {KEY}")


def test_a_connector_has_what_the_file_says_now(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    variables = ReadVariables({"K2_X_KEY_FILE": str(file)})
    assert variables.get("K2_X_KEY", "") == KEY
    file.write_text("key-of-the-file-2")
    assert variables.get("K2_X_KEY", "") == "key-of-the-file-2"
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert variables.get("K2_X_KEY", "") == "key-of-the-file-2"
    assert "K2_X_KEY_FILE" in caplog.text
    assert "key-of-the-file" not in caplog.text
    assert variables.get("K2_X_OTHER", "") == ""


def test_a_file_that_never_could_be_read_is_an_error(tmp_path: Path) -> None:
    variables = ReadVariables({"K2_X_KEY_FILE": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="K2_X_KEY_FILE"):
        variables.get("K2_X_KEY", "")


def test_a_sink_has_what_the_file_says_now(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    from k2conn.sinks.kafka.producer import client_options

    given = {"K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "K2_KAFKA_SASL_MECHANISM": "PLAIN",
             "K2_KAFKA_SASL_USERNAME": "me", "K2_KAFKA_SASL_PASSWORD_FILE": str(file)}
    options = sink_settings(given, "kafka").options
    assert client_options(options)["sasl_plain_password"] == KEY
    file.write_text("key-of-the-file-2\n")
    assert client_options(options)["sasl_plain_password"] == "key-of-the-file-2"
    assert "key-of-the-file-2" not in SECRETS.hide("it said key-of-the-file-2")
    file.unlink()
    assert client_options(options)["sasl_plain_password"] == KEY
    assert "the latest value goes on" in caplog.text
    assert latest("plain") == "plain"
    assert latest(None) is None


def test_nobody_is_warned_of_a_variable_that_names_a_file() -> None:
    read = {"K2_KAFKA_SASL_PASSWORD_FILE", "K2_KRAKEN_SYMBOLS_FILE", "K2_SPOOL_FOLDER_FILE", "K2_KRAKEN_KEY_FILE"}
    unknown = {"K2_KRAKEN_OTHER_FILE", "K2_KAFKA_OTHER_FILE"}
    environment = dict.fromkeys(read | unknown, "x")
    assert unread(environment, ["kraken"], "kafka", files=["K2_KRAKEN_KEY"]).keys() == unknown


def test_no_connector_file_reads_a_setting_by_its_file() -> None:
    assert "which no file may read" in Readable().refusal("K2_OTHER_WEBSOCKET_URL_FILE", "x")
