"""Copy-paste: things of one sample laid over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor
from torch.nn import functional as F

from seg.datasets.clip_dataset import ClipDataset, SampleRef
from seg.datasets.transforms.results import (
    SEGMENT_KEYS,
    Results,
    keep_prompts,
    keep_segments,
    largest_areas,
    prompt_row_is_used,
    require_in_step,
    rng_of,
)
from seg.registry import TRANSFORMS
from seg.structures import PointLabel, Prompts


@TRANSFORMS.register_module()
class CopyPaste(BaseTransform):
    """Lay random things of another sample of the same data set over the clip.

    As of Ghiasi et al., Simple Copy-Paste (2021), without blending. Pasted things get new object
    ids; what they cover is cut out of the masks and prompts below, and segments that nearly
    vanish are dropped. Crowds and stuff are not pasted. Prompts are not made for pasted things,
    so clicks belong after this step; phrases that single an object out may become ambiguous.

    Args:
        pipeline: Steps that the other sample goes through first, such as ``ClipFlip`` and
            ``LargeScaleJitter``. Their randomness follows from this sample's.
        max_objects: Largest number of things to paste; the number is uniform in [1, max_objects].
        prob: Probability of pasting anything.
        min_area: Segments below it, and things to paste, that cover fewer pixels in every frame
            are dropped.
    """

    def __init__(
        self,
        pipeline: Sequence[Mapping[str, Any]] = (),
        max_objects: int = 10,
        prob: float = 0.5,
        min_area: int = 32,
    ) -> None:
        if max_objects < 1:
            raise ValueError(f'CopyPaste.max_objects: expected at least 1, got {max_objects}')
        if not 0 <= prob <= 1:
            raise ValueError(f'CopyPaste.prob: expected a probability in [0, 1], got {prob}')
        self.pipeline = [TRANSFORMS.build(step) for step in pipeline]
        self.max_objects = max_objects
        self.prob = prob
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Paste into one sample, perhaps."""
        require_in_step(results, 'CopyPaste')
        rng = rng_of(results)
        if rng.random() >= self.prob:
            return results
        dataset = results.get('dataset')
        if not isinstance(dataset, ClipDataset):
            raise ValueError(
                "CopyPaste: expected the sample's data set in results['dataset'], got "
                f'{type(dataset).__name__}; derive it from seg.datasets.ClipDataset'
            )
        other = self._other_sample(results, dataset, rng)
        chosen = self._choose_things(other, dataset.metainfo['num_things'], rng)
        if len(chosen):
            self._paste(results, other, chosen, rng)
        return results

    def _other_sample(
        self, results: Results, dataset: ClipDataset, rng: np.random.Generator
    ) -> Results:
        index, seed = rng.integers((len(dataset), 1 << 31)).tolist()
        other = dataset.read(SampleRef(index, seed=seed))
        other.update(task=results['task'], dataset=dataset)
        for step in self.pipeline:
            other = step(other)
        if len(other['clip']) != len(results['clip']):
            raise ValueError(
                f'CopyPaste: expected samples of {len(results["clip"])} frames, got one of '
                f'{len(other["clip"])}; paste before PseudoClip, into clips of one length'
            )
        return other

    def _choose_things(
        self, other: Results, num_things: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Rows of the things to paste, (n,)."""
        usable = largest_areas(other['masks']) >= max(self.min_area, 1)
        usable &= (other['labels'] < num_things) & ~other['is_crowd']
        rows = rng.permutation(torch.nonzero(usable).flatten().numpy())
        return rows[: rng.integers(1, self.max_objects + 1)]

    def _paste(
        self, results: Results, other: Results, chosen: np.ndarray, rng: np.random.Generator
    ) -> None:
        rows = torch.from_numpy(chosen)
        size = tuple(results['clip'].shape[-2:])
        offset = [
            _place(old, new, rng) for old, new in zip(other['clip'].shape[-2:], size, strict=True)
        ]
        clip = _shift(other['clip'], size, offset)
        masks = _shift(other['masks'][rows], size, offset)
        covered = masks.any(dim=0)
        results['clip'] = torch.where(covered[:, None], clip, results['clip'])
        before = results['masks']
        results['masks'] = before & ~covered
        _cover_prompts(results, covered)
        area, old_area = largest_areas(results['masks']), largest_areas(before)
        keep_segments(results, (area == old_area) | (area >= max(self.min_area, 1)))
        new = {key: other[key][rows] for key in ('labels', 'is_crowd')}
        first = int(results['object_ids'].max()) + 1 if len(results['object_ids']) else 1
        new['object_ids'] = torch.arange(first, first + len(rows))
        new['masks'] = masks
        visible = masks.flatten(1).any(dim=1)
        for key in SEGMENT_KEYS:
            results[key] = torch.cat([results[key], new[key][visible]])
        if 'expressions' in results:
            results['expressions'] += [None] * int(visible.sum())


def _place(old: int, new: int, rng: np.random.Generator) -> int:
    """Where an axis of length ``old`` begins on one of length ``new``; negative to cut it."""
    room = new - old
    return int(rng.integers(min(room, 0), max(room, 0) + 1))


def _shift(frames: Tensor, size: tuple[int, ...], offset: Sequence[int]) -> Tensor:
    """Frames (..., H, W) on a canvas of another size, zero where they do not reach."""
    (top, left), (height, width) = offset, frames.shape[-2:]
    return F.pad(frames, (left, size[1] - width - left, top, size[0] - height - top))


def _cover_prompts(results: Results, covered: Tensor) -> None:
    """Cut what lies over the objects out of their prompts, and drop prompts without a rest.

    Args:
        results: The sample, its masks cut already.
        covered: Pixels of each frame that were pasted over, (T, H, W), bool.
    """
    if 'prompts' not in results:
        return
    prompts: Prompts = results['prompts']
    over = covered[prompts.frame_index]  # (M, H, W)
    height, width = over.shape[-2:]
    x, y = prompts.point_coords.nan_to_num().long().unbind(-1)
    row = torch.arange(len(prompts))[:, None]
    hidden = over[row, y.clamp(0, height - 1), x.clamp(0, width - 1)]
    hidden &= prompts.point_labels == PointLabel.FOREGROUND
    labels = prompts.point_labels.masked_fill(hidden, int(PointLabel.PADDING))
    prompts = replace(prompts, point_labels=labels)
    if prompts.masks is not None:
        rest = prompts.masks * ~over
        prompts = replace(
            prompts, masks=rest, has_mask=prompts.has_mask & rest.flatten(1).any(dim=1)
        )
    if 'prompt_targets' in results:
        visible = results['masks'][results['prompt_targets'], prompts.frame_index]
        prompts = replace(prompts, boxes=_visible_boxes(prompts.boxes, visible, over))
    results['prompts'] = prompts
    keep_prompts(results, prompt_row_is_used(prompts))


def _visible_boxes(boxes: Tensor, visible: Tensor, over: Tensor) -> Tensor:
    """Boxes that something was laid over, cut to what is still visible of their objects.

    Args:
        boxes: (M, 4), xyxy pixels, NaN where there is none.
        visible: What is left of each object, (M, H, W), bool.
        over: What was laid over each frame, (M, H, W), bool.
    """
    boxes = boxes.clone()
    for row in torch.nonzero(~boxes.isnan().any(dim=-1)).flatten().tolist():
        x1, y1, x2, y2 = boxes[row].tolist()
        window = (
            slice(max(int(y1), 0), int(np.ceil(y2))),
            slice(max(int(x1), 0), int(np.ceil(x2))),
        )
        if not over[row][window].any():
            continue
        ys, xs = torch.nonzero(visible[row][window], as_tuple=True)
        if not len(ys):
            boxes[row] = torch.nan
            continue
        left, top = window[1].start, window[0].start
        rest = [xs.min() + left, ys.min() + top, xs.max() + left + 1, ys.max() + top + 1]
        tight = boxes.new_tensor([float(v) for v in rest])
        boxes[row] = torch.cat(
            [tight[:2].maximum(boxes[row, :2]), tight[2:].minimum(boxes[row, 2:])]
        )
    return boxes
