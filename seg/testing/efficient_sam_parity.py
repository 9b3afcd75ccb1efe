"""EfficientSAM compared with outputs that the public code computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ext.efficient_sam import EfficientSam
from seg.testing.goldens import golden_weights
from seg.utils.checkpoints import load_weights
from seg.utils.checks import UserError

_INPUTS = {'image', 'points', 'labels'}


class EfficientSamGolden:
    """One golden case of EfficientSAM: builds the weights and recomputes every stored output.

    Args:
        spec: The case's entry of ``names.json``.
        arrays: The case's arrays, inputs and outputs.
        model: A model of the case's size.

    Raises:
        UserError: If the case's weights are not those of the model.
    """

    def __init__(
        self, spec: Mapping[str, Any], arrays: Mapping[str, Tensor], model: EfficientSam
    ) -> None:
        self.arrays = arrays
        self.model = model.eval()
        load_weights(model, golden_weights(spec['shapes'], spec['seed']), name='shapes')
        count = sum(value.numel() for value in model.parameters())
        if count != spec['parameters']:
            raise UserError(f'parameters: expected {count}, the size of the model, got '
                            f'{spec["parameters"]}')  # fmt: skip

    @torch.no_grad()
    def outputs(self) -> Iterator[tuple[str, Tensor | None]]:
        """Every output by its golden's name, ``None`` where the case lacks the input for it."""
        if not set(self.arrays) >= _INPUTS:
            names = ('embedding', 'masks', 'iou', 'single_low_res', 'single_iou')
            yield from ((name, None) for name in names)
            return
        image, points, labels = (self.arrays[name] for name in ('image', 'points', 'labels'))
        size = (image.shape[-2], image.shape[-1])
        embedding = torch.cat([self.model.embed(one[None]) for one in image])
        yield 'embedding', embedding[:, ::8, ::4, ::4]
        masks, scores = self.model.decode(embedding, points, labels, size)
        full = F.interpolate(masks.flatten(0, 1), size, mode='bicubic', align_corners=False)
        yield 'masks', full.unflatten(0, masks.shape[:2])
        yield 'iou', scores
        masks, scores = self.model.decode(embedding, points, labels, size, multimask_output=False)
        yield 'single_low_res', masks[..., ::4, ::4]
        yield 'single_iou', scores
