"""`k2conn new`: the draft of a connector file from recorded frames."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from k2conn.cli.loading import secure
from k2conn.cli.messages import show
from k2conn.compiler.compiler import check_text
from k2conn.compiler.language.problems import Problem, known
from k2conn.engine.connector_state import ConnectorState
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.recording.reader import is_recording
from k2conn.tools.connector_tests import run_test
from k2conn.tools.drafting.draft import Draft, DraftRequest, DraftStream, draft
from k2conn.tools.drafting.playing import RECEIVED_AT, PlayedSample, fresh, judged, play
from k2conn.tools.drafting.recording import DraftFrame, NoFrame, draft_frame, frames
from k2conn.tools.drafting.subscribing import NOTHING_SAID
from k2conn.tools.drafting.writing import DraftTest, written
from k2conn.tools.recorded_frames import recorded_texts
from k2conn.tools.recorded_lines import recorded_lines

ASSET_CLASSES = ("crypto", "equities", "futures", "options", "forex", "index", "commodity", "fixed_income")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_EXCHANGE = re.compile(r"[A-Z][A-Z0-9_.-]{0,31}\Z")
_LONGEST, _MOST = 4000, 10
"""Characters of a test's frame, and its records."""
_SHOWN = ("trade_id", "quote_id", "symbol", "currency", "price", "quantity", "side", "bid_price", "bid_quantity",
          "ask_price", "ask_quantity", "interval", "open", "high", "low", "close", "volume", "is_closed", "timestamp")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewOptions:
    """What the command line says."""

    name: str
    url: str
    sample: str
    frame_key: str | None = None
    docs: str | None = None
    exchange: str | None = None
    asset_class: str = "crypto"
    output: str | None = None
    force: bool = False


def run(options: NewOptions) -> int:
    """Writes the draft; returns 0, or 78 where it does not validate as it stands."""
    request = _request(options)
    target = None if options.output == "-" else Path(options.output or f"{options.name}.yaml")
    if target is not None and target.exists() and not options.force:
        raise SettingsError(f"{target} exists: say --force to overwrite it, or --output with another name")
    sample = _sample(options)
    made = draft(request, sample)
    text, problems, played = tried(made, sample)
    if target is None:
        sys.stdout.write(text)
    else:
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"{target}: {error.strerror}") from None
    _report(made, target, problems, played)
    return 78 if problems else 0


def finished(made: Draft, sample: Sequence[DraftFrame]) -> tuple[str, list[Problem]]:
    """A draft's text with tests that the engine made, and what `validate` would say of it."""
    text, problems, _ = tried(made, sample)
    return text, problems


def tried(made: Draft, sample: Sequence[DraftFrame]) -> tuple[str, list[Problem], PlayedSample | None]:
    """The same, and what became of the sample when the draft was played on it; None where it does not validate."""
    text = written(judged(made, None))
    plan, problems = check_text(_file(made), text, Path(), secure)
    if plan is None and made.conversation.steps:  # what was sent fits the language less often than what came
        made = replace(made, conversation=NOTHING_SAID)
        text = written(judged(made, None))
        plan, problems = check_text(_file(made), text, Path(), secure)
    if plan is None:
        return text, problems, None
    played = play(plan, sample)
    made = judged(made, played)
    text = written(made, (), tuple(played.lines()))
    examples = [one for stream in made.streams if (one := _played(plan, made, stream, sample)) is not None]
    whole = written(made, examples, tuple(played.lines()))
    plan, problems = check_text(_file(made), whole, Path(), secure)
    if plan is None or any(run_test(plan, example) for example in plan.tests):
        return text, check_text(_file(made), text, Path(), secure)[1], played
    return whole, problems, played


def _file(made: Draft) -> str:
    return f"{made.request.name}.yaml"


def _request(options: NewOptions) -> DraftRequest:
    exchange = options.exchange or options.name.upper().replace("_", "-")
    if not _NAME.match(options.name):
        raise SettingsError(f"'{options.name}' is no connector name: small letters, digits, _ and -, a letter first")
    if not _EXCHANGE.match(exchange):
        raise SettingsError(f"'{exchange}' is no exchange code: upper case letters, digits, _ . and -, a letter first")
    if options.asset_class not in ASSET_CLASSES:
        raise SettingsError(f"--asset-class {options.asset_class}{known(options.asset_class, ASSET_CLASSES)}")
    if not re.match(r"(?:wss?|https?)://[^\s/]+", options.url):
        raise SettingsError(f"--url {options.url}: an address such as wss://host/path or https://host/path")
    if options.docs and not options.docs.startswith("https://"):
        raise SettingsError(f"--docs {options.docs}: an https:// address")
    return DraftRequest(options.name, exchange, options.asset_class, options.url, options.docs)


def _sample(options: NewOptions) -> list[DraftFrame]:
    if options.sample != "-" and is_recording(Path(options.sample)):
        if found := [draft_frame(text) for text in recorded_texts(Path(options.sample))]:
            return found
        raise SettingsError(f"{options.sample} holds no frame")
    try:
        lines = sys.stdin.buffer.read() if options.sample == "-" else Path(options.sample).read_bytes()
    except OSError as error:
        raise SettingsError(f"{options.sample}: {error.strerror}") from None
    try:
        found = list(frames(recorded_lines(lines.splitlines(), options.sample), options.frame_key))
    except NoFrame as error:
        raise SettingsError(f"{options.sample}: {error}") from None
    if not found:
        raise SettingsError(f"{options.sample} holds no frame")
    return found


# -- the tests


def _played(plan: Plan, made: Draft, stream: DraftStream, sample: Sequence[DraftFrame]) -> DraftTest | None:
    """The shortest frame of a stream that becomes records, and the records."""
    own = {frame.text for group in stream.mapping.groups for frame in group.frames}
    before: list[str] = []
    best: DraftTest | None = None
    for frame in (one for one in sample if not one.sent):
        if made.capture and frame.text not in own and isinstance(frame.message, dict) and len(before) < 50:
            before.append(frame.text)
        if frame.text not in own or len(frame.text) > _LONGEST or "\n" in frame.text:
            continue
        if best is not None and len(best.frames[-1]) <= len(frame.text):
            continue
        records = _records(plan, stream.name, [*before, frame.text])
        if records and len(records) <= _MOST:
            needed = _needed(plan, stream.name, before, frame.text)
            best = DraftTest(f"a {stream.name} of the sample", (stream.name,), (*needed, frame.text), tuple(records))
    return best


def _needed(plan: Plan, stream: str, before: list[str], frame: str) -> list[str]:
    """Of earlier frames, the one without which a frame becomes nothing."""
    if _records(plan, stream, [frame]):
        return []
    return [next(one for one in before if _records(plan, stream, [one, frame]))] if before else []


def _records(plan: Plan, stream: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What the last of some frames becomes; nothing where it becomes a dead letter."""
    pipeline = fresh(plan, ConnectorState(plan, plan.named([stream]), window=0))
    envelopes: list[Envelope] = []
    for text in texts:
        envelopes, _ = pipeline.receive([text], 0.0, RECEIVED_AT)
    if any(envelope.schema is None for envelope in envelopes):
        return []
    return [_shown(one.schema.decode_plain(one.value)) for one in envelopes if one.schema is not None]


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    found = {name: record[name] for name in _SHOWN if name in record}
    moment = _EPOCH + timedelta(microseconds=record["timestamp"])
    found["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if "quote_id" in found and not any(mark in str(found["quote_id"]) for mark in "-"):
        del found["quote_id"]
    return found


def _report(made: Draft, target: Path | None, problems: Sequence[Problem], played: PlayedSample | None) -> None:
    for problem in problems:
        show(str(problem), error=True)
    streams = ", ".join(stream.name for stream in made.streams) or "no stream"
    where = target or "standard output"
    show(f"{where}: {streams} from {made.frames} frames; {'does not validate yet' if problems else 'validates'}. "
         "Its comments say how sure each guess is; GAP marks what is yours to find out.", error=True)
    if played is not None:
        show(*played.lines(), error=True)
    if target is not None and not problems:
        show(f"next: k2conn test {target}, then fill in the subscribe frame", error=True)
