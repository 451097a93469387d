"""A schema registry in Confluent's language: schemas and their ids under subjects.

The registry belongs to its owner: a subject's compatibility rule is read and reported, and set only where the user
says one; with ``registers=False`` nothing is changed at all. Blocking calls, each bounded; the sink makes them in a
thread, once a topic.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from k2conn.avro import decimals_used
from k2conn.errors import SinkError, Unreachable
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.sinks.kafka.registered import other_decimals
from k2conn.sinks.kafka.registry_addresses import registry_urls
from k2conn.sinks.kafka.subject_rule import FORBIDDEN, Refused, SubjectRule
from k2conn.variable_files import latest

CONTENT = "application/vnd.schemaregistry.v1+json"
SHOWN = 300
"""Characters of a registry's answer that an error message quotes."""

NO_SCHEMA = 40403
"""The registry's code for an id that it does not know."""
_READ_ONLY = 42205
"""The registry's code for a subject that takes nothing new."""

log = logging.getLogger(__name__)


class OtherKind(SinkError):
    """A schema that is none of Avro's."""


class SchemaRegistry:
    """The registry at ``urls``: base addresses (http or https), comma-separated, of which the first that answers is
    used. ``timeout`` bounds each call to each, in seconds.
    """

    def __init__(
        self,
        urls: str,
        timeout: float,
        credentials: tuple[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        registers: bool = True,
    ) -> None:
        self._urls = registry_urls(urls)
        self._timeout = timeout
        self._tls = context
        self._registers = registers
        self._headers = {"Accept": f"{CONTENT}, application/json", "Content-Type": CONTENT}
        self._credentials = credentials

    def _said_headers(self) -> dict[str, str]:
        if not self._credentials:
            return self._headers
        user, password = self._credentials
        token = base64.b64encode(f"{user}:{latest(password)}".encode()).decode()
        return {**self._headers, "Authorization": f"Basic {token}"}

    @property
    def url(self) -> str:
        """The address in use."""
        return self._urls[0]

    def check(self) -> None:
        """Whether it answers: Unreachable where it does not, SinkError where it does not let us in."""
        try:
            self.call("GET", "/subjects")
        except Refused as error:
            if error.status != 403:  # a role that may not list subjects may know its own all the same
                raise

    def register(self, subject: str, schema: str, compatibility: str = "", before: Sequence[str] = ()) -> int:
        """The id of ``schema`` under ``subject``: registered where it is new, looked up where we are to do no more, or
        may do no more. ``compatibility`` is the subject's rule; "" leaves the rule to the registry. ``before``: the
        revisions that it has grown from, which are registered before it, so that streams of all of them can share the
        subject whichever comes first.

        Unreachable where trying again may help, SinkError where the registry refuses (an incompatible schema), or where
        the subject has records with other decimals.
        """
        name = quote(subject, safe="")
        self._same_decimals(subject, name, schema)
        rule = SubjectRule(self.call, name, compatibility)
        if not self._registers:
            number = self._looked_up(subject, name, schema)
        else:
            rule.set(exists=False)
            if before and not self._has(name, schema):
                for earlier in before:
                    self._registered(subject, name, earlier)
            number = self._registered(subject, name, schema)
            rule.set(exists=True)
        if rule.denied:
            log.warning("compatibility of %s stays %s: %s", subject, rule.told(), rule.denied)
        else:
            log.info("schema registry %s: %s is schema %d, compatibility %s", self.url, subject, number, rule.told())
        return number

    def schema(self, number: int) -> str | None:
        """The Avro schema of that id; None where the registry knows none. Unreachable where trying again may help,
        SinkError where the registry does not say it, or where it is no Avro schema.
        """
        path = f"/schemas/ids/{number}"
        try:
            answer = self.call("GET", path)
        except Refused as error:
            if error.status == 404 and error.code == NO_SCHEMA:  # any other 404 is a wrong address
                return None
            raise
        text = answer.get("schema") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise SinkError(f"schema registry {self.url}: no schema in the answer to {path}: {_cut(answer)}")
        kind = answer.get("schemaType") or "AVRO"
        if kind != "AVRO":
            raise OtherKind(f"schema {number} is of the kind {_cut(kind)}, not AVRO")
        return text

    def _registered(self, subject: str, name: str, schema: str) -> int:
        body = {"schema": schema, "schemaType": "AVRO"}
        try:
            return self._id(subject, self.call("POST", f"/subjects/{name}/versions", body))
        except Refused as error:
            if error.status not in FORBIDDEN and error.code != _READ_ONLY:
                raise
            try:
                number = self._looked_up(subject, name, schema)
            except SinkError:
                raise error from None
        log.warning("schema registry %s: not allowed to register under %s; its schema is there", self.url, subject)
        return number

    def _has(self, name: str, schema: str) -> bool:
        """Whether a subject has a schema, or does not say."""
        try:
            return self._known(name, schema) is not None
        except Refused:
            return True

    def _known(self, name: str, schema: str) -> Any:
        """What the registry says of a schema that a subject has; None where it has not."""
        return self.call("POST", f"/subjects/{name}", {"schema": schema, "schemaType": "AVRO"}, missing_ok=True)

    def _looked_up(self, subject: str, name: str, schema: str) -> int:
        answer = self._known(name, schema)
        if answer is None:
            text = f"schema registry {self.url}: the schema is not registered under {subject}"
            if not self._registers:
                text += ", and K2_KAFKA_SCHEMA_REGISTER=false looks it up only: have it registered by its owner"
            raise SinkError(text)
        return self._id(subject, answer)

    def _id(self, subject: str, answer: object) -> int:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise SinkError(f"schema registry {self.url}: no schema id in the answer for {subject}: {_cut(answer)}")
        return int(answer["id"])

    def _same_decimals(self, subject: str, name: str, schema: str) -> None:
        """Refuses to mix sizes of decimals under one subject: no compatibility rule does, and a reader that goes by the
        subject's latest schema would read numbers that are wrong by powers of ten.
        """
        try:
            latest = self.call("GET", f"/subjects/{name}/versions/latest", missing_ok=True)
        except Refused:
            return  # not for us to read: then it is the owner's to keep apart
        told = other_decimals(latest, schema)
        if told:
            text = (
                f"{subject} has {told}; records of this process have K2_DECIMALS={decimals_used()}. They need topics "
                "or subjects of their own: K2_KAFKA_TOPIC_PREFIX, or K2_KAFKA_SUBJECT with {decimals} in it"
            )
            raise SinkError(f"schema registry {self.url}: {text}")

    def call(self, method: str, path: str, body: object = None, missing_ok: bool = False) -> Any:
        """The decoded answer of the first address that answers; None for a 404 that is ``missing_ok``."""
        troubles = []
        for url in self._urls:
            try:
                found = self._call_at(url, method, path, body, missing_ok)
            except Unreachable as error:
                troubles.append(str(error))
                continue
            self._urls = (url, *(one for one in self._urls if one != url))
            return found
        raise Unreachable("; ".join(troubles))

    def _call_at(self, url: str, method: str, path: str, body: object, missing_ok: bool) -> Any:
        data = None if body is None else json.dumps(body).encode()
        try:
            headers = self._said_headers()
            answer = exchange(Call(method, url.rstrip("/") + path, headers, data, self._timeout, tls=self._tls))
        except NoAnswer as error:
            raise Unreachable(f"schema registry {url}: {error.reason}") from error
        status, text = answer.status, answer.body.decode("utf-8", "replace")
        if status == 404 and missing_ok:
            return None
        if status >= 500 or status == 429:
            raise Unreachable(f"schema registry {url}: {method} {path} answered {status}: {_cut(text)}")
        try:
            found = json.loads(text)
        except ValueError:
            found = None
            if status < 300:
                raise SinkError(f"schema registry {url}: {method} {path} is not JSON: {_cut(text)}") from None
        if status >= 300:
            code = found.get("error_code") if isinstance(found, dict) else None
            raise Refused(f"schema registry {url}: {method} {path} answered {status}: {_cut(text)}", status, code)
        return found


def _cut(answer: object) -> str:
    text = str(answer)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
