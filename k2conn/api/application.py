"""The whole of what is served: FastAPI's routes behind the guard, with our own words for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from k2conn import __version__
from k2conn.api.guard import Application, Guard
from k2conn.api.openapi import schemas
from k2conn.api.problems import TYPE, RequestRefused, misunderstood
from k2conn.api.routes import overview, records, stream, summary
from k2conn.api.service import Service

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_application(service: Service, lifespan: Lifespan | None = None) -> Application:
    """What an ASGI server runs."""
    application = FastAPI(
        title="k2conn", version=__version__, lifespan=lifespan, redirect_slashes=False,
        description="Market data as it was recorded: decimals as text, times in UTC with microseconds, newest first.",
        docs_url=None, redoc_url=None,  # pages that load scripts from elsewhere
    )
    for router in (overview.router(service), summary.router(service), stream.router(service),
                   records.router(service)):
        application.include_router(router)
    application.add_exception_handler(RequestRefused, _problem)
    application.add_exception_handler(RequestValidationError, _problem)
    application.add_exception_handler(HTTPException, _problem)
    application.add_exception_handler(Exception, _problem)  # a bug: the guard logs it
    _describe(application, service)
    settings = service.settings
    inner: Application = application
    if settings.allowed_origins:
        inner = CORSMiddleware(
            application, allow_origins=settings.allowed_origins, allow_methods=("GET", "POST"),
            allow_headers=("X-API-Key", "X-Request-ID", "Content-Type"), expose_headers=("X-Request-ID",),
        )
    return Guard(inner, settings)


async def _problem(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = misunderstood(error.errors())
    elif isinstance(error, HTTPException):
        error = RequestRefused(error.status_code, headers=error.headers)
    elif not isinstance(error, RequestRefused):
        error = RequestRefused(500)
    body = error.body(request.state.request_id)
    return Response(body, error.status, error.headers, TYPE)


def _describe(application: FastAPI, service: Service) -> None:
    """Puts our schemas, and the key, into the OpenAPI document."""
    made = application.openapi

    def described() -> dict[str, Any]:
        document = made()
        components = document.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **schemas(service.records)}
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
        if service.settings.key is not None:
            document["security"] = [{"key": []}]
        return document

    application.openapi = described  # type: ignore[method-assign]  # FastAPI's own way of extending the document


