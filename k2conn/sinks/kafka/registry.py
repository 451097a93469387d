"""A schema registry in Confluent's language: registering schemas under subjects.

Blocking calls, each bounded; the sink makes them in a thread, once a topic.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from typing import Any
from urllib.parse import quote

from k2conn.errors import SinkError, Unreachable
from k2conn.net.http import Call, NoAnswer, exchange

CONTENT = "application/vnd.schemaregistry.v1+json"
SHOWN = 300
"""Characters of a registry's answer that an error's text repeats."""


CONFLICTS = 3
"""Times that a subject's rule is set again where another process sets it at the same moment."""


class _Conflict(SinkError):
    """409: what is asked for goes against what is there."""


class SchemaRegistry:
    """The registry at ``url`` (a base address; http or https). ``timeout`` bounds each call, in seconds."""

    def __init__(
        self,
        url: str,
        timeout: float,
        credentials: tuple[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self._timeout = timeout
        self._tls = context
        self._headers = {"Accept": f"{CONTENT}, application/json", "Content-Type": CONTENT}
        if credentials:
            token = base64.b64encode(":".join(credentials).encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    def check(self) -> None:
        """Whether it answers: Unreachable where it does not, SinkError where it refuses us."""
        self._call("GET", "/subjects")

    def register(self, subject: str, schema: str, compatibility: str) -> int:
        """The id of ``schema`` under ``subject``, registered if it is new, after setting ``compatibility``
        unless "".

        Unreachable where trying again may help, SinkError where the registry refuses (an incompatible
        schema).
        """
        name = quote(subject, safe="")
        early = not compatibility or self._configure(name, compatibility, missing_ok=True)
        answer = self._call("POST", f"/subjects/{name}/versions", {"schema": schema, "schemaType": "AVRO"})
        if not early:
            # Some registries keep rules only for subjects that exist.
            self._configure(name, compatibility)
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise SinkError(f"schema registry {self.url}: no schema id in the answer for {subject}: {_cut(answer)}")
        return int(answer["id"])

    def _configure(self, name: str, compatibility: str, missing_ok: bool = False) -> bool:
        """Sets a subject's rule; False where there is no such subject, which is ``missing_ok``. A conflict is another
        process that sets the same one now: then it is there to be set again.
        """
        path, wish = f"/config/{name}", {"compatibility": compatibility}
        for _ in range(CONFLICTS):
            with contextlib.suppress(_Conflict):
                return self._call("PUT", path, wish, missing_ok, conflict=_Conflict) is not None
        return self._call("PUT", path, wish, missing_ok) is not None

    def _call(
        self, method: str, path: str, body: object = None, missing_ok: bool = False,
        conflict: type[SinkError] = SinkError,
    ) -> Any:
        """The decoded answer; None for a 404 that is ``missing_ok``. Raises ``conflict`` for a 409."""
        try:
            status, text = self._exchange(method, path, body)
        except NoAnswer as error:
            raise Unreachable(f"schema registry {self.url}: {error.reason}") from error
        if status == 404 and missing_ok:
            return None
        if status >= 500 or status == 429:
            raise Unreachable(f"schema registry {self.url}: {method} {path} answered {status}: {_cut(text)}")
        if status >= 300:
            refused = conflict if status == 409 else SinkError
            raise refused(f"schema registry {self.url}: {method} {path} answered {status}: {_cut(text)}")
        try:
            return json.loads(text)
        except ValueError:
            raise SinkError(f"schema registry {self.url}: {method} {path} is not JSON: {_cut(text)}") from None

    def _exchange(self, method: str, path: str, body: object) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        url = self.url.rstrip("/") + path
        answer = exchange(Call(method, url, self._headers, data, self._timeout, tls=self._tls))
        return answer.status, answer.body.decode("utf-8", "replace")


def _cut(answer: object) -> str:
    text = str(answer)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
