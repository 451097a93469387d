"""Every line of the corpus: the trades and quotes that two independent libraries make of it, and silence elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2conn import exactjson
from k2conn.cli.loading import load
from k2conn.engine.intake import Books, Intake
from k2conn.engine.session import World
from tests.fair import micros, quote_differs, trade_differs

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
FILES: dict[str, str] = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())


def _intakes(books: Books) -> list[Intake]:
    plan = books.plan
    symbols = [plan.symbols.resolve(name) for name in plan.symbols.default]
    world = World(lambda: str(uuid.uuid4()), {})
    return [Intake(books, one, [s for s in symbols if s], world) for one in plan.connections]


def _records(books: Books, intakes: list[Intake], frame: str, received_at: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for at, intake in enumerate(intakes):
        before = books.ledger.unrecognised
        envelopes, _ = intake.receive(frame, 0.0, received_at)
        if books.ledger.unrecognised == before or at == len(intakes) - 1:
            for envelope in envelopes:
                assert envelope.schema is not None, f"dead letter: {envelope.value.decode()}"
                yield envelope.schema.name, envelope.schema.decode_plain(envelope.value)
            return


@pytest.mark.parametrize("name", sorted(FILES))
def test_corpus_agrees(name: str) -> None:
    if not CORPUS.is_dir():
        pytest.skip(f"the corpus is not beside this checkout ({CORPUS})")
    plan = load(FILES[name])
    books = Books(plan, [stream.name for stream in plan.streams], window=0)
    recorded = ".recorded." in name
    intakes, session = _intakes(books), None
    wrong: list[str] = []
    for number, text in enumerate((CORPUS / name).read_bytes().splitlines(), 1):
        line = exactjson.decode(text)
        raw = exactjson.members(text)["raw"]
        frame = exactjson.decode(raw) if raw[:1] == b'"' else raw.decode()
        if line.get("session") != session:
            intakes, session = _intakes(books), line.get("session")
        moment = micros(line.get("local_timestamp")) or 1
        try:
            found = list(_records(books, intakes, frame, moment))
        except AssertionError as error:
            wrong.append(f"line {number}: {error}")
            continue
        wrong += [f"line {number}: {text}" for text in _compare(line, found, recorded)]
    assert not wrong, f"{len(wrong)} disagreements\n" + "\n".join(wrong[:20])


def _compare(line: dict[str, Any], found: list[tuple[str, dict[str, Any]]], recorded: bool) -> list[str]:
    wrong: list[str] = []
    trades = [record for kind, record in found if kind == "trade"]
    if not recorded:
        trades = [record for record in trades if record["vendor_data"].get("snapshot") != "true"]
    quotes = [record for kind, record in found if kind == "quote"]
    if "trade" in line["kinds"] or line["trades"]:
        if len(trades) != len(line["trades"]):
            wrong.append(f"{len(trades)} trades, not {len(line['trades'])}")
        inexact = bool(line.get("inexact"))
        wrong += filter(None, (trade_differs(e, r, inexact) for e, r in zip(line["trades"], trades, strict=False)))
    if "quote" in line["kinds"] or line["quotes"]:
        if len(quotes) != len(line["quotes"]):
            wrong.append(f"{len(quotes)} quotes, not {len(line['quotes'])}")
        wrong += filter(None, (quote_differs(e, r, not recorded) for e, r in zip(line["quotes"], quotes, strict=False)))
    return wrong
