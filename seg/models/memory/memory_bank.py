"""Which frames stay in memory."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.memory.memory_state import MemoryState
from seg.utils.checks import unknown_name_message


class UpdateStrategy(str, Enum):
    """What decides which key frame goes when there are too many."""

    FIFO = 'fifo'  # the oldest
    QUALITY = 'quality'  # the one with the poorest masks
    ADAPTIVE = 'adaptive'  # the one whose masks are poor or whose objects others show as well


class MemoryBank:
    """Keeps the number of remembered frames within limits.

    The last ``short_mem_size`` frames stay; of those before, ``long_mem_size`` key frames do.
    Frames that show no object never stay. The first frame on which an object was prompted is never
    dropped as long as the object is there, and counts for neither.

    Args:
        short_mem_size: Last frames.
        long_mem_size: Key frames.
        update_strategy: See :class:`UpdateStrategy`.

    Raises:
        ValueError: If a number is out of range or the strategy unknown.
    """

    def __init__(
        self, short_mem_size: int = 5, long_mem_size: int = 10, update_strategy: str = 'fifo'
    ) -> None:
        if short_mem_size < 1 or long_mem_size < 0:
            raise ValueError(
                'StreamingMemoryAdapter: expected short_mem_size >= 1 and long_mem_size >= 0, got '
                f'{short_mem_size} and {long_mem_size}'
            )
        names = [strategy.value for strategy in UpdateStrategy]
        if update_strategy not in names:
            raise ValueError(
                'StreamingMemoryAdapter.update_strategy: '
                + unknown_name_message('strategy', str(update_strategy), names)
            )
        self.short_mem_size = short_mem_size
        self.long_mem_size = long_mem_size
        self.update_strategy = UpdateStrategy(update_strategy)

    @torch.no_grad()
    def kept(self, state: MemoryState) -> Tensor:
        """The frames to keep, increasing, int64.

        They are chosen on the CPU: a GPU is waited for once, and once more for each key frame but
        the first that has to go.
        """
        shown = state.written.any(dim=1)
        facts = [shown, state.first_prompted.any(dim=1), self._worth(state, shown)]
        shows, stays, worth = torch.stack([fact.float() for fact in facts]).tolist()
        frames = [frame for frame in range(state.num_frames) if shows[frame]]
        recent = max(0, len(frames) - self.short_mem_size)
        free = [frame for frame in frames[:recent] if not stays[frame]]
        while len(free) > self.long_mem_size:
            worst = min(free, key=lambda frame: worth[frame])
            free.remove(worst)
            frames.remove(worst)
            if len(free) > self.long_mem_size:
                others = torch.zeros_like(shown)
                others[_on_device(frames, state)] = True
                worth = self._worth(state, others).tolist()
        return _on_device(frames, state)

    def _worth(self, state: MemoryState, others: Tensor) -> Tensor:
        """How much each frame would be missed, (F,); of equal ones the oldest goes.

        Args:
            state: The memory.
            others: The frames that are still there, (F,), bool.
        """
        if self.update_strategy is UpdateStrategy.FIFO:
            return torch.zeros_like(others, dtype=torch.float32)
        worth = _mean_over_objects(state.quality, state.written)
        if self.update_strategy is UpdateStrategy.ADAPTIVE:
            worth = worth * novelty(state, others)
        return worth


def _on_device(frames: list[int], state: MemoryState) -> Tensor:
    """Numbers of frames for indexing the memory, (F',), int64."""
    index = torch.tensor(frames, dtype=torch.int64)
    return index.to(state.frame_index.device, non_blocking=True)


def novelty(state: MemoryState, counted: Tensor) -> Tensor:
    """How little each frame's objects look like those of the most similar other frame, (F,).

    Args:
        state: The memory.
        counted: Which other frames are compared with, (F,), bool.

    Returns:
        One minus the cosine of the objects' tokens, mean over the objects that both frames show,
        in [0, 2]; 1 where no other frame shows them.
    """
    tokens = F.normalize(state.tokens, dim=-1) * state.written.unsqueeze(-1)
    flat = tokens.flatten(1)
    seen = state.written.float()
    shared = seen @ seen.T
    similar = (flat @ flat.T) / shared.clamp(min=1)
    hidden = ~counted[None, :] | (shared == 0)
    hidden |= torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    nearest = similar.masked_fill(hidden, -torch.inf).amax(dim=1)
    return torch.where(nearest.isfinite(), 1 - nearest, torch.ones_like(nearest))


def _mean_over_objects(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of (F, N) over the objects that count, (F,)."""
    return (values * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
