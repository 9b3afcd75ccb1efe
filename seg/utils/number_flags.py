"""Numbers on command lines, checked while they are read."""

from __future__ import annotations

import argparse
import os

LEAST_SIDE = 32
"""Pixels of the smallest frames that objects can be drawn on."""


def size_flag(text: str) -> tuple[int, int]:
    """(H, W) of a text such as ``1080x1920``.

    Raises:
        argparse.ArgumentTypeError: If it is no such size.
    """
    height, _, width = text.partition('x')
    if not all(_is_positive(side) for side in (height, width)):
        raise argparse.ArgumentTypeError(f'expected HxW such as 1080x1920, got {text}')
    return int(height), int(width)


def frame_size_flag(text: str) -> tuple[int, int]:
    """(H, W) of frames that objects are drawn on.

    Raises:
        argparse.ArgumentTypeError: If it is no size, or smaller than :data:`LEAST_SIDE`.
    """
    size = size_flag(text)
    if min(size) < LEAST_SIDE:
        raise argparse.ArgumentTypeError(f'expected at least {LEAST_SIDE}x{LEAST_SIDE}, got {text}')
    return size


def threads_flag(text: str) -> int:
    """A number of CPU threads; far more than there are processors only wait for each other.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    most = 4 * max(4, os.cpu_count() or 1)
    if count_flag(text) > most:
        raise argparse.ArgumentTypeError(f'expected at most {most} threads on this CPU, got {text}')
    return int(text)


def count_flag(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not _is_positive(text):
        raise argparse.ArgumentTypeError(f'expected a whole number >= 1, got {text}')
    return int(text)


def seed_flag(text: str) -> int:
    """A seed that NumPy and PyTorch take.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(
            f'expected a whole number from 0 to 4294967295, got {text}'
        )
    return int(text)


def _is_positive(text: str) -> bool:
    return text.isdecimal() and int(text) > 0
