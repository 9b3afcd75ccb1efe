"""Copies to a GPU, and answers taken from it, while it is busy with other frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from seg.utils.devices import copy_stream

Item = TypeVar('Item')


def to_device(image: np.ndarray, device: torch.device | str) -> Tensor:
    """An array on a device; one that goes to a GPU is copied, and nothing is waited for."""
    tensor = torch.from_numpy(np.ascontiguousarray(image))
    if torch.device(device).type != 'cuda':
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Upload:
    """An image on its way to a device; to a GPU on a stream of its own.

    Args:
        image: Copied before this returns, if it goes to a GPU.
        device: Where to.
    """

    def __init__(self, image: np.ndarray, device: torch.device) -> None:
        stream = copy_stream(device, 'up') if device.type == 'cuda' else None
        with torch.cuda.stream(stream):
            self._pixels = to_device(image, device)
        self._done = None if stream is None else stream.record_event()

    def pixels(self) -> Tensor:
        """The image, for work on the device's current stream, which waits for it."""
        if self._done is not None:
            current = torch.cuda.current_stream(self._pixels.device)
            current.wait_event(self._done)
            self._pixels.record_stream(current)
        return self._pixels


def one_behind(items: Generator[Item, None, None]) -> Iterator[Item]:
    """The same items, each after the next one was asked for; an error comes after all of them."""
    held: list[Item] = []
    with closing(items):
        while True:
            try:
                item = next(items)
            except StopIteration:
                yield from held
                return
            except Exception:
                yield from held
                raise
            yield from held
            held = [item]
