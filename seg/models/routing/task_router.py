"""Which way each task takes through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.registry import MODELS
from seg.structures import ClipSample, Task
from seg.utils.checks import UserError

_TASKS = list(Task)


@dataclass(frozen=True)
class Route:
    """The way of one task.

    Attributes:
        task: The task.
        num_stages: How many of the shared decoder stages run, from the first.
        adapter: Name of the adapter that makes the last prediction, ``'object'`` or ``'prompt'``.
    """

    task: Task
    num_stages: int
    adapter: str


@MODELS.register_module()
class TaskRouter(BaseModule):
    """Sends a batch down the way of its declared task and marks its queries with the task.

    Args:
        feat_channels: Width C of the task embedding, which starts at zero so that weights
            trained without it are unaffected.
        num_decoder_stages: Stages that the decoder has.
        interactive_stages: Stages that prompted images run; all when left out.
        panoptic_stages: Stages that panoptic runs; all when left out.
    """

    def __init__(
        self,
        feat_channels: int,
        num_decoder_stages: int = 3,
        *,
        interactive_stages: int | None = None,
        panoptic_stages: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        interactive = num_decoder_stages if interactive_stages is None else interactive_stages
        panoptic = num_decoder_stages if panoptic_stages is None else panoptic_stages
        for name, number in (('interactive', interactive), ('panoptic', panoptic)):
            if not 1 <= number <= num_decoder_stages:
                raise ValueError(
                    f'TaskRouter.{name}_stages: expected 1 to {num_decoder_stages} '
                    f'(num_decoder_stages), got {number}'
                )
        self.routes = {
            Task.INTERACTIVE_IMAGE: Route(Task.INTERACTIVE_IMAGE, interactive, 'prompt'),
            Task.PANOPTIC: Route(Task.PANOPTIC, panoptic, 'object'),
        }
        self.task_embed = nn.Embedding(len(_TASKS), feat_channels)
        nn.init.zeros_(self.task_embed.weight)

    def route(self, samples: Sequence[ClipSample]) -> Route:
        """The way of a batch.

        Raises:
            UserError: If the batch mixes tasks, or the task has no way here.
        """
        tasks = {sample.declared_task for sample in samples}
        if len(tasks) != 1:
            names = ', '.join(sorted(str(task) for task in tasks))
            raise UserError(
                f'task: expected one task per batch, got {names}; '
                'use a sampler that keeps tasks apart, such as TaskBatchSampler'
            )
        task = tasks.pop()
        if task not in self.routes:
            known = ', '.join(sorted(str(t) for t in self.routes))
            raise UserError(f'task: this model does {known}, got {task}')
        return self.routes[task]

    def mark(self, queries: Tensor, route: Route) -> Tensor:
        """Add the task's embedding to queries (B, Q, C)."""
        index = torch.tensor(_TASKS.index(route.task), device=queries.device)
        return queries + self.task_embed(index)
