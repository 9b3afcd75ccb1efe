"""JSON as people write it by hand: with comments and commas before closing brackets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from seg.utils.checks import UserError

# A string is taken whole, so that what looks like a comment in it stays.
_TOKENS = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.S
)


def read_lenient_json(path: Path) -> Any:
    """Read a JSON file that may hold ``//`` and ``/* */`` comments and trailing commas.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no such JSON, or an object has a key twice; the line is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a JSON file, found nothing there')
    try:
        text = path.read_text(encoding='utf-8')
        return json.loads(_TOKENS.sub(_kept, text), object_pairs_hook=_object)
    except (UnicodeDecodeError, json.JSONDecodeError, _RepeatedKey) as error:
        raise UserError(f'{path}: expected JSON, got: {error}') from None


class _RepeatedKey(Exception):  # noqa: N818  (becomes a UserError)
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKey(f'the key {twice!r} twice in one object; keep one of them')
    return content


def _kept(match: re.Match[str]) -> str:
    """Strings as they are; of the rest only the line breaks, so that errors name the line."""
    token = match.group()
    return token if token.startswith('"') else '\n' * token.count('\n')
