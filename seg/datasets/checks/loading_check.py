"""The check of every data set without one of its own: load each sample and look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seg.datasets.checks.fault import Fault, FaultKind
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.datasets.clip_dataset import ClipDataset


class LoadingCheck:
    """Loads every sample; of several faults of one sample its reader names the first.

    Args:
        dataset: The data set, or the error that it could not be opened for.
    """

    def __init__(self, dataset: ClipDataset | Exception) -> None:
        self.dataset = dataset

    def faults(self) -> Sequence[Fault]:
        """Why the data set could not be opened, if it could not."""
        return [Fault.of_error(self.dataset)] if isinstance(self.dataset, Exception) else []

    def __len__(self) -> int:
        """Number of samples."""
        return 0 if isinstance(self.dataset, Exception) else len(self.dataset)

    def part_faults(self, part: int) -> Sequence[Fault]:
        """What is wrong with one sample."""
        assert not isinstance(self.dataset, Exception), 'a data set that did not open has no parts'
        try:
            sample = self.dataset.load(part)
        except (UserError, OSError) as error:
            return [Fault.of_error(error, f'sample {part}')]
        return list(sample_faults(sample, len(self.dataset.metainfo['classes'])))


def sample_faults(sample: dict[str, Any], num_classes: int) -> Iterator[Fault]:
    """What is wrong with a sample that could be loaded.

    Args:
        sample: What :meth:`ClipDataset.load` gives.
        num_classes: Labels are below it.
    """
    file = str(sample['img_path'])
    ids, labels = sample['object_ids'].tolist(), sample['labels'].tolist()
    # With expressions an object is listed once for each of them.
    twice = {one for one in ids if ids.count(one) > 1} if 'expressions' not in sample else set()
    for object_id in sorted(twice):
        message = f'expected every object once, got the id {object_id} several times'
        yield Fault(FaultKind.DUPLICATE_ID, file, message)
    for object_id, label, mask in zip(ids, labels, sample['masks'].numpy(), strict=True):
        if not -1 <= label < num_classes:
            message = f'expected a label below {num_classes} of object {object_id}, got {label}'
            yield Fault(FaultKind.WRONG_CATEGORY, file, message)
        if not np.count_nonzero(mask):
            message = f'expected pixels of object {object_id}, got an empty mask'
            yield Fault(FaultKind.EMPTY_MASK, file, message)
