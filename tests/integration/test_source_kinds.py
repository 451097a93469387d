"""Sources of kinds that no shipped connector is of, as somebody would write them with the documentation alone: each is
valid, passes its own tests, and its mock's data comes out as records of a whole process.

Trades in columns; the amounts of both sides, with a comma before the decimals; one side of a quote at a time; an
address whose pages go back; a login by a signed token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastavro
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.integration.test_demo import end, start

FOLDER = Path(__file__).parent / "data" / "sources"
SOURCES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEYS = {"K2_SIDES_TOKEN": "any", "K2_TOKENS_KEY": KEY, "K2_TOKENS_KEY_NAME": "mine"}


@pytest.mark.parametrize("name", SOURCES)
def test_it_is_valid_without_a_warning_and_its_tests_pass(name: str) -> None:
    for command in ("validate", "test"):
        process = start(command, str(FOLDER / f"{name}.yaml"))
        out, err = end(process, 60)
        assert process.returncode == 0, out + err
        assert "warning" not in out + err


@pytest.mark.parametrize("name", SOURCES)
def test_its_mock_s_data_becomes_records(name: str, tmp_path: Path) -> None:
    path = FOLDER / f"{name}.yaml"
    own = {variable: value for variable, value in KEYS.items() if f"$env.{variable}" in path.read_text()}
    mock = start("mock", str(path), "--rate", "20")
    assert mock.stdout is not None
    variables = dict([mock.stdout.readline().strip().split("=", 1)])
    try:
        run = start("run", str(path), "--sink", "file", "--folder", str(tmp_path), "--max-records", "20", "--port",
                    "-1", **variables, **own)
        _, err = end(run, 60)
        assert run.returncode == 0, err
    finally:
        mock.terminate()
        end(mock)
    records: list[dict[str, Any]] = []
    for file in sorted(tmp_path.rglob("*.avro")):
        with file.open("rb") as stream:
            records += [one for one in fastavro.reader(stream) if isinstance(one, dict)]
    assert len(records) >= 20
    assert len({one["symbol"] for one in records}) == 2
    assert len({one["message_id"] for one in records}) == len(records)
    assert not list(tmp_path.rglob("*.jsonl")), "nothing is a dead letter"


@pytest.mark.parametrize("name", ["totals", "sides"])
def test_broken_frames_and_one_too_large_are_told_from_losses(name: str, tmp_path: Path) -> None:
    """Rows of CSV, in which a broken bracket is a cell, and events, whose name and id stand around what is broken."""
    process = start("certify", str(FOLDER / f"{name}.yaml"), "--duration", "3s", "--rate", "20", "--faults",
                    "garbage,corrupt,oversize", "--folder", str(tmp_path))
    out, err = end(process, 120)
    assert process.returncode == 0, out + err
    assert f"{name}: passed" in out
