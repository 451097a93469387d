"""`k2conn docs`: a Markdown page for each connector, and an index of them, made from the files alone.

Pages say what the connector files say, so they are generated, never edited; `--check` finds those out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.cli.evidence import rests_on
from k2conn.cli.instrument_text import instrument_text
from k2conn.cli.loading import find, load, shipped
from k2conn.cli.markdown_text import cell, code, fenced, link, paragraph, prose
from k2conn.cli.messages import show
from k2conn.cli.plan_tables import field_rows, sent_frames
from k2conn.compiler.language.document import read_document
from k2conn.engine.conversation.request_frames import frame_text
from k2conn.errors import SettingsError
from k2conn.plan import POLITE_CONNECTS, Connection, Plan, Stream
from k2conn.records import load_record

_UUID = "00000000-0000-4000-8000-000000000000"
_SHOWN = 1500
"""Characters of an example frame."""
_FRAMES = 6
"""Sent frames that a page shows."""
INDEX = "README.md"


class ConnectorPage(NamedTuple):
    """A connector, as it runs and as it is written."""

    plan: Plan
    said: Mapping[str, Any]
    text: str


def run(connectors: Sequence[str], folder: Path, check: bool) -> int:
    """Writes the pages, or compares them; returns 0, or 1 where --check finds a page out of date."""
    pages = [_read(name) for name in connectors or [str(path) for path in shipped()]]
    files = {f"{page.plan.name}.md": markdown(page) for page in pages}
    if not connectors:
        files[INDEX] = index(pages)
    stale = [name for name, text in files.items() if _now(folder / name) != text]
    extra = _extra(folder, files) if not connectors else []
    if check:
        for name in stale:
            show(f"{folder / name} is out of date: run k2conn docs", error=True)
        for path in extra:
            show(f"{path} is of no connector: remove it", error=True)
        show(f"{len(files) - len(stale)} of {len(files)} pages are up to date", error=True)
        return 1 if stale or extra else 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).write_text(files[name], encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--output {folder}: {error.strerror}") from None
    show(f"{len(stale)} of {len(files)} pages written to {folder}", error=True)
    return 0


def _read(name: str) -> ConnectorPage:
    path = find(name)
    text = path.read_text(encoding="utf-8")
    return ConnectorPage(load(name), read_document(str(path), text).value, text)


def _now(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _extra(folder: Path, files: Mapping[str, str]) -> list[Path]:
    return [path for path in sorted(folder.glob("*.md")) if path.name not in files]


# -- the index


def index(pages: Sequence[ConnectorPage]) -> str:
    """The table of all connectors."""
    lines = ["# Connectors", "", "Made by `k2conn docs` from the files in `connectors/`; edit those.", "",
             "| connector | exchange | market | asset class | streams | heartbeat | encoding | auth | evidence |",
             "|---|---|---|---|---|---|---|---|---|"]
    for page in sorted(pages, key=lambda one: one.plan.name):
        plan = page.plan
        streams = ", ".join(one.written if one.default else f"({one.written})" for one in plan.written)
        beats = _unique(_beat(one) for one in plan.connections)
        codecs = _unique(_encoding(one) for one in plan.connections)
        cells = [plan.exchange, plan.market, plan.asset_class, streams, beats, codecs, _auth(page),
                 plan.evidence]
        lines.append(f"| [{plan.name}]({plan.name}.md) | " + " | ".join(map(cell, cells)) + " |")
    lines += ["", f"{len(pages)} connectors. Streams in brackets run only when they are named.", ""]
    return "\n".join(lines)


def _unique(texts: Iterator[str] | Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _beat(connection: Connection) -> str:
    """The heartbeat in a few words."""
    said: list[str] = []
    if connection.heartbeat:
        what = "protocol ping" if connection.heartbeat.send is None else "message"
        said.append(f"{what} every {connection.heartbeat.every_text}")
    if connection.answer:
        said.append("answers the server's ping")
    return ", ".join(said) or "server's protocol pings"


def _encoding(connection: Connection) -> str:
    codec = connection.codec
    text = "+".join(codec.text) or "refused"
    binary = "+".join(codec.binary) or "refused"
    return text if text == binary or binary == "refused" else f"{text} (text), {binary} (binary)"


def _auth(page: ConnectorPage) -> str:
    if page.plan.variables:
        return "keys: " + ", ".join(one.name for one in page.plan.variables)
    return "token over HTTP" if any(one.before for one in page.plan.connections) else "none"


# -- a page


def markdown(page: ConnectorPage) -> str:
    """One connector's page."""
    lines = [*_title(page), *_symbols(page)]
    entries = page.said.get("connections") or [page.said.get("connection", {})]
    for connection, said in zip(page.plan.connections, entries, strict=False):
        lines += ["", *_connection(page, connection, said)]
    for stream in page.plan.written:
        lines += ["", *_stream(page, stream, page.said["streams"][stream.written])]
    lines += ["", *_examples(page.plan)]
    return "\n".join(lines).rstrip() + "\n"


def _title(page: ConnectorPage) -> Iterator[str]:
    plan = page.plan
    streams = " and ".join(dict.fromkeys(load_record(one.record).profile.plural for one in plan.streams))
    yield f"# {plan.name}"
    yield ""
    yield f"Made by `k2conn docs` from `connectors/{plan.name}.yaml`; edit that file."
    yield ""
    yield (f"{streams.capitalize()} of {plan.exchange} ({prose(plan.market)}, {plan.asset_class}). "
           + link("The exchange's documentation", plan.docs) + ".")
    if page.said.get("notes"):
        yield ""
        yield from paragraph(str(page.said["notes"]))
    yield ""
    yield f"Authentication: {_auth(page)}."
    if plan.evidence:
        yield ""
        yield f"Evidence: {rests_on(plan.evidence)}."


def _symbols(page: ConnectorPage) -> Iterator[str]:
    plan, said = page.plan, page.said["symbols"]
    yield ""
    yield "## Symbols"
    yield ""
    yield f"Read by {code(plan.symbols.description)}."
    yield ""
    yield "| the exchange's spelling | the record's | currency |"
    yield "|---|---|---|"
    for name in plan.symbols.default:
        found = plan.symbols.resolve(name)
        if found:
            yield f"| {code(name)} | {code(found.record)} | {cell(found.price_currency)} |"
    if plan.symbols.list is not None:
        yield ""
        yield f"The venue's instrument list: {code(instrument_text(plan.symbols.list))}."
    if said.get("aliases"):
        pairs = ", ".join(f"{theirs} is {ours}" for theirs, ours in said["aliases"].items())
        yield ""
        yield f"Aliases: {prose(pairs)}."


_NO_LIMITS = ("none declared: whether the venue states any is not known; at most "
              f"{POLITE_CONNECTS.count} attempts to connect in {POLITE_CONNECTS.seconds:g} s are made")


def _connection(page: ConnectorPage, connection: Connection, said: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Connection {connection.name}" if len(page.plan.connections) > 1 else "## Connection"
    yield ""
    for number, url in enumerate(connection.url_texts):
        yield f"- {'connects to' if not number else 'or to'} {code(url)}"
    for request in connection.before:
        yield f"- before every connect: {code(f'{request.method} {request.url_text}')}"
    limits = ", ".join(f"{name} {value}" for name, value in said.get("limits", {}).items())
    yield f"- the venue's limits: {prose(limits) or _NO_LIMITS}"
    yield f"- frames: {_encoding(connection)}"
    if connection.heartbeat:
        beat = connection.heartbeat
        yield f"- heartbeat every {prose(beat.every_text)}: {code(beat.text) if beat.send else 'a protocol ping'}"
    for answer in connection.answer:
        yield f"- answers {code(answer.when.text)} with {code(answer.text)}"
    for capture in connection.capture:
        when = code(capture.when.text) if capture.when else "always"
        yield f"- learns {code('$state.' + capture.into)} when {when}"
    for notice in connection.notices:
        yield f"- {'connects again' if notice.reconnect else 'logs an error'} when {code(notice.when.text)}"
    for match in connection.ignore:
        yield f"- ignores {code(match.text)}"
    yield from _said_after(page.plan, connection)


def _said_after(plan: Plan, connection: Connection) -> Iterator[str]:
    """The frames sent, and how each step is acknowledged."""
    frames = sent_frames(plan, connection, plan.symbols.default, lambda: _UUID)
    if frames:
        yield ""
        yield "Sent after connecting, for the default symbols:"
        yield ""
        yield from fenced(frames[:_FRAMES])
        if len(frames) > _FRAMES:
            yield ""
            yield f"and {len(frames) - _FRAMES} more of their kind."
    if any(step.expect for step in connection.steps):
        yield ""
        yield "| step | acknowledged by | refused by | within |"
        yield "|---|---|---|---|"
    for number, step in enumerate(connection.steps, 1):
        if step.expect is not None:
            accepted = code(step.expect.accepted.text) if step.expect.accepted else "its first data"
            refused = code(step.expect.refused.text) if step.expect.refused else ""
            name = cell(step.name or str(number))
            yield f"| {name} | {accepted} | {refused} | {step.expect.within:g} s |"


def _stream(page: ConnectorPage, stream: Stream, said: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Stream {stream.written}"
    yield ""
    yield f"{stream.record.capitalize()} records to the Kafka topic {code(stream.kafka_topic)}" + (
        "." if stream.default else "; runs only when it is named."
    )
    yield ""
    if stream.span is not None:
        yield f"- intervals: {', '.join(said['intervals'])}; what follows is that of {stream.span.interval.name}"
    if stream.states is not None:
        how = "where the venue says so" if stream.states.closed is not None else "when the next one of the symbol opens"
        yield f"- over {how}; what is not over {'is kept, too' if stream.states.keep_open else 'is dropped'}"
    if "topic" in said:
        yield f"- the venue's topic: {code(_spelled(said['topic']))}"
    yield f"- recognised by {code(stream.when.text)}"
    where = ", in it ".join(code(level.text) for level in stream.levels) or "the message itself"
    yield f"- items: {where}{_order(stream)}"
    if stream.drop_when:
        yield f"- dropped when {code(stream.drop_when.text)}"
    if stream.snapshot:
        action = "skipped" if stream.snapshot_action == "skip" else "tagged"
        yield f"- the recent past when {code(stream.snapshot.text)}: {action}"
    if "first_batch" in said:
        yield f"- a symbol's first message on a connection is the recent past: {said['first_batch']}"
    if stream.carry:
        begin = f", afresh when {code(stream.carry.begin.text)}" if stream.carry.begin else ""
        only = "; what changes nothing is no record" if stream.carry.changes_only else ""
        yield f"- a side that is absent keeps its last value for that symbol{begin}{only}"
        for rule in stream.carry.clear:
            cleared = [name for at, name in enumerate(stream.carry.fields) if at in rule.fields]
            yield f"- {', '.join(map(code, cleared))} cleared when {code(rule.text)}"
    if stream.empty != "dead_letter":
        yield f"- a record of nothing but zeros is {'kept' if stream.empty == 'keep' else 'dropped'}"
    if stream.sequence:
        yield f"- sequence {code(stream.sequence.expression)}: {stream.sequence.rule} per {stream.sequence.per}"
    for one in stream.backfill:
        whose = f", for symbols where {code(one.symbols.text)}" if one.symbols else ""
        yield f"- missing records are fetched with {code(f'{one.request.method} {one.request.url_text}')}{whose}"
    yield from _audit(stream)
    yield ""
    yield "| field | from | becomes | where absent | speed |"
    yield "|---|---|---|---|---|"
    for name, expression, converter, default, speed in field_rows(stream):
        shown = expression if name == "vendor_data.*" else code(expression)
        yield f"| {cell(name)} | {shown} | {cell(converter)} | {cell(default)} | {cell(speed)} |"


def _order(stream: Stream) -> str:
    if stream.other_order_when is not None:
        other = "newest" if stream.order == "oldest-first" else "oldest"
        return f", {other} first when {code(stream.other_order_when.text)}"
    return ", newest first, so they are reversed" if stream.order == "newest-first" else ""


def _audit(stream: Stream) -> Iterator[str]:
    """How trades are compared with these candles."""
    if (rule := stream.audit) is not None:
        edge = "the one that begins there" if rule.edge == "begin" else "the one that ends there"
        off = [f"{name} may differ by {Decimal(number).scaleb(-scale):f}"
               for name, (number, scale) in rule.tolerance.items()]
        yield (f"- [audit](../audit.md): {', '.join(rule.fields)} are compared with those of the trades of "
               f"{code(rule.trades)}, {rule.settle:g} s after the end; a trade at the very end of a span is of {edge}"
               + "".join(f"; {one}" for one in off))


def _examples(plan: Plan) -> Iterator[str]:
    """Of each record type the first short example."""
    seen: set[str] = set()
    for example in plan.tests:
        for turn in example.dialogue:
            if turn.kind != "received" or not turn.records:
                continue
            kind = _kind(plan, turn.records[0])
            frame = frame_text(turn.value)
            if kind in seen or len(frame) > _SHOWN:
                continue
            yield from [""] if seen else []
            seen.add(kind)
            yield f"## Example: {kind}"
            yield ""
            yield f"From the file's test \"{prose(example.name)}\"."
            yield ""
            yield from fenced([frame])
            yield ""
            yield "becomes"
            yield ""
            yield from fenced(exactjson.encode(record).decode() for record in turn.records)


def _kind(plan: Plan, shown: Mapping[str, Any]) -> str:
    """The record type of a test's record: the first of the connector's that has all the fields shown."""
    records = [one.record for one in plan.streams]
    fields = {name: {field.name for field in load_record(name).schema.fields} for name in records}
    return next((name for name in records if shown.keys() <= fields[name]), records[0])



def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else exactjson.encode(value).decode()
