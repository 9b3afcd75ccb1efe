"""Following prompted objects through a whole clip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seg.models.heads.clicks_in_turn import frame_prompts_in_turn
from seg.models.heads.clip_frame import Frame, FrameAnswer
from seg.models.heads.clip_step import ClipStep
from seg.models.heads.mask_resizing import (
    PictureSizes,
    resized_chunks,
    sharpened,
    sharpened_near_outlines,
)
from seg.models.heads.slot_prompts import prompts_by_slot
from seg.models.memory import MemoryState
from seg.models.prompts import ClickKeeper
from seg.models.routing import Route
from seg.structures import ClipSample, Prompts, TrackData
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead


class ClipFollower:
    """Answers the prompts of one clip frame by frame, whatever its length.

    Full-resolution masks exist for one frame at a time; what stays of a frame is its id map.

    Args:
        head: Whose parts are used.
        route: The way of the clip's task.
        sample: With prompts in pixels of the padded input, each on its frame.

    Raises:
        UserError: If an object has several rows of prompts on one frame.
    """

    def __init__(self, head: RapSAMVideoHead, route: Route, sample: ClipSample) -> None:
        self.head = head
        self.sample = sample
        self.clip_step = ClipStep(head, route)
        _check_rows(sample.prompts)
        self.object_ids = sorted(set(sample.prompts.object_ids.tolist()))
        self.state: MemoryState | None = None
        self._maps: list[Tensor] = []
        self._scores: list[Tensor] = []

    def step(self, mask_features: Tensor, context_feats: Tensor | None) -> None:
        """Go on by one frame, (1, 1, C, h, w) and (1, 1, C, h', w') or ``None``."""
        if self.state is None:
            self.state = self.head.memory.start(mask_features)
        rows = rows_of_frame(self.sample.prompts, len(self._maps))
        canvas, shapes = self.sample.batch_input_shape, [self.sample.img_shape]
        frame = Frame(mask_features, context_feats, canvas, shapes)
        rows = frame_prompts_in_turn(self.clip_step, self.state, frame, rows)
        answer, (self.state,) = self.clip_step([self.state], frame, [rows])
        ids = self.state.object_ids
        visible = answer.visible[0, : len(ids)]
        sizes = self.head.picture_sizes(self.sample, mask_features[0])
        logits, sizes = finest_masks(
            self.clip_step.keeper, answer, self.state, rows, mask_features[0, 0], sizes
        )
        id_map = label_objects(logits, ids, visible, sizes)
        self._maps.append(id_map.cpu())
        places = torch.tensor([self.object_ids.index(i) for i in ids.tolist()], dtype=torch.long)
        scores = torch.zeros(len(self.object_ids))
        scores[places] = (answer.scores[0, : len(ids)] * answer.active[0, : len(ids)]).cpu().float()
        self._scores.append(scores)

    def finish(self) -> None:
        """Write ``pred_tracks`` into the sample."""
        ids, scores = tuple(self.object_ids), torch.stack(self._scores, dim=1)
        self.sample.pred_tracks = TrackData(torch.stack(self._maps), ids, scores)


def finest_masks(
    keeper: ClickKeeper | None,
    answer: FrameAnswer,
    state: MemoryState,
    prompts: Prompts | None,
    mask_features: Tensor,
    sizes: PictureSizes,
) -> tuple[Tensor, PictureSizes]:
    """Mask logits of the first clip's N objects on the finest grid, clicks kept there as well.

    Their signs are exact, and their values where several objects are.

    Args:
        keeper: What makes masks obey the clicks, if anything.
        answer: About one clip.
        state: The memory after the frame.
        prompts: What the user said on the frame, if anything.
        mask_features: Of the frame, (C, h, w).
        sizes: The way to the picture.

    Returns:
        (N, h, w), float32, and the way from there to the picture.
    """
    logits = answer.mask_logits[0, : state.num_objects].float().unsqueeze(1)
    if sizes['sharpen'] is None or keeper is None or prompts is None:
        fine, rest = sharpened_near_outlines(logits, sizes)
        return fine.squeeze(1), rest
    fine, rest = sharpened(logits, sizes)
    rows = prompts_by_slot(state, replace(prompts, masks=None, previous_logits=None))
    points, labels = rows.point_coords, rows.point_labels
    fine = keeper(fine.squeeze(1), points, labels, mask_features, canvas=sizes['canvas'])
    return fine, rest


def label_objects(
    mask_logits: Tensor, object_ids: Tensor, visible: Tensor, sizes: PictureSizes
) -> Tensor:
    """Id of the object that each pixel belongs to, 0 for none, (H, W), int32.

    Args:
        mask_logits: (N, h, w).
        object_ids: (N,).
        visible: Which objects take part, (N,), bool.
        sizes: The way to the picture.
    """
    drawn = IdMap(sizes['ori_shape'], mask_logits.device)
    shown = visible.nonzero().flatten()
    ids = object_ids.to(mask_logits.device)[shown]
    for rows, logits in resized_chunks(mask_logits[shown].unsqueeze(1), sizes):
        drawn.add(ids[rows], logits[:, 0])
    return drawn.ids


class IdMap:
    """Which object each pixel belongs to: the one with the largest logit, if that is above 0.

    Args:
        size: (H, W) of the picture.
        device: Where.

    Attributes:
        ids: 0 for none, (H, W), int32.
    """

    def __init__(self, size: tuple[int, int], device: torch.device) -> None:
        self.ids = torch.zeros(size, dtype=torch.int32, device=device)
        self._best = torch.zeros(size, device=device)

    def add(self, object_ids: Tensor, logits: Tensor) -> None:
        """Objects (n,), n >= 1, with their masks at the size of the picture, (n, H, W)."""
        # One after the other: the place of the largest of few is slow to find on a CPU.
        for object_id, mask in zip(object_ids.int(), logits.detach(), strict=True):
            torch.where(mask > self._best, object_id, self.ids, out=self.ids)
            torch.maximum(mask, self._best, out=self._best)


def tracks_of_clip(mask_logits: Tensor, prompts: Prompts, sizes: PictureSizes) -> TrackData:
    """Tracks of a clip that was answered as one long picture, without a memory.

    Args:
        mask_logits: One row per prompt, (N, T, h, w).
        prompts: The rows.
        sizes: The way to the picture.
    """
    mask_logits, sizes = sharpened(mask_logits, sizes)
    ids = prompts.object_ids
    everything = torch.ones_like(ids, dtype=torch.bool)
    maps = [
        label_objects(logits, ids, everything, sizes).cpu() for logits in mask_logits.unbind(dim=1)
    ]
    return TrackData.of_frames(maps, sorted(set(ids.tolist())))


def rows_of_frame(prompts: Prompts, frame: int) -> Prompts | None:
    """The rows of one frame, as prompts on an image; ``None`` if there are none."""
    rows = prompts[(prompts.frame_index == frame).nonzero().flatten()]
    if not len(rows):
        return None
    rows.frame_index = torch.zeros_like(rows.frame_index)
    return rows


def _check_rows(prompts: Prompts) -> None:
    seen = set()
    for pair in zip(prompts.object_ids.tolist(), prompts.frame_index.tolist(), strict=True):
        if pair in seen:
            raise UserError(
                f'prompts: expected one row per object and frame, got several for object '
                f'{pair[0]} on frame {pair[1]}; put all that is said about it into one row'
            )
        seen.add(pair)
