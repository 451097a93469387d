"""One kind of socket of a connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from k2conn.compression import PLAIN, Compression
from k2conn.framing import Framing
from k2conn.plan.conditions import Match
from k2conn.plan.encoding import FrameEncoding
from k2conn.plan.fields import ValuePath
from k2conn.plan.limits import Backoff, Limits
from k2conn.plan.sending import Capture, HttpRequest, Template
from k2conn.plan.steps import Step
from k2conn.plan.transport_words import Poll, ProgramWords
from k2conn.plan.values import Getter, Json
from k2conn.schemes import FILES, Family, family


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's ping: a message that matches is answered with the rendered template."""

    when: Match
    send: Template
    text: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Our own ping. ``every`` gives seconds from the connection's state (some venues name it at connect)."""

    every: Callable[[Mapping[str, Json]], float]
    every_text: str
    send: Template | None
    """None: a WebSocket protocol ping."""
    text: str = ""
    answer: Match | None = None
    within: float | None = None
    """Seconds after which a missing answer ends the connection; None: answers are not required."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message by which the venue asks for a new connection, or reports an error."""

    when: Match
    reason: Getter | None = None
    reconnect: bool = True
    delay: float = 0.0
    reason_text: str = ""


class SplitPath(NamedTuple):
    """Where the messages of a frame are: the elements of a list at the first of ``paths`` that leads to something true,
    or at the last; without a list the frame is one message. ``whole``: it is one, too, where nothing true is there.
    """

    paths: tuple[ValuePath, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """One kind of socket of a connector: its address, its requests, and the messages to expect."""

    name: str
    urls: tuple[Template, ...]
    url_texts: tuple[str, ...]
    streams: tuple[str, ...]
    symbols: Match | None = None
    headers: Template | None = None
    sign: Template | None = None
    sign_text: str = ""
    codec: FrameEncoding = field(default_factory=FrameEncoding)
    each: Getter | None = None
    """Where one frame holds several messages."""
    each_text: str = ""
    split: SplitPath | None = None
    """The same as data; None where it is more."""
    limits: Limits = field(default_factory=Limits)
    before: tuple[HttpRequest, ...] = ()
    steps: tuple[Step, ...] = ()
    capture: tuple[Capture, ...] = ()
    answer: tuple[Answer, ...] = ()
    heartbeat: Heartbeat | None = None
    ignore: tuple[Match, ...] = ()
    notices: tuple[Notice, ...] = ()
    reconnect: Backoff = field(default_factory=Backoff)
    max_frame: int = 8 * 1024 * 1024
    compression: Compression | None = PLAIN
    """What is offered for it; None: nothing."""
    subprotocol: Template | None = None
    """Gives a text or a list of them: the WebSocket sub-protocols that are offered, of which the server must pick one;
    None: none is.
    """
    subprotocol_text: str = ""
    send_as: Literal["text", "binary", "codec"] = "text"
    """The kind of WebSocket frames that is sent."""
    stale_after: float | None = 60.0
    """Seconds without any frame after which the connection counts as dead; None: never."""
    allow_insecure: bool = False
    """Whether ws:// to another machine is allowed."""
    url_uses_topics: bool = False
    hosts: tuple[str, ...] = ()
    """Where an address that the venue names may lead, beside the hosts that the file writes out: host names, and
    ``*.example.com`` for all below example.com.
    """
    named_by_venue: frozenset[str] = frozenset()
    """The `$state` names that hold a host or a port of an address, or part of one."""
    per: str | None = None
    """``symbol``: one socket for each symbol (its URL or its frames name a single one); None: symbols share sockets."""
    replicas: int = 1
    """Sockets with the same subscriptions, into one deduplicated stream."""

    framing: Framing | None = None
    """Where frames begin and end, for a transport of bytes; None for the others."""
    poll: Poll | None = None
    """How the address is asked again and again; None: it is not."""
    initial: Mapping[str, Template] = field(default_factory=dict)
    """What `$state` holds at first, by name."""
    initial_texts: Mapping[str, str] = field(default_factory=dict)
    """The same as the file says it."""
    program: ProgramWords | None = None

    @property
    def transport(self) -> Family:
        """Which transport its addresses are for."""
        return family(self.url_texts[0])

    @property
    def reads_files(self) -> bool:
        """Whether its messages are the rows of files, which whoever runs it names."""
        return self.url_texts == (FILES,)
