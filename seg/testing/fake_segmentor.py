"""A stand-in for a trained network: answers at once, by rules that a test can predict."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from seg.apis.model_zoo import ModelEntry
from seg.models.data_preprocessors import ClipPreprocessor
from seg.structures import ClipSample, PanopticData, PointLabel, Prompts, Segment, Task

CLICK_RADIUS = 0.1
"""Half the side of the square that answers a click, as a share of the image's sides."""


ALL_PROMPT_KINDS = frozenset({'click', 'multi_click', 'negative_click', 'box', 'mask', 'text'})


class FakeFeatures(NamedTuple):
    """What the model keeps of a batch: the images, (B, T, 3, H, W), and nothing else."""

    clips: Tensor
    context: Tensor | None


class FakeSegmentor(nn.Module):
    """Sees the left half as a thing, the right half as stuff, and what prompts say.

    A positive click adds a square to the mask and a negative one takes a square away, in their
    order; a box or a mask is its own answer; a text with "left" means the left half, any other the
    right half. The second of several masks is all of the picture and the third nothing.

    Offers what :func:`seg.apis.load_model` returns offers, without weights.

    Args:
        num_things: Classes [0, num_things) are things; the left half is class 0.
        num_stuff: The next classes are stuff; the right half is the first of them.
        test_pipeline: The pipeline of the config's test data.
        entry: What the zoo says about the model; ``None`` for a model of one's own.
        classes: Names; ``'thing 0'`` ... ``'stuff 0'`` ... by default.
        prompt_kinds: What it says it understands.
    """

    def __init__(
        self,
        num_things: int = 8,
        num_stuff: int = 3,
        *,
        test_pipeline: list[dict[str, Any]] | None = None,
        entry: ModelEntry | None = None,
        classes: tuple[str, ...] | None = None,
        prompt_kinds: Collection[str] = ('click',),
    ) -> None:
        super().__init__()
        self.data_preprocessor = ClipPreprocessor()
        self.prompt_kinds = frozenset(prompt_kinds)
        self.prompt_refusals: dict[str, str] = {}
        self.num_encoded = 0
        self.asked_rows: list[list[int]] = []
        self.num_things = num_things
        self.entry = entry
        pipeline = test_pipeline or [dict(type='PackClip')]
        loader = dict(dataset=dict(type='ShapesDataset', pipeline=pipeline))
        self.cfg = Config(dict(model=dict(type='FakeSegmentor'), test_dataloader=loader))
        names = [f'thing {i}' for i in range(num_things)] + [f'stuff {i}' for i in range(num_stuff)]
        self.dataset_meta = dict(classes=classes or tuple(names), num_things=num_things)
        self.seen_shapes: list[list[tuple[int, ...]]] = []

    def test_step(self, data: dict[str, Any]) -> list[ClipSample]:
        """Answer a batch; what it was given is noted in ``seen_shapes``."""
        self.seen_shapes.append([tuple(clip.shape) for clip in data['inputs']])
        for clip, sample in zip(data['inputs'], data['data_samples'], strict=True):
            if sample.declared_task is Task.PANOPTIC:
                self._split(sample, len(clip))
            else:
                self._answer(sample, len(clip), multimask_output=False)
        return list(data['data_samples'])

    def extract_feat(self, batch_inputs: Tensor) -> FakeFeatures:
        """Count the call in ``num_encoded``."""
        self.num_encoded += 1
        return FakeFeatures(batch_inputs, None)

    def predict_prompts(
        self, features: FakeFeatures, samples: list[ClipSample], *, multimask_output: bool = False
    ) -> list[ClipSample]:
        """Answer prompts; how many rows each sample had is noted in ``asked_rows``."""
        assert len(features.clips) == len(samples), 'one sample per clip'
        self.asked_rows.append([len(sample.prompts) for sample in samples])
        for sample in samples:
            self._answer(sample, features.clips.shape[1], multimask_output)
        return list(samples)

    def _split(self, sample: ClipSample, num_frames: int) -> None:
        height, width = sample.ori_shape
        segment_map = torch.full((num_frames, height, width), 2, dtype=torch.int32)
        segment_map[..., : width // 2] = 1
        segments = [Segment(1, 0, True, 0.9), Segment(2, self.num_things, False, 0.8)]
        sample.pred_panoptic = PanopticData(segment_map, segments)
        sample.pred_instances = InstanceData(
            masks=(segment_map == 1)[None],
            labels=torch.zeros(1, dtype=torch.long),
            scores=torch.tensor([0.9]),
            bboxes=torch.tensor([[0.0, 0.0, width // 2, height]]),
        )

    def _answer(self, sample: ClipSample, num_frames: int, multimask_output: bool) -> None:
        prompts, (height, width) = sample.prompts, sample.ori_shape
        scale = torch.tensor([width / sample.img_shape[1], height / sample.img_shape[0]])
        masks = torch.zeros(len(prompts), 3, height, width, dtype=torch.bool)
        for row in range(len(prompts)):
            masks[row, 0] = _answer_row(prompts, row, scale, masks[row, 0], sample.img_shape)
        masks[:, 1] = True
        masks = masks if multimask_output else masks[:, :1]
        canvas = sample.get('batch_input_shape') or sample.img_shape
        small = F.interpolate(masks.float(), (canvas[0] // 4, canvas[1] // 4), mode='area')
        best = torch.linspace(0.9, 0.5, len(prompts))[:, None]
        sample.pred_prompted = InstanceData(
            object_ids=prompts.object_ids,
            masks=masks[:, :, None].expand(-1, -1, num_frames, -1, -1),
            iou_scores=best - 0.1 * torch.arange(masks.shape[1]),
            low_res_logits=(20 * small - 10)[:, :, None].expand(-1, -1, num_frames, -1, -1),
        )


def _answer_row(
    prompts: Prompts, row: int, scale: Tensor, mask: Tensor, img_shape: tuple[int, int]
) -> Tensor:
    """A mask at the original size, from a row in pixels of the network's input."""
    height, width = mask.shape
    if prompts.has_mask[row]:
        assert prompts.masks is not None, 'has_mask tells of masks'
        shown = prompts.masks[row, : img_shape[0], : img_shape[1]]
        mask = F.interpolate(shown[None, None], (height, width), mode='area')[0, 0] > 0.5
    if prompts.has_box[row]:
        left, top, right, bottom = (prompts.boxes[row] * scale.repeat(2)).tolist()
        mask = mask | _rectangle((left, top), (right, bottom), height, width)
    if (text := prompts.texts[row]) is not None:
        edges = (0, width / 2) if 'left' in text else (width / 2, width)
        mask = mask | _rectangle((edges[0], 0), (edges[1], height), height, width)
    reach = torch.tensor([width, height]) * CLICK_RADIUS
    for point, label in zip(prompts.point_coords[row], prompts.point_labels[row], strict=True):
        near, far = (point * scale - reach).tolist(), (point * scale + reach).tolist()
        square = _rectangle((near[0], near[1]), (far[0], far[1]), height, width)
        if label == PointLabel.FOREGROUND:
            mask = mask | square
        elif label == PointLabel.BACKGROUND:
            mask = mask & ~square
    return mask


def _rectangle(
    near: tuple[float, float], far: tuple[float, float], height: int, width: int
) -> Tensor:
    """Pixels whose centres lie between two corners (x, y), (H, W), bool."""
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    inside_x = (columns >= near[0]) & (columns <= far[0])
    inside_y = (rows >= near[1]) & (rows <= far[1])
    return inside_y[:, None] & inside_x
