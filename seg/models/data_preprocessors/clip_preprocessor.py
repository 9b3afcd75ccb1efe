"""From a list of uint8 clips to the normalised, padded batch that the network reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from seg.registry import MODELS
from seg.structures import ClipSample

BatchTransform = Callable[[Tensor, list[ClipSample]], tuple[Tensor, list[ClipSample]]]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class ClipPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device, normalise it, and pad it at the bottom and the right.

    Clips are normalised first and padded with zeros afterwards, so padding is the mean colour.
    Every sample's metainfo gets ``batch_input_shape`` (H, W) and, where missing, ``img_shape``.
    Mask prompts become float and are padded too; ground truth is padded in training only, as
    evaluation keeps it at original resolution.

    Args:
        mean: Mean of the RGB channels, 0..255.
        std: Standard deviation of the RGB channels, 0..255.
        pad_divisor: The padded height and width are multiples of it.
        pad_size: Smallest padded size (H, W) in training; larger clips are padded as usual.
        batch_transforms: Modules (or configs) applied in training to
            ``(inputs, data_samples)`` after padding.
        non_blocking: Whether copies to the device may overlap with computation.
    """

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        pad_divisor: int = 32,
        pad_size: tuple[int, int] | None = None,
        batch_transforms: Sequence[dict[str, Any] | BatchTransform] | None = None,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        _check_settings(mean, std, pad_divisor)
        for name, values in (('mean', mean), ('std', std)):
            column = torch.tensor(values, dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, column, persistent=False)
        self.pad_divisor = pad_divisor
        self.pad_size = pad_size
        self.batch_transforms: list[BatchTransform] = [
            MODELS.build(step) if isinstance(step, dict) else step
            for step in batch_transforms or ()
        ]

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare one batch.

        Args:
            data: ``inputs``, B clips (T, 3, H_i, W_i), uint8 or float 0..255, RGB; and
                ``data_samples``, B :class:`ClipSample` or ``None``.
            training: Whether ground truth is padded and batch transforms apply.

        Returns:
            ``inputs`` (B, T, 3, H, W) float and ``data_samples``.

        Raises:
            ValueError: If clips have no RGB frames or differ in their number of frames, or there
                is not one sample per clip.
        """
        data = self.cast_data(data)
        clips = list(data['inputs'])
        samples = data.get('data_samples')
        _check_batch(clips, samples)
        size = self._padded_size(clips, training)
        inputs = self._stack(clips, size)
        if samples is None:
            return {'inputs': inputs, 'data_samples': None}
        for clip, sample in zip(clips, samples, strict=True):
            _annotate(sample, tuple(clip.shape[-2:]), size, training)
        if training:
            for transform in self.batch_transforms:
                inputs, samples = transform(inputs, samples)
        return {'inputs': inputs, 'data_samples': samples}

    def _padded_size(self, clips: list[Tensor], training: bool) -> tuple[int, int]:
        height = max(clip.shape[-2] for clip in clips)
        width = max(clip.shape[-1] for clip in clips)
        if training and self.pad_size is not None:
            height, width = max(height, self.pad_size[0]), max(width, self.pad_size[1])
        divisor = self.pad_divisor
        return -(-height // divisor) * divisor, -(-width // divisor) * divisor

    def _stack(self, clips: list[Tensor], size: tuple[int, int]) -> Tensor:
        inputs = self.mean.new_zeros(len(clips), *clips[0].shape[:2], *size)
        for canvas, clip in zip(inputs, clips, strict=True):
            height, width = clip.shape[-2:]
            picture = canvas[..., :height, :width]
            torch.sub(clip, self.mean, out=picture)  # written in place: one pass less each
            picture.div_(self.std)
        return inputs


def _annotate(
    sample: ClipSample, img_shape: tuple[int, ...], size: tuple[int, int], training: bool
) -> None:
    """Write the shapes into a sample and pad what has the clip's size."""
    sample.set_metainfo({'batch_input_shape': size})
    if 'img_shape' not in sample:
        sample.set_metainfo({'img_shape': img_shape})
    if 'prompts' in sample and sample.prompts.masks is not None:
        masks = _pad(sample.prompts.masks.float(), size, 'prompts.masks')
        sample.prompts = replace(sample.prompts, masks=masks)
    if training and 'gt_segments' in sample:
        segments = sample.gt_segments
        segments.masks = _pad(segments.masks, size, 'gt_segments.masks')


def _pad(masks: Tensor, size: tuple[int, int], name: str) -> Tensor:
    """Masks (..., H, W) padded with zeros at the bottom and the right."""
    missing = (size[0] - masks.shape[-2], size[1] - masks.shape[-1])
    if min(missing) < 0:
        raise ValueError(
            f'{name}: expected at most the padded size {size} of the batch, got '
            f'{tuple(masks.shape[-2:])}; resize masks with the clip in training pipelines'
        )
    return F.pad(masks, (0, missing[1], 0, missing[0]))


def _check_settings(mean: Sequence[float], std: Sequence[float], pad_divisor: int) -> None:
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            f'mean, std: expected three numbers each (RGB, 0..255) and std > 0, got {mean}, {std}'
        )
    if pad_divisor < 1:
        raise ValueError(f'pad_divisor: expected at least 1, got {pad_divisor}')


def _check_batch(clips: list[Tensor], samples: list[ClipSample] | None) -> None:
    if not clips:
        raise ValueError('inputs: expected at least one clip, got an empty batch')
    for clip in clips:
        if clip.ndim != 4 or clip.shape[1] != 3 or 0 in clip.shape:
            raise ValueError(
                f'inputs: expected clips (T, 3, H, W), got {tuple(clip.shape)}; an image is a '
                'clip of one frame'
            )
    frames = sorted({len(clip) for clip in clips})
    if len(frames) > 1:
        raise ValueError(
            f'inputs: expected clips of one length in a batch, got lengths {frames}; give all '
            'samples of a source the same num_frames, or use batch size 1'
        )
    if samples is not None and len(samples) != len(clips):
        raise ValueError(f'data_samples: expected one per clip ({len(clips)}), got {len(samples)}')
