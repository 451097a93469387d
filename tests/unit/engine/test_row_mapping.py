"""Rows mapped many at a time are those that the general mapper makes, byte for byte."""

from __future__ import annotations

import random

import pytest

from k2conn import native
from k2conn.codecs import RowPosition
from k2conn.codecs.decoding import row_reader
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.mapping.row_mapping import suits
from k2conn.engine.row_pipeline import RowPipeline
from k2conn.envelope import Envelope
from tests.support.files import quote_rows, trade_rows
from tests.support.shipped import load


def mapped(name: str, data: bytes) -> tuple[list[Envelope], dict[str, object]]:
    plan = load(name)
    state = ConnectorState(plan)
    pipeline = RowPipeline(state, plan.connections[0])
    pipeline.begin("7078.csv", 0)
    read = row_reader(plan.connections[0].codec, RowPosition()).feed(data, True)
    found = pipeline.receive(read, 1_700_000_000_000_000)
    return found, dict(state.ledger.report())


@pytest.mark.parametrize(("name", "rows"), [("asx-trades", trade_rows(3000)), ("asx-quotes", quote_rows(3000))])
def test_both_mappers_make_the_same(name: str, rows: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = random.Random(3)
    for _ in range(300):  # rows that are no records, and odd ones that are
        at = made.randrange(len(rows))
        cells = rows[at].split(",")
        odd = ["", "x", "1e5", "-1", "007", "1.123456789", "99999999999", "é", "12/31/1969", "10:00", "٣", " 5", "0.0"]
        cells[made.randrange(len(cells))] = made.choice(odd)
        rows[at] = ",".join(cells)
    data = "\n".join(rows).encode()
    assert all(suits(stream) for stream in load(name).streams)
    quick = mapped(name, data)
    monkeypatch.setattr(native, "Mapper", None)
    slow = mapped(name, data)
    assert [one[:5] for one in quick[0]] == [one[:5] for one in slow[0]]
    assert quick[1] == slow[1]
    assert len(quick[0]) == len(rows)
    assert 50 < sum(one.dead for one in quick[0]) < 400


def test_a_bug_costs_one_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = trade_rows(3)
    plan = load("asx-trades")
    state = ConnectorState(plan)
    pipeline = RowPipeline(state, plan.connections[0])
    pipeline.begin("7078.csv", 0)
    mapping = state.mappings["trade"]
    general = mapping._general.made

    def made(item: dict[str, str], *rest: object) -> object:
        if item["volume"] == "13":
            raise ZeroDivisionError
        return general(item, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping._general, "made", made)
    mapping.contexts.context("BHP").fast = None
    cells = rows[1].split(",")
    cells[3] = "13"
    rows[1] = ",".join(cells)
    read = row_reader(plan.connections[0].codec, RowPosition()).feed("\n".join(rows).encode(), True)
    found = pipeline.receive(read, 1)
    assert [one.dead for one in found] == [False, True, False]
    assert b'"reason":"bug","detail":"k2conn met a bug: ZeroDivisionError"' in found[1].value
    assert state.ledger.crashes == 1
