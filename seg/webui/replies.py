"""Errors as short JSON without paths, bodies within limits."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from seg.utils.checks import UserError

_logger = logging.getLogger(__name__)
_PATH = re.compile(r'(?:[A-Za-z]:)?(?:[\\/][^\s\\/:\'",;()]+)+[\\/]([^\s\\/:\'",;()]+)')


class RefusalError(Exception):
    """A request that is answered by an error.

    Args:
        status: Of HTTP.
        message: For people; without paths.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def without_paths(text: str) -> str:
    """A message in which files are called by their names alone."""
    return _PATH.sub(r'\1', ' '.join(text.split()))[:500]


def error_reply(status: int, message: str) -> JSONResponse:
    """An error as JSON."""
    return JSONResponse({'error': without_paths(message)}, status_code=status)


def guarded(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose errors are short JSON; what nobody foresaw is logged, not shown."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusalError as refusal:
            return error_reply(refusal.status, refusal.message)
        except UserError as error:
            return error_reply(400, str(error))
        except FileNotFoundError:
            return error_reply(404, 'expected a file that is still there, got one that is gone')
        except ClientDisconnect:
            return error_reply(400, 'the request was cut off')
        except Exception:  # the visitor must see no traceback, whatever it is
            _logger.exception('%s %s failed', request.method, request.url.path)
            return error_reply(500, 'something went wrong; the log of the server says what')

    return answer


async def read_limited(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        RefusalError: If it is larger than ``limit`` bytes.
    """
    declared = request.headers.get('content-length', '0')
    if not declared.isdigit() or int(declared) > limit:
        raise RefusalError(413, f'expected at most {limit} bytes, got more')
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > limit:
            raise RefusalError(413, f'expected at most {limit} bytes, got more')
        parts.append(part)
    return b''.join(parts)


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The JSON object in the body of a request.

    Raises:
        RefusalError: If it is none, or too large.
    """
    body = await read_limited(request, limit)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, 'expected JSON, got something else') from None
    if not isinstance(content, dict):
        raise RefusalError(400, 'expected a JSON object, got something else')
    return content
