"""Comparison with outputs that public reference code computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.detectors import RapSAM
from seg.models.prompts import PromptQueries
from seg.structures import StageOutput, Task
from seg.testing.goldens import golden_features, golden_prototypes, golden_weights
from seg.utils.checks import UserError
from seg.utils.public_names import RAPSAM_PUBLIC_NAMES, is_unpublished


@dataclass(frozen=True)
class Deviation:
    """How far one output is from its golden.

    Attributes:
        name: Name of the output.
        absolute: Largest absolute error.
        relative: Largest absolute error over the golden's largest magnitude.
        limit: What is tolerated, of ``relative`` for class logits and of ``absolute`` otherwise.
        within: Whether it is within the limit.
    """

    name: str
    absolute: float
    relative: float
    limit: float
    within: bool


def compare(name: str, got: Tensor | None, golden: Tensor) -> Deviation:
    """Compare one output; class logits are judged by relative error, 1e-5, the rest by 1e-3."""
    if got is None or got.shape != golden.shape:
        return Deviation(name, float('inf'), float('inf'), 0.0, False)
    absolute = (got - golden).abs().max().item()
    relative = absolute / max(golden.abs().max().item(), 1e-12)
    by_scale = '_cls_' in name
    limit = 1e-5 if by_scale else 1e-3
    return Deviation(name, absolute, relative, limit, (relative if by_scale else absolute) <= limit)


class RapSAMGolden:
    """One golden case of RapSAM: builds the weights and recomputes every stored output.

    Args:
        spec: The case's entry of ``names.json``.
        arrays: The case's arrays, inputs and outputs.
        model: A model of the case's size, for example of
            ``configs/rap_sam/rap_sam_r18_12e_adaptor.py``.

    Raises:
        UserError: If the case's weights are not those of the model.
    """

    def __init__(
        self, spec: Mapping[str, Any], arrays: Mapping[str, Tensor], model: RapSAM
    ) -> None:
        self.seed = spec['seed']
        self.arrays = arrays
        self.model = model.eval()
        _check_shapes(model, RAPSAM_PUBLIC_NAMES.apply(spec['shapes']))
        weights = RAPSAM_PUBLIC_NAMES.apply(golden_weights(spec['shapes'], self.seed))
        model.load_state_dict({**model.state_dict(), **weights})
        num_classes = spec['num_things'] + spec['num_stuff']
        model.head.classifier.set_prototypes(
            golden_prototypes(num_classes, spec['embed_dim'], self.seed)
        )
        widths = [spec['shapes'][f'neck.deconv.lateral_conv{3 - i}.weight'][1] for i in range(4)]
        self.widths = widths

    @torch.no_grad()
    def outputs(self) -> Iterator[tuple[str, Tensor | None]]:
        """Every output by its golden's name, ``None`` where the case lacks the input for it."""
        yield from self._neck()
        yield from self._image()
        yield from self._video()
        yield from self._prompts()
        yield from self._network()

    def _num_outputs(self, task: Task) -> int:
        """Stages and the adapter."""
        return self.model.head.router.routes[task].num_stages + 1

    def _neck(self) -> Iterator[tuple[str, Tensor | None]]:
        feats = tuple(
            golden_features((2, width, 24 >> i, 32 >> i), self.seed, i)
            for i, width in enumerate(self.widths)
        )
        yield 'neck_out', self.model.neck(feats).mask_features

    def _head_features(self, batch: int, tag: int) -> Tensor:
        width = self.model.head.object_queries.embedding_dim
        noise = golden_features((batch, width, 24, 32), self.seed, tag)
        return 3 * F.avg_pool2d(noise, 5, 1, 2)

    def _decode(
        self, features: Tensor, task: Task, prompts: PromptQueries | None = None
    ) -> list[StageOutput]:
        head = self.model.head
        return head(features, None, head.router.routes[task], prompts)

    def _image(self) -> Iterator[tuple[str, Tensor | None]]:
        outputs = self._decode(self._head_features(2, 10).unsqueeze(1), Task.PANOPTIC)
        for i, output in enumerate(outputs):
            yield f'image_cls_{i}', output.class_logits
            yield f'image_mask_{i}', output.mask_logits[:, :, 0]
            if i < len(outputs) - 1:
                yield f'image_iou_{i}', _column(output.iou_logits)
        yield 'image_queries', outputs[-1].queries

    def _video(self) -> Iterator[tuple[str, Tensor | None]]:
        clips = self._head_features(6, 11).unflatten(0, (2, 3))
        outputs = self._decode(clips, Task.PANOPTIC)
        last = len(outputs) - 1
        yield f'video_cls_{last}', outputs[-1].class_logits
        yield 'video_mask_0', outputs[0].mask_logits
        yield f'video_mask_{last}', outputs[-1].mask_logits
        yield 'video_queries', outputs[-1].queries

    def _prompts(self) -> Iterator[tuple[str, Tensor | None]]:
        features = self._head_features(2, 10).unsqueeze(1)
        if not {'prompt_boxes', 'prompt_labels'} <= set(self.arrays):
            for i in range(self._num_outputs(Task.INTERACTIVE_IMAGE)):
                yield f'prompt_mask_{i}', None
                yield f'prompt_iou_{i}', None
            yield 'prompt_queries', None
            return
        boxes = self.arrays['prompt_boxes'].float() / torch.tensor([128.0, 96.0, 128.0, 96.0])
        kinds = self.arrays['prompt_labels'].long()
        valid = torch.ones_like(kinds, dtype=torch.bool)
        prompts = self.model.head.prompt_encoder.encode_boxes(boxes, kinds, valid, features)
        outputs = self._decode(features, Task.INTERACTIVE_IMAGE, prompts)
        for i, output in enumerate(outputs):
            yield f'prompt_mask_{i}', output.mask_logits[:, :, 0]
            yield f'prompt_iou_{i}', _column(output.iou_logits)
        yield 'prompt_queries', outputs[-1].queries

    def _network(self) -> Iterator[tuple[str, Tensor | None]]:
        last = self._num_outputs(Task.PANOPTIC) - 1
        if 'net_image' not in self.arrays:
            yield f'net_cls_{last}', None
            yield f'net_mask_{last}', None
            return
        clip = self.arrays['net_image'].float()
        data = self.model.data_preprocessor(dict(inputs=list(clip.unsqueeze(1))))
        outputs = self.model(data['inputs'], mode='tensor')
        yield f'net_cls_{last}', outputs[-1].class_logits
        yield f'net_mask_{last}', outputs[-1].mask_logits[:, :, 0]


def _check_shapes(model: RapSAM, shapes: Mapping[str, list[int]]) -> None:
    expected = {key: list(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in expected if key not in shapes and not is_unpublished(key)]
    unknown = [key for key in shapes if key not in expected]
    if missing or unknown:
        raise UserError(
            f'shapes: expected every weight of the model and no other, got {len(missing)} missing '
            f'{missing[:3]} and {len(unknown)} unknown {unknown[:3]} (in the names of this package)'
        )
    for key, shape in shapes.items():
        if shape != expected[key]:
            raise UserError(
                f'shapes: {key}: expected {expected[key]} in a model of these sizes, got {shape}'
            )


def _column(values: Tensor | None) -> Tensor | None:
    """(B, Q) as the reference stores it, (B, Q, 1)."""
    return None if values is None else values.unsqueeze(-1)
