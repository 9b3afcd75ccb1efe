"""Several data sets, each with its own task, as one."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from torch.utils.data import Dataset

from seg.datasets.clip_dataset import ClipDataset, SampleRef
from seg.registry import DATASETS
from seg.utils.checks import unknown_name_message


@DATASETS.register_module()
class MixedDataset(Dataset):
    """Named data sets side by side; ``TaskBatchSampler`` draws each batch from one of them.

    A plain index counts through the sources in order, as in a concatenation.

    Args:
        sources: Data sets or their configs by name.
        ratios: How often a batch comes from each source, relative to the others; equal by
            default. Any positive numbers, one per source.

    Raises:
        TypeError: If a source is no :class:`ClipDataset`.
        ValueError: If the sources have other classes than each other, or ratios do not fit.
    """

    def __init__(
        self,
        sources: Mapping[str, ClipDataset | Mapping[str, Any]],
        ratios: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not sources:
            raise ValueError('MixedDataset.sources: expected at least one data set, got none')
        self.names = tuple(sources)
        self.streams = tuple(zlib.crc32(name.encode()) for name in self.names)
        self.sources: list[ClipDataset] = [
            DATASETS.build(source) if isinstance(source, Mapping) else source
            for source in sources.values()
        ]
        for name, source in zip(self.names, self.sources, strict=True):
            if not isinstance(source, ClipDataset):
                raise TypeError(
                    f'MixedDataset.sources[{name!r}]: expected a ClipDataset, got a '
                    f'{type(source).__name__}; derive it from seg.datasets.ClipDataset'
                )
        self.ratios = _checked_ratios(self.names, ratios)
        self.metainfo = self.sources[0].metainfo
        self._check_classes()
        self._ends = list(accumulate(len(source) for source in self.sources))

    @property
    def tasks(self) -> dict[str, str]:
        """Task of each source."""
        pairs = zip(self.names, self.sources, strict=True)
        return {name: source.task.value for name, source in pairs}

    def __len__(self) -> int:
        """Number of samples of all sources together."""
        return self._ends[-1]

    def locate(self, index: int) -> SampleRef:
        """The sample that a plain index means.

        Raises:
            IndexError: If there is no such sample.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'sample {index}: expected an index below {len(self)}')
        source = bisect_right(self._ends, index)
        local = index - (self._ends[source] - len(self.sources[source]))
        seed, stream = self.sources[source].seed, self.streams[source]
        return SampleRef(local, source, draw=local, seed=seed, stream=stream)

    def __getitem__(self, ref: int | SampleRef) -> dict[str, Any]:
        """One sample of one source after that source's pipeline."""
        if not isinstance(ref, SampleRef):
            ref = self.locate(int(ref))
        return self.sources[ref.source][ref]

    def _check_classes(self) -> None:
        first = self.sources[0].metainfo
        for name, source in zip(self.names, self.sources, strict=True):
            for key in ('classes', 'num_things'):
                if source.metainfo.get(key) != first.get(key):
                    raise ValueError(
                        f'MixedDataset: expected one {key} in all sources, but {name!r} differs '
                        f'from {self.names[0]!r}; map the sources to one label space first'
                    )


def _checked_ratios(
    names: tuple[str, ...], ratios: Mapping[str, float] | None
) -> tuple[float, ...]:
    """One positive ratio per source, in order."""
    if ratios is None:
        return (1.0,) * len(names)
    for name in ratios:
        if name not in names:
            raise ValueError(f'MixedDataset.ratios: {unknown_name_message("source", name, names)}')
    values = tuple(float(ratios.get(name, 0)) for name in names)
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(
            f'MixedDataset.ratios: expected a finite number above 0 for each of {names}, got '
            f'{dict(ratios)}; leave a source out of sources to switch it off'
        )
    return values
