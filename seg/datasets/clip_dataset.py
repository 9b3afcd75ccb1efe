"""What every data set of this package is: samples by index, through a pipeline, reproducibly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from seg.datasets.bad_samples import BadSamples
from seg.registry import TRANSFORMS
from seg.structures import Task
from seg.utils.checks import UserError

Pipeline = Sequence[Mapping[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]]


class SampleRef(NamedTuple):
    """Names one draw of one sample, so that its randomness does not depend on who loads it.

    Attributes:
        sample: Index within its data set.
        source: Data set within a mixture; 0 for a single one.
        draw: How many samples of this source were drawn before, over all epochs.
        seed: Seed of the run.
        stream: Keeps what sources draw apart; of a mixture's source it follows from the name, so
            that other sources beside it change nothing.
    """

    sample: int
    source: int = 0
    draw: int = 0
    seed: int = 0
    stream: int = 0


class ClipDataset(Dataset, ABC):
    """A map-style data set of clips that declares its task; an image is a clip of one frame.

    Subclasses implement ``__len__`` and :meth:`load`. An item is asked for by a plain index or
    by a :class:`SampleRef`; the random generator that its transforms share is seeded from the
    reference, or from ``(seed, index)`` for a plain index.

    Args:
        task: What the samples ask of the model.
        pipeline: Transforms or their configs, applied in order.
        metainfo: ``classes`` (things first), ``num_things``, ``palette`` and what else the
            readers of ``dataset.metainfo`` need. ``annotated_classes``, class indices, is given
            where only some of the classes are annotated, or none; nothing is then learned from
            the absence of the others.
        seed: Seed of the samples that are asked for by a plain index.
        test_mode: Whether the samples are for evaluation.
        max_bad_samples: How many damaged samples may be replaced by the next good one, each with
            a warning; by default the first one stops the training. Per process group rank; not
            for evaluation, where every sample counts.

    Raises:
        UserError: If ``max_bad_samples`` is negative or set together with ``test_mode``.
    """

    def __init__(
        self,
        task: Task | str,
        pipeline: Pipeline,
        metainfo: Mapping[str, Any],
        seed: int = 0,
        *,
        test_mode: bool = False,
        max_bad_samples: int = 0,
    ) -> None:
        super().__init__()
        if test_mode and max_bad_samples:
            raise UserError(
                f'max_bad_samples: expected 0 with test_mode, got {max_bad_samples}; a score over '
                'other samples would be that of another data set, mend or remove the bad ones'
            )
        self.task = Task.parse(task)
        self.pipeline = [
            TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline
        ]
        self.metainfo = dict(metainfo)
        self.seed = seed
        self.test_mode = test_mode
        self.bad_samples = BadSamples(max_bad_samples)

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def load(self, index: int) -> dict[str, Any]:
        """Read sample ``index``: ``clip``, ``masks``, ``labels``, ... as the transforms expect."""

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Like :meth:`load`, for data sets that choose at random what to read of a sample.

        Args:
            index: The sample.
            rng: Where the choice comes from; the transforms go on drawing from it.
        """
        return self.load(index)

    def __getitem__(self, ref: int | SampleRef) -> dict[str, Any]:
        """One sample after the pipeline.

        Raises:
            IndexError: If there is no such sample.
        """
        if not isinstance(ref, SampleRef):
            ref = SampleRef(int(ref), draw=int(ref), seed=self.seed)
        if not 0 <= ref.sample < len(self):
            raise IndexError(f'sample {ref.sample}: expected an index below {len(self)}')
        results = self.read(ref)
        results['task'] = self.task
        results['dataset'] = self  # for steps that mix samples
        if 'annotated_classes' in self.metainfo:
            results['annotated_classes'] = tuple(self.metainfo['annotated_classes'])
        for step in self.pipeline:
            results = step(results)
        return results

    def read(self, ref: SampleRef) -> dict[str, Any]:
        """A sample before the pipeline, or the next one that is not damaged, with its ``rng``.

        Raises:
            UserError: If it is damaged and no more such samples are tolerated.
        """
        for step in range(len(self)):
            index = (ref.sample + step) % len(self)
            if index in self.bad_samples:
                continue
            rng = np.random.default_rng((ref.seed, 0, ref.stream, ref.draw, index))
            try:
                results = self.draw(index, rng)
            except (UserError, OSError) as error:
                self.bad_samples.record(index, error)
                continue
            results.update(sample_index=index, rng=rng)
            return results
        raise UserError(f'{type(self).__name__}: expected a good sample, got {len(self)} bad ones')
