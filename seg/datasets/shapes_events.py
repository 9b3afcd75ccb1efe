"""Clips of Shapes in which identities are at stake: crossings and full occlusions."""

from __future__ import annotations

from functools import cached_property
from itertools import count, islice
from typing import Any

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.shapes import ShapesWorld
from seg.datasets.shapes_dataset import ShapesDataset
from seg.evaluation.functional.identity import CASE_KINDS, IdentityCase, find_cases
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message


def shapes_cases(world: ShapesWorld, index: int, num_frames: int) -> list[IdentityCase]:
    """The cases of a clip, see :func:`find_cases`; no pixel is painted."""
    known = world.annotations(index, num_frames)
    things = known.is_thing
    return find_cases(
        known.visible_areas[things], known.inside_areas[things], known.object_ids[things]
    )


@DATASETS.register_module()
class ShapesEventsDataset(ShapesDataset):
    """The first clips of a world of Shapes that have an event of one kind.

    Samples are those of :class:`ShapesDataset` under their own ``img_id``; the metainfo
    ``identity_cases`` lists all events of a clip. Every clip of the world is looked at in turn, so
    the choice is a pure function of the settings; of 250 clips of 48 frames 12 % have a full
    occlusion of 10 frames and 35 % a crossing, and looking at one takes about 40 ms.

    Args:
        task: What the samples ask of the model.
        event: ``'crossing'``, ``'occlusion'``, ``'reappearance'``, or ``'any'`` of them.
        split: ``'train'`` or ``'val'``.
        num_samples: Length of the data set.
        num_frames: Frames of each clip, 24 or more, so that occlusions are planned.
        seed: Which worlds; >= 0.
        size: Height and width of the frames.
        pipeline: Transforms or their configs, applied in order.
        version: Definition of the world.

    Raises:
        UserError: If the event is unknown or the clips are too short.
        ValueError: See :class:`ShapesDataset`.
    """

    def __init__(
        self,
        task: str | Task,
        event: str = 'any',
        split: str = 'val',
        num_samples: int = 50,
        num_frames: int = 48,
        seed: int = 0,
        size: tuple[int, int] = (128, 160),
        pipeline: Pipeline = (),
        version: str = 'v1',
    ) -> None:
        if event not in (*CASE_KINDS, 'any'):
            raise UserError(unknown_name_message('event of Shapes', event, (*CASE_KINDS, 'any')))
        if num_frames < 24:
            raise UserError(
                f'num_frames: expected 24 or more, got {num_frames}; shorter clips have no '
                'planned occlusion'
            )
        super().__init__(
            task, split, num_samples, num_frames, seed, size, pipeline, version=version
        )
        self.kinds = CASE_KINDS if event == 'any' else (event,)

    @cached_property
    def chosen(self) -> list[tuple[int, list[IdentityCase]]]:
        """Index in the world and events of each sample; found when first asked for."""
        cases = ((index, shapes_cases(self.world, index, self.num_frames)) for index in count())
        fitting = (pair for pair in cases if any(case.kind in self.kinds for case in pair[1]))
        return list(islice(fitting, self.num_samples))

    def load(self, index: int) -> dict[str, Any]:
        """Draw one sample with its events."""
        place, cases = self.chosen[index]
        return {**super().load(place), 'identity_cases': tuple(cases)}
