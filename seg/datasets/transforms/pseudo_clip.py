"""Clips made of images."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results
from seg.registry import TRANSFORMS


def repeat_frame(results: Results, num_frames: int, transform: str) -> None:
    """Repeat an image and its masks as the frames of a clip, in place and without a copy.

    Args:
        results: The sample.
        num_frames: Number of frames T.
        transform: Who asks, for messages.

    Raises:
        ValueError: If the sample is a clip of several frames already.
    """
    clip = results['clip']
    if len(clip) != 1:
        raise ValueError(
            f'{transform}: expected an image (a clip of one frame), got {len(clip)} frames; '
            'leave it out of the pipeline of a video data set'
        )
    results['clip'] = clip.expand(num_frames, -1, -1, -1)
    if 'masks' in results:
        results['masks'] = results['masks'].expand(-1, num_frames, -1, -1)


@TRANSFORMS.register_module()
class PseudoClip(BaseTransform):
    """Repeat an image as the frames of a clip; segments keep their identity.

    Put it after what all frames share (resize, flip) and before what differs between them
    (:class:`FrameRandomCrop`).

    Args:
        num_frames: Number of frames T.
    """

    def __init__(self, num_frames: int = 2) -> None:
        if num_frames < 1:
            raise ValueError(f'PseudoClip.num_frames: expected at least 1, got {num_frames}')
        self.num_frames = num_frames

    def transform(self, results: Results) -> Results:
        """Repeat one sample."""
        repeat_frame(results, self.num_frames, 'PseudoClip')
        return results
