"""What is said of a request that gets no answer: application/problem+json (RFC 9457), with nothing of our insides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from k2conn import exactjson

TYPE = "application/problem+json"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {
            "type": "object", "properties": {"name": {"type": "string"}, "detail": {"type": "string"}},
            "required": ["name", "detail"],
        }},
    },
    "required": ["type", "title", "status", "detail"],
}
DETAIL = {
    400: "this is nothing that can be read as a request",
    401: "show the key in the header X-API-Key",
    403: "this is not for who asks so",
    404: "there is nothing here",
    405: "this path has other methods",
    413: "the body is too large",
    414: "the address is too long",
    422: "the question is not understood",
    429: "too many requests: come back later",
    500: "this is a bug of k2conn: its log has more under this request_id",
    503: "the store does not answer now",
    504: "the answer took too long: ask for less, such as a symbol and a shorter time",
}


class RequestRefused(Exception):
    """A request that is answered with a problem. ``errors`` are (name, detail), one for each wrong parameter."""

    def __init__(self, status: int, detail: str = "", errors: Sequence[tuple[str, str]] = (),
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail or DETAIL.get(status, HTTPStatus(status).description)
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self, request_id: str = "") -> bytes:
        """The document."""
        found: dict[str, Any] = {
            "type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status,
            "detail": self.detail,
        }
        if request_id:
            found["request_id"] = request_id
        if self.errors:
            found["errors"] = [{"name": name, "detail": detail} for name, detail in self.errors]
        return exactjson.encode(found)


def misunderstood(errors: Any) -> RequestRefused:
    """What FastAPI says of parameters, as a problem: names and words, never the value."""
    return RequestRefused(422, errors=[(_name(one["loc"]), _words(one)) for one in errors])


def _name(place: Sequence[Any]) -> str:
    return ".".join(str(part) for part in place if part not in ("query", "body", "path")) or "body"


def _words(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")[:300]
