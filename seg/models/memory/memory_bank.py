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

    The last ``short_mem_size`` frames stay; of those before, ``long_mem_size`` key frames do. The
    first frame on which an object was prompted is never dropped as long as the object is there,
    and counts for neither.

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

        They are chosen on the CPU: a GPU is waited for once, and once more for each key frame that
        has to go.
        """
        stays = state.first_prompted.any(dim=1).tolist()
        recent = max(0, state.num_frames - self.short_mem_size)
        free = [frame for frame in range(recent) if not stays[frame]]
        frames = set(range(state.num_frames))
        while len(free) > self.long_mem_size:
            worst = self._worst(state, free, sorted(frames))
            free.remove(worst)
            frames.remove(worst)
        return _on_device(sorted(frames), state)

    def _worst(self, state: MemoryState, free: list[int], frames: list[int]) -> int:
        """The key frame that is missed least; of equal ones the oldest.

        Args:
            state: The memory.
            free: The key frames.
            frames: All that are still there.
        """
        if self.update_strategy is UpdateStrategy.FIFO:
            return free[0]
        worth = _mean_over_objects(state.quality, state.written)
        if self.update_strategy is UpdateStrategy.ADAPTIVE:
            others = torch.zeros_like(state.frame_index, dtype=torch.bool)
            others[_on_device(frames, state)] = True
            worth = worth * novelty(state, others)
        known = worth.tolist()
        return min(free, key=lambda frame: known[frame])


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
