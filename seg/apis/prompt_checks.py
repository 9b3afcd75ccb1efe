"""Whether a model can do something with the prompts it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType

from torch import Tensor

from seg.models.prompts.texts import check_texts
from seg.structures import ClipSample, PointLabel, Prompts
from seg.structures.prompts import PROMPT_FEATURES, kinds_of
from seg.utils.checks import UserError


def check_prompts(
    prompts: Prompts,
    image_size: tuple[int, int],
    known_kinds: Collection[str],
    refusals: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Refuse prompts that do not fit the image and kinds that the model was not trained for.

    Args:
        prompts: In pixels of the image.
        image_size: (H, W).
        known_kinds: The model's ``prompt_kinds``.
        refusals: The model's ``prompt_refusals``, why it cannot know a kind.

    Raises:
        UserError: With the first prompt that cannot be used.
    """
    height, width = image_size
    used = prompts.point_labels != PointLabel.PADDING
    for x, y in prompts.point_coords[used].tolist():
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(
                f'point ({x:g}, {y:g}): expected a point inside the image of {width} x {height} '
                f'pixels, got one outside; choose 0 <= x < {width} and 0 <= y < {height}'
            )
    _check_boxes(prompts, image_size)
    if bool(prompts.has_mask.any()):
        assert prompts.masks is not None, 'has_mask tells of masks'
        if tuple(prompts.masks.shape[-2:]) != (height, width):
            got_height, got_width = prompts.masks.shape[-2:]
            raise UserError(
                f'mask: expected the size of the image, {width} x {height} pixels, got '
                f'{got_width} x {got_height}; draw it on this image, or resize it'
            )
        _check_masks(prompts.masks[prompts.has_mask])
    check_texts([text for text in prompts.texts if text is not None])
    for kind in kinds_of(prompts):
        if kind not in known_kinds:
            known = ', '.join(
                PROMPT_FEATURES[name] for name in PROMPT_FEATURES if name in known_kinds
            )
            reason = f' ({refusals[kind]})' if kind in refusals else ''
            raise UserError(
                f'prompts: expected {known}, which is what this model was trained for, got '
                f'{PROMPT_FEATURES[kind]}{reason}; leave them out, give every click '
                'an object of its own, or use another model'
            )


def check_distinct(prompts: Prompts) -> None:
    """Refuse ids that several rows about an image share, for rows do not know of each other.

    Raises:
        UserError: With the ids.
    """
    counts = Counter(prompts.object_ids.tolist())
    if twice := sorted(object_id for object_id, count in counts.items() if count > 1):
        raise UserError(
            f'object_ids: expected each object once, got several rows for {twice}; say everything '
            'about an object in one row'
        )


def check_min_iou_score(value: float) -> float:
    """A threshold of predicted quality.

    Raises:
        UserError: If it is not in [0, 1].
    """
    if not 0 <= value <= 1:
        raise UserError(f'min_iou_score: expected a number in [0, 1], got {value}')
    return value


def drop_poor_masks(sample: ClipSample, min_iou_score: float) -> None:
    """Empty the masks of ``pred_prompted`` whose predicted quality is below a score, in place."""
    prompted = sample.pred_prompted
    good = prompted.iou_scores >= min_iou_score
    prompted.masks = prompted.masks & good[:, :, None, None, None].to(prompted.masks.device)


def _check_masks(masks: Tensor) -> None:
    """Refuse masks (N, H, W) that are no probabilities or show nothing."""
    if not bool(((masks >= 0) & (masks <= 1)).all()):
        raise UserError(
            'masks: expected bool or probabilities in [0, 1], got other values; write mask > 127 '
            'for a mask of bytes'
        )
    if not bool((masks > 0.5).flatten(1).any(dim=1).all()):
        raise UserError(
            'masks: expected at least one pixel above 0.5 in each mask, got an empty one; leave '
            'the object out'
        )


def _check_boxes(prompts: Prompts, image_size: tuple[int, int]) -> None:
    """Refuse boxes that lie beside the image; what sticks out of it is allowed."""
    height, width = image_size
    for x1, y1, x2, y2 in prompts.boxes[prompts.has_box].tolist():
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            raise UserError(
                f'box ({x1:g}, {y1:g}, {x2:g}, {y2:g}): expected a box (x1, y1, x2, y2) on the '
                f'image of {width} x {height} pixels, got one beside it'
            )
