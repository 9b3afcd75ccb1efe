"""What is remembered of a clip: a value that is handed in and returned, never kept by a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from seg.utils.checks import UserError


@dataclass(frozen=True)
class MemoryState:
    """F remembered frames of one clip with what is known about N objects on each.

    Objects have slots, rows 0 to N - 1; ids are the user's. What pixels look like is stored once
    per frame for all objects, what belongs to whom per object. K channels of keys, C of queries;
    h', w' at the memory's stride, h, w at that of the mask features.

    Attributes:
        object_ids: Id of each slot, (N,), int64.
        num_seen: Frames that went by, and so the number of the next one; scalar, int64.
        frame_index: Number of each remembered frame, increasing, (F,), int64.
        keys: What pixels look like, (F, K, h', w').
        covers: Share of each cell that an object covers, (F, N, h', w'), in [0, 1].
        tokens: What an object looked like as a whole, (F, N, C).
        written: Which objects were visible and remembered, (F, N), bool.
        prompted: Which objects the user prompted on the frame, (F, N), bool.
        quality: How good the mask is thought to be, (F, N), in [0, 1].
        last_key: What the pixels of the last frame look like, (K, h, w).
        last_masks: Masks of the last frame, (N, h, w), in [0, 1]; zero for unseen objects.
        queries: Each object's query when it was last seen, (N, C).
        texts: What was said about each object, encoded, (N, C); zeros where nothing was.
        score_shift: What is added to the logit of each object's score, (N,), as it was scored low
            where it was prompted, and so was in sight.
        doubted: Which objects took a second path on the last frame, (N,), bool: those that memory
            was unsure of, in training all. They are likely to need one on the next frame.
        num_firsts: How many of the frames are the first on which an object was prompted; a number
            of Python's, so that how large a memory may grow is known without asking a device.
    """

    object_ids: Tensor
    num_seen: Tensor
    frame_index: Tensor
    keys: Tensor
    covers: Tensor
    tokens: Tensor
    written: Tensor
    prompted: Tensor
    quality: Tensor
    last_key: Tensor
    last_masks: Tensor
    queries: Tensor
    texts: Tensor
    score_shift: Tensor
    doubted: Tensor
    num_firsts: int

    @classmethod
    def empty(
        cls,
        key_size: Sequence[int],
        fine_size: Sequence[int],
        *,
        key_channels: int,
        feat_channels: int,
        device: torch.device | str = 'cpu',
    ) -> MemoryState:
        """Nothing seen yet, nobody known.

        Args:
            key_size: (h', w').
            fine_size: (h, w).
            key_channels: K.
            feat_channels: C.
            device: Where the tensors live.
        """

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        flags = torch.zeros(0, 0, dtype=torch.bool, device=device)
        return cls(
            object_ids=torch.zeros(0, dtype=torch.int64, device=device),
            num_seen=torch.zeros((), dtype=torch.int64, device=device),
            frame_index=torch.zeros(0, dtype=torch.int64, device=device),
            keys=zeros(0, key_channels, *key_size),
            covers=zeros(0, 0, *key_size),
            tokens=zeros(0, 0, feat_channels),
            written=flags,
            prompted=flags,
            quality=zeros(0, 0),
            last_key=zeros(key_channels, *fine_size),
            last_masks=zeros(0, *fine_size),
            queries=zeros(0, feat_channels),
            texts=zeros(0, feat_channels),
            score_shift=zeros(0),
            doubted=zeros(0).bool(),
            num_firsts=0,
        )

    @property
    def num_objects(self) -> int:
        """N."""
        return len(self.object_ids)

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.frame_index)

    @property
    def known(self) -> Tensor:
        """Which objects are remembered from some frame, (N,), bool."""
        return self.written.any(dim=0)

    @property
    def first_prompted(self) -> Tensor:
        """The first remembered frame on which each object was prompted, (F, N), bool."""
        return self.prompted & (self.prompted.cumsum(dim=0) == 1)

    def with_firsts_counted(self) -> MemoryState:
        """The same memory with ``num_firsts`` as its frames have it; waits for the device."""
        return replace(self, num_firsts=int(self.first_prompted.any(dim=1).sum()))

    def slot(self, object_id: int) -> int:
        """The row of an object.

        Raises:
            UserError: If there is no such object.
        """
        return self.slots([object_id])[0]

    def slots(self, object_ids: Sequence[int]) -> list[int]:
        """The rows of objects, in their order.

        Raises:
            UserError: If one of them is no such object.
        """
        rows = {known: row for row, known in enumerate(self.object_ids.tolist())}
        for object_id in object_ids:
            if object_id not in rows:
                known = ', '.join(map(str, rows)) or 'none'
                raise UserError(
                    f'object_id {object_id}: expected an object that was added (known: {known}); '
                    'prompt it first'
                )
        return [rows[object_id] for object_id in object_ids]

    def with_objects(self, object_ids: Sequence[int]) -> MemoryState:
        """The same memory with empty slots for objects that it does not know yet."""
        known = set(self.object_ids.tolist())
        new = [object_id for object_id in object_ids if object_id not in known]
        if not new:
            return self
        return self.with_slots(torch.tensor(new, dtype=torch.int64, device=self.object_ids.device))

    def with_slots(self, ids: Tensor) -> MemoryState:
        """The same memory with empty slots under ids that it does not have, (M,), int64."""

        def more(tensor: Tensor, dim: int) -> Tensor:
            shape = list(tensor.shape)
            shape[dim] = len(ids)
            return torch.cat([tensor, tensor.new_zeros(shape)], dim=dim)

        return replace(self._over_slots(more), object_ids=torch.cat([self.object_ids, ids]))

    def without_object(self, object_id: int) -> MemoryState:
        """The same memory without an object.

        Frames that hold nothing of the others are forgotten.

        Raises:
            UserError: If there is no such object.
        """
        slot = self.slot(object_id)
        rest = [i for i in range(self.num_objects) if i != slot]
        index = torch.tensor(rest, dtype=torch.int64, device=self.object_ids.device)
        state = self._over_slots(lambda tensor, dim: tensor.index_select(dim, index))
        state = replace(state, object_ids=self.object_ids[index])
        state = state.keep_frames(state.written.any(dim=1).nonzero().flatten())
        return state.with_firsts_counted()

    def keep_frames(self, index: Tensor) -> MemoryState:
        """The same memory with some of its frames.

        Args:
            index: Which, increasing, (F',), int64.
        """
        kept: dict[str, Any] = {name: getattr(self, name)[index] for name in _PER_FRAME}
        return replace(self, **kept)

    def with_frame(self, row: Mapping[str, Tensor]) -> MemoryState:
        """The same memory with one more frame.

        Args:
            row: The frame's value of every tensor that has one per frame.
        """
        changed: dict[str, Any] = {
            name: torch.cat([getattr(self, name), row[name].unsqueeze(0)]) for name in _PER_FRAME
        }
        return replace(self, **changed)

    def detach(self) -> MemoryState:
        """The same memory without its history of gradients."""
        return self._map(Tensor.detach)

    def to(self, device: torch.device | str) -> MemoryState:
        """A copy on a device."""
        return self._map(lambda tensor: tensor.to(device))

    def state_dict(self) -> dict[str, Tensor]:
        """Its tensors by name, for a file."""
        return {name: getattr(self, name).contiguous() for name in _tensor_names()}

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> MemoryState:
        """The memory that :meth:`state_dict` came from.

        ``doubted`` may be missing, as it decides what an answer costs, not what it is.

        Raises:
            UserError: If other tensors are missing, unknown, or do not fit together.
        """
        names = _tensor_names()
        if 'object_ids' in tensors:
            nothing = torch.zeros_like(tensors['object_ids'], dtype=torch.bool)
            tensors = {'doubted': nothing, **tensors}
        if set(tensors) != set(names):
            raise UserError(
                f'memory: expected the tensors {", ".join(names)}, got '
                f'{", ".join(sorted(tensors)) or "none"}; save the session again'
            )
        state = cls(**dict[str, Any](tensors), num_firsts=0)
        frames, objects = state.num_frames, state.num_objects
        for name in names:
            shape = getattr(state, name).shape
            expected = ((frames,) if name in _PER_FRAME else ()) + (
                (objects,) if name in _PER_SLOT else ()
            )
            if tuple(shape[: len(expected)]) != expected:
                raise UserError(
                    f'memory.{name}: expected {expected} rows ({frames} frames, {objects} '
                    f'objects), got {tuple(shape)}; save the session again'
                )
        return state.with_firsts_counted()

    def _over_slots(self, change: Callable[[Tensor, int], Tensor]) -> MemoryState:
        """A copy with every tensor that has slots changed along that axis."""
        changed: dict[str, Any] = {
            name: change(getattr(self, name), dim) for name, dim in _PER_SLOT.items()
        }
        return replace(self, **changed)

    def _map(self, change: Callable[[Tensor], Tensor]) -> MemoryState:
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in _tensor_names()}
        return replace(self, **changed)


def _tensor_names() -> list[str]:
    return [field.name for field in fields(MemoryState) if field.name != 'num_firsts']


_PER_FRAME = ('frame_index', 'keys', 'covers', 'tokens', 'written', 'prompted', 'quality')
_PER_SLOT = {
    'covers': 1,
    'tokens': 1,
    'written': 1,
    'prompted': 1,
    'quality': 1,
    'last_masks': 0,
    'queries': 0,
    'texts': 0,
    'score_shift': 0,
    'doubted': 0,
}
