"""What every data set of this package is: samples by index, through a pipeline, reproducibly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from seg.registry import TRANSFORMS
from seg.structures import Task

Pipeline = Sequence[Mapping[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]]


class SampleRef(NamedTuple):
    """Names one draw of one sample, so that its randomness does not depend on who loads it.

    Attributes:
        sample: Index within its data set.
        source: Data set within a mixture; 0 for a single one.
        draw: How many samples of this source were drawn before, over all epochs.
        seed: Seed of the run.
    """

    sample: int
    source: int = 0
    draw: int = 0
    seed: int = 0


class ClipDataset(Dataset, ABC):
    """A map-style data set of clips that declares its task; an image is a clip of one frame.

    Subclasses implement ``__len__`` and :meth:`load`. An item is asked for by a plain index or
    by a :class:`SampleRef`; the random generator that its transforms share is seeded from the
    reference, or from ``(seed, index)`` for a plain index.

    Args:
        task: What the samples ask of the model.
        pipeline: Transforms or their configs, applied in order.
        metainfo: ``classes`` (things first), ``num_things``, ``palette`` and what else the
            readers of ``dataset.metainfo`` need.
        seed: Seed of the samples that are asked for by a plain index.
    """

    def __init__(
        self,
        task: Task | str,
        pipeline: Pipeline,
        metainfo: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.task = Task.parse(task)
        self.pipeline = [
            TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline
        ]
        self.metainfo = dict(metainfo)
        self.seed = seed

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def load(self, index: int) -> dict[str, Any]:
        """Read sample ``index``: ``clip``, ``masks``, ``labels``, ... as the transforms expect."""

    def __getitem__(self, ref: int | SampleRef) -> dict[str, Any]:
        """One sample after the pipeline.

        Raises:
            IndexError: If there is no such sample.
        """
        if not isinstance(ref, SampleRef):
            ref = SampleRef(int(ref), draw=int(ref), seed=self.seed)
        if not 0 <= ref.sample < len(self):
            raise IndexError(f'sample {ref.sample}: expected an index below {len(self)}')
        results = self.load(ref.sample)
        results['task'] = self.task
        results['sample_index'] = ref.sample
        results['rng'] = np.random.default_rng((ref.seed, 0, ref.source, ref.draw, ref.sample))
        for step in self.pipeline:
            results = step(results)
        return results
