"""Pictures of segmentations: masks, names, prompts and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.structures import InstanceData

from seg.registry import VISUALIZERS
from seg.structures import ClipSample, PanopticData, PointLabel, Prompts
from seg.visualization.canvas import Canvas
from seg.visualization.contact_sheet import contact_sheet
from seg.visualization.layers import (
    Layer,
    best_masks,
    best_scores,
    class_name,
    ground_truth_layers,
    instance_layers,
    object_colors,
    panoptic_layers,
    prompts_on_image,
    to_array,
    with_colors_of,
)
from seg.visualization.palettes import Color, class_color


@VISUALIZERS.register_module()
class SegmentVisualizer:
    """Draws segmentations on images of any size.

    Every method takes an image (H, W, 3), uint8, RGB, leaves it as it is and returns a new one.
    Lines and letters grow with the picture. The same input gives the same pixels.

    Args:
        thing_alpha: Opacity of the tint on things, in [0, 1].
        stuff_alpha: Opacity of the tint on stuff, in [0, 1].
        min_size: Pictures are enlarged by a whole factor until their short side has this many
            pixels, so that small ones can be read, but no longer than 2000; 0 keeps their size.
        show_labels: Whether names are written on segments.
        show_scores: Whether names are followed by scores.
    """

    def __init__(
        self,
        thing_alpha: float = 0.5,
        stuff_alpha: float = 0.4,
        min_size: int = 480,
        show_labels: bool = True,
        show_scores: bool = False,
    ) -> None:
        for name, value in (('thing_alpha', thing_alpha), ('stuff_alpha', stuff_alpha)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name}: expected a number in [0, 1], got {value}')
        self.thing_alpha = thing_alpha
        self.stuff_alpha = stuff_alpha
        self.min_size = min_size
        self.show_labels = show_labels
        self.show_scores = show_scores

    def draw_layers(
        self,
        image: np.ndarray,
        layers: Sequence[Layer],
        prompts: Prompts | None = None,
        notes: Sequence[tuple[str, Color]] = (),
    ) -> np.ndarray:
        """Regions in the order given, their captions, and prompts on top.

        Args:
            image: (H, W, 3), uint8, RGB.
            layers: At the size of the image.
            prompts: In pixels of the image; their texts are not written.
            notes: Texts for the corner, with their colours.
        """
        canvas = Canvas(image, self.min_size)
        for layer in layers:
            region = canvas.region(layer.mask)
            alpha = self.thing_alpha if layer.is_thing else self.stuff_alpha
            canvas.fill(region, layer.color, alpha)
            canvas.outline(region, layer.color)
        if prompts is not None:
            _draw_prompts(canvas, prompts)
        _write_notes(canvas, notes)
        if self.show_labels:
            # Small regions choose first: they have the fewest places near them.
            for layer in sorted(layers, key=lambda layer: np.count_nonzero(layer.mask)):
                canvas.label(layer.caption, layer.mask, layer.color)
        return canvas.pixels

    def draw_panoptic(
        self,
        image: np.ndarray,
        panoptic: PanopticData,
        classes: Sequence[str],
        frame: int = 0,
    ) -> np.ndarray:
        """Every segment of a panoptic map: instances by id, stuff by class, void untouched."""
        return self.draw_layers(image, panoptic_layers(panoptic, classes, frame, self.show_scores))

    def draw_semantic(
        self, image: np.ndarray, class_map: np.ndarray, classes: Sequence[str]
    ) -> np.ndarray:
        """A map of class indices, (H, W), -1 for none, coloured by class."""
        labels = [int(label) for label in np.unique(class_map) if label >= 0]
        layers = [
            Layer(class_map == label, class_color(label), class_name(classes, label))
            for label in labels
        ]
        return self.draw_layers(image, layers)

    def draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: Sequence[str],
        score_threshold: float = 0.0,
        frame: int = 0,
    ) -> np.ndarray:
        """Predicted instances, the most certain one on top."""
        layers = instance_layers(instances, classes, frame, score_threshold, self.show_scores)
        return self.draw_layers(image, layers)

    def draw_prompted(
        self,
        image: np.ndarray,
        masks: np.ndarray,
        prompts: Prompts,
        scores: np.ndarray | None = None,
    ) -> np.ndarray:
        """Masks of prompted objects with the prompts themselves on top.

        Args:
            image: (H, W, 3), uint8, RGB.
            masks: One mask per row of ``prompts``, (N, H, W), bool.
            prompts: In pixels of ``image``; green plus = foreground, red minus = background, lines
                cased in white = boxes and mask prompts; texts are written on the masks, or in the
                corner where the mask is empty.
            scores: Predicted mask quality, (N,), written on the masks when given.

        Raises:
            ValueError: If masks and prompts differ in number.
        """
        masks = to_array(masks).astype(bool)
        if len(masks) != len(prompts):
            raise ValueError(
                f'masks: expected one for each of {len(prompts)} prompted objects, got {len(masks)}'
            )
        colors = object_colors(prompts.object_ids.tolist())
        captions = [f'"{text}"' if text is not None else '' for text in prompts.texts]
        if scores is not None:
            numbers = [f'{score:.2f}' for score in to_array(scores)]
            captions = [f'{c} {n}'.strip() for c, n in zip(captions, numbers, strict=True)]
        rows = zip(masks, prompts.object_ids.tolist(), captions, strict=True)
        layers = [Layer(mask, colors[object_id], text) for mask, object_id, text in rows]
        return self.draw_layers(image, layers, prompts, _unanswered_texts(prompts, layers))

    def draw_comparison(
        self,
        image: np.ndarray,
        sample: ClipSample,
        classes: Sequence[str],
        num_things: int | None = None,
        frame: int = 0,
    ) -> np.ndarray:
        """Image, ground truth and prediction side by side; an object has one colour in both.

        Args:
            image: The frame at its original size, (H, W, 3), uint8, RGB.
            sample: With predictions, and ground truth at the original size where there is any.
            classes: Names, things first.
            num_things: How many of the classes are things; all when left out.
            frame: Which frame of the clip.

        Raises:
            ValueError: If the sample holds no prediction.
        """
        panels = [('image', self.draw_layers(image, []))]
        if 'pred_prompted' in sample:
            panels += self._prompted_panels(image, sample, frame)
        elif 'pred_panoptic' in sample or 'pred_instances' in sample:
            predicted = self._predicted_layers(sample, classes, frame)
            if 'gt_segments' in sample:
                truth = ground_truth_layers(sample.gt_segments, classes, num_things, frame)
                panels.append(('ground truth', self.draw_layers(image, truth)))
                predicted = with_colors_of(predicted, truth)
            panels.append(('prediction', self.draw_layers(image, predicted)))
        else:
            raise ValueError(
                'sample: expected pred_panoptic, pred_instances or pred_prompted, got none of '
                'them; pass what model.test_step returned'
            )
        captions, pictures = zip(*panels, strict=True)
        return contact_sheet(pictures, len(pictures), captions)

    def _predicted_layers(
        self, sample: ClipSample, classes: Sequence[str], frame: int
    ) -> list[Layer]:
        if 'pred_panoptic' in sample:
            return panoptic_layers(sample.pred_panoptic, classes, frame, self.show_scores)
        return instance_layers(sample.pred_instances, classes, frame, show_scores=self.show_scores)

    def _prompted_panels(
        self, image: np.ndarray, sample: ClipSample, frame: int
    ) -> list[tuple[str, np.ndarray]]:
        prompts = prompts_on_image(sample)
        prompted = sample.pred_prompted
        masks, all_scores = best_masks(prompted, frame), best_scores(prompted)
        panels = []
        if 'gt_segments' in sample and 'prompt_targets' in sample:
            rows = next(iter(_rows_by_kind(sample).values()))
            truth = sample.gt_segments.masks[sample.prompt_targets[rows]][:, frame]
            drawn = self.draw_prompted(image, to_array(truth), prompts[rows])
            panels.append(('ground truth', drawn))
        for caption, rows in _rows_by_kind(sample).items():
            scores = all_scores[rows] if self.show_scores else None
            drawn = self.draw_prompted(image, masks[rows], prompts[rows], scores)
            panels.append((caption, drawn))
        return panels


def _rows_by_kind(sample: ClipSample) -> dict[str, list[int]]:
    """Captions of the panels of prompted objects, and the rows on each: one panel per kind."""
    count = len(sample.prompts)
    kinds = sample.get('prompt_kinds') or ['click'] * count
    if len(set(kinds)) <= 1:
        return {'prediction': list(range(count))}
    return {
        f'prediction: {kind}': [row for row in range(count) if kinds[row] == kind]
        for kind in dict.fromkeys(kinds)
    }


def _draw_prompts(canvas: Canvas, prompts: Prompts) -> None:
    colors = object_colors(prompts.object_ids.tolist())
    for row, object_id in enumerate(prompts.object_ids.tolist()):
        if prompts.has_box[row]:
            canvas.box(prompts.boxes[row].tolist(), colors[object_id])
        if prompts.masks is not None and prompts.has_mask[row]:
            canvas.contour(to_array(prompts.masks[row]) > 0.5, colors[object_id])
    for row in range(len(prompts)):
        labels = prompts.point_labels[row].tolist()
        for xy, label in zip(prompts.point_coords[row].tolist(), labels, strict=True):
            if label != PointLabel.PADDING:
                canvas.point(xy, positive=label == PointLabel.FOREGROUND)


def _unanswered_texts(prompts: Prompts, layers: Sequence[Layer]) -> list[tuple[str, Color]]:
    """Notes about texts whose masks are empty, as their captions have no place of their own."""
    return [
        (f'"{text}": nothing', layer.color)
        for text, layer in zip(prompts.texts, layers, strict=True)
        if text is not None and not layer.mask.any()
    ]


def _write_notes(canvas: Canvas, notes: Sequence[tuple[str, Color]]) -> None:
    height, width = canvas.image_size
    corner = np.zeros((height, width), dtype=bool)
    corner[: max(1, height // 10), : max(1, width // 3)] = True
    for text, color in notes:
        canvas.label(text, corner, color)
