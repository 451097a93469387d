"""Chromium, driven as a person drives it; what a page asks of others, says on its console and does wrong is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .downloads import axe_script
from .prerequisites import chromium

_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync")


class Window:
    """One page of a browser that knows nothing of other pages."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[str] = []
        """The addresses that it asked for."""
        self.said: list[str] = []
        """What it said on its console, and its errors: a breach of the content policy, too."""
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def faults(self) -> list[str]:
        """What axe finds amiss, with the first place of each."""
        self.page.evaluate(axe_script().read_text())
        found = self.page.evaluate("axe.run()")
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:300]}" for one in found["violations"]]


class ChromiumBrowser:
    """The browser; ``window`` opens a page in it."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def window(self, scheme: str = "light", width: int = 1360, height: int = 900, **more: Any) -> Iterator[Window]:
        """A page of its own. ``scheme``: light or dark."""
        context = self._browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce", **more
        )
        try:
            yield Window(context.new_page())
        finally:
            context.close()


@contextmanager
def started() -> Iterator[ChromiumBrowser]:
    """Chromium, until the block ends; Missing where it is not there."""
    path = chromium()
    axe_script()
    from playwright.sync_api import sync_playwright  # only `make test-deploy` installs it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield ChromiumBrowser(browser)
        finally:
            browser.close()
