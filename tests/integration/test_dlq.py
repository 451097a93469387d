"""`k2conn dlq` as a process: what was dead is listed, shown, and published once when the file is mended."""

from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pytest

from tests.support.plans import HEAD, STREAMS
from tests.support.recordings import k2conn
from tests.support.venues import CONNECTION

TOPIC = "market.crypto.trades.venue"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder with the dead letters of a connector file whose price is wrong for one of three trades."""
    (tmp_path / "venue.yaml").write_text(HEAD + CONNECTION % 1 + STREAMS)
    rows = [{"s": "BTC-USD", "i": n, "p": "1.5" if n != 2 else "1,5", "P": "1.5", "q": "1", "t": 1767323045678,
             "d": "buy"} for n in range(1, 4)]
    text = json.dumps({"ch": "trade", "data": rows})
    done = k2conn(tmp_path, "map", "venue.yaml", _written(tmp_path, text))
    letters = [line.removeprefix("dead letter: ") for line in done.stderr.splitlines() if line.startswith("dead")]
    assert len(letters) == 1, done.stderr
    folder = tmp_path / "data" / f"{TOPIC}.dlq"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(letters[0] + "\nno letter\n")
    return tmp_path


def _written(folder: Path, text: str) -> Path:
    path = folder / "frames.jsonl"
    path.write_text(text + "\n")
    return path


def published(folder: Path) -> list[str]:
    found: list[str] = []
    for path in sorted((folder / "data" / TOPIC).glob("*.avro")):
        with path.open("rb") as file:
            found += [one["trade_id"] for one in fastavro.reader(file)]
    return found


def test_from_the_list_to_the_records(broken: Path) -> None:
    listed = k2conn(broken, "dlq", "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    row = json.loads(listed.stdout)
    assert (row["connector"], row["reason"], row["field"], row["items"]) == ("venue", "bad-number", "price", 1)
    assert "left out" in listed.stderr
    assert "bad-number" in k2conn(broken, "dlq", "list").stdout
    assert k2conn(broken, "dlq", "list", "--reason", "overflow").stdout.startswith("0 dead items")

    shown = k2conn(broken, "dlq", "show", "--frame", row["frame_id"])
    assert shown.returncode == 0, shown.stderr
    piece, marks = shown.stdout.splitlines()[5:7]
    assert piece[marks.index("^") : marks.rindex("^") + 1] == '"1,5"'

    still = k2conn(broken, "dlq", "replay", "--connector", "venue.yaml")
    assert still.returncode == 65, still.stderr
    assert "still dead: 1 items of venue trade: bad-number (price)" in still.stderr

    text = (broken / "venue.yaml").read_text().replace("price: p\n", "price: P\n")
    (broken / "venue.yaml").write_text(text)
    dry = k2conn(broken, "dlq", "replay", "--connector", "venue.yaml")
    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout)["record"]["price"] == "1.5"
    assert published(broken) == []

    sent = k2conn(broken, "dlq", "replay", "--connector", "venue.yaml", "--publish")
    assert sent.returncode == 0, sent.stderr
    assert published(broken) == ["VENUE-2"]
    again = k2conn(broken, "dlq", "replay", "--connector", "venue.yaml", "--publish")
    assert "0 records published; 1 were published before" in again.stderr
    assert published(broken) == ["VENUE-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mend"], "list, show, replay"),
        (["list", "none"], "none"),
        (["list", "--topics", "trades"], ".dlq"),
        (["show", "--frame", "x"], "no such dead letter"),
        (["replay", "--connector", "other.yaml"], ""),
    ],
)
def test_what_cannot_be_is_said(broken: Path, words: list[str], said: str) -> None:
    done = k2conn(broken, "dlq", *words)
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
