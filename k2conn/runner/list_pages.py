"""A venue's instrument list asked for, call by call and page by page, within bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from k2conn import exactjson
from k2conn.codecs.bodies import ReadBody, body_reader
from k2conn.engine.instrument_list import next_of
from k2conn.errors import RecordError, TransportError
from k2conn.hosts import host_of
from k2conn.net.destinations import Destinations
from k2conn.net.http import MAX_ANSWER, MOST_VALUES, Call, body, in_thread
from k2conn.plan import InstrumentList, Json, SendScope
from k2conn.runner.http_requests import http_call, reached
from k2conn.runner.overrides import Overrides

MOST_BYTES = 2 * MAX_ANSWER
"""Bytes of all pages of a list together."""
MOST_LISTED_VALUES = 2 * MOST_VALUES
"""Values of a list, all its pages together: a spot market of 1,500 pairs has 200,000."""


class ListAnswer(NamedTuple):
    """What a venue answered when it was asked for its list."""

    answer: Any
    """The answer; of a list in parts, all of them, in a list."""
    cut: bool = False
    """Whether there were more pages than are asked for."""


async def read_list(
    listing: InstrumentList, scope: SendScope, given: Overrides, allowed: Destinations | None
) -> ListAnswer:
    """Asks for the list. Raises TransportError, RecordError, MissingVariable and SettingsError."""
    calls = [(http_call(one, scope, given, allowed), str(one.url(scope))) for one in listing.requests]
    if not listing.in_parts:
        return ListAnswer(await _read(calls[0][0], body_reader(listing.encoding, MOST_LISTED_VALUES)))
    reading = _Reading(listing, given)
    for request, url in calls:
        if not await reading.read(request, url):
            return ListAnswer(reading.answers, True)
    return ListAnswer(reading.answers)


async def _read(request: Call, decode: ReadBody) -> Json:
    """One answer, asked for and read in a thread of its own."""

    def read(data: bytes) -> Json:
        try:
            return decode(data)
        except RecordError as error:
            text = f"{host_of(request.url)} answered what cannot be read: {error.detail}"
            raise TransportError("http", text) from None

    data = await body(request)
    return await in_thread(lambda: read(data))


class _Reading:
    """One reading of a list in parts; the bounds are those of all parts together."""

    def __init__(self, listing: InstrumentList, given: Overrides) -> None:
        self.answers: list[Json] = []
        self._listing = listing
        self._given = given
        self._decode = body_reader(listing.encoding, MOST_LISTED_VALUES)
        self._bytes = self._values = 0

    async def read(self, request: Call, url: str) -> bool:
        """What one call gives, all its pages, as far as the bounds let them be asked for; False where they do not.
        ``url``: the address as the file has it.
        """
        pages = _Pages(self._listing, url)
        following: str | None = pages.begin
        while following is not None:
            if pages.full or not self._room():
                return False
            answer = await _read(replace(request, url=reached(following, self._given)), self._counted)
            following = pages.after(answer)
            self.answers.append(answer)
        return True

    def _counted(self, text: bytes) -> Json:
        self._bytes += len(text)
        self._values += exactjson.values(text)
        return self._decode(text)

    def _room(self) -> bool:
        return self._bytes <= MOST_BYTES - MAX_ANSWER and self._values <= MOST_LISTED_VALUES - MOST_VALUES


class _Pages:
    """The pages of one call; one, where the list says nothing of pages."""

    def __init__(self, listing: InstrumentList, url: str) -> None:
        self._listing = listing
        self._url = url
        self._pages = listing.pages
        self._count = 0
        self._latest: Json = None
        self._seen: set[str] = set()

    @property
    def begin(self) -> str:
        """The address of the first."""
        if self._pages is None or self._pages.next is not None:
            return self._url
        return _with(self._url, self._pages.query, str(self._pages.first))

    @property
    def full(self) -> bool:
        """Whether no more of them are asked for."""
        return self._pages is not None and self._count >= self._pages.most

    def after(self, answer: Json) -> str | None:
        """The address of the page after the one with this answer; None where it is the last."""
        latest, self._latest = self._latest, answer
        self._count += 1
        pages = self._pages
        if pages is None:
            return None
        if pages.next is None:
            again = self._count > 1 and answer == latest  # a venue that does not know the parameter
            number = str(pages.first + self._count)
            return None if again or not self._listing.entries(answer) else _with(self._url, pages.query, number)
        found = next_of(pages, answer)
        if not found:
            return None
        if found in self._seen:
            raise TransportError("http", f"{host_of(self._url)} goes round in circles: a next page that was there")
        self._seen.add(found)
        return _with(self._url, pages.query, found) if pages.query else self._address(found)

    def _address(self, found: str) -> str:
        """An address that the venue gives: the same host is asked, for a key would go along."""
        try:
            whole = urljoin(self._url, found)
            same = urlsplit(whole)[:2] == urlsplit(self._url)[:2]
        except ValueError:
            same = False
        if not same:
            raise TransportError("http", f"{host_of(self._url)} says that the next page of its list is elsewhere")
        return whole


def _with(url: str, name: str, value: str) -> str:
    """An address with a parameter in place of what it has of that name."""
    parts = urlsplit(url)
    query = [(key, one) for key, one in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))
