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
    Frames that show no object are the first to go. The first frame on which an object was prompted
    is never dropped as long as the object is there, and counts for neither. How many frames go is
    known without a look at the memory, and which ones is not looked at: no device is waited for.

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
        """The frames to keep, increasing, int64."""
        places = torch.arange(state.num_frames, device=state.frame_index.device)
        is_kept = torch.ones_like(places, dtype=torch.bool)
        most = self.short_mem_size + self.long_mem_size + state.num_firsts
        count = min(state.num_frames, most)
        for _ in range(state.num_frames - count):
            is_kept = is_kept & (places != self._least(state, is_kept))
        return is_kept.int().argsort(descending=True, stable=True)[:count]

    def _least(self, state: MemoryState, is_kept: Tensor) -> Tensor:
        """The frame that would be missed least, scalar, int64; of equal ones the oldest.

        Args:
            state: The memory.
            is_kept: The frames that are still there, (F,), bool.
        """
        shows = state.written.any(dim=1) & is_kept
        is_first = state.first_prompted.any(dim=1)
        later = shows & ~is_first
        is_last = later.flip(0).cumsum(dim=0).flip(0) <= self.short_mem_size
        value = self._worth(state, shows).masked_fill(is_first | is_last, torch.inf)
        value = value.masked_fill(~shows, -torch.inf)
        value = value.masked_fill(~is_kept, torch.inf)  # these show nothing either
        places = torch.arange(len(value), device=value.device)
        return torch.where(value == value.min(), places, len(value)).min()

    def _worth(self, state: MemoryState, others: Tensor) -> Tensor:
        """How much each frame would be missed, (F,).

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
