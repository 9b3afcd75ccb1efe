"""The page itself, and the one that asks for the token."""

from __future__ import annotations

from importlib import resources

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seg.webui.access import AUTH_COOKIE, MONTH, TokenGuard, cookie_of
from seg.webui.replies import RefusalError, error_reply, guarded, read_object
from seg.webui.settings import Settings

_STATIC = {
    'annotate.js': 'text/javascript',
    'canvas.js': 'text/javascript',
    'login.js': 'text/javascript',
    'annotate.css': 'text/css',
}


def page_routes(settings: Settings, guard: TokenGuard) -> list[Route]:
    """Addresses of the page, of its scripts and styles, and of what takes the token.

    Args:
        settings: Of the server.
        guard: Knows tokens.
    """

    async def page(request: Request) -> Response:
        known = guard.is_known(cookie_of(request.headers, AUTH_COOKIE))
        return _static_file('index.html' if known else 'login.html', 'text/html')

    async def static(request: Request) -> Response:
        name = request.path_params['name']
        if name not in _STATIC:
            return error_reply(404, 'expected a file of the page, got another')
        return _static_file(name, _STATIC[name])

    async def login(request: Request) -> Response:
        content = await read_object(request, settings.limits.json_bytes)
        cookie = guard.trade(content.get('token'))
        if cookie is None:
            raise RefusalError(401, 'expected the token of this server, got another; wait a moment')
        reply = JSONResponse({'ok': True})
        reply.set_cookie(AUTH_COOKIE, cookie, httponly=True, samesite='strict', max_age=MONTH)
        return reply

    return [
        Route('/', page),
        Route('/static/{name}', static),
        Route('/login', guarded(login), methods=['POST']),
    ]


def _static_file(name: str, media_type: str) -> Response:
    content = (resources.files('seg.webui') / 'static' / name).read_bytes()
    return Response(content, media_type=media_type)
