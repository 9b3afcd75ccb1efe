"""Lists of names that say what belongs to a split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seg.utils.checks import UserError


def read_split(path: Path) -> list[str]:
    """Read a text file of names, one per line.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is empty, no text, or has a name twice.
    """
    if not path.is_file():
        near = sorted(other.stem for other in path.parent.glob(f'*{path.suffix}'))
        raise FileNotFoundError(
            f'{path}: expected a list of names, got a path without a file; the splits there are: '
            f'{", ".join(near) or "none"}; check data_root and split'
        )
    try:
        names = path.read_text(encoding='utf-8').split()
    except UnicodeDecodeError:
        raise UserError(f'{path}: expected a text file of names, one per line') from None
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not names or twice:
        got = f'{twice[:3]} more than once' if twice else 'an empty file'
        raise UserError(f'{path}: expected every name once, one per line, got {got}; mend the list')
    return names
