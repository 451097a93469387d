"""`k2conn dlq`: dead letters listed, shown, and mapped again with today's connector files."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from k2conn import exactjson
from k2conn.cli.event_loop import on_event_loop, stop_on_signals
from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.cli.option_values import listed
from k2conn.cli.run_options import RunOptions
from k2conn.cli.screen import Column, line, screen, table
from k2conn.cli.startup import check_log, checked_sink
from k2conn.consumer.settings import DEAD_SUFFIX
from k2conn.errors import CollectedProblems, SettingsError, known
from k2conn.letters.files import raw_letters
from k2conn.letters.letter import BadLetter, DeadFrame, Letter, frames_of, letter, received_at
from k2conn.letters.marks import Marks
from k2conn.letters.mending import Mender
from k2conn.letters.publishing import DlqOutcome, Publishing
from k2conn.letters.showing import marked
from k2conn.printable import visible
from k2conn.settings import state_folder
from k2conn.settings.consumer import consumer_settings
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SinkSettings

ACTIONS = ("list", "show", "replay")
DONE, FAILED, STILL_DEAD = 0, 1, 65
MOST = 200_000
"""Letters that are held at a time: a frame's letters may stand anywhere."""
MOST_BYTES = 512 * 1024 * 1024
_STATE = Path("state")
_COLUMNS = (Column("items", right=True), Column("frames", leaves=3, right=True), Column("connector"), Column("stream"),
            Column("reason"), Column("field"), Column("latest", leaves=2), Column("frame_id"),
            Column("detail", leaves=1, least=20))


@dataclass(frozen=True, slots=True)
class DlqOptions:
    """What the command line says. ``to``: of the sink and the log, as for `k2conn run`."""

    action: str
    paths: Sequence[Path]
    to: RunOptions
    topics: Sequence[str] = ()
    connector: Sequence[str] = ()
    stream: str | None = None
    reason: str | None = None
    field: str | None = None
    frame: str | None = None
    state: Path | None = None
    publish: bool = False
    format: str = "text"


def run(options: DlqOptions) -> int:
    """Does what is asked; returns the exit code."""
    problems = CollectedProblems()
    with problems.noting():
        check_log(options.to, os.environ)
    with problems.noting():
        if options.action not in ACTIONS:
            raise SettingsError(f"dlq {options.action}{known(options.action, ACTIONS)}")
        if options.format not in ("text", "json"):
            raise SettingsError(f"--format {options.format}{known(options.format, ('text', 'json'))}")
        if options.paths and options.topics:
            raise SettingsError("say files or --topics, not both")
    problems.finish()
    letters = [one for one in _letters(options) if _wanted(one, options)]
    if options.action == "list":
        return _list(letters, options.format)
    if options.action == "show":
        return _show(letters, options)
    return _replay(letters, options)


# -- where they come from


def _letters(options: DlqOptions) -> list[Letter]:
    found: list[Letter] = []
    size = bad = 0
    for place, raw in _raw(options):
        try:
            one = letter(raw, place)
        except BadLetter as error:
            bad += 1
            if bad == 1:
                show(f"left out: {error}", error=True)
            continue
        size += len(raw)
        if len(found) >= MOST or size > MOST_BYTES:
            raise SettingsError(f"there are more than {MOST:,} dead letters, or {MOST_BYTES >> 20} MiB of them: name"
                                " fewer topics or files at a time")
        found.append(one)
    if bad > 1:
        show(f"left out: {bad} documents that are no dead letters", error=True)
    return found


def _raw(options: DlqOptions) -> list[tuple[str, bytes]]:
    if options.paths or not (options.topics or options.to.kafka or os.environ.get("K2_KAFKA_BOOTSTRAP_SERVERS")):
        return list(raw_letters(options.paths or [Path("data")]))
    names = listed("--topics", options.topics) or ["*" + DEAD_SUFFIX]
    if wrong := [name for name in names if not name.endswith(DEAD_SUFFIX)]:
        raise SettingsError(f"--topics {', '.join(wrong)}: topics of dead letters end in {DEAD_SUFFIX}")
    settings = consumer_settings(os.environ, kafka=options.to.kafka, registry=options.to.registry, topics=names)

    async def read() -> list[tuple[str, bytes]]:
        from k2conn.consumer.whole_topics import whole_topics

        return [one async for one in whole_topics(settings)]

    return on_event_loop(read)


def _wanted(one: Letter, options: DlqOptions) -> bool:
    names = [Path(name).stem if Path(name).suffix else name for name in options.connector]
    if names and one.connector not in names:
        return False
    if options.frame is not None and one.frame_id != options.frame:
        return False
    asked = ((options.stream, one.stream), (options.reason, one.reason), (options.field, one.field))
    return options.action == "replay" or all(want is None or want == have for want, have in asked)


# -- looking


def _list(letters: Sequence[Letter], format: str) -> int:
    groups: dict[tuple[str, str, str, str], list[Letter]] = {}
    for one in letters:
        groups.setdefault((one.connector, one.stream, one.reason, one.field), []).append(one)
    rows = sorted(groups.items(), key=lambda group: -sum(one.items for one in group[1]))
    if format == "json":
        for (connector, stream, reason, field), found in rows:
            last = max(found, key=lambda one: received_at(one.said))
            show_json({"connector": connector, "stream": stream, "reason": reason, "field": field or None,
                       "items": sum(one.items for one in found),
                       "frames": len({one.frame_id for one in found if one.frame_id}),
                       "latest": received_at(last.said), "frame_id": last.frame_id or None,
                       "detail": last.said["detail"]})
        return DONE
    console = screen()
    body = []
    for (connector, stream, reason, field), found in rows:
        last = max(found, key=lambda one: received_at(one.said))
        frames = len({one.frame_id for one in found if one.frame_id})
        body.append((f"{sum(one.items for one in found):,}", f"{frames:,}", connector, stream or "-", reason,
                     field or "-", _iso(received_at(last.said)), last.frame_id or "-",
                     str(last.said["detail"])[:100]))
    if body:
        console.print(table(_COLUMNS, body, console.width))
    total = sum(one.items for one in letters)
    line(console, f"{total:,} dead items in {len(letters):,} letters")
    return DONE


def _show(letters: Sequence[Letter], options: DlqOptions) -> int:
    if not letters:
        raise SettingsError("no such dead letter: k2conn dlq list has their frame_id")
    frames = frames_of(letters)
    if options.format == "json":
        for one in letters:
            show_json(one.said)
        return DONE
    console = screen()
    if not frames:  # letters of no frame: records that a sink refused
        line(console, exactjson.encode(letters[0].said).decode())
        return DONE
    frame = frames[-1]
    for one in frame.letters:
        line(console, f"{one.connector} {one.stream} {one.said.get('symbol') or '-'}: {one.reason}"
                      f", received {_iso(received_at(one.said))}, frame {one.frame_id} ({one.place})")
        line(console, f"  field       {one.field or '-'}")
        line(console, f"  expression  {visible(str(one.said.get('expression') or '-'))}")
        line(console, f"  value       {visible(str(one.said.get('value')))}")
        line(console, f"  detail      {visible(str(one.said['detail']))}")
        if one.said.get("state"):
            line(console, f"  captured    {exactjson.encode(one.said['state']).decode()}")
        found = marked(frame, one)
        if found.piece:
            line(console, f"  {found.piece}")
            line(console, f"  {found.marks}")
    raw = frame.frame
    if raw is None:
        line(console, "the frame itself is in another letter, which is not here")
    else:
        line(console, "frame:" if isinstance(raw, str) else f"frame: {len(raw)} bytes, binary")
        line(console, visible(raw) if isinstance(raw, str) else raw[:2000].hex(" "))
    return DONE


# -- mapping again


def _replay(letters: Sequence[Letter], options: DlqOptions) -> int:
    problems = CollectedProblems()
    settings: SinkSettings | None = None
    menders: dict[str, Mender] = {}
    folder = _STATE
    frames = [one for one in frames_of(letters) if _asked(one, options)]
    said = {Path(name).stem if Path(name).suffix else name: name for name in options.connector}
    for name in dict.fromkeys(frame.connector for frame in frames):
        with problems.noting():
            menders[name] = Mender(load(said.get(name, name)))
            if menders[name].plan.name != name:
                raise SettingsError(f"{said.get(name, name)} is the file of {menders[name].plan.name}, not of {name}")
    with problems.noting():
        folder = options.state or state_folder(os.environ) or _STATE
    with problems.noting():
        settings = checked_sink(options.to, os.environ, None, problems)
    problems.finish()
    assert settings is not None
    marks = Marks(folder, _destination(settings))
    work = Publishing(frames, menders, marks, settings if options.publish else None)
    outcome = on_event_loop(partial(_until_stopped, work))
    return _report(outcome, options, marks, len(letters) - sum(len(one.letters) for one in frames_of(letters)))


def _asked(frame: DeadFrame, options: DlqOptions) -> bool:
    """Whether a frame has a letter that is asked for; all of its letters are needed to map it."""
    narrow = replace(options, action="list")
    return any(_wanted(one, narrow) for one in frame.letters)


def _destination(settings: SinkSettings) -> str:
    kind = SINKS.get(settings.kind)
    given = settings.options if settings.options is not None else kind.settings()
    where = kind.where(given)
    if settings.kind == "file":
        where = str(Path(where).resolve())
    return " ".join(filter(None, (settings.kind, kind.prefix(given), where)))


async def _until_stopped(work: Publishing) -> DlqOutcome:
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    return await work.run(stop)


def _report(outcome: DlqOutcome, options: DlqOptions, marks: Marks, others: int) -> int:
    code = FAILED if outcome.unsent else STILL_DEAD if outcome.still or outcome.why_not else DONE
    if options.format == "json":
        show_json({"published": options.publish, "frames": outcome.frames, "before": outcome.before,
                   "mended": outcome.mended, "in_part": outcome.in_part, "records": outcome.records,
                   "still": [{"connector": c, "stream": s, "reason": r, "field": f, "items": count}
                             for (c, s, r, f), count in outcome.still.most_common()],
                   "why_not": dict(outcome.why_not), "unsent": outcome.unsent, "stopped": outcome.stopped})
        return code
    if not options.publish:
        for one in outcome.examples:
            show_json(one)
    word = "published" if options.publish else "would be published"
    err = screen(sys.stderr)
    line(err, f"{outcome.frames:,} frames: {outcome.mended:,} are mended, {outcome.records:,} records {word}"
              f"; {outcome.before:,} were published before")
    if outcome.in_part:
        line(err, f"{outcome.in_part:,} are mended in part, and not published: some of their items are still dead")
    for (connector, stream, reason, field), count in outcome.still.most_common():
        line(err, f"still dead: {count:,} items of {connector} {stream}: {reason} ({field})")
    for text, count in outcome.why_not.most_common():
        line(err, f"not mapped: {count:,} frames: {text}")
    if others:
        line(err, f"not mapped: {others:,} letters that are of no frame, or came twice")
    if outcome.unsent:
        line(err, f"{outcome.unsent} records could not be sent; their frames are not marked as published")
    if not options.publish:
        line(err, "this was a dry run: --publish sends them")
    elif outcome.mended:
        line(err, f"marked in {marks.path}")
    return code


def _iso(moment: int) -> str:
    if not 0 < moment < 253_402_300_800_000_000:
        return "-"
    return f"{datetime.fromtimestamp(moment // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}Z"
