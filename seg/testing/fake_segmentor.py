"""A stand-in for a trained network: answers at once, by rules that a test can predict."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

from seg.apis.model_zoo import ModelEntry
from seg.structures import ClipSample, PanopticData, Segment, Task

CLICK_RADIUS = 0.1
"""Half the side of the square that answers a click, as a share of the image's sides."""


class FakeSegmentor(nn.Module):
    """Sees the left half as a thing, the right half as stuff, and a square around every click.

    Offers what :func:`seg.apis.load_model` returns offers, without weights.

    Args:
        num_things: Classes [0, num_things) are things; the left half is class 0.
        num_stuff: The next classes are stuff; the right half is the first of them.
        test_pipeline: The pipeline of the config's test data.
        entry: What the zoo says about the model; ``None`` for a model of one's own.
        classes: Names; ``'thing 0'`` ... ``'stuff 0'`` ... by default.
    """

    prompt_kinds = frozenset({'click'})

    def __init__(
        self,
        num_things: int = 8,
        num_stuff: int = 3,
        *,
        test_pipeline: list[dict[str, Any]] | None = None,
        entry: ModelEntry | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
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
                self._answer_clicks(sample, len(clip))
        return list(data['data_samples'])

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

    def _answer_clicks(self, sample: ClipSample, num_frames: int) -> None:
        height, width = sample.ori_shape
        size = torch.tensor([sample.img_shape[1], sample.img_shape[0]])
        points = sample.prompts.point_coords[:, 0] / size  # (N, 2) as shares of the image
        squares = [_square(point, height, width) for point in points]
        masks = torch.stack(squares) if squares else torch.zeros(0, height, width).bool()
        sample.pred_prompted = InstanceData(
            object_ids=sample.prompts.object_ids,
            masks=masks[:, None, None].expand(-1, -1, num_frames, -1, -1),
            iou_scores=torch.linspace(0.9, 0.5, len(masks))[:, None],
        )


def _square(point: Tensor, height: int, width: int) -> Tensor:
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    near_y = (rows - point[1]).abs() <= CLICK_RADIUS
    near_x = (columns - point[0]).abs() <= CLICK_RADIUS
    return near_y[:, None] & near_x
