"""Batches that hold one task each, in an order that can be resumed anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from torch.utils.data import Sampler

from seg.datasets.clip_dataset import ClipDataset, SampleRef
from seg.datasets.mixed_dataset import MixedDataset
from seg.registry import DATA_SAMPLERS
from seg.utils.checks import unknown_name_message

MAX_BLOCK = 1000
# Keep the random streams of one seed apart; samples use 0 (see ClipDataset).
_BLOCKS, _SOURCES = 1, 2


class RankedSampler(Protocol):
    """What is used of MMEngine's ``DefaultSampler`` or ``InfiniteSampler``."""

    dataset: MixedDataset | ClipDataset
    seed: int
    rank: int
    world_size: int


def block_weights(ratios: Sequence[float]) -> list[int]:
    """Smallest whole numbers in the proportion of some ratios.

    Raises:
        ValueError: If their sum would exceed ``MAX_BLOCK``.
    """
    parts = [Fraction(ratio).limit_denominator(MAX_BLOCK) for ratio in ratios]
    common = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * common) for part in parts]
    divisor = math.gcd(*whole)
    weights = [number // divisor for number in whole] if divisor else whole
    if min(weights) < 1 or sum(weights) > MAX_BLOCK:
        raise ValueError(
            f'ratios: expected proportions of at most {MAX_BLOCK} parts in all, got '
            f'{list(ratios)}; round them, for example to tenths'
        )
    return weights


class Drawn(NamedTuple):
    """How much of a source was drawn, over all ranks."""

    batches: int
    samples: int


@DATA_SAMPLERS.register_module()
class TaskBatchSampler(Sampler[list[SampleRef]]):
    """Draw every batch from one source of a :class:`MixedDataset`, so that it holds one task.

    Which samples make up batch ``i`` is a pure function of ``(seed, i)``: sources alternate in
    shuffled blocks that keep the ratios exactly, and each source is gone through in a new random
    order per pass, the same one whatever stands beside it. So resuming costs the same anywhere.
    As a loader's workers fetch ahead, the batches handed out are more than those trained on: give
    the number of trained iterations to :meth:`load_state_dict`, before the loader is iterated.

    Args:
        sampler: Gives data set, seed, rank and world size; its own order is not used.
        batch_size: Samples per batch and rank.
        infinite: Whether iteration never ends (for training by iterations); otherwise it ends
            after ``num_batches``, and the next one goes on from there.
        num_batches: Batches per epoch and rank; by default as many as hold ``len(dataset)``
            samples over all ranks.
        same_source: Whether all ranks draw from the same source in a step; otherwise the ratios
            are kept over the batches of all ranks together.
        task_batch_sizes: Samples per batch and rank of tasks that need another ``batch_size``.

    Raises:
        ValueError: If a number is not positive, a source has no samples, or a task is not one of
            the data set's.
    """

    def __init__(
        self,
        sampler: RankedSampler,
        batch_size: int,
        *,
        infinite: bool = True,
        num_batches: int | None = None,
        same_source: bool = True,
        task_batch_sizes: Mapping[str, int] | None = None,
    ) -> None:
        if num_batches is not None and num_batches < 1:
            raise ValueError(f'num_batches: expected at least 1, got {num_batches}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.infinite = infinite
        self.same_source = same_source
        self.seed = sampler.seed
        self.batch_index = 0
        dataset = sampler.dataset
        if isinstance(dataset, MixedDataset):
            self.tasks = dataset.tasks
            self.streams = dataset.streams
            sizes = [len(source) for source in dataset.sources]
            self.weights = block_weights(dataset.ratios)
        else:
            self.tasks = {dataset.task.value: dataset.task.value}
            self.streams = (0,)
            sizes, self.weights = [len(dataset)], [1]
        self.source_sizes = _checked_sources(self.tasks, sizes)
        self.batch_sizes = _sizes_by_source(self.tasks, batch_size, task_batch_sizes or {})
        self.num_batches = num_batches or math.ceil(len(dataset) / self.mean_step_size)

    @property
    def mean_step_size(self) -> float:
        """Samples of all ranks per step, on average."""
        pairs = zip(self.weights, self.batch_sizes, strict=True)
        per_rank = sum(weight * size for weight, size in pairs) / sum(self.weights)
        return per_rank * self.sampler.world_size

    def batch(self, batch_index: int) -> list[SampleRef]:
        """The samples of one batch on this rank.

        Args:
            batch_index: Number of the batch, from 0 on, over all epochs.
        """
        rank, world_size = self.sampler.rank, self.sampler.world_size
        turn = batch_index if self.same_source else batch_index * world_size + rank
        block, place = divmod(turn, sum(self.weights))
        order = _block_order(self.seed, block, tuple(self.weights))
        source = int(order[place])
        before = block * self.weights[source] + int((order[:place] == source).sum())
        if self.same_source:
            before = before * world_size + rank
        first = before * self.batch_sizes[source]
        size, stream = self.source_sizes[source], self.streams[source]
        refs = []
        for draw in range(first, first + self.batch_sizes[source]):
            lap, offset = divmod(draw, size)
            index = int(_source_order(self.seed, stream, lap, size)[offset])
            refs.append(SampleRef(index, source, draw, self.seed, stream))
        return refs

    def drawn(self, num_batches: int) -> dict[str, Drawn]:
        """What all ranks draw from each source in their first batches.

        Args:
            num_batches: Batches per rank, such as the number of trained iterations.
        """
        world_size = self.sampler.world_size
        turns = num_batches if self.same_source else num_batches * world_size
        blocks, rest = divmod(turns, sum(self.weights))
        begun = _block_order(self.seed, blocks, tuple(self.weights))[:rest]
        drawn = {}
        for source, name in enumerate(self.tasks):
            batches = blocks * self.weights[source] + int((begun == source).sum())
            batches *= world_size if self.same_source else 1
            drawn[name] = Drawn(batches, batches * self.batch_sizes[source])
        return drawn

    def __iter__(self) -> Iterator[list[SampleRef]]:
        """Batches from the current one on, to the end of its epoch unless infinite."""
        end = (self.batch_index // self.num_batches + 1) * self.num_batches
        while self.infinite or self.batch_index < end:
            self.batch_index += 1
            yield self.batch(self.batch_index - 1)

    def __len__(self) -> int:
        """Batches per epoch and rank."""
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch, if that lies ahead; without effect when infinite."""
        if not self.infinite:
            self.batch_index = max(self.batch_index, epoch * self.num_batches)

    def state_dict(self) -> dict[str, int]:
        """Seed and number of batches handed out, which is more than were trained on."""
        return {'seed': self.seed, 'batch_index': self.batch_index}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on at any batch, at no cost that depends on which.

        Args:
            state: ``batch_index`` (number of batches trained on) and, unless the present one is
                to stay, ``seed``.

        Raises:
            ValueError: If a key is unknown, or ``batch_index`` is missing or negative.
        """
        if not {'batch_index'} <= set(state) <= {'batch_index', 'seed'} or state['batch_index'] < 0:
            raise ValueError(
                f'sampler state: expected batch_index >= 0 and perhaps seed, got {dict(state)}; '
                'pass what state_dict returned'
            )
        self.batch_index = int(state['batch_index'])
        self.seed = int(state.get('seed', self.seed))


def _checked_sources(tasks: Mapping[str, str], sizes: Sequence[int]) -> list[int]:
    """Sizes of the sources, none of which may be empty."""
    for name, size in zip(tasks, sizes, strict=True):
        if size == 0:
            raise ValueError(
                f'data source {name!r}: expected samples, got none (after filtering); check its '
                'annotations and its filter settings, or leave it out'
            )
    return list(sizes)


def _sizes_by_source(
    tasks: Mapping[str, str], batch_size: int, by_task: Mapping[str, int]
) -> list[int]:
    """Samples per batch of each source."""
    for task in by_task:
        if task not in tasks.values():
            known = set(tasks.values())
            raise ValueError(f'task_batch_sizes: {unknown_name_message("task", task, known)}')
    for name, size in (('batch_size', batch_size), *by_task.items()):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f'{name}: expected at least 1, got {size!r}')
    return [by_task.get(task, batch_size) for task in tasks.values()]


@lru_cache(maxsize=8)
def _block_order(seed: int, block: int, weights: tuple[int, ...]) -> np.ndarray:
    """Source of each batch of a block, in random order."""
    sources = np.repeat(np.arange(len(weights)), weights)
    return np.random.default_rng((seed, _BLOCKS, block)).permutation(sources)


@lru_cache(maxsize=16)
def _source_order(seed: int, stream: int, turn: int, size: int) -> np.ndarray:
    """Order of a source's samples in one pass over it."""
    return np.random.default_rng((seed, _SOURCES, stream, turn)).permutation(size)
