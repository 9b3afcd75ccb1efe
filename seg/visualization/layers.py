"""From annotations and predictions to what is drawn: coloured regions with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

from seg.structures import ClipSample, PanopticData, Prompts, resize_prompts
from seg.visualization.palettes import Color, class_color, id_color

# Two regions count as the same object for colouring above this intersection over union.
_SAME_OBJECT_IOU = 0.5


@dataclass(frozen=True)
class Layer:
    """One region of a picture.

    Attributes:
        mask: (H, W), bool.
        color: RGB.
        caption: Text in or beside the region; empty for none.
        is_thing: Things are tinted more strongly than stuff and lie above it.
    """

    mask: np.ndarray
    color: Color
    caption: str = ''
    is_thing: bool = True


def to_array(value: Any) -> np.ndarray:
    """A tensor or array as a NumPy array."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def panoptic_layers(
    panoptic: PanopticData, classes: Sequence[str], frame: int = 0, show_scores: bool = False
) -> list[Layer]:
    """The segments of one frame, stuff first.

    Raises:
        ValueError: If a segment's class has no name.
    """
    segment_map = to_array(panoptic.segment_map)[frame]
    layers = [
        Layer(
            mask=segment_map == segment.id,
            color=id_color(segment.id) if segment.is_thing else class_color(segment.label),
            caption=_caption(
                class_name(classes, segment.label), segment.score if show_scores else None
            ),
            is_thing=segment.is_thing,
        )
        for segment in panoptic.segments
    ]
    return sorted(layers, key=lambda layer: layer.is_thing)


def ground_truth_layers(
    segments: InstanceData, classes: Sequence[str], num_things: int | None = None, frame: int = 0
) -> list[Layer]:
    """Annotated segments of one frame, stuff first; crowds and unknown classes keep a grey tint.

    Args:
        segments: ``ClipSample.gt_segments``.
        classes: Names, things first.
        num_things: How many of the classes are things; all when left out.
        frame: Which frame.
    """
    masks, labels = to_array(segments.masks), to_array(segments.labels)
    crowd = to_array(segments.is_crowd) if 'is_crowd' in segments else np.zeros(len(labels), bool)
    ids = to_array(segments.object_ids) if 'object_ids' in segments else np.arange(len(labels)) + 1
    layers = []
    for mask, label, object_id, ignored in zip(masks, labels, ids, crowd, strict=True):
        known = int(label) >= 0
        thing = not known or num_things is None or int(label) < num_things
        color = id_color(int(object_id)) if thing else class_color(int(label))
        name = class_name(classes, int(label)) if known else ''
        if ignored:
            color, name = (140, 140, 140), f'{name} (crowd)'.strip()
        layers.append(Layer(mask[frame].astype(bool), color, name, thing))
    return sorted(layers, key=lambda layer: layer.is_thing)


def instance_layers(
    instances: InstanceData,
    classes: Sequence[str],
    frame: int = 0,
    score_threshold: float = 0.0,
    show_scores: bool = True,
) -> list[Layer]:
    """Predicted instances of one frame, the most certain one on top."""
    scores = to_array(instances.scores)
    masks, labels = to_array(instances.masks), to_array(instances.labels)
    return [
        Layer(
            mask=masks[row, frame].astype(bool),
            color=id_color(int(row) + 1),
            caption=_caption(
                class_name(classes, int(labels[row])), float(scores[row]) if show_scores else None
            ),
        )
        for row in np.argsort(scores, kind='stable')
        if scores[row] >= score_threshold
    ]


def with_colors_of(layers: Sequence[Layer], reference: Sequence[Layer]) -> list[Layer]:
    """Give layers the colours of the reference layers they overlap, so that pairs are seen at once.

    Things without a counterpart receive a colour that the reference does not use.
    """
    free = (id_color(index) for index in range(160))
    used = {layer.color for layer in reference}
    recolored = []
    for layer in layers:
        if not layer.is_thing:
            recolored.append(layer)
            continue
        same = [_iou(layer.mask, other.mask) if other.is_thing else 0.0 for other in reference]
        best = int(np.argmax(same)) if same else -1
        if best >= 0 and same[best] > _SAME_OBJECT_IOU:
            color = reference[best].color
        else:
            color = next((c for c in free if c not in used), layer.color)
            used.add(color)
        recolored.append(replace(layer, color=color))
    return recolored


def prompts_on_image(sample: ClipSample) -> Prompts:
    """The sample's prompts in pixels of the original image, where predictions live.

    Raises:
        ValueError: If the sample lacks the sizes.
    """
    resized, original = sample.get('img_shape'), sample.get('ori_shape')
    if resized is None or original is None:
        raise ValueError(
            'sample: expected metainfo img_shape and ori_shape to place its prompts, got '
            f'img_shape={resized}, ori_shape={original}; pack it with PackClip'
        )
    return resize_prompts(sample.prompts, tuple(resized), tuple(original))


def class_name(classes: Sequence[str], label: int) -> str:
    """The name of a class.

    Raises:
        ValueError: If there are fewer names than ``label`` needs.
    """
    if not 0 <= label < len(classes):
        raise ValueError(
            f'classes: expected a name for class {label}, got {len(classes)} names; '
            'give the class names that the model was trained with'
        )
    return classes[label]


def _caption(name: str, score: float | None) -> str:
    return name if score is None else f'{name} {score:.2f}'


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def best_masks(prompted: InstanceData, frame: int = 0) -> np.ndarray:
    """The best mask of each prompted object on one frame, (N, H, W), bool."""
    return to_array(prompted.masks)[:, 0, frame].astype(bool)


def best_scores(prompted: InstanceData) -> np.ndarray:
    """The predicted quality of each object's best mask, (N,)."""
    return to_array(prompted.iou_scores)[:, 0]


def object_colors(object_ids: Sequence[int]) -> Mapping[int, Color]:
    """Colours of prompted objects by their id."""
    return {int(i): id_color(int(i)) for i in object_ids}
