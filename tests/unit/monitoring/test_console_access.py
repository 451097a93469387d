"""Who may look at the console: the token, the cookie, the Host line, pages of other sites."""

from __future__ import annotations

import pytest

from k2conn.errors import SettingsError
from k2conn.monitoring.console.access import SESSION, ConsoleAccess
from k2conn.monitoring.requests import BadRequest, target_of
from k2conn.settings.console import console_settings

TOKEN = "open-sesame-open-sesame"
PORT = 9090


class Wall:
    """A clock that is set."""

    seconds = 1_800_000_000

    def __call__(self) -> int:
        return self.seconds * 1_000_000


def access(token: str = "", here: bool = True, hosts: tuple[str, ...] = (), wall: Wall | None = None) -> ConsoleAccess:
    return ConsoleAccess(token, here, hosts, wall or Wall())


def head(*lines: str) -> bytes:
    return "\r\n".join(("GET / HTTP/1.1", *lines)).encode()


def status(check: object, *given: object) -> int:
    try:
        check(*given)  # type: ignore[operator]
    except BadRequest as refused:
        return 0 if TOKEN in str(refused) else refused.status
    return 0


@pytest.mark.parametrize(
    ("token", "here", "lines", "expected"),
    [
        ("", True, (), 0),
        ("", False, (), 403),
        (TOKEN, True, (), 401),
        (TOKEN, False, (f"Authorization: Bearer {TOKEN}",), 0),
        (TOKEN, False, (f"Authorization: bearer  {TOKEN} ",), 0),
        (TOKEN, False, (f"Authorization: Bearer {TOKEN}x",), 401),
        (TOKEN, False, (f"Authorization: Basic {TOKEN}",), 401),
        (TOKEN, False, (f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"), 401),
        (TOKEN, False, (f"Cookie: k2conn_{PORT}={TOKEN}",), 401),
        (TOKEN, False, (f"Cookie: k2conn_{PORT}=99999999999.abc",), 401),
        (TOKEN, False, (f"Cookie: k2conn_{PORT}=\xff.\xff",), 401),
        ("", True, ("Sec-Fetch-Site: cross-site",), 403),
        ("", True, ("Sec-Fetch-Site: same-site",), 403),
        ("", True, ("Sec-Fetch-Site: same-origin",), 0),
    ],
)
def test_who_may_look(token: str, here: bool, lines: tuple[str, ...], expected: int) -> None:
    assert status(access(token, here).check, head(*lines), PORT) == expected


def test_a_cookie_is_for_its_process_its_port_and_its_time() -> None:
    wall = Wall()
    one = access(TOKEN, False, wall=wall)
    shown = head(f"Authorization: Bearer {TOKEN}")
    said = one.session(shown, PORT)
    cookie, *attributes = said.split("; ")
    assert TOKEN not in said
    assert attributes == ["Path=/console", f"Max-Age={SESSION}", "HttpOnly", "SameSite=Strict"]
    mine = head(f"Cookie: other=1; {cookie}")
    assert status(one.check, mine, PORT) == 0
    assert status(one.check, mine, PORT + 1) == 401
    name, _, value = cookie.partition("=")
    assert status(one.check, head(f"Cookie: k2conn_{PORT + 1}={value}"), PORT + 1) == 401
    assert status(access(TOKEN, False, wall=wall).check, mine, PORT) == 401  # another process
    end, _, signed = value.partition(".")
    assert status(one.check, head(f"Cookie: {name}={int(end) + 1}.{signed}"), PORT) == 401
    wall.seconds += SESSION
    assert status(one.check, mine, PORT) == 401
    assert one.no_session(PORT).startswith(f"{name}=; ")
    assert status(one.session, head("Authorization: Bearer no"), PORT) == 401
    assert status(one.session, head(f"Authorization: Bearer {TOKEN}", "Sec-Fetch-Site: cross-site"), PORT) == 403


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1:9090", 0), ("[::1]:9090", 0), ("localhost", 0), ("k2conn", 0), ("10.1.2.3:9090", 0),
     ("k2.example.com:9090", 0), ("K2.EXAMPLE.COM", 0), ("evil.example", 403), ("k2.example.com.evil.example", 403)],
)
def test_a_foreign_host_is_refused_wherever_the_port_listens(host: str, expected: int) -> None:
    for here in (True, False):
        assert status(access(TOKEN, here, ("k2.example.com",)).check_host, head(f"Host: {host}")) == expected
    if not expected:
        assert target_of(head(f"Host: {host}"), True, ("k2.example.com",)) == ("GET", "/")


def test_no_host_is_no_known_host() -> None:
    assert status(access().check_host, head()) == 403
    assert status(access().check_host, head("Host: localhost", "Host: localhost")) == 403


def test_the_settings() -> None:
    assert console_settings({}) == (True, "", ())
    said = {"K2_CONSOLE": "off", "K2_CONSOLE_TOKEN": TOKEN, "K2_CONSOLE_HOSTS": "K2.example.com, b.example"}
    assert console_settings(said) == (False, TOKEN, ("k2.example.com", "b.example"))
    assert console_settings({"K2_TAP_TOKEN": "of the tap"}).token == "of the tap"
    assert console_settings({"K2_TAP_TOKEN": "of the tap", "K2_CONSOLE_TOKEN": TOKEN}).token == TOKEN


@pytest.mark.parametrize("token", ["short", "with a space in it, and long", "ünicode-ünicode-ünicode"])
def test_a_token_that_can_be_guessed_is_none(token: str) -> None:
    with pytest.raises(SettingsError, match="K2_CONSOLE_TOKEN: 16 or more") as refused:
        console_settings({"K2_CONSOLE_TOKEN": token})
    assert token not in str(refused.value)
