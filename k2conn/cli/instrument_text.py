"""A venue's instrument list in words: what it is read for, and how often."""

from __future__ import annotations

from k2conn.plan import InstrumentList


def instrument_text(listed: InstrumentList) -> str:
    """For people: ``GET https://... (tick, lot, status; compared with only; every 3600 s)``."""
    used = "names" if listed.names else "compared with only"
    often = f"every {listed.refresh:g} s" if listed.refresh else "read at the start"
    told = [word for word in listed.words if word not in ("base", "quote")]
    paged = f"at most {listed.pages.most} pages" if listed.pages else ""
    said = "; ".join(part for part in (", ".join(told), used, often, paged, listed.evidence) if part)
    calls = ", ".join(f"{request.method} {request.url_text}" for request in listed.requests)
    return f"{calls} ({said})"
