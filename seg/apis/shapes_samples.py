"""Held-out samples of Shapes, packed as a model's config says, for the demo and the report."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose

from seg.apis.test_pipeline import build_test_transforms
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.datasets.shapes_dataset import ShapesDataset
from seg.datasets.transforms import EvaluationPrompts
from seg.structures import PROMPT_KINDS, ClipSample, Task
from seg.utils.checks import UserError


class PackedSample(NamedTuple):
    """One sample before the network.

    Attributes:
        image: The first frame at its original size, (H, W, 3), uint8, RGB.
        inputs: What the network reads, (T, 3, h, w), uint8.
        sample: Ground truth at the original size and, in prompted tasks, prompts.
    """

    image: np.ndarray
    inputs: Any
    sample: ClipSample


class ShapesSamples:
    """Samples of the validation split, which no training has seen, whatever the seed.

    In prompted tasks every segment gets one prompt of each kind, see
    :class:`~seg.datasets.transforms.EvaluationPrompts`.

    Args:
        task: What the samples ask of the model.
        cfg: The model's config; its test pipeline is used.
        num_samples: How many.
        seed: Which validation world.
        num_frames: Frames of each sample.
        prompt_features: What the model understands, its ``prompt_kinds``; it is asked nothing else.

    Raises:
        UserError: If the config has no test data.
    """

    def __init__(
        self,
        task: Task,
        cfg: Config,
        num_samples: int,
        seed: int = 0,
        num_frames: int = 1,
        prompt_features: Collection[str] = ('click',),
    ) -> None:
        self.dataset = ShapesDataset(
            task, split='val', num_samples=num_samples, num_frames=num_frames, seed=seed
        )
        self.metainfo = self.dataset.metainfo
        kinds = [kind for kind in PROMPT_KINDS if kind in prompt_features]
        prompts = [EvaluationPrompts(kinds)] if task.is_prompted else []
        self.pipeline = Compose([*prompts, *build_test_transforms(cfg)])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> PackedSample:
        """One sample; an ``IndexError`` ends a loop over all of them."""
        results = self.dataset[index]
        image = results['clip'][0].permute(1, 2, 0).numpy().copy()
        packed = self.pipeline(results)
        assert packed is not None, 'test pipelines do not drop samples'
        return PackedSample(image, packed['inputs'], packed['data_samples'])

    def __iter__(self) -> Iterator[PackedSample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def check_knows_shapes(dataset_meta: dict[str, Any]) -> None:
    """Make sure that a model's classes are those of Shapes.

    Raises:
        UserError: If they are not.
    """
    expected, got = SHAPES_THINGS + SHAPES_STUFF, tuple(dataset_meta['classes'])
    if got != expected:
        raise UserError(
            f'model: expected one trained on the {len(expected)} classes of Shapes, got one with '
            f'{len(got)} classes ({", ".join(got[:4])}, ...); give images of your own to the demo '
            'with --input, and evaluate on your own data with tools/test.py'
        )
