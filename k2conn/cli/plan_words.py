"""All that a connector file says, as pairs of a word and a text: what `explain` and `plan` show. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from k2conn.cli.revision_words import revision_text
from k2conn.plan import (
    POLITE_CONNECTS,
    Backfill,
    Connection,
    FrameEncoding,
    HttpRequest,
    Plan,
    Rate,
    Retry,
    SettingValue,
    Step,
    Stream,
)

Words = Iterator[tuple[str, str]]


def limit_words(connection: Connection) -> Words:
    """What the venue allows, and how a connection that ended is made again."""
    limits = connection.limits
    said = [f"connect {_rate(limits.connect or POLITE_CONNECTS)}{'' if limits.connect else ' (ours: none declared)'}",
            f"send {_rate(limits.send)}" if limits.send else "",
            f"requests {_rate(limits.requests)}" if limits.requests else "",
            f"symbols {limits.symbols}" if limits.symbols else "",
            f"topics {limits.topics}" if limits.topics else "",
            f"frame {limits.frame} bytes" if limits.frame else "",
            f"connections {limits.connections}" if limits.connections else "",
            f"unanswered {limits.unanswered}" if limits.unanswered else "",
            f"lifetime {limits.lifetime:g} s" if limits.lifetime else "",
            "counted by IP address, with all that goes to the same host" if limits.per == "ip" else ""]
    yield "limits", ", ".join(filter(None, said))
    back = connection.reconnect
    tries = "" if back.attempts is None else f", {back.attempts} attempts without data"
    yield "reconnects", f"after {back.base:g} s, times {back.factor:g} each time, at most {back.cap:g} s{tries}"
    stale = connection.stale_after
    yield "stale after", "never" if stale is None else f"{stale:g} s without a frame"


def connection_words(plan: Plan, connection: Connection) -> Words:
    """How frames become messages, and what a connection has beside its requests."""
    if (poll := connection.poll) is not None:
        yield "asks", f"{poll.method} every {poll.every:g} s, each answer within {poll.within:g} s"
    elif connection.framing is not None:
        yield "frames", connection.framing.text
    for name in connection.initial:
        yield "begins with", f"$state.{name} = {connection.initial_texts[name]}"
    yield "codec", codec_text(connection.codec)
    compression = connection.compression.text if connection.compression is not None else "off"
    yield "largest", (f"at most {connection.max_frame} bytes, compression {compression}"
                     + (f", messages by {connection.each_text}" if connection.each_text else ""))
    if connection.subprotocol_text:
        yield "subprotocol", connection.subprotocol_text
    if connection.send_as != "text":
        yield "sends as", "its codec writes it" if connection.send_as == "codec" else f"{connection.send_as} frames"
    yield "streams", ", ".join(one.written for one in plan.written if one.name in connection.streams)
    if connection.reads_files:
        return
    if connection.symbols is not None:
        yield "symbols", f"those for which {connection.symbols.text}"
    if connection.per is not None:
        yield "sockets", f"one for each {connection.per}"
    if connection.replicas > 1:
        yield "replicas", str(connection.replicas)
    if connection.hosts:
        yield "hosts", ", ".join(connection.hosts)
    if connection.sign is not None:
        yield "signs", connection.sign_text
    yield from limit_words(connection)


def codec_text(codec: FrameEncoding) -> str:
    """The codecs of text and of binary frames and their settings; what is a file's content by its size."""
    ways = [("text", codec.text), ("binary", codec.binary)]
    if codec.text == codec.binary:
        ways = [("", codec.text)]
    text = "; ".join(f"{kind} {' > '.join(chain) or 'refused'}".strip() for kind, chain in ways)
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in codec.settings.items())
    return text + (f" ({settings})" if settings else "")


def shown_steps(plan: Plan, connection: Connection) -> list[Step]:
    """The steps, of those for one interval of a stream each only the first."""
    first = {stream.name for stream in plan.written}
    return [step for step in connection.steps if not step.streams or not first.isdisjoint(step.streams)]


def step_words(step: Step) -> Words:
    """One request: when it is sent, for what, and what is expected."""
    said = [f"for {', '.join(step.streams)}" if step.streams else "",
            f"a frame for each {step.per}" if step.per else "",
            f"symbols for which {step.symbols.text}" if step.symbols else "",
            f"batches of {step.batch}" if step.batch else "",
            f"frames of at most {step.batch_bytes} bytes" if step.batch_bytes else "",
            f"{step.pause:g} s between frames" if step.pause else ""]
    yield f"step {step.name}", ", ".join(filter(None, said)) or "once"
    if step.later_text:
        yield "  later", step.later_text
    if step.undo_text:
        yield "  undo", step.undo_text
    if (renew := step.renew) is not None:
        sooner = f", {renew.early:g} s sooner" if renew.early else ""
        calls = ", after the calls of `before`" if renew.before else ""
        yield "  renewed", f"every {renew.every_text}{sooner}{calls}{f': {renew.text}' if renew.text else ''}"
    expect = step.expect
    if expect is None:
        return
    if expect.first_data:
        yield "  expects", f"first-data within {expect.within:g} s"
    if expect.accepted is not None:
        yield "  accepted", f"{expect.accepted.text}   within {expect.within:g} s"
    if expect.refused is not None:
        yield "  refused", expect.refused.text
    if expect.final is not None:
        yield "  for good", expect.final.text
    if expect.retry != Retry():
        yield "  retried", _retry(expect.retry)
    yield from ((f"  {key}", text) for key, text in expect.spoken)
    if expect.data:
        yield "  data", "a reply may be a stream's message, too"


def request_text(request: HttpRequest) -> str:
    """A call, and what is kept of its answer."""
    kept = ", ".join(f"$state.{one.into}" for one in request.capture)
    return f"{request.method} {request.url_text} within {request.within:g} s" + (f", keeps {kept}" if kept else "")


def stream_words(stream: Stream) -> Words:
    """How a stream's messages become records, beside its fields."""
    yield "recognised", stream.when.text
    if revision := revision_text(stream):
        yield "revision", revision
    if stream.also:
        yield "also", "takes messages that a stream before it takes, too"
    yield "items", f"{stream.items_text}, {order_words(stream)}"
    if stream.drop_when is not None:
        yield "dropped", f"when {stream.drop_when.text}"
    if stream.snapshot is not None:
        yield "snapshot", f"when {stream.snapshot.text}: {stream.snapshot_action}"
    if stream.first_batch != "keep":
        yield "first batch", f"a symbol's first message on a connection: {stream.first_batch}"
    if stream.states is not None:
        how = "as the item says" if stream.states.closed is not None else "when the next one opens"
        yield "over", f"{how}; what is not over is {'kept' if stream.states.keep_open else 'dropped'}"
    if (carry := stream.carry) is not None:
        begin = f"; afresh when {carry.begin.text}" if carry.begin else ""
        yield "carry", f"{', '.join(carry.fields)}{begin}" + ("; a record for each change" * carry.changes_only)
        for clear in carry.clear:
            cleared = [name for at, name in enumerate(carry.fields) if at in clear.fields]
            yield "  cleared", f"{', '.join(cleared)} when {clear.text}"
    if (rule := stream.sequence) is not None:
        before = f", after {rule.previous_text}" if rule.previous_text else ""
        yield "sequence", f"{rule.expression}{before}: {rule.rule} per {rule.per}"
    if stream.identity:
        yield "identity", ", ".join(stream.identity) + ("; equal ones are one record" * stream.distinct)
    if (scope := stream.id_scope) is not None:
        day = [f"the day in {scope.zone_name}"] if scope.zone is not None else []
        yield "ids within", ", ".join([*scope.fields, *day])
    if stream.empty != "dead_letter":
        yield "all zeros", stream.empty
    yield "message id", stream.message_id
    if stream.stale_after is not None:
        yield "stale after", f"{stream.stale_after:g} s without data of any symbol"
    for one in stream.backfill:
        yield "backfill", _backfill(one)
        yield from _other_rows(one, stream)
    if (audit := stream.audit) is not None:
        off = "".join(f", {name} may differ by {Decimal(number).scaleb(-scale):f}"
                      for name, (number, scale) in audit.tolerance.items())
        yield "audit", (f"{', '.join(audit.fields)} with the trades of {audit.trades}, "
                        f"{audit.settle:g} s after the end, edge {audit.edge}{off}")


def order_words(stream: Stream) -> str:
    """The order of items in a message."""
    if stream.other_order_when is None:
        return stream.order
    other = "newest-first" if stream.order == "oldest-first" else "oldest-first"
    return f"{other} when {stream.other_order_when.text}, else {stream.order}"


def _backfill(one: Backfill) -> str:
    said = [request_text(one.request), f"rows {one.each_text}",
            f"symbols for which {one.symbols.text}" if one.symbols else "",
            _rate(one.limit) if one.limit else "",
            f"pages of {one.page.size} by {one.page.by}" if one.page else ""]
    return "; ".join(filter(None, said))


def _other_rows(one: Backfill, stream: Stream) -> Words:
    """The fields that rows have elsewhere than items."""
    own = {field.name: field.expression for field in (stream.symbol, *stream.fields)}
    own |= {stream.venue_id.name: stream.venue_id.expression} if stream.venue_id else {}
    rows = [one.rows.symbol, *([one.rows.venue_id] if one.rows.venue_id else []), *one.rows.fields]
    other = [f"{field.name} {field.expression}" for field in rows if own.get(field.name) != field.expression]
    if other:
        yield "  rows have", ", ".join(other)


def _retry(retry: Retry) -> str:
    if retry.attempts == 0:
        return "never"
    said = [f"after {retry.after:g} s" if retry.after is not None else "",
            f"at most {retry.longest:g} s apart" if retry.longest is not None else "",
            f"{retry.attempts} times" if retry.attempts is not None else ""]
    return ", ".join(filter(None, said))


def _rate(rate: Rate) -> str:
    return f"{rate.count} per {rate.seconds:g} s"


def _setting(value: SettingValue) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if isinstance(value, str) else " ".join(value)
