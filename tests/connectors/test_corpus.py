"""Every line of the corpus: the trades and quotes that two independent libraries make of it, and silence elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from tests.support.fair import micros, on_the_wire, quote_differs, trade_differs
from tests.support.shipped import load

FILES: dict[str, str] = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())
BY_CLASS: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "corpus_by_class.yaml").read_text())
ARGUED = Path(__file__).parent / "corpus_disagreements.yaml"
"""Where we disagree with an oracle for a reason: {file: [{lines: .., field: .., why: ..}]}; told in docs/corpus.md."""

AGREEMENT = Path(__file__).parent / "agreement.json"


class _Connector:
    """One connector on one connection of a recording."""

    def __init__(self, name: str) -> None:
        plan = load(name)
        self.connector_state = ConnectorState(plan, [stream.name for stream in plan.streams], window=0)
        self.pipelines = _pipelines(self.connector_state)

    def reconnect(self) -> None:
        self.pipelines = _pipelines(self.connector_state)

    def records(self, frame: str, received_at: int) -> list[tuple[str, dict[str, Any]]]:
        return list(_records(self.connector_state, self.pipelines, frame, received_at))


def _of_any(connectors: list[_Connector], frame: str, received_at: int) -> list[tuple[str, dict[str, Any]]]:
    """What the connector makes of a frame that the frame is for.

    Some recordings hold several markets of a venue on one socket (spot, perpetuals, options) for which there are
    several connectors, each with its own symbols: a frame is for the first that makes records of it, no dead letter.
    """
    reason: AssertionError | None = None
    silent = False
    for one in connectors:
        try:
            found = one.records(frame, received_at)
        except AssertionError as error:
            reason = error
            continue
        if found:
            return found
        silent = True
    if reason is not None and not silent:
        raise reason
    return []


def _argued(name: str) -> dict[int, set[str]]:
    """The fields by line on which a file's oracle is disagreed with."""
    found: dict[int, set[str]] = {}
    entries = (yaml.safe_load(ARGUED.read_text()) or {}).get(name, []) if ARGUED.exists() else []
    for entry in entries:
        assert entry["why"], "a disagreement is argued"
        for line in entry["lines"] if isinstance(entry["lines"], list) else [entry["lines"]]:
            found.setdefault(line, set()).add(entry["field"])
    return found


def _pipelines(connector_state: ConnectorState) -> list[FramePipeline]:
    plan = connector_state.plan
    symbols = [plan.symbols.resolve(name) for name in plan.symbols.default]
    session_context = SessionContext(lambda: str(uuid.uuid4()), {})
    return [FramePipeline(connector_state, one, [s for s in symbols if s], session_context) for one in plan.connections]


def _records(
    connector_state: ConnectorState, pipelines: list[FramePipeline], frame: str, received_at: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    for at, pipeline in enumerate(pipelines):
        before = connector_state.ledger.unrecognised
        envelopes, _ = pipeline.receive([frame], 0.0, received_at)
        if connector_state.ledger.unrecognised == before or at == len(pipelines) - 1:
            for envelope in envelopes:
                assert envelope.schema is not None, f"dead letter: {envelope.value.decode()}"
                yield envelope.schema.name, envelope.schema.decode_plain(envelope.value)
            return


@pytest.mark.parametrize("name", sorted(FILES))
def test_corpus_agrees(corpus: Path, name: str) -> None:
    _agrees(corpus / name, [FILES[name]])


@pytest.mark.parametrize("name", sorted(BY_CLASS))
def test_corpus_agrees_with_connectors_for_one_market_each(corpus: Path, name: str) -> None:
    _agrees(corpus / name, BY_CLASS[name])


def figures(corpus: Path) -> dict[str, dict[str, int]]:
    """How much of each connector is compared, and on how many frames there is an argument."""
    found: dict[str, dict[str, int]] = {}
    for name in sorted(FILES):
        none = dict.fromkeys(("frames", "trades", "quotes", "argued"), 0)
        one = found.setdefault(FILES[name].removesuffix(".yaml"), none)
        lines = [exactjson.decode(text) for text in (corpus / name).read_bytes().splitlines()]
        one["frames"] += len(lines)
        one["trades"] += sum(len(line["trades"]) for line in lines)
        one["quotes"] += sum(len(line["quotes"]) for line in lines)
        one["argued"] += len(_argued(name))
    return found


def test_corpus_agrees_in_the_figures_of_the_gallery(corpus: Path) -> None:
    """What is compared; that it agrees is what the other tests say. AGREEMENT is made by `json.dumps(figures(...))`."""
    assert exactjson.decode(AGREEMENT.read_bytes()) == figures(corpus)


def _agrees(file: Path, names: list[str]) -> None:
    connectors = [_Connector(one) for one in names]
    recorded = ".recorded." in file.name
    argued = _argued(file.name)
    session = None
    wrong: list[str] = []
    for number, text in enumerate(file.read_bytes().splitlines(), 1):
        line = exactjson.decode(text)
        raw = exactjson.members(text)["raw"]
        frame = exactjson.decode(raw) if raw[:1] == b'"' else raw.decode()
        if line.get("session") != session:
            session = line.get("session")
            for one in connectors:
                one.reconnect()
        moment = micros(line.get("local_timestamp")) or 1
        try:
            found = [record for one in on_the_wire(line, frame) for record in _of_any(connectors, one, moment)]
            differs = [one for text in _compare(line, found, recorded) for one in text.split("; ")]
        except AssertionError as error:
            differs = [f"dead_letters are not none: {error}"]
        fields = {text.split(" ", 1)[0] for text in differs}
        wrong += [f"line {number}: {text}" for text in differs if text.split(" ", 1)[0] not in argued.get(number, ())]
        wrong += [f"line {number}: {one} agrees after all" for one in argued.get(number, set()) - fields]
    assert not wrong, f"{len(wrong)} disagreements\n" + "\n".join(wrong[:20])


def _compare(line: dict[str, Any], found: list[tuple[str, dict[str, Any]]], recorded: bool) -> list[str]:
    wrong: list[str] = []
    trades = [record for kind, record in found if kind == "trade"]
    if not recorded or not line["trades"]:  # rule 5: one oracle drops the recent past, the other counts it, mostly
        trades = [record for record in trades if record["vendor_data"].get("snapshot") != "true"]
    quotes = [record for kind, record in found if kind == "quote"]
    if "trade" in line["kinds"] or line["trades"]:
        if len(trades) != len(line["trades"]):
            wrong.append(f"trades are {len(trades)}, not {len(line['trades'])}")
        wrong += _trade_differences(line, trades)
    if "quote" in line["kinds"] or line["quotes"]:
        if len(quotes) != len(line["quotes"]):
            wrong.append(f"quotes are {len(quotes)}, not {len(line['quotes'])}")
        wrong += filter(None, (quote_differs(e, r, not recorded) for e, r in zip(line["quotes"], quotes, strict=False)))
    return wrong


def _trade_differences(line: dict[str, Any], trades: list[dict[str, Any]]) -> list[str]:
    """Rule 6, either way: of one message's items, one side has the oldest first, the other keeps the wire's order."""
    inexact = bool(line.get("inexact"))
    orders = [
        [text for e, r in zip(line["trades"], order, strict=False) if (text := trade_differs(e, r, inexact))]
        for order in (trades, trades[::-1])
    ]
    return min(orders, key=len)
