"""Batches for evaluation: everything once, in order, one task per batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from seg.datasets.mixed_dataset import MixedDataset
from seg.datasets.samplers.task_batch_sampler import RankedSampler
from seg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class OrderedTaskBatchSampler(Sampler[list[int]]):
    """Go through a data set once; a batch ends where the next source of a mixture begins.

    Ranks take turns, as with MMEngine's ``DefaultSampler``: some samples are seen twice where the
    ranks do not divide them, and all ranks go through the same number of batches.

    Args:
        sampler: Gives data set, rank and world size; its own order is not used.
        batch_size: Most samples per batch.

    Raises:
        ValueError: If ``batch_size`` is not positive.
    """

    def __init__(self, sampler: RankedSampler, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size: expected at least 1, got {batch_size}')
        self.batch_size = batch_size
        self.sampler = sampler
        dataset, world_size = sampler.dataset, sampler.world_size
        num_samples = len(dataset)
        per_rank = -(-num_samples // world_size)
        padded = [index % num_samples for index in range(per_rank * world_size)]
        sizes = [len(s) for s in dataset.sources] if isinstance(dataset, MixedDataset) else []
        source = [number for number, size in enumerate(sizes) for _ in range(size)]
        ranks = [
            _cut(padded[rank::world_size], source or [0] * num_samples, batch_size)
            for rank in range(world_size)
        ]
        count = max(len(batches) for batches in ranks)
        self.batches = _split_until(ranks[sampler.rank], count)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of plain indices."""
        return iter(self.batches)

    def __len__(self) -> int:
        """Batches per rank."""
        return len(self.batches)


def _cut(indices: Sequence[int], source: Sequence[int], batch_size: int) -> list[list[int]]:
    """Batches of at most ``batch_size`` that hold one source each, in order."""
    batches: list[list[int]] = []
    for index in indices:
        last = batches[-1] if batches else []
        if not last or len(last) == batch_size or source[last[0]] != source[index]:
            batches.append([index])
        else:
            last.append(index)
    return batches


def _split_until(batches: list[list[int]], count: int) -> list[list[int]]:
    """The same samples in ``count`` batches, in order; the last large ones are split."""
    batches = list(batches)
    while len(batches) < count:
        place = max(i for i, batch in enumerate(batches) if len(batch) > 1)
        batch = batches[place]
        batches[place : place + 1] = [batch[:-1], batch[-1:]]
    return batches
