"""What is predicted for the objects of a clip: one id map per frame, or one tube per object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor


class RunLengths(TypedDict):
    """A mask of one frame as COCO's compressed run lengths: ``size`` [H, W] and ``counts``."""

    size: list[int]
    counts: bytes | str


@dataclass(frozen=True)
class TrackData:
    """Objects followed through a clip of T frames; every pixel belongs to one of them at most.

    Attributes:
        id_maps: The user's object id of each pixel, 0 for none, (T, H, W), int32, at the clip's
            original size.
        object_ids: The N ids that were followed, each >= 1, whether or not they are seen.
        scores: How surely each object is visible in each frame, in [0, 1], (N, T); ``None`` where
            it was not predicted.

    Raises:
        TypeError: If the maps are not int32.
        ValueError: If shapes, ids or scores disagree.
    """

    id_maps: Tensor
    object_ids: tuple[int, ...]
    scores: Tensor | None = None

    def __post_init__(self) -> None:
        if self.id_maps.dtype != torch.int32:
            raise TypeError(f'id_maps: expected int32, got {self.id_maps.dtype}; use .int()')
        if self.id_maps.ndim != 3:
            raise ValueError(
                f'id_maps: expected shape (T, H, W), got {tuple(self.id_maps.shape)}; '
                'stack the maps of the frames with TrackData.of_frames'
            )
        if len(set(self.object_ids)) != len(self.object_ids) or min(self.object_ids, default=1) < 1:
            raise ValueError(
                f'object_ids: expected different ids >= 1, got {self.object_ids}; 0 is no object'
            )
        expected = (len(self.object_ids), len(self.id_maps))
        if self.scores is not None and tuple(self.scores.shape) != expected:
            raise ValueError(
                f'scores: expected shape (N, T) = {expected}, got {tuple(self.scores.shape)}'
            )

    @classmethod
    def of_frames(
        cls,
        id_maps: Sequence[Tensor | np.ndarray],
        object_ids: Sequence[int],
        scores: Tensor | None = None,
    ) -> TrackData:
        """Stack the maps of single frames.

        Args:
            id_maps: At least one map (H, W) of whole numbers, all of one size.
            object_ids: See :class:`TrackData`.
            scores: See :class:`TrackData`.

        Raises:
            ValueError: If there is no frame, the sizes differ, or a map holds an id that is not
                followed.
        """
        if not id_maps:
            raise ValueError('id_maps: expected at least one frame, got none')
        sizes = {tuple(id_map.shape) for id_map in id_maps}
        if len(sizes) > 1:
            raise ValueError(f'id_maps: expected frames of one size, got {sorted(sizes)}')
        frames = torch.stack([torch.as_tensor(id_map).int() for id_map in id_maps])
        known = torch.tensor([0, *object_ids], dtype=torch.int32, device=frames.device)
        for index, frame in enumerate(frames):
            unknown = frame[~torch.isin(frame, known)].unique().tolist()
            if unknown:
                raise ValueError(
                    f'id_maps: expected 0 and ids of object_ids {list(object_ids)}, got {unknown} '
                    f'in frame {index}; list every object that is followed'
                )
        return cls(frames, tuple(int(object_id) for object_id in object_ids), scores)

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.id_maps)

    def masks(self, object_id: int) -> Tensor:
        """Masks of one object, (T, H, W), bool.

        Raises:
            KeyError: If the object is not followed.
        """
        if object_id not in self.object_ids:
            raise KeyError(
                f'object_id: expected one of {self.object_ids}, got {object_id}; add it to the clip'
            )
        return self.id_maps == object_id

    def to(self, *args: Any, **kwargs: Any) -> TrackData:
        """A copy moved as ``Tensor.to`` says; ``ClipSample.to`` calls it."""
        scores = None if self.scores is None else self.scores.to(*args, **kwargs)
        return replace(self, id_maps=self.id_maps.to(*args, **kwargs), scores=scores)


@dataclass(frozen=True)
class Tube:
    """One object of video instance segmentation: its masks in all frames of a clip.

    Attributes:
        label: Contiguous class index of a thing, >= 0.
        score: Confidence in [0, 1], one for the whole clip.
        rles: Mask of each frame at the clip's original size, ``None`` where the object is not seen.

    Raises:
        ValueError: If the label is negative, the score no probability, or there is no frame.
    """

    label: int
    score: float
    rles: tuple[RunLengths | None, ...]

    def __post_init__(self) -> None:
        if self.label < 0:
            raise ValueError(f'label: expected a class index >= 0, got {self.label}')
        if not 0 <= self.score <= 1:
            raise ValueError(f'score: expected a number in [0, 1], got {self.score}')
        if not self.rles:
            raise ValueError('rles: expected one entry per frame, got none')
