"""How a config wants images prepared for its model."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config

from seg.datasets.transforms import (
    AppearingMaskPrompts,
    AppearingPrompts,
    ConceptPhrases,
    EvaluationPrompts,
    FirstMaskPrompts,
    InteriorClickPrompts,
    RandomClickPrompts,
    SimulatedPrompts,
)
from seg.datasets.transforms.segment_prompts import SegmentPrompts
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError

# Transforms that invent prompts from ground truth, which images of a user do not have.
_PROMPT_MAKERS = (
    AppearingMaskPrompts,
    AppearingPrompts,
    ConceptPhrases,
    EvaluationPrompts,
    FirstMaskPrompts,
    InteriorClickPrompts,
    RandomClickPrompts,
    SegmentPrompts,
    SimulatedPrompts,
)


def build_test_transforms(cfg: Config) -> list[BaseTransform]:
    """The transforms from a loaded image, with or without prompts, to the network.

    They are the pipeline of the config's test data (validation data where there is none, the
    first source of a mixture), less the steps that invent prompts.

    Raises:
        UserError: If the config has no such data.
    """
    steps = [TRANSFORMS.build(step) for step in pipeline_settings(cfg)]
    return [step for step in steps if not isinstance(step, _PROMPT_MAKERS)]


def pipeline_settings(cfg: Config) -> list[Any]:
    """Settings of the pipeline of a config's test data, as :func:`build_test_transforms` finds it.

    Raises:
        UserError: If the config has no such data.
    """
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    node: Any = loader.dataset if loader else {}
    while 'sources' in node:
        node = next(iter(node['sources'].values()))
    if 'pipeline' not in node:
        raise UserError(
            'config: expected test_dataloader.dataset.pipeline, which says how images are '
            f'prepared, got a config with the keys {", ".join(cfg)}'
        )
    settings: list[Any] = node['pipeline']
    return settings
