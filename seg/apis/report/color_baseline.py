"""What prompts give without learning: regions of one colour, and the prompts themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from seg.evaluation.functional.trivial_baseline import largest_color_region, mask_by_color
from seg.structures import ClipSample, PointLabel, Prompts, TrackData
from seg.structures.prompts import PROMPT_FEATURES
from seg.visualization.layers import prompts_on_image


class NoFeatures(NamedTuple):
    """Nothing is computed ahead; a tensor (B,) keeps count of the images."""

    clips: Tensor


class ColorBaseline:
    """Answers prompts about one image as :class:`~seg.models.detectors.RapSAM` does.

    A click takes the region of its colour around it, a negative one takes that away; a box and a
    mask are their own answers; a text means the largest region of one colour.

    Args:
        image: (H, W, 3), uint8, RGB.
    """

    prompt_kinds = frozenset(PROMPT_FEATURES)

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def data_preprocessor(self, data: dict[str, Any], training: bool) -> dict[str, Any]:
        """The batch as it is."""
        return data

    def extract_feat(self, batch_inputs: Any) -> NoFeatures:
        """Nothing."""
        return NoFeatures(torch.zeros(len(batch_inputs)))

    def predict_prompts(
        self, features: NoFeatures, samples: list[ClipSample], *, multimask_output: bool = False
    ) -> list[ClipSample]:
        """Write ``pred_prompted``; there is one candidate only."""
        for sample in samples:
            prompts = prompts_on_image(sample)
            masks = np.stack([self._answer(prompts, row) for row in range(len(prompts))])
            sample.pred_prompted = InstanceData(
                object_ids=prompts.object_ids,
                masks=torch.from_numpy(masks)[:, None, None],
                iou_scores=torch.ones(len(masks), 1),
                low_res_logits=torch.zeros(len(masks), 1, 1, 1, 1),
            )
        return samples

    def _answer(self, prompts: Prompts, row: int) -> np.ndarray:
        """The mask of one row, (H, W), bool."""
        mask = np.zeros(self.image.shape[:2], dtype=bool)
        if prompts.masks is not None and prompts.has_mask[row]:
            mask |= prompts.masks[row].numpy() > 0.5
        if prompts.has_box[row]:
            left, top, right, bottom = prompts.boxes[row].round().long().tolist()
            mask[max(top, 0) : bottom, max(left, 0) : right] = True
        if prompts.texts[row] is not None:
            mask |= largest_color_region(self.image)
        labels = prompts.point_labels[row].tolist()
        for (x, y), label in zip(prompts.point_coords[row].tolist(), labels, strict=True):
            if label == PointLabel.FOREGROUND:
                mask |= mask_by_color(self.image, x, y)
            elif label == PointLabel.BACKGROUND:
                mask &= ~mask_by_color(self.image, x, y)
        return mask


def color_tracks(frames: np.ndarray, sample: ClipSample) -> TrackData:
    """What prompts give without learning, kept from the prompted frame to the end of the clip.

    A later positive click takes the region of its colour instead, a negative one takes its region
    away; a text means the largest region of one colour.

    Args:
        frames: (T, H, W, 3), uint8, RGB.
        sample: With ``prompts`` in pixels of the network's input.
    """
    prompts = prompts_on_image(sample)
    ids = tuple(dict.fromkeys(prompts.object_ids.tolist()))
    masks = {i: np.zeros(frames.shape[1:3], dtype=bool) for i in ids}
    given = prompts.frame_index.tolist()
    id_maps = np.zeros(frames.shape[:3], dtype=np.int32)
    for t, image in enumerate(frames):
        for row in (row for row, frame in enumerate(given) if frame == t):
            object_id = int(prompts.object_ids[row])
            masks[object_id] = _answer_in_clip(image, prompts, row, masks[object_id])
        for object_id, mask in masks.items():
            id_maps[t, mask] = object_id
    return TrackData(torch.from_numpy(id_maps), ids)


def _answer_in_clip(
    image: np.ndarray, prompts: Prompts, row: int, before: np.ndarray
) -> np.ndarray:
    """The mask of one row that has a text or one click, (H, W), bool."""
    if prompts.texts[row] is not None:
        return largest_color_region(image)
    ((x, y),), (label,) = prompts.point_coords[row].tolist(), prompts.point_labels[row].tolist()
    region = mask_by_color(image, x, y)
    return region if label == PointLabel.FOREGROUND else before & ~region
