"""A venue's instrument list asked for, page by page, within bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from k2conn import exactjson
from k2conn.codecs.bodies import ReadBody, body_reader
from k2conn.errors import RecordError, TransportError
from k2conn.hosts import host_of
from k2conn.net.destinations import Destinations
from k2conn.net.http import MAX_ANSWER, MOST_VALUES, Call, body, in_thread
from k2conn.plan import InstrumentList, Json, ListPages, SendScope
from k2conn.runner.http_requests import http_call, reached
from k2conn.runner.overrides import Overrides
from k2conn.scope import Scope

MOST_BYTES = 2 * MAX_ANSWER
"""Bytes of all pages of a list together."""
MOST_LISTED_VALUES = 2 * MOST_VALUES
"""Values of a list, all its pages together: a spot market of 1,500 pairs has 200,000."""


class ListAnswer(NamedTuple):
    """What a venue answered when it was asked for its list."""

    answer: Any
    """The answer; of a list in pages, all of them, in a list."""
    cut: bool = False
    """Whether there were more pages than are asked for."""


async def read_list(
    listing: InstrumentList, scope: SendScope, given: Overrides, allowed: Destinations | None
) -> ListAnswer:
    """Asks for the list. Raises TransportError, RecordError, MissingVariable and SettingsError."""
    request = http_call(listing.request, scope, given, allowed)
    if listing.pages is None:
        return ListAnswer(await _read(request, body_reader(listing.encoding, MOST_LISTED_VALUES)))
    reading = _Reading(listing, listing.pages, str(listing.request.url(scope)), given)
    return await reading.read(request)


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
    """One reading of a list in pages."""

    def __init__(self, listing: InstrumentList, pages: ListPages, url: str, given: Overrides) -> None:
        self._listing = listing
        self._pages = pages
        self._url = url
        """The address of the first page, as the file has it."""
        self._given = given
        self._decode = body_reader(listing.encoding, MOST_LISTED_VALUES)
        self._answers: list[Json] = []
        self._bytes = self._values = 0
        self._seen: set[str] = set()

    async def read(self, request: Call) -> ListAnswer:
        """All pages, as far as the bounds let them be asked for."""
        url: str | None = self._url
        if self._pages.next is None:
            url = _with(self._url, self._pages.query, str(self._pages.first))
        while url is not None:
            if len(self._answers) >= self._pages.most or not self._room():
                return ListAnswer(self._answers, True)
            answer = await _read(replace(request, url=reached(url, self._given)), self._counted)
            url = self._next(answer)
            self._answers.append(answer)
        return ListAnswer(self._answers)

    def _counted(self, text: bytes) -> Json:
        self._bytes += len(text)
        self._values += exactjson.values(text)
        return self._decode(text)

    def _room(self) -> bool:
        return self._bytes <= MOST_BYTES - MAX_ANSWER and self._values <= MOST_LISTED_VALUES - MOST_VALUES

    def _next(self, answer: Json) -> str | None:
        """The address of the page after this one; None where it is the last."""
        pages = self._pages
        if pages.next is None:
            again = bool(self._answers) and answer == self._answers[-1]  # a venue that does not know the parameter
            number = str(pages.first + len(self._answers) + 1)
            return None if again or not self._listing.entries(answer) else _with(self._url, pages.query, number)
        found = _next_of(pages, answer)
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


def _next_of(pages: ListPages, answer: Json) -> str:
    """What names the next page, as text; empty where there is none."""
    assert pages.next is not None
    scope = Scope()
    scope.message = answer
    value = pages.next(answer, scope)
    if isinstance(value, (dict, list)) or value is None or value is False:
        return ""
    return exactjson.spell(value)[:2000]


def _with(url: str, name: str, value: str) -> str:
    """An address with a parameter in place of what it has of that name."""
    parts = urlsplit(url)
    query = [(key, one) for key, one in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))
