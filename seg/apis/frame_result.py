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
from seg.utils.devices import HostCopy, runs_ahead

_HIDDEN = -100.0  # logit; masks and the map of ids begin above 0


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


class PendingResult:
    """The answer about a frame on its way to main memory.

    Args:
        copy: Ids, masks, scores, which objects are visible, and the map of ids.
        frame_index: Number of the frame.
        image: The frame, (H, W, 3), uint8.
    """

    def __init__(self, copy: HostCopy, frame_index: int, image: np.ndarray) -> None:
        self._copy = copy
        self._frame_index = frame_index
        self._image = image

    def wait(self) -> FrameResult:
        """The answer, once it has arrived."""
        ids, masks, scores, visible, id_map = self._copy.wait()
        return FrameResult(self._frame_index, ids, masks, scores, visible, id_map, self._image)


def begin_result(
    answer: FrameAnswer,
    state: MemoryState,
    prompts: Prompts | None,
    mask_features: Tensor,
    sizes: PictureSizes,
    keeper: ClickKeeper | None,
    image: np.ndarray,
    index: int,
) -> PendingResult:
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
    if runs_ahead(logits.device):
        shown = torch.arange(count, device=logits.device)
        logits = logits.masked_fill(~visible[:, None, None], _HIDDEN)
    else:
        shown = visible.nonzero().flatten()
    drawn = IdMap(sizes['ori_shape'], logits.device)
    masks = logits.new_zeros((count, *sizes['ori_shape']), dtype=torch.bool)
    for rows, full in resized_chunks(logits[shown].unsqueeze(1), sizes):
        masks[shown[rows]] = full[:, 0] > 0
        drawn.add(ids[shown[rows]], full[:, 0])
    scores = (answer.scores[0, :count] * active).float()
    ids = ids.clone()  # the memory goes on with its own
    return PendingResult(HostCopy(ids, masks, scores, visible, drawn.ids), index, image)
