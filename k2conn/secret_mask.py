"""The last filter of all that k2conn says: known secrets are left out of it, in whatever form they come.

A secret is what connectors read of the environment, what the operator set as a password, a token or a key, and (the
latest of each) signatures and the tokens that a venue gave. A venue may repeat them, a library may put them into an
error's text: so what goes into a log, a status, a metric, a dead letter or a report passes `SecretMask.hide`.

Nothing is looked at where no secret is known, and nothing on the way of a record: only what is said about it.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

HIDDEN = "[hidden]"
SHORTEST = 4
"""Characters below which a value is in any text, and is not hidden."""
_OWN_WORD = 8
"""Characters from which a value is nobody's everyday word: then it is hidden in the names of a document, too, and
within base64. The same goes for what a venue gave, and for the parts of an operator's address.
"""
_CUT = 6
"""Characters of a secret's beginning that are hidden at the end of a text, which may have been cut there."""
_PASSING = 256
"""Signatures and tokens that are remembered; the oldest are forgotten."""
_PASSING_LENGTH = 8 * 1024
"""Characters of one of them that are looked for: its beginning."""
_PASSING_SIZE = 64 * 1024
"""Characters of all of them: each has many forms."""
_FEW = 1000
"""Forms up to which each is looked for by itself in a long text. More are found by their beginnings, and so are those
that are more than a text has characters: a venue may give very many.
"""
_SECRET_NAME = re.compile(r"pass|pwd|token|secret|(?<!ssl)key|sign|auth|credential", re.IGNORECASE)
"""Of a value in an address's query; `sslkey` is the name of a file."""
_CUT_MARKS = " .…'\")]}"

Said = TypeVar("Said")


class SecretMask:
    """The secrets that a process knows."""

    def __init__(self) -> None:
        self._lasting: set[str] = set()
        self._passing: OrderedDict[str, None] = OrderedDict()
        self._passing_size = 0
        self._forms = _Forms(())
        self._stale = False
        self._compiling = threading.Lock()
        self._public: frozenset[str] = frozenset()

    @contextmanager
    def published(self, values: Iterable[str]) -> Iterator[None]:
        """While it lasts, these values are no secrets, whoever asks to hide them: they stand in a file, for all to
        read, in the place of secrets. A word such as `token` is a part of others.
        """
        before, self._public = self._public, self._public | {one for value in values for one in (value, value.strip())}
        try:
            yield
        finally:
            self._public = before

    def add(self, *values: str) -> None:
        """Values that are never to be shown; those shorter than `SHORTEST` are left out."""
        for value in values:
            for one in (value, value.strip()):
                if len(one) >= SHORTEST and one not in self._lasting and one not in self._public:
                    self._lasting.add(one)
                    self._stale = True

    def add_address(self, url: str, options: bool = False) -> None:
        """What is secret in an address: its password, query values whose names say so, and of the user and the other
        values what is no everyday word, as `postgres` and `true` are. ``options``: the other values are options, as in
        a database's address, and none is secret; nor is the user.
        """
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query)
        except ValueError:
            return
        login, at, _ = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        if at and password:
            self.add(password, unquote(password))
        self.add(*(value for name, value in query if _SECRET_NAME.search(name)))
        others = () if options else (user, unquote(user), *(value for _, value in query))
        self.add(*(one for one in others if not _is_everyday(one)))

    def add_passing(self, value: object) -> None:
        """A signature, or a token that a venue gave: a text that is no everyday word."""
        if not isinstance(value, str) or len(value) < _OWN_WORD or value in self._lasting:
            return
        value = value[:_PASSING_LENGTH]
        if value not in self._passing:
            self._stale = True
            self._passing_size += len(value)
        self._passing[value] = None
        self._passing.move_to_end(value)
        while len(self._passing) > _PASSING or self._passing_size > _PASSING_SIZE:
            self._passing_size -= len(self._passing.popitem(last=False)[0])

    def hide(self, said: Said) -> Said:
        """A text, or whatever holds texts (lists, tables), without the secrets. Names in tables are left as they are
        where a secret might be a word of ours. Members of an enumeration stay.
        """
        forms = self._compiled()
        return self._hidden(said, forms) if forms.all else said

    def hide_bytes(self, raw: bytes) -> bytes:
        """Bytes, without the secrets."""
        forms = self._compiled()
        if not forms.all:
            return raw
        for form in forms.within(raw.decode("utf-8", "surrogateescape")):
            raw = raw.replace(form.encode("utf-8", "surrogatepass"), HIDDEN.encode())
        return raw

    def _compiled(self) -> _Forms:
        if self._stale:
            with self._compiling:  # several threads may ask, and secrets may be added while one compiles
                while self._stale:
                    known = (*self._lasting, *self._passing)
                    self._forms = _Forms({form for value in known for form in _forms(value)})
                    self._stale = known != (*self._lasting, *self._passing)
        return self._forms

    def _hidden(self, said: Any, forms: _Forms) -> Any:
        if type(said) is str:
            return _without(said, forms)
        if isinstance(said, Mapping):
            return {self._name(name, forms): self._hidden(one, forms) for name, one in said.items()}
        if type(said) in (list, tuple):
            return type(said)(self._hidden(one, forms) for one in said)
        return self.hide_bytes(said) if isinstance(said, bytes) else said

    def _name(self, name: Any, forms: _Forms) -> Any:
        return _without(name, forms, _OWN_WORD) if type(name) is str else name


class _Forms:
    """What is looked for in a text."""

    def __init__(self, forms: Iterable[str]) -> None:
        self.all = tuple(sorted(forms, key=len, reverse=True))
        self.longest = len(self.all[0]) if self.all else 0
        self._heads: dict[str, list[str]] = {}
        """By their first `SHORTEST` characters."""
        for form in self.all:
            self._heads.setdefault(form[:SHORTEST], []).append(form)
        self._cut: tuple[str, ...] = tuple(form for form in self.all if len(form) > _CUT)

    def within(self, text: str) -> list[str]:
        """Those that a text has, the longest first."""
        return [form for form in self._near(text, 0, self.all) if form in text]

    def cut_at(self, text: str, shortest: int) -> int:
        """Where the beginning of one is the end of a text; -1 where none is."""
        for form in self._near(text, max(0, len(text) - self.longest), self._cut):
            at = text.rfind(form[:_CUT], max(0, len(text) - len(form)))
            if at >= 0 and len(form) >= shortest and form.startswith(text[at:]):
                return at
        return -1

    def _near(self, text: str, start: int, forms: Sequence[str]) -> Iterable[str]:
        """Those of ``forms`` that a text may have behind ``start``, the longest first."""
        if len(forms) < min(_FEW, len(text) - start):
            return forms
        heads = {text[at : at + SHORTEST] for at in range(start, len(text) - SHORTEST + 1)} & self._heads.keys()
        return sorted((form for head in heads for form in self._heads[head]), key=len, reverse=True)


def _is_everyday(text: str) -> bool:
    """Whether a text is short, or a not so long one of small letters alone."""
    return len(text) < _OWN_WORD or (len(text) < 2 * _OWN_WORD and text.isalpha() and text.islower())


def _without(text: str, forms: _Forms, shortest: int = SHORTEST) -> str:
    for form in forms.within(text):
        if len(form) >= shortest:
            text = text.replace(form, HIDDEN)
    bare = text.rstrip(_CUT_MARKS)
    at = forms.cut_at(bare, shortest)
    return text if at < 0 else bare[:at] + HIDDEN + text[len(bare) :]


def _forms(value: str) -> Iterator[str]:
    """A value as texts may hold it: itself, escaped for JSON, Python, HTML and addresses, in base64 (within a
    longer text, too, such as a name and a password together), in hexadecimal digits.
    """
    raw = value.encode("utf-8", "surrogatepass")
    yield from _escaped(value)
    yield repr(value)[1:-1]
    yield html.escape(value)
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield _lower_escapes(quoted)
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        mixed = 1 if (shift + len(raw)) % 3 else 0
        core = encoded[(0, 2, 3)[shift] : len(encoded) - mixed]
        if len(core) >= _OWN_WORD:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _escaped(value: str) -> set[str]:
    """A value and its escapes in JSON, up to three deep: a document may be a text in another one."""
    found = {value}
    for _ in range(3):
        for one in tuple(found):
            for text in (json.dumps(one, ensure_ascii=False)[1:-1], json.dumps(one)[1:-1]):
                found |= {text, text.replace("/", "\\/")}
    return found


def _lower_escapes(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return "%".join((head, *(one[:2].lower() + one[2:] for one in rest)))


SECRETS = SecretMask()
"""The secrets of this process."""
