"""SA-1B: images beside JSON files of run-length codes, in folders of any depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.coco_files import check_image_size
from seg.datasets.imaging import read_image
from seg.datasets.index import Index, cached_index, digest_names, list_files, stem_of
from seg.datasets.sa1b_files import choose_masks, image_size_of, parse_sa1b, sa1b_segments
from seg.datasets.samples import image_sample
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError
from seg.visualization.palettes import class_palette

_SUFFIXES = ('.jpg', '.json')
_VERSION = 1


@DATASETS.register_module()
class SA1BDataset(ClipDataset):
    """Images with the masks of whatever there is in them, without classes: all labels are -1.

    Masks may overlap and nest. Object ids are the annotations' ids.

    Args:
        root: Folder that has ``sa_*.jpg`` beside ``sa_*.json``, or folders of them, and so on.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        max_segments: How many masks of a training image are decoded, chosen at random each time;
            all by default. An image has about a hundred, of some megabytes each.
        test_mode: Whether the samples are for evaluation; all masks are decoded then.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If the folder is missing.
        UserError: If there are no images, or images and annotations do not pair up.
    """

    def __init__(
        self,
        root: str | Path,
        task: Task | str,
        pipeline: Pipeline,
        *,
        max_segments: int | None = None,
        test_mode: bool = False,
        dataset_name: str = 'sa1b',
        seed: int = 0,
        max_bad_samples: int = 0,
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
        self.root = Path(root)
        self.max_segments = max_segments
        self.index = _index_images(self.root)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.index.texts('images'))

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
        img_path = self.root / self.index.texts('images')[index]
        source = img_path.with_suffix('.json')
        annotation = parse_sa1b(source.read_bytes(), str(source))
        size = image_size_of(annotation, str(source))
        image = read_image(img_path)
        check_image_size(img_path, image.shape[:2], size, source)
        chosen = choose_masks(annotation, self.max_segments, rng)
        known = sa1b_segments(annotation, str(source), chosen)
        img_id = annotation['image'].get('image_id', img_path.stem)
        return image_sample(image, known, img_id, img_path, self.metainfo['dataset_name'])


def _index_images(root: Path) -> Index:
    """The index of the images, through the cache; column ``images``: paths below the root."""
    names = [
        name
        for name in list_files(root, _SUFFIXES, recursive=True)
        if name.startswith('sa_', name.rfind('/') + 1)
    ]
    return cached_index(
        'sa1b', _VERSION, root, digest_names(names), lambda: _pair_files(root, names)
    )


def _pair_files(root: Path, names: list[str]) -> Index:
    stems: list[set[str]] = [
        {stem_of(name) for name in names if name.lower().endswith(suffix)} for suffix in _SUFFIXES
    ]
    images = [name for name in names if name.lower().endswith('.jpg')]
    if not images:
        raise UserError(
            f'{root}: expected sa_*.jpg beside sa_*.json in it or in folders below, got none; '
            'unpack the archives of SA-1B there'
        )
    for (own, other), suffix in zip((stems, stems[::-1]), _SUFFIXES, strict=True):
        if alone := own - other:
            raise UserError(
                f'{root / min(alone)}{suffix}: expected its twin, {" and ".join(_SUFFIXES)}, got '
                f'it alone ({len(alone)} such files); unpack the archive again'
            )
    return Index({'images': images}, {})
