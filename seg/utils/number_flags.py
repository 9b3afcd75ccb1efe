"""Numbers on command lines, checked while they are read."""

from __future__ import annotations

import argparse


def size_flag(text: str) -> tuple[int, int]:
    """(H, W) of a text such as ``1080x1920``.

    Raises:
        argparse.ArgumentTypeError: If it is no such size.
    """
    height, _, width = text.partition('x')
    if not all(_is_positive(side) for side in (height, width)):
        raise argparse.ArgumentTypeError(f'expected HxW such as 1080x1920, got {text}')
    return int(height), int(width)


def count_flag(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not _is_positive(text):
        raise argparse.ArgumentTypeError(f'expected a whole number >= 1, got {text}')
    return int(text)


def _is_positive(text: str) -> bool:
    return text.isdecimal() and int(text) > 0
