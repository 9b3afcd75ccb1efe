"""Which way each task takes through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.registry import MODELS
from seg.structures import ClipSample, Prompts, Task
from seg.utils.checks import UserError

_TASKS = list(Task)


@dataclass(frozen=True)
class Route:
    """The way of one task.

    Attributes:
        task: The task.
        num_stages: How many of the shared decoder stages run, from the first.
        adapter: Name of the adapter that makes the last prediction, ``'object'`` or ``'prompt'``.
        memory: Whether objects are carried from frame to frame by the streaming memory.
        dpsr: Whether propagated and re-detected masks refine each other.
        prompt_fusion: Whether several prompts of one object are fused.
    """

    task: Task
    num_stages: int
    adapter: str
    memory: bool = False
    dpsr: bool = False
    prompt_fusion: bool = False


@MODELS.register_module()
class TaskRouter(BaseModule):
    """Sends a batch down the way of its task and marks its queries with the task.

    Args:
        feat_channels: Width C of the task embedding, which starts at zero so that weights
            trained without it are unaffected.
        num_decoder_stages: Stages that the decoder has.
        enable_streaming_memory: Whether tasks that follow objects through a video have a memory,
            and with it the refinement of what it propagates.
        interactive_stages: Stages that prompted images and clips run; all when left out.
        vos_stages: Stages that video object segmentation runs; all when left out.
        panoptic_stages: Stages that panoptic runs; all when left out.
        marks_tasks: Whether there is a task embedding.

    Raises:
        ValueError: If a number of stages is not one that the decoder can run.
    """

    def __init__(
        self,
        feat_channels: int,
        num_decoder_stages: int = 3,
        *,
        enable_streaming_memory: bool = True,
        interactive_stages: int | None = None,
        vos_stages: int | None = None,
        panoptic_stages: int | None = None,
        marks_tasks: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        interactive = _checked_stages('interactive_stages', interactive_stages, num_decoder_stages)
        vos = _checked_stages('vos_stages', vos_stages, num_decoder_stages)
        panoptic = _checked_stages('panoptic_stages', panoptic_stages, num_decoder_stages)
        memory = enable_streaming_memory
        self.enable_streaming_memory = memory
        self.routes = {
            route.task: route
            for route in (
                Route(Task.INTERACTIVE_IMAGE, interactive, 'prompt', prompt_fusion=True),
                Route(Task.INTERACTIVE_VIDEO, interactive, 'prompt', memory, memory, True),
                Route(Task.VOS, vos, 'prompt', memory, memory),
                Route(Task.PANOPTIC, panoptic, 'object'),
            )
        }
        self.task_embed: nn.Embedding | None = None
        if marks_tasks:
            self.task_embed = nn.Embedding(len(_TASKS), feat_channels)
            nn.init.zeros_(self.task_embed.weight)

    def route(self, samples: Sequence[ClipSample], num_frames: int = 1) -> Route:
        """The way of a batch.

        Args:
            samples: The samples of the batch. A declared task wins; where none is declared it
                follows from the inputs, see :func:`detect_task`.
            num_frames: Frames T of the clips.

        Raises:
            UserError: If the batch mixes tasks.
        """
        tasks = {_task_of(sample, num_frames) for sample in samples}
        if len(tasks) != 1:
            names = ', '.join(sorted(str(task) for task in tasks))
            raise UserError(
                f'task: expected one task per batch, got {names or "no sample"}; '
                'use a sampler that keeps tasks apart, such as TaskBatchSampler'
            )
        return self.routes[tasks.pop()]

    def mark(self, queries: Tensor, route: Route) -> Tensor:
        """Add the task's embedding, if there is one, to queries (B, Q, C)."""
        if self.task_embed is None:
            return queries
        return queries + self.task_embed.weight[_TASKS.index(route.task)]


def detect_task(prompts: Prompts | None, num_frames: int) -> Task:
    """The task that inputs ask for.

    Ground truth says nothing about it: a clip with object ids may serve any task.

    Args:
        prompts: What is said about objects, if anything.
        num_frames: Frames T of the clip; 1 for an image.
    """
    if prompts is None:
        return Task.PANOPTIC
    if num_frames == 1:
        return Task.INTERACTIVE_IMAGE
    return Task.VOS if _are_first_masks(prompts) else Task.INTERACTIVE_VIDEO


def _task_of(sample: ClipSample, num_frames: int) -> Task:
    if sample.get('task') is not None:
        return sample.declared_task
    return detect_task(sample.prompts if 'prompts' in sample else None, num_frames)


def _are_first_masks(prompts: Prompts) -> bool:
    """Whether every object is given by its mask on the first frame and by nothing else."""
    others = prompts.has_box | prompts.has_point
    words = any(text is not None for text in prompts.texts)
    masks = bool(len(prompts)) and bool(prompts.has_mask.all())
    return masks and not bool(others.any()) and not words and not bool(prompts.frame_index.any())


def _checked_stages(name: str, number: int | None, num_decoder_stages: int) -> int:
    if number is None:
        return num_decoder_stages
    if not 1 <= number <= num_decoder_stages:
        raise ValueError(
            f'TaskRouter.{name}: expected 1 to {num_decoder_stages} (num_decoder_stages), '
            f'got {number}'
        )
    return number
