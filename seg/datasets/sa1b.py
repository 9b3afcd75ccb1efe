"""SA-1B: images beside JSON files of run-length codes, in folders of any depth."""

from __future__ import annotations

from pathlib import Path

from seg.datasets.clip_dataset import Pipeline
from seg.datasets.imaging import read_image
from seg.datasets.index import Index, cached_index, digest_names, list_files, stem_of
from seg.datasets.mask_collection import AnnotatedImage, MaskCollection
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError

_SUFFIXES = ('.jpg', '.json')
_VERSION = 1


@DATASETS.register_module()
class SA1BDataset(MaskCollection):
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
        super().__init__(
            task,
            pipeline,
            dataset_name,
            max_segments=max_segments,
            test_mode=test_mode,
            seed=seed,
            max_bad_samples=max_bad_samples,
        )
        self.root = Path(root)
        self.index = _index_images(self.root)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.index.texts('images'))

    def read_files(self, index: int) -> AnnotatedImage:
        """Read the annotation of one sample, and say how to read its image."""
        path = self.root / self.index.texts('images')[index]
        source = path.with_suffix('.json')
        return AnnotatedImage(
            lambda: read_image(path), source.read_bytes(), str(path), str(source), path, path.stem
        )


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
