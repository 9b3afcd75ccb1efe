"""A data set under the classes of a label space that several data sets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from seg.datasets.clip_dataset import ClipDataset
from seg.datasets.label_space import UNKNOWN_ID, LabelSpace, join_label_spaces
from seg.datasets.metainfo import find_label_space, label_space_parts
from seg.registry import DATASETS
from seg.utils.checks import UserError


def map_labels(classes: Sequence[str], num_things: int, parts: Sequence[LabelSpace]) -> np.ndarray:
    """Labels in the joint space of some label spaces of the classes of a data set.

    Where one of the spaces has all the names, its classes are meant; where none has, each class
    is the one that shares a synonym with it.

    Args:
        classes: Names, things first.
        num_things: How many of them are countable.
        parts: The label spaces that are joined.

    Returns:
        (K,), int64.

    Raises:
        UserError: If a class is not there.
    """
    joined = join_label_spaces(parts) if len(parts) > 1 else None
    for index, part in enumerate(parts):
        own = _rows_by_name(classes, num_things, part)
        if own is not None:
            return own if joined is None else joined.joint_ids[index][own].astype(np.int64)
    return _labels_by_synonym(classes, num_things, parts[0] if joined is None else joined.space)


def _rows_by_name(classes: Sequence[str], num_things: int, space: LabelSpace) -> np.ndarray | None:
    """The rows of a label space that have the names, (K,), int64; ``None`` unless all are there."""
    names = space.class_names
    things = {name: row for row, name in enumerate(names[: space.num_things])}
    stuff = {name: row + space.num_things for row, name in enumerate(names[space.num_things :])}
    rows = [
        (things if label < num_things else stuff).get(name) for label, name in enumerate(classes)
    ]
    return None if None in rows else np.array(rows, dtype=np.int64)


def _labels_by_synonym(classes: Sequence[str], num_things: int, space: LabelSpace) -> np.ndarray:
    own = LabelSpace.from_names('data set', classes[:num_things], classes[num_things:])
    joined = join_label_spaces([space, own])
    grown = joined.space.num_things - space.num_things, joined.space.num_stuff - space.num_stuff
    if any(grown):
        known = set(space.class_names)
        missing = [name for name in joined.space.class_names if name not in known]
        raise UserError(
            f'label space {space.name!r}: expected the classes of the data set in it, got none '
            f'for {missing[:5]}; join their label space, as in {space.name + "+NAME"!r}'
        )
    return joined.joint_ids[1].astype(np.int64)


@DATASETS.register_module()
class JointLabels(ClipDataset):
    """A data set whose labels are those of a joint label space, to be mixed with others.

    Labels of -1 stay. ``annotated_classes`` says which of the joint classes the data set has, so
    that nothing is learned from the absence of the others.

    Args:
        dataset: The data set or its config; its task, pipeline and settings are kept.
        label_space: Such as ``'coco_panoptic+youtube_vis_2019'``, see
            :func:`~seg.datasets.metainfo.find_label_space`.

    Raises:
        UserError: If the label space is unknown or lacks a class of the data set.
    """

    def __init__(self, dataset: ClipDataset | Mapping[str, Any], label_space: str) -> None:
        source = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        if not isinstance(source, ClipDataset):
            raise TypeError(
                f'JointLabels.dataset: expected a ClipDataset, got a {type(source).__name__}'
            )
        space = find_label_space(label_space)
        own = source.metainfo
        annotated = own.get('annotated_classes')
        if annotated == ():  # such as the one class of a data set without classes
            self.table = np.full(len(own['classes']), UNKNOWN_ID, dtype=np.int64)
        else:
            self.table = map_labels(
                own['classes'], own['num_things'], label_space_parts(label_space)
            )
            annotated = range(len(self.table)) if annotated is None else annotated
        metainfo = {
            **space.metainfo(),
            'dataset_name': own.get('dataset_name', label_space),
            'annotated_classes': tuple(sorted({int(self.table[label]) for label in annotated})),
        }
        super().__init__(
            source.task,
            source.pipeline,
            metainfo,
            source.seed,
            test_mode=source.test_mode,
            max_bad_samples=source.bad_samples.limit,
        )
        self.source = source

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.source)

    def load(self, index: int) -> dict[str, Any]:
        """Read one sample of the data set."""
        return self._mapped(self.source.load(index))

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one sample of the data set, with what it chooses at random."""
        return self._mapped(self.source.draw(index, rng))

    def _mapped(self, results: dict[str, Any]) -> dict[str, Any]:
        labels = results['labels'].numpy()
        joint = np.where(labels < 0, UNKNOWN_ID, self.table[labels])
        results['labels'] = torch.from_numpy(joint)
        return results
