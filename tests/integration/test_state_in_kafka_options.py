"""What state in Kafka, with or without transactions, does not go with: all is said at once, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.cli.run_options import RunOptions
from k2conn.cli.startup import prepared
from k2conn.errors import SettingsError

BOTH = [
    ("K2_KAFKA_DELIVERY", "exactly-once"),
    ("K2_STATE", "kafka"),
]


def refused(environment: dict[str, str], **said: object) -> str:
    options = RunOptions(connectors=("kraken",), sink="kafka", **said)  # type: ignore[arg-type]
    with pytest.raises(SettingsError) as found:
        prepared(options, environment, make=False)
    return str(found.value)


@pytest.mark.parametrize(("name", "value"), BOTH)
def test_several_processes_and_a_folder(name: str, value: str, tmp_path: Path) -> None:
    text = refused({name: value, "K2_STATE_FOLDER": str(tmp_path)}, workers=2)
    assert f"{name}={value} goes with one process of a transactional id: --workers 2 would be several" in text
    assert f"{name}={value} keeps the state in k2conn.state: unset K2_STATE_FOLDER" in text


@pytest.mark.parametrize(("name", "value"), BOTH)
def test_a_group(name: str, value: str) -> None:
    """Its slots have their state there, each its own part."""
    options = RunOptions(connectors=("kraken",), sink="kafka", group="prices", shares=True)
    start = prepared(options, {name: value, "K2_GROUP_INSTANCE_ID": "one"}, make=False)
    assert start.group is not None
    assert start.group.state


def test_so_many_records() -> None:
    text = refused({"K2_KAFKA_DELIVERY": "exactly-once"}, max_records=10)
    assert "K2_KAFKA_DELIVERY=exactly-once takes a frame whole or not at all: --max-records may cut one in two" in text
