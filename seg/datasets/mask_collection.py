"""What collections of masks without classes share, wherever their files lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.coco_files import check_image_size
from seg.datasets.sa1b_files import choose_masks, image_size_of, parse_sa1b, sa1b_segments
from seg.datasets.samples import image_sample
from seg.structures import Task
from seg.utils.checks import UserError
from seg.visualization.palettes import class_palette


class AnnotatedImage(NamedTuple):
    """The two files of a sample.

    Attributes:
        read_image: Decodes the image, (H, W, 3), uint8, RGB; called when the annotation is good.
        annotation: JSON text in the format of SA-1B.
        image_name: Names the image in messages.
        annotation_name: Names the annotation in messages.
        path: Where the image is, as noted in the sample.
        key: Id of the sample where the annotation has none.
    """

    read_image: Callable[[], np.ndarray]
    annotation: bytes
    image_name: str
    annotation_name: str
    path: Path
    key: str


class MaskCollection(ClipDataset):
    """Images with the masks of whatever there is in them, without classes: all labels are -1.

    Masks may overlap and nest. Object ids are the annotations' ids. Subclasses implement
    ``__len__`` and :meth:`read_files`.

    Args:
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        dataset_name: Name noted in the samples.
        max_segments: How many masks of a training image are decoded, chosen at random each time;
            ``None`` for all.
        test_mode: Whether the samples are for evaluation; all masks are decoded then.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        UserError: If ``max_segments`` is below 1.
    """

    def __init__(
        self,
        task: Task | str,
        pipeline: Pipeline,
        dataset_name: str,
        *,
        max_segments: int | None,
        test_mode: bool,
        seed: int,
        max_bad_samples: int,
    ) -> None:
        if max_segments is not None and max_segments < 1:
            raise UserError(f'max_segments: expected 1 or more, got {max_segments}')
        metainfo = {
            'classes': ('object',),
            'num_things': 1,
            'palette': class_palette(1),
            'annotated_classes': (),
            'dataset_name': dataset_name,
        }
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.max_segments = max_segments

    @abstractmethod
    def read_files(self, index: int) -> AnnotatedImage:
        """Read the annotation of one sample, and say how to read its image."""

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with all of its masks.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is broken, sizes differ, or a code is malformed.
        """
        return self._load(index, None)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one image with some of its masks; see ``max_segments``."""
        return self._load(index, None if self.test_mode else rng)

    def _load(self, index: int, rng: np.random.Generator | None) -> dict[str, Any]:
        files = self.read_files(index)
        source = files.annotation_name
        annotation = parse_sa1b(files.annotation, source)
        size = image_size_of(annotation, source)
        image = files.read_image()
        check_image_size(files.image_name, image.shape[:2], size, source)
        chosen = choose_masks(annotation, self.max_segments, rng)
        return image_sample(
            image,
            sa1b_segments(annotation, source, chosen),
            annotation['image'].get('image_id', files.key),
            files.path,
            self.metainfo['dataset_name'],
        )
