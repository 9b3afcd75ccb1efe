"""Frames fetched and copied to a GPU, and answers taken from it, while it is busy with others."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from seg.apis.image_sources import check_image
from seg.apis.read_ahead import read_ahead
from seg.utils.devices import copy_stream

if TYPE_CHECKING:
    from seg.apis.video_sources import FrameRead, FrameSource

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
        image: (H, W, 3), uint8, RGB; copied before this returns, if it goes to a GPU.
        device: Where to.

    Raises:
        UserError: If it is no such image.
    """

    def __init__(self, image: np.ndarray, device: torch.device) -> None:
        check_image(image)
        self.image = image
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


def fetched_ahead(
    source: FrameSource, reads: Iterator[FrameRead], device: torch.device
) -> Iterator[FrameRead]:
    """Frames of a source; those in files are fetched while earlier ones are worked on.

    Args:
        source: The source.
        reads: Some of its frames.
        device: Where pictures are wanted. If that is a GPU, those of a source that knows how many
            it has are brought there while earlier ones are worked on.
    """
    if device.type == 'cuda' and source.num_frames is not None:
        return read_ahead(_uploaded(reads, device))
    return read_ahead(reads) if source.is_stored else reads


def _uploaded(reads: Iterator[FrameRead], device: torch.device) -> Iterator[FrameRead]:
    """Frames on their way to a GPU."""
    for read in reads:
        yield read if read.image is None else replace(read, upload=Upload(read.image, device))


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
