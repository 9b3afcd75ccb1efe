"""Who may ask: hosts, tokens, requests from other sites."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seg.webui.replies import error_reply
from seg.webui.settings import Settings, is_loopback

AUTH_COOKIE = 'rapsam_access'
MONTH = 30 * 24 * 3600
"""How long cookies last, seconds."""
OWN_HEADER = 'x-rapsam'
OPEN_PATHS = ('/login', '/static/login.js', '/static/annotate.css', '/favicon.ico')
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SAFE_HEADERS = {
    'content-security-policy': _POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


class Access:
    """Checks every request before anything else looks at it.

    - The ``Host`` must be the one the server listens at, as far as it is known: names of other
      sites that resolve to this machine get nothing.
    - Requests that change something carry a header of the page, which other sites cannot send.
    - With a token, every request carries the cookie that the right token earned.

    Args:
        app: What answers.
        settings: Of the server.
        guard: Knows tokens.
    """

    def __init__(self, app: ASGIApp, settings: Settings, guard: TokenGuard) -> None:
        self.app, self.settings, self.guard = app, settings, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_safely(message: Message) -> None:
            if message['type'] == 'http.response.start':
                sent = MutableHeaders(scope=message)
                for name, value in _SAFE_HEADERS.items():
                    sent.setdefault(name, value)
                sent.setdefault('cache-control', 'no-store')
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, text = refusal
            await error_reply(status, text)(scope, receive, send_safely)
            return
        await self.app(scope, receive, send_safely)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if not self._knows_host(headers.get('host', '')):
            return 403, 'expected the address that the server listens at, got another host'
        path = scope['path']
        if scope['method'] not in ('GET', 'HEAD') and headers.get(OWN_HEADER) != '1':
            return 403, 'expected a request of the page, got one of another site'
        if path in OPEN_PATHS or self.guard.is_known(cookie_of(headers, AUTH_COOKIE)):
            return None
        if path == '/':
            return None  # answered by the page that asks for the token
        return 401, 'expected the token of this server; reload the page and give it'

    def _knows_host(self, host: str) -> bool:
        if not is_loopback(self.settings.host):
            return True  # reached under names that the server cannot know; the token guards it
        try:
            name = urlsplit(f'//{host}').hostname or ''
        except ValueError:
            return False
        return is_loopback(name)


class TokenGuard:
    """Compares tokens, slower after every wrong one.

    Args:
        token: The right one; ``None`` lets everyone in.
        clock: Tells seconds.
    """

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token, self._clock = token, clock
        self._cookie = secrets.token_urlsafe(24)
        self._wait, self._not_before = _FIRST_WAIT, 0.0

    def is_known(self, cookie: str | None) -> bool:
        """Whether a cookie was earned by the right token."""
        if self._token is None:
            return True
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._cookie.encode())

    def trade(self, token: object) -> str | None:
        """The cookie for a token; ``None`` for a wrong one, or one that comes too soon after it."""
        now = self._clock()
        if self._token is None or not isinstance(token, str) or now < self._not_before:
            return None
        if hmac.compare_digest(token.encode(), self._token.encode()):
            self._wait = _FIRST_WAIT
            return self._cookie
        self._not_before = now + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        return None


def cookie_of(headers: Headers, name: str) -> str | None:
    """A cookie of a request."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get('cookie', ''))
    except CookieError:
        return None
    return jar[name].value if name in jar else None
