"""How good drafts are: every corpus file drafted from its own frames, and its trades mapped by the draft without edits.

    python -m tests.support.drafts [CORPUS] [-v]
    python -m tests.support.drafts --connectors backpack bithumb ...

prints the tables of docs/add-an-exchange.md; the second drafts from the frames in connectors' own tests and compares
with the records they expect, for venues whose frames had no part in making the drafter. Right means: every trade of
the file, and no other, with its price, quantity, time, side and id as the corpus says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.avro import load_schema
from k2conn.cli.new import finished
from k2conn.compiler.compiler import check_text
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.request_frames import frame_text
from k2conn.plan import Plan
from k2conn.tools.connector_tests import same_field
from k2conn.tools.drafting.draft import DraftRequest, draft
from k2conn.tools.drafting.recording import frames
from tests.connectors.test_corpus import _pipelines
from tests.paths import SHARED
from tests.support.fair import micros, quote_differs, trade_differs
from tests.support.shipped import load

COMPARED = ("trade_id", "price", "quantity", "side", "timestamp")
KINDS = {field.name: field.kind for field in load_schema("trade").fields}


@dataclass
class Score:
    """What one draft made of its file's frames."""

    name: str
    frames: int = 0
    valid: bool = False
    tests: int = 0
    trades: int = 0
    exact: int = 0
    extra: int = 0
    refused: int = 0
    quotes: int = 0
    good_quotes: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    first: str = ""
    quote: str = ""
    """The first quote that differs."""

    @property
    def right(self) -> bool:
        """All trades and no other."""
        return self.trades > 0 and self.exact == self.trades and not self.extra

    def miss(self, what: str, detail: str, count: int = 1) -> None:
        """Counts one kind of mistake, keeping the first's text."""
        self.wrong[what] = self.wrong.get(what, 0) + count
        self.first = self.first or detail


def score(path: Path) -> Score:
    """Drafts one corpus file and maps it."""
    lines = path.read_bytes().splitlines()
    name = re.sub(r"[^a-z0-9-]", "-", path.name.removesuffix(".jsonl").lower())
    sample = list(frames(lines, "raw"))
    found = Score(path.name.removesuffix(".jsonl"), len(sample))
    text, problems = finished(
        draft(DraftRequest(name, "DRAFT", "crypto", "wss://example.com/ws", None), sample), sample
    )
    plan = check_text(f"{name}.yaml", text, Path())[0]
    found.valid = not problems
    if plan is not None:
        found.tests = len(plan.tests)
        _map(found, plan, lines, [frame.text for frame in sample], ".recorded." in path.name)
    return found


def _map(found: Score, plan: Plan, lines: list[bytes], texts: list[str], recorded: bool) -> None:
    connector_state = ConnectorState(plan, None, window=0)
    pipelines, session = _pipelines(connector_state), None
    for number, (text, frame) in enumerate(zip(lines, texts, strict=True), 1):
        line = exactjson.decode(text)
        if line.get("session") != session:
            pipelines, session = _pipelines(connector_state), line.get("session")
        envelopes, _ = pipelines[0].receive([frame], 0.0, micros(line.get("local_timestamp")) or 1)
        records = [(one.schema.name, one.schema.decode_plain(one.value)) for one in envelopes if one.schema is not None]
        for one in envelopes:
            if one.schema is None and "trade" in line["kinds"]:
                letter = exactjson.decode(one.value)
                if letter.get("reason") == "overflow":
                    found.refused += 1
                else:
                    found.miss("dead letters", f"line {number}: {letter.get('field')} {letter.get('detail')}")
        _trades(found, line, [record for kind, record in records if kind == "trade"], recorded, number)
        quotes = [record for kind, record in records if kind == "quote"]
        if "quote" in line["kinds"] or line["quotes"]:
            found.quotes += len(line["quotes"])
            pairs = zip(line["quotes"], quotes, strict=False)
            for theirs, ours in pairs:
                differs = quote_differs(theirs, ours, not recorded)
                found.good_quotes += not differs
                found.quote = found.quote or differs


def _trades(found: Score, line: dict[str, Any], ours: list[dict[str, Any]], recorded: bool, number: int) -> None:
    if not ("trade" in line["kinds"] or line["trades"]):
        return
    if not recorded:
        ours = [record for record in ours if record["vendor_data"].get("snapshot") != "true"]
    expected = [trade for trade in line["trades"] if _fits(trade)]
    if expected and ours and trade_differs(expected[0], ours[0], True):
        ours = ours if trade_differs(expected[0], ours[-1], True) else ours[::-1]
    found.trades += len(expected)
    if len(ours) < len(expected):
        found.miss("missing", f"line {number}: {len(ours)} trades, not {len(expected)}", len(expected) - len(ours))
    if len(ours) > len(expected):
        found.extra += len(ours) - len(expected)
        found.miss("extra", f"line {number}: {len(ours)} trades, not {len(expected)}", len(ours) - len(expected))
    for theirs, record in zip(expected, ours, strict=False):
        differs = trade_differs(theirs, record, bool(line.get("inexact")))
        found.exact += not differs
        for part in filter(None, differs.split("; ")):
            found.miss(part.split(" ")[0], f"line {number}: {part}")


def _fits(trade: dict[str, Any]) -> bool:
    """Whether decimal(18,8) holds a trade's numbers; the engine refuses it otherwise, whatever the mapping."""
    numbers = [Decimal(str(trade.get(f"{key}_str") or trade[key])) for key in ("price", "amount")]
    return all(number == round(number, 8) and abs(number) < 10**10 for number in numbers)


def corpus_files(folder: Path) -> list[Path]:
    """The corpus files, sorted."""
    return sorted(folder.glob("*.jsonl"))


def table(scores: list[Score]) -> str:
    """The scores in Markdown."""
    rows = ["| frames of | frames | validates | trades mapped exactly | right | quotes | what is wrong |",
            "|---|---:|---|---:|---|---:|---|"]
    for one in scores:
        wrong = ", ".join(f"{what} {count}" for what, count in one.wrong.items())
        right = "yes" if one.right else "no" if one.trades else "-"
        rows.append(f"| {one.name} | {one.frames} | {'yes' if one.valid else 'no'} | {one.exact} of {one.trades} | "
                    f"{right} | {one.good_quotes} of {one.quotes} | {wrong} |")
    able = [one for one in scores if one.trades]
    rows.append("")
    right, exact = sum(one.right for one in able), sum(one.exact for one in able)
    rows.append(f"{right} of {len(able)} drafts map all trades of their sample rightly without an edit "
                f"({exact} of {sum(one.trades for one in able)} trades); "
                f"{sum(one.valid for one in scores)} of {len(scores)} validate as they stand.")
    return "\n".join(rows)


def held_out(name: str) -> tuple[int, int, str]:
    """Of the trades in a connector's tests: how many a draft from the same frames maps rightly, of how many."""
    wanted = _expected(load(name))
    sample = list(frames([text.encode() for text in wanted], None))
    asked = DraftRequest("venue", load(name).exchange, load(name).asset_class, "wss://example.com", None)
    text, _ = finished(draft(asked, sample), sample)
    plan = check_text("venue.yaml", text, Path())[0]
    good, first = 0, "" if plan else "the draft does not validate"
    pipeline = _pipelines(ConnectorState(plan, None, window=0))[0] if plan else None
    for frame, records in wanted.items():
        envelopes = pipeline.receive([frame], 0.0, 1_767_323_045_000_000)[0] if pipeline else []
        found = [one.schema.decode_plain(one.value) for one in envelopes if one.schema and one.schema.name == "trade"]
        for place, record in enumerate(records):
            own = found[place] if place < len(found) else {}
            wrong = [key for key in COMPARED if key in record and not same_field(KINDS[key], record[key], own.get(key))]
            good += not wrong
            first = first or ", ".join(wrong if own else ["missing"] if wrong else [])
    return good, sum(map(len, wanted.values())), first


def _expected(plan: Plan) -> dict[str, list[Mapping[str, Any]]]:
    """The frames of a connector's tests, and the trades each becomes."""
    turns = [turn for example in plan.tests for turn in example.dialogue if turn.kind == "received"]
    return {frame_text(turn.value): [one for one in turn.records or () if "price" in one] for turn in turns}


def main() -> None:
    """Prints the table; with -v the first mistake of each file."""
    arguments = [one for one in sys.argv[1:] if not one.startswith("-")]
    if "--connectors" in sys.argv:
        print("| connector | trades mapped exactly | first mistake |\n|---|---:|---|")
        for name in arguments:
            good, count, first = held_out(name)
            print(f"| {name} | {good} of {count} | {first} |")
        return
    folder = Path(arguments[0]) if arguments else SHARED / "corpus"
    scores = [score(path) for path in corpus_files(folder)]
    print(table(scores))
    if "-v" in sys.argv:
        for one in scores:
            if one.first or one.quote:
                print(f"{one.name}: {one.first}; quotes: {one.quote}")


if __name__ == "__main__":
    main()
