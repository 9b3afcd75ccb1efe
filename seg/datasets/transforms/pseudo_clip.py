"""Clips made of images."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results
from seg.registry import TRANSFORMS


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
        clip = results['clip']
        if len(clip) != 1:
            raise ValueError(
                f'PseudoClip: expected an image (a clip of one frame), got {len(clip)} frames; '
                'leave it out of the pipeline of a video data set'
            )
        results['clip'] = clip.expand(self.num_frames, -1, -1, -1)
        if 'masks' in results:
            results['masks'] = results['masks'].expand(-1, self.num_frames, -1, -1)
        return results
