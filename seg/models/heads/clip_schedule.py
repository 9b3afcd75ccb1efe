"""How clips are trained on: what is remembered, how far gradients go, where corrections come."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from seg.registry import MODELS


@MODELS.register_module()
class ClipSchedule(BaseModule):
    """Settings of training on clips, and how many steps were trained.

    The count is part of the checkpoint, so that a resumed training goes on where it was.

    Args:
        detach_every: Frames after which the memory loses its history of gradients (truncated
            back-propagation through time).
        truth_steps: Training steps over which the share of frames that are remembered by their
            true masks falls from one to zero; 0 to remember predictions from the beginning. The
            first frame of vos is always given.
        correction_prob: Share of interactive clips in which one frame is corrected by clicks.
        lost_weight: How often objects that were out of sight on the frame before count for search
            and score; they are few.

    Raises:
        ValueError: If a setting is out of range.
    """

    num_steps: Tensor

    def __init__(
        self,
        *,
        detach_every: int = 4,
        truth_steps: int = 0,
        correction_prob: float = 0.5,
        lost_weight: int = 4,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if detach_every < 1 or truth_steps < 0:
            raise ValueError(
                'ClipSchedule: expected detach_every >= 1 and truth_steps >= 0, got '
                f'{detach_every} and {truth_steps}'
            )
        if not isinstance(lost_weight, int) or lost_weight < 1:
            raise ValueError(
                f'ClipSchedule.lost_weight: expected a whole number >= 1, got {lost_weight}'
            )
        if not 0 <= correction_prob <= 1:
            raise ValueError(
                f'ClipSchedule.correction_prob: expected a number in [0, 1], got {correction_prob}'
            )
        self.detach_every = detach_every
        self.truth_steps = truth_steps
        self.correction_prob = correction_prob
        self.lost_weight = lost_weight
        self.register_buffer('num_steps', torch.zeros((), dtype=torch.int64))

    @property
    def truth_prob(self) -> float:
        """How likely a frame is remembered by its true masks now."""
        if not self.truth_steps:
            return 0.0
        return max(0.0, 1 - int(self.num_steps) / self.truth_steps)

    def remembers_truth(self) -> bool:
        """Whether a frame is remembered by its true masks; PyTorch's generator decides."""
        return bool(torch.rand(()) < self.truth_prob)

    def corrected_frame(self, num_frames: int) -> int | None:
        """The frame of an interactive clip to correct, if any; PyTorch's generator decides."""
        frame = int(torch.randint(num_frames, ()))
        return frame if bool(torch.rand(()) < self.correction_prob) else None
