"""Everything in an image, by prompting it with a grid of points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from torch import Tensor

from seg.apis.image_predictor import ImagePredictor
from seg.apis.image_sources import check_image
from seg.utils.checks import UserError, unknown_name_message

OUTPUT_MODES = ('binary_mask', 'uncompressed_rle', 'coco_rle')


class AutomaticMaskGenerator:
    """Masks of everything that any promptable model finds from a grid of points.

    Points are answered in batches on one embedding; masks are filtered by predicted IoU and by
    stability, duplicates are removed by non-maximum suppression of their boxes, and crops find
    small things. The rules are those of segment-anything's generator, which does the work.

    Args:
        model: From :func:`~seg.apis.load_model`, with several masks per click.
        points_per_side: Points along each side of the image.
        points_per_batch: Points answered at a time.
        pred_iou_thresh: Smallest predicted IoU.
        stability_score_thresh: Smallest IoU of the masks cut at a higher and at a lower logit.
        stability_score_offset: How much higher and lower.
        box_nms_thresh: IoU of boxes from which the worse of two masks is a duplicate.
        crop_n_layers: Rounds of crops, round ``i`` with ``4**i`` of them.
        crop_nms_thresh: Like ``box_nms_thresh``, between crops.
        crop_overlap_ratio: How much crops overlap, relative to the image.
        crop_n_points_downscale_factor: Points per side are divided by it in every round.
        min_mask_region_area: Smaller islands and holes are removed, pixels.
        output_mode: How masks come: ``'binary_mask'``, ``'uncompressed_rle'`` or ``'coco_rle'``.

    Raises:
        UserError: If a setting is out of its range, or the model answers no clicks.
    """

    def __init__(
        self,
        model: Any,
        points_per_side: int = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        min_mask_region_area: int = 0,
        output_mode: str = 'binary_mask',
    ) -> None:
        if output_mode not in OUTPUT_MODES:
            raise UserError(unknown_name_message('output_mode', output_mode, OUTPUT_MODES))
        for name, value in (
            ('points_per_side', points_per_side),
            ('points_per_batch', points_per_batch),
            ('crop_n_points_downscale_factor', crop_n_points_downscale_factor),
        ):
            if value < 1:
                raise UserError(f'{name}: expected at least 1, got {value}')
        for name, share in (
            ('pred_iou_thresh', pred_iou_thresh),
            ('stability_score_thresh', stability_score_thresh),
            ('box_nms_thresh', box_nms_thresh),
            ('crop_nms_thresh', crop_nms_thresh),
        ):
            if not 0 <= share <= 1:
                raise UserError(f'{name}: expected a number in [0, 1], got {share}')
        if 'click' not in model.prompt_kinds:
            raise UserError(
                f'model: expected one that answers clicks, got {type(model).__name__}, which '
                f'answers {", ".join(sorted(model.prompt_kinds)) or "nothing"}'
            )
        # The generator builds a predictor of its own for a Sam; it gets ours instead.
        placeholder: Any = SimpleNamespace(image_encoder=SimpleNamespace(img_size=1))
        self._generator = SamAutomaticMaskGenerator(
            placeholder,
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            min_mask_region_area=min_mask_region_area,
            output_mode=output_mode,
        )
        predictor: Any = _PointPredictor(model)
        self._generator.predictor = predictor

    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Find everything.

        Args:
            image: (H, W, 3), uint8, RGB.

        Returns:
            One dict per mask: ``segmentation`` ((H, W) bool, or a run-length code), ``area``
            (pixels), ``bbox`` (x, y, width, height), ``predicted_iou``, ``stability_score``,
            ``point_coords`` (the point that found it) and ``crop_box``.

        Raises:
            UserError: If it is no image.
        """
        check_image(image)
        return self._generator.generate(image)


def coco_annotations(
    masks: list[dict[str, Any]], image_id: int, first_id: int = 1, category_id: int = 1
) -> list[dict[str, Any]]:
    """Masks as annotations of a COCO file.

    Args:
        masks: Of a generator with ``output_mode='coco_rle'``.
        image_id: Of the image.
        first_id: Id of the first annotation; the others count up.
        category_id: Class of all of them.
    """
    return [
        {
            'id': first_id + index,
            'image_id': image_id,
            'category_id': category_id,
            'segmentation': mask['segmentation'],
            'area': mask['area'],
            'bbox': mask['bbox'],
            'iscrowd': 0,
            'predicted_iou': mask['predicted_iou'],
            'stability_score': mask['stability_score'],
        }
        for index, mask in enumerate(masks)
    ]


class _PointPredictor:
    """What segment-anything's generator asks of a predictor, answered by ours."""

    def __init__(self, model: Any) -> None:
        self.predictor = ImagePredictor(model)
        self.device = torch.device('cpu')
        self.model = SimpleNamespace(mask_threshold=0.0)
        self.transform = self  # our predictor takes pixels of the image

    def set_image(self, image: np.ndarray) -> None:
        self.predictor.set_image(np.ascontiguousarray(image))

    def reset_image(self) -> None:
        self.predictor.reset_image()

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        return coords

    def predict_torch(
        self, points: Tensor, labels: Tensor, multimask_output: bool, return_logits: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = self.predictor.predict(
            points=points.numpy(),
            point_labels=labels.numpy(),
            multimask_output=multimask_output,
            return_logits=return_logits,
        )
        arrays = (found.masks, found.iou_scores, found.low_res_logits)
        masks, scores, logits = (torch.from_numpy(array) for array in arrays)
        return masks, scores, logits
