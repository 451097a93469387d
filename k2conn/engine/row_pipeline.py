"""From the rows of files to envelopes: what `frame_pipeline` is for the frames of a connection.

Pure: `k2conn load` and `k2conn map` feed rows through `RowPipeline.receive`, which a row format (`k2conn.codecs`) has
read. A row is a message; it says nothing to anybody, so there is no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from k2conn.codecs import Row
from k2conn.engine.accounting.dead_letter import Origin
from k2conn.engine.accounting.frame_letters import FrameLetters, finish_letters
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.accounting.troubles import TroubleKind, short
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation import routing
from k2conn.engine.conversation.routing import Router
from k2conn.engine.mapping.row_mapping import RowMapping, suits
from k2conn.engine.mapping.slices import Slices
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Connection
from k2conn.scope import Scope

COMPRESSED = (".gz", ".zst")
"""Suffixes that say how a file is compressed, and nothing of what is in it."""
_ALL = "@"
"""The condition that every row meets."""


def bare_name(path: str) -> str:
    """The name of a file without its folder, its suffix, and that of a compression."""
    name = path.rpartition("/")[2]
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.rpartition(".")[0] or name


class RowPipeline:
    """Processes the rows of files, one file after the other."""

    def __init__(self, connector_state: ConnectorState, connection: Connection) -> None:
        self.connector_state = connector_state
        streams = connector_state.streams
        self._mappings = tuple(connector_state.mappings[stream.name] for stream in streams)
        self._router = Router(connection, streams)
        self._ledger = connector_state.ledger
        self.scope = Scope()
        only = len(streams) == 1 and streams[0].when.text == _ALL and not connection.ignore
        self._only = self._mappings[0].take if only else None
        """What takes all rows, one by one."""
        self._many = RowMapping(self._mappings[0]) if only and suits(streams[0]) else None
        """What takes all rows, many at a time."""

    def begin(self, path: str, row: int) -> None:
        """Another file: where it is, as people say it, and how many of its rows are over."""
        self.scope.epoch = next(self.connector_state.epochs)
        self.scope.file, self.scope.path, self.scope.row = bare_name(path), path, row
        if self._many is not None:
            self._many.begin(self.scope)

    def receive(self, rows: Sequence[Row], wall: int) -> list[Envelope]:
        """The next rows of the file, read at ``wall`` (microseconds since the epoch): envelopes for the sink. Every row
        has an outcome, also one that meets a bug: that is a dead letter, and counted as a crash.
        """
        out: list[Envelope] = []
        scope = self.scope
        scope.received_at = wall
        self._ledger.frames += len(rows)
        if self._many is not None:
            self._many.take(rows, scope, out, partial(self._one, out))
            return out
        count = scope.row or 0
        for scope.line, raw, message in rows:
            count += 1
            scope.row = count
            self._one(out, message, raw)
        return out

    def _one(self, out: list[Envelope], message: object, raw: str | bytes) -> None:
        """A row at the scope's place."""
        try:
            if type(message) is RecordError:
                self._malformed(message, raw, out)
            else:
                rest = (self._only or self._route)(message, raw, self.scope, out)
                for _ in rest or ():  # a row of very many items
                    pass
        except Exception as bug:  # nothing of the other rows is lost for it, and the row is kept
            self._ledger.crashes += 1
            detail = f"k2conn met a bug: {type(bug).__name__}"
            self._malformed(RecordError("row", None, None, "bug", detail), raw, out)
        finish_letters(self.scope, out)

    def _route(self, message: object, raw: str | bytes, scope: Scope, out: list[Envelope]) -> Slices | None:
        kind, at = self._router.route(message, scope)
        if kind == routing.STREAM:
            return self._mappings[at].take(message, raw, scope, out)
        if kind == routing.SEVERAL:
            for _, one in self._router.several[at]:  # rows have no replies and no captures
                for _ in self._mappings[one].take(message, raw, scope, out) or ():
                    pass
            return None
        if kind == routing.IGNORE:
            self._ledger.control += 1
        else:
            self._ledger.unrecognised += 1
            self._ledger.troubles.note(
                TroubleKind.UNKNOWN, "", "", scope.received_at, lambda: {"message": short(message), **scope.place()}
            )
        return None

    def _malformed(self, error: RecordError, raw: str | bytes, out: list[Envelope]) -> None:
        plan, ledger, scope = self.connector_state.plan, self._ledger, self.scope
        ledger.malformed += 1
        account = ledger.account(NOWHERE, NOWHERE)
        account.received += 1
        ledger.dead_reasons[error.reason] += 1
        ledger.troubles.note(
            TroubleKind.DEAD_LETTER, NOWHERE, error.reason, scope.received_at,
            lambda: {**scope.place(), "detail": short(error.detail)},
        )
        letters = scope.letters = scope.letters or FrameLetters(
            raw, scope.received_at, ledger.latest, scope.place()
        )
        origin = Origin(plan.name, plan.exchange, NOWHERE, self.connector_state.malformed_topic)
        letters.add(origin, "", error, account, None, out)
