"""What is answered about one frame of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seg.models.heads.clip_following import IdMap, finest_masks
from seg.models.heads.clip_frame import FrameAnswer
from seg.models.heads.mask_resizing import PictureSizes, resized_chunks
from seg.models.memory import MemoryState
from seg.models.prompts import ClickKeeper
from seg.structures import Prompts


@dataclass(frozen=True)
class FrameResult:
    """Masks of N objects on one frame, at its size.

    Attributes:
        frame_index: Number of the frame, from 0 on.
        object_ids: The objects that were prompted on this frame or before, (N,), int64.
        masks: (N, H, W), bool; empty for objects out of sight.
        scores: How surely each object is in sight, (N,), in [0, 1].
        visible: Which objects are in sight, (N,), bool.
        id_map: Id of the object that each pixel belongs to, 0 for none, (H, W), int32; where masks
            overlap the surest one has the pixel.
        image: The frame as it was given, not copied, (H, W, 3), uint8, RGB.
    """

    frame_index: int
    object_ids: np.ndarray
    masks: np.ndarray
    scores: np.ndarray
    visible: np.ndarray
    id_map: np.ndarray
    image: np.ndarray


def frame_result(
    answer: FrameAnswer,
    state: MemoryState,
    prompts: Prompts | None,
    mask_features: Tensor,
    sizes: PictureSizes,
    keeper: ClickKeeper | None,
    image: np.ndarray,
    index: int,
) -> FrameResult:
    """The answer at the size of the frame.

    Args:
        answer: About one clip.
        state: The memory after the frame.
        prompts: What the user said on the frame, if anything, in pixels of the padded input.
        mask_features: Of the frame, (C, h, w).
        sizes: The way to the picture.
        keeper: What makes masks obey the clicks, if anything.
        image: The frame, (H, W, 3), uint8.
        index: Number of the frame.
    """
    ids, count = state.object_ids, state.num_objects
    visible, active = answer.visible[0, :count], answer.active[0, :count]
    logits, sizes = finest_masks(keeper, answer, state, prompts, mask_features, sizes)
    drawn = IdMap(sizes['ori_shape'], logits.device)
    masks = logits.new_zeros((count, *sizes['ori_shape']), dtype=torch.bool)
    scores = answer.scores[0, :count] * active
    sure, in_sight = torch.stack([scores.float(), visible.float()]).cpu().numpy()
    seen = torch.from_numpy(np.flatnonzero(in_sight)).to(masks.device, non_blocking=True)
    for rows, full in resized_chunks(logits[seen].unsqueeze(1), sizes):
        masks[seen[rows]] = full[:, 0] > 0
        drawn.add(ids.to(seen.device)[seen[rows]], full[:, 0])
    return FrameResult(
        frame_index=index,
        object_ids=ids.cpu().numpy(),
        masks=masks.cpu().numpy(),
        scores=sure,
        visible=in_sight.astype(bool),
        id_map=drawn.ids.cpu().numpy(),
        image=image,
    )
