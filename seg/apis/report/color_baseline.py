"""What prompts give without learning: regions of one colour, and the prompts themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from seg.evaluation.functional.trivial_baseline import largest_color_region, mask_by_color
from seg.structures import ClipSample, PointLabel, Prompts
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
